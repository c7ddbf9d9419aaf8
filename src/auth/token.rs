//! Parses the response of a token server.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/#token-response-fields>

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer};

use super::Secret;
use crate::spec::{JsonError, parse};

/// The maximum size of the response of a token server in bytes.
pub const MAX_TOKEN_ANSWER: u64 = 64 << 10;

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
    #[error("the answer of the token server has too many values or levels")]
    TooComplex,
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
        // serde accepts an array with the fields in their order.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(TokenError::NotJson { line: 1, column: 1 });
        }
        let answer: Answer = parse(body).map_err(|error| match error {
            JsonError::Syntax(error) => TokenError::NotJson {
                line: error.line(),
                column: error.column(),
            },
            JsonError::TooDeep | JsonError::TooManyValues => TokenError::TooComplex,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::limits::MAX_JSON_DEPTH;

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
    fn both_names_of_the_token_are_read() {
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
    fn a_token_is_renewed_early() {
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
        assert_eq!(
            parse(&deep(MAX_JSON_DEPTH + 1)),
            Err(TokenError::TooComplex)
        );
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
}
