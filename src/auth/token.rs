//! Parses the response of a token server.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/#token-response-fields>

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer};

use super::Secret;
use crate::spec::limits::MAX_JSON_DEPTH;

/// The maximum size of the response of a token server in bytes.
pub const MAX_TOKEN_ANSWER: usize = 64 * 1024;

/// The lifetime of a token whose response has no valid one.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// The maximum lifetime.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before its expiry a token is renewed.
const MARGIN: Duration = Duration::from_secs(5);

/// A registry token and its lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The text after `Bearer`.
    pub secret: Secret,
    pub expires_at: Instant,
    /// When to fetch a new one: shortly before it expires.
    pub refresh_at: Instant,
}

/// Why a response has no usable token. Never quotes the response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the answer of the token server is larger than {MAX_TOKEN_ANSWER} bytes")]
    TooLarge,
    #[error("the answer of the token server is nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    #[error(
        "the answer of the token server is not the JSON of a token (line {line}, column {column})"
    )]
    NotJson { line: usize, column: usize },
    #[error("the answer of the token server contains no token")]
    NoToken,
    #[error("the token contains characters that are not allowed in a header")]
    NotPrintable,
}

/// The fields that are used; others, such as `refresh_token`, are ignored.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default, deserialize_with = "lifetime")]
    expires_in: Option<Duration>,
}

impl Token {
    /// Parses a response. `token` takes precedence over `access_token`. The lifetime `expires_in` starts at `received`,
    /// since the clock of the server may be wrong; it is 60 s if it is missing, not positive or not a number.
    pub fn parse(body: &[u8], received: Instant) -> Result<Self, TokenError> {
        if body.len() > MAX_TOKEN_ANSWER {
            return Err(TokenError::TooLarge);
        }
        if depth(body) > MAX_JSON_DEPTH {
            return Err(TokenError::TooDeep);
        }
        // serde accepts an array with the fields in their order.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(TokenError::NotJson { line: 1, column: 1 });
        }
        let answer: Answer = serde_json::from_slice(body).map_err(|error| TokenError::NotJson {
            line: error.line(),
            column: error.column(),
        })?;
        let secret = [answer.token, answer.access_token]
            .into_iter()
            .flatten()
            .find(|secret| !secret.reveal().is_empty())
            .ok_or(TokenError::NoToken)?;
        if !secret.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NotPrintable);
        }
        let lifetime = answer.expires_in.unwrap_or(DEFAULT_LIFETIME);
        // With the full margin, a token of a few seconds would never be fresh.
        let margin = MARGIN.min(lifetime / 4);
        Ok(Self {
            secret,
            expires_at: received + lifetime,
            refresh_at: received + lifetime.saturating_sub(margin),
        })
    }

    /// Returns whether the token can be used for a request at `now`.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now < self.refresh_at
    }
}

/// Reads `expires_in` as a number or a numeric string. Anything else counts as missing.
fn lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(seconds
        .filter(|seconds| *seconds > 0.0)
        .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(MAX_LIFETIME))
        .map(|lifetime| lifetime.min(MAX_LIFETIME))
        .filter(|lifetime| !lifetime.is_zero()))
}

