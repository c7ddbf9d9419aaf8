//! Signature Version 4 of AWS: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;
use url::Url;

use super::keys::AwsKeys;
use crate::auth::Secret;
use crate::auth::cloud::client::CloudRequest;
use crate::spec::{Digest, to_hex};
use crate::transport::authority;

/// Signs requests to one service in one region.
pub(super) struct Signer<'a> {
    pub(super) keys: &'a AwsKeys,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl Signer<'_> {
    /// Adds headers, body and signature to a request.
    pub(super) fn signed(
        &self,
        request: CloudRequest,
        headers: &[(&str, &str)],
        body: Secret,
    ) -> CloudRequest {
        let time = timestamp(SystemTime::now());
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        all.push(("x-amz-date", &time));
        if let Some(token) = &self.keys.token {
            all.push(("x-amz-security-token", token.reveal()));
        }
        let host = authority(&request.url);
        all.push(("host", &host));
        let authorization = self.authorization(
            request.method.as_str(),
            &request.url,
            &mut all,
            body.reveal().as_bytes(),
            &time,
        );
        let mut signed = request.header("authorization", &authorization);
        for (name, value) in all.into_iter().filter(|(name, _)| *name != "host") {
            signed = signed.header(name, value);
        }
        signed.body = Some(body);
        signed
    }

    /// Returns the value of `Authorization`. Sorts the headers, whose names must be in lower case.
    fn authorization(
        &self,
        method: &str,
        url: &Url,
        headers: &mut [(&str, &str)],
        body: &[u8],
        time: &str,
    ) -> String {
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("{method}\n{}\n{}\n", url.path(), query(url));
        for (name, value) in headers {
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let _ = write!(canonical, "\n{names}\n{}", Digest::sha256(body).hex());
        let date = &time[..8];
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            Digest::sha256(canonical.as_bytes()).hex()
        );
        let secret = Secret::new(format!("AWS4{}", self.keys.secret.reveal()));
        let key = [date, self.region, self.service, "aws4_request"]
            .into_iter()
            .fold(
                hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()),
                |key, part| {
                    hmac::Key::new(
                        hmac::HMAC_SHA256,
                        hmac::sign(&key, part.as_bytes()).as_ref(),
                    )
                },
            );
        let signature = to_hex(hmac::sign(&key, text.as_bytes()).as_ref());
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.keys.id
        )
    }
}

fn query(url: &Url) -> String {
    let pairs = url.query_pairs();
    let mut pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", encoded(&name), encoded(&value)))
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Returns `YYYYMMDDTHHMMSSZ`. Days to dates: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn timestamp(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (days, second) = (seconds / 86400, seconds % 86400);
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TIME: &str = "20150830T123600Z";
    const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

    fn signature(method: &str, target: &str, more: &[(&str, &str)], body: &str) -> String {
        let keys = AwsKeys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            token: None,
            origin: String::new(),
        };
        let signer = Signer {
            keys: &keys,
            region: "us-east-1",
            service: "service",
        };
        let url = Url::parse(&format!("https://example.amazonaws.com{target}")).expect("a URL");
        let mut headers = vec![("host", "example.amazonaws.com"), ("x-amz-date", TIME)];
        headers.extend(more);
        let value = signer.authorization(method, &url, &mut headers, body.as_bytes(), TIME);
        let (_, signature) = value.rsplit_once("Signature=").expect("a signature");
        signature.to_owned()
    }

    /// The vectors are from AWS's `aws-sig-v4-test-suite` and have the same names.
    #[test]
    fn signatures_match_the_test_suite_of_aws() {
        for (name, method, target, headers, body, expected) in [
            (
                "get-vanilla",
                "GET",
                "/",
                &[][..],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "/?Param2=value2&Param1=value1",
                &[],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-empty-query-key",
                "GET",
                "/?Param1=value1",
                &[],
                "",
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                "get-utf8",
                "GET",
                "/%E1%88%B4",
                &[],
                "",
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "post-vanilla",
                "POST",
                "/",
                &[],
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "/",
                &[("content-type", "application/x-www-form-urlencoded")],
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "post-sts-header-before",
                "POST",
                "/",
                &[("x-amz-security-token", TOKEN)],
                "",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
        ] {
            assert_eq!(signature(method, target, headers, body), expected, "{name}");
        }
    }

    #[test]
    fn timestamps_are_utc() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
