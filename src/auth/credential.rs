//! Credentials, and candidates: credentials with their origin.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Origin, Secret};

/// The user name that marks an identity token in the protocol of credential helpers. Token servers accept it, too.
/// <https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol>
pub(super) const TOKEN_USERNAME: &str = "<token>";

/// A credential for a registry or its token server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user name and a password, or an access token instead of the password.
    Basic { username: String, password: Secret },
    /// A refresh token, which the token server exchanges in an OAuth2 POST.
    IdentityToken {
        /// The user name, where the source has one. Used only if the token server does not support POST.
        username: Option<String>,
        token: Secret,
    },
    /// A registry token that is sent as it is, without a token server.
    Bearer(Secret),
    /// A placeholder until the clouds of the registry are called; see [`Search::first`](super::Search::first).
    Deferred,
    /// No credential.
    Anonymous,
}

impl Credential {
    /// Returns the kind in one or two words, for display.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "password",
            Self::IdentityToken { .. } => "identity token",
            Self::Bearer(_) => "registry token",
            Self::Deferred => "deferred",
            Self::Anonymous => "anonymous",
        }
    }

    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Basic { username, .. } => Some(username),
            Self::IdentityToken { username, .. } => username.as_deref(),
            Self::Bearer(_) | Self::Deferred | Self::Anonymous => None,
        }
    }

    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Basic { password, .. } => Some(password),
            Self::IdentityToken { token, .. } | Self::Bearer(token) => Some(token),
            Self::Deferred | Self::Anonymous => None,
        }
    }

    /// Returns the value of an `Authorization: Basic` header. `None` for a registry token and for anonymous access.
    ///
    /// An identity token takes the place of the password, for token servers that refuse the OAuth2 POST.
    pub fn basic_authorization(&self) -> Option<Secret> {
        let (username, password) = match self {
            Self::Basic { username, password } => (username.as_str(), password),
            Self::IdentityToken { username, token } => {
                (username.as_deref().unwrap_or(TOKEN_USERNAME), token)
            }
            Self::Bearer(_) | Self::Deferred | Self::Anonymous => return None,
        };
        let pair = Secret::new(format!("{username}:{}", password.reveal()));
        Some(Secret::new(format!(
            "Basic {}",
            STANDARD.encode(pair.reveal())
        )))
    }
}

/// A credential and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub credential: Credential,
    pub origin: Origin,
}

/// Removes one newline (`\n` or `\r\n`) from the end, as `docker login --password-stdin` does.
pub(super) fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_secret() {
        for credential in [
            Credential::Basic {
                username: "joe".into(),
                password: Secret::new("hunter2"),
            },
            Credential::IdentityToken {
                username: None,
                token: Secret::new("hunter2"),
            },
            Credential::Bearer(Secret::new("hunter2")),
        ] {
            let shown = format!("{credential:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn basic_is_the_base64_of_user_colon_password() {
        let credential = Credential::Basic {
            username: "Aladdin".into(),
            password: Secret::new("open sesame"),
        };
        // The example of RFC 7617, section 2.
        let header = credential.basic_authorization().expect("has a password");
        assert_eq!(header.reveal(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn a_registry_token_is_not_sent_as_basic() {
        assert_eq!(
            Credential::Bearer(Secret::new("t")).basic_authorization(),
            None
        );
        assert_eq!(Credential::Anonymous.basic_authorization(), None);
    }

    #[test]
    fn one_newline_is_removed() {
        assert_eq!(without_newline("pass\n"), "pass");
        assert_eq!(without_newline("pass\r\n"), "pass");
        assert_eq!(without_newline("pass\n\n"), "pass\n");
        assert_eq!(without_newline("pass "), "pass ");
        assert_eq!(without_newline(""), "");
    }
}