/// Returns the nesting depth of brackets outside of strings.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    let mut in_string = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                bytes.next();
            }
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Result<Token, TokenError> {
        Token::parse(body.as_bytes(), Instant::now())
    }

    /// Returns the lifetime that is read from an answer with this `expires_in`.
    fn lifetime_of(expires_in: &str) -> Duration {
        let received = Instant::now();
        let body = format!(r#"{{"token": "t", "expires_in": {expires_in}}}"#);
        let token = Token::parse(body.as_bytes(), received).expect(expires_in);
        assert!(token.is_fresh(received), "{expires_in}");
        assert!(token.refresh_at <= token.expires_at, "{expires_in}");
        token.expires_at - received
    }

    #[test]
    fn either_name_of_the_token_will_do() {
        for body in [
            r#"{"token": "t"}"#,
            r#"{"access_token": "t"}"#,
            r#"{"token": "t", "access_token": "other", "refresh_token": {"x": []}}"#,
            r#"{"token": "", "access_token": "t"}"#,
            r#"{"token": null, "access_token": "t", "issued_at": "2020-01-01T00:00:00Z"}"#,
        ] {
            assert_eq!(parse(body).expect(body).secret.reveal(), "t", "{body}");
        }
    }

    #[test]
    fn the_lifetime_is_read_in_every_form() {
        for (expires_in, seconds) in [
            ("300", 300.0),
            ("300.5", 300.5),
            (r#""300""#, 300.0),
            ("1", 1.0),
            ("0.5", 0.5),
            ("0", 60.0),
            ("-1", 60.0),
            ("1e-300", 60.0),
            ("null", 60.0),
            (r#""soon""#, 60.0),
            (r#""NaN""#, 60.0),
            ("[]", 60.0),
            ("86400", 86400.0),
            ("86401", 86400.0),
            ("1e300", 86400.0),
            ("18446744073709551616", 86400.0),
            (r#""inf""#, 86400.0),
        ] {
            let expected = Duration::from_secs_f64(seconds);
            assert_eq!(lifetime_of(expires_in), expected, "{expires_in}");
        }
    }

    #[test]
    fn it_is_renewed_a_little_early() {
        let received = Instant::now();
        let at = |seconds: u64| received + Duration::from_secs(seconds);
        let token = Token::parse(br#"{"token": "t", "expires_in": 60}"#, received);
        let token = token.expect("a token");
        assert!(token.is_fresh(at(54)));
        assert!(!token.is_fresh(at(55)));
        let token = Token::parse(br#"{"token": "t", "expires_in": 4}"#, received);
        let token = token.expect("a token");
        assert!(token.is_fresh(at(2)));
        assert!(!token.is_fresh(at(3)));
    }

    #[test]
    fn other_answers_are_refused_and_never_quoted() {
        let deep = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#"{{"token": "hunter2", "x": {open}{close}}}"#)
        };
        assert!(parse(&deep(MAX_JSON_DEPTH)).is_ok());
        assert_eq!(parse(&deep(MAX_JSON_DEPTH + 1)), Err(TokenError::TooDeep));
        assert_eq!(parse("{}"), Err(TokenError::NoToken));
        assert_eq!(parse(r#"{"token": ""}"#), Err(TokenError::NoToken));
        assert_eq!(parse(r#"{"token": "a\nb"}"#), Err(TokenError::NotPrintable));
        for (body, column) in [
            (r#"{"token": 4711}"#, 14),
            ("<html>hunter2</html>", 1),
            (r#""hunter2""#, 9),
            (r#"["hunter2"]"#, 1),
            (r#"["hunter2", null, 60]"#, 1),
            ("", 0),
            (r#"{"token": "hunter2""#, 19),
        ] {
            let error = parse(body).expect_err(body);
            let line = 1;
            assert_eq!(error, TokenError::NotJson { line, column }, "{body}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn the_size_has_a_limit() {
        let body = r#"{"token": "t"}"#;
        let filler = " ".repeat(MAX_TOKEN_ANSWER - body.len());
        assert!(parse(&format!("{body}{filler}")).is_ok());
        assert_eq!(
            parse(&format!("{body}{filler} ")),
            Err(TokenError::TooLarge)
        );
    }

    #[test]
    fn brackets_in_strings_are_not_depth() {
        assert_eq!(depth(br#"{"a": "[[[\"[[", "b": [{}]}"#), 3);
        assert_eq!(depth(b"]]]"), 0);
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Token::parse(&body, Instant::now());
        }

        #[test]
        fn any_lifetime_is_survived(seconds in any::<f64>()) {
            let body = format!(r#"{{"token": "t", "expires_in": "{seconds}"}}"#);
            prop_assert!(parse(&body).is_ok());
        }
    }
}
