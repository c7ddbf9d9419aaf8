//! Removes the credentials of a request from the text of the answer: a registry may repeat them in an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::auth::Secret;

/// The replacement of a secret.
const MASK: &str = "***";
/// The minimum length of a secret. Shorter texts occur in other text by chance.
const MIN_SECRET: usize = 4;

/// The texts that reveal one `Authorization` header, longest first.
#[derive(Default)]
pub(super) struct Redactor(Vec<Secret>);

impl Redactor {
    /// Collects the whole value, the value without its scheme, and for Basic the decoded pair and the password.
    pub(super) fn of_header(value: &HeaderValue) -> Self {
        let Ok(value) = value.to_str() else {
            return Self::default();
        };
        let mut secrets = vec![Secret::new(value)];
        if let Some((scheme, credentials)) = value.split_once(' ') {
            secrets.push(Secret::new(credentials));
            // Base64 can be decoded without its padding.
            secrets.push(Secret::new(credentials.trim_end_matches('=')));
            if scheme == "Basic"
                && let Ok(pair) = STANDARD.decode(credentials)
                && let Ok(pair) = String::from_utf8(pair).map(Secret::new)
                && let Some((_, password)) = pair.reveal().split_once(':')
            {
                let password = Secret::new(password);
                secrets.push(pair.clone());
                secrets.push(password);
            }
        }
        secrets.retain(|secret| secret.reveal().len() >= MIN_SECRET);
        Self(secrets)
    }

    /// Adds a secret to the texts that are removed, such as an identity token in the body of the request.
    pub(super) fn and(mut self, secret: &Secret) -> Self {
        if secret.reveal().len() >= MIN_SECRET {
            self.0.push(secret.clone());
        }
        self
    }

    /// Returns the text with each secret replaced by a mask.
    pub(super) fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.reveal(), MASK)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_credential_is_masked() {
        let redactor = Redactor::of_header(&HeaderValue::from_static("Basic dTpodW50ZXIy"));
        for (text, redacted) in [
            ("got Basic dTpodW50ZXIy.", "got ***."),
            ("got dTpodW50ZXIy", "got ***"),
            ("u:hunter2 / hunter2", "*** / ***"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redactor.redact(text), redacted);
        }
        let redactor = Redactor::of_header(&HeaderValue::from_static("Bearer tok1"));
        assert_eq!(redactor.redact("Bearer tok1, tok1"), "***, ***");
        let short = Redactor::of_header(&HeaderValue::from_static("Basic dTpw"));
        assert_eq!(short.redact("up, dTpw"), "up, ***");
        let padded = Redactor::of_header(&HeaderValue::from_static("Basic dTpodW50ZXI="));
        assert_eq!(padded.redact("dTpodW50ZXI"), "***");
    }
}
