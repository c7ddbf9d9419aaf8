//! What was redactor to a registry to be let in, so that it is not printed when the registry repeats it in an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::auth::Secret;

/// What stands in place of a secret.
const STARS: &str = "***";
/// Shorter words are no secrets, and may stand in any text.
const SHORTEST: usize = 4;

/// The forms of one `Authorization`, the longest first.
#[derive(Default)]
pub(super) struct Redactor(Vec<Secret>);

impl Redactor {
    /// The value whole, without its scheme, and what Basic is made of: the pair, and the password.
    pub(super) fn in_header(value: &HeaderValue) -> Self {
        let Ok(value) = value.to_str() else {
            return Self::default();
        };
        let mut forms = vec![Secret::new(value)];
        if let Some((scheme, credentials)) = value.split_once(' ') {
            forms.push(Secret::new(credentials));
            // Nobody needs the padding to decode it.
            forms.push(Secret::new(credentials.trim_end_matches('=')));
            if scheme == "Basic"
                && let Ok(pair) = STANDARD.decode(credentials)
                && let Ok(pair) = String::from_utf8(pair).map(Secret::new)
                && let Some((_, password)) = pair.reveal().split_once(':')
            {
                let password = Secret::new(password);
                forms.push(pair.clone());
                forms.push(password);
            }
        }
        forms.retain(|form| form.reveal().len() >= SHORTEST);
        Self(forms)
    }

    /// The text with stars in place of what was redactor.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| {
            text.replace(form.reveal(), STARS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_it_is_left() {
        let redactor = Redactor::in_header(&HeaderValue::from_static("Basic dTpodW50ZXIy"));
        for (text, hidden) in [
            ("got Basic dTpodW50ZXIy.", "got ***."),
            ("got dTpodW50ZXIy", "got ***"),
            ("u:hunter2 / hunter2", "*** / ***"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redactor.hidden_in(text), hidden);
        }
        let redactor = Redactor::in_header(&HeaderValue::from_static("Bearer tok1"));
        assert_eq!(redactor.hidden_in("Bearer tok1, tok1"), "***, ***");
        let short = Redactor::in_header(&HeaderValue::from_static("Basic dTpw"));
        assert_eq!(short.hidden_in("up, dTpw"), "up, ***");
        let padded = Redactor::in_header(&HeaderValue::from_static("Basic dTpodW50ZXI="));
        assert_eq!(padded.hidden_in("dTpodW50ZXI"), "***");
    }
}
