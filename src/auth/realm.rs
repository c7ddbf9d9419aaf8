//! Checks whether credentials may be sent to the token server that a registry names.

use std::fmt;

use url::Url;

use crate::address::{is_internal, is_loopback};

/// The URL of a token server that passed [`Realm::check`]: credentials may be sent to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Realm(Url);

/// A token server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenServer {
    pub realm: Realm,
    /// The name of the registry at the token server.
    pub service: Option<String>,
}

/// Why a realm is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RealmError {
    #[error("the realm of the challenge is not a URL")]
    NotAUrl,
    #[error("unsupported URL scheme for token server {0}")]
    Scheme(String),
    #[error("the URL of the token server {0} contains a user name or password")]
    UserInfo(String),
    #[error("the token server {0} uses plain HTTP; credentials are not sent to it")]
    Plain(String),
    #[error("the token server {0} is an internal address, and not the host of the registry")]
    Internal(String),
}

impl Realm {
    /// Checks the `realm` of a challenge that `registry` (scheme, host and port) sent.
    ///
    /// - `https` is allowed; `http` only for the host and port of a registry that uses `http` itself.
    /// - An internal address (see [`is_internal`]) is allowed only if it is the host of the registry.
    /// - For a registry on loopback, any token server on loopback is allowed.
    ///
    /// As in other clients, a path is resolved against the registry. Background: <https://github.com/google/go-containerregistry/issues/2258>.
    pub fn check(realm: &str, registry: &Url) -> Result<Self, RealmError> {
        let mut url = if realm.starts_with('/') {
            registry.join(realm)
        } else {
            Url::parse(realm)
        }
        .map_err(|_| RealmError::NotAUrl)?;
        let (Some(host), Some(registry_host)) = (url.host(), registry.host()) else {
            return Err(RealmError::NotAUrl);
        };
        let shown = host.to_string();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RealmError::UserInfo(shown));
        }
        let both_loopback = is_loopback(&host) && is_loopback(&registry_host);
        match url.scheme() {
            "https" => {}
            "http" if registry.scheme() != "http" => return Err(RealmError::Plain(shown)),
            "http" if url.origin() == registry.origin() || both_loopback => {}
            "http" => return Err(RealmError::Plain(shown)),
            _ => return Err(RealmError::Scheme(shown)),
        }
        if is_internal(&host) && host != registry_host && !both_loopback {
            return Err(RealmError::Internal(shown));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// Creates a realm from the built-in table, without a check.
    pub(super) fn trusted(url: Url) -> Self {
        Self(url)
    }

    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(realm: &str, registry: &str) -> Result<String, RealmError> {
        let registry = Url::parse(registry).expect("a URL");
        Realm::check(realm, &registry).map(|realm| realm.to_string())
    }

    #[test]
    fn allowed_realms_are_accepted() {
        for (realm, registry) in [
            (
                "https://auth.docker.io/token",
                "https://registry-1.docker.io",
            ),
            (
                "https://gitlab.com/jwt/auth?x=y",
                "https://registry.gitlab.com",
            ),
            ("https://1.1.1.1/token", "https://registry.example"),
            ("https://auth.example/token", "http://registry.example:5000"),
            (
                "http://registry.example:5000/token",
                "http://registry.example:5000",
            ),
            ("http://10.0.0.5:5000/token", "http://10.0.0.5:5000"),
            ("https://10.0.0.5:8443/token", "https://10.0.0.5"),
            ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000"),
            ("http://localhost:5001/token", "http://127.0.0.1:5000"),
            ("https://127.0.0.1:5001/token", "https://localhost:5000"),
            ("http://[::1]:5001/token", "http://127.0.0.1:5000"),
        ] {
            assert_eq!(check(realm, registry), Ok(realm.to_owned()));
        }
    }

    #[test]
    fn plain_http_is_for_the_registry_itself() {
        for (realm, registry) in [
            ("http://r.example/t", "https://r.example"),
            ("http://r.example/t", "http://other.example"),
            ("http://r.example/t", "http://r.example:5000"),
            ("http://r.example/t", "http://127.0.0.1:5000"),
        ] {
            let error = RealmError::Plain("r.example".into());
            assert_eq!(check(realm, registry), Err(error), "{realm} {registry}");
        }
        for registry in ["https://127.0.0.1:80", "http://r.example"] {
            let error = RealmError::Plain("127.0.0.1".into());
            assert_eq!(check("http://127.0.0.1:81/t", registry), Err(error));
        }
    }

    #[test]
    fn internal_addresses_are_for_registries_at_the_same_address() {
        for (realm, registry, host) in [
            ("https://127.0.0.1/t", "https://r.example", "127.0.0.1"),
            ("https://localhost/t", "https://r.example", "localhost"),
            ("https://2130706433/t", "https://r.example", "127.0.0.1"),
            (
                "https://169.254.169.254/t",
                "https://r.example",
                "169.254.169.254",
            ),
            ("https://10.0.0.6/t", "https://10.0.0.5", "10.0.0.6"),
            ("https://10.0.0.6/t", "http://127.0.0.1:5000", "10.0.0.6"),
            ("https://127.0.0.1/t", "https://10.0.0.5", "127.0.0.1"),
            ("https://[fd00::1]/t", "https://r.example", "[fd00::1]"),
            (
                "https://[::ffff:10.0.0.1]/t",
                "https://r.example",
                "[::ffff:a00:1]",
            ),
            ("https://100.64.0.1/t", "https://r.example", "100.64.0.1"),
            ("https://0.0.0.0/t", "https://r.example", "0.0.0.0"),
        ] {
            let error = RealmError::Internal(host.into());
            assert_eq!(check(realm, registry), Err(error), "{realm} {registry}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for (realm, error) in [
            ("ftp://a.example/t", RealmError::Scheme("a.example".into())),
            (
                "https://u:p@a.example/t",
                RealmError::UserInfo("a.example".into()),
            ),
            (
                "https://u@a.example/t",
                RealmError::UserInfo("a.example".into()),
            ),
            ("", RealmError::NotAUrl),
            ("Artifactory Realm", RealmError::NotAUrl),
            ("token", RealmError::NotAUrl),
            ("mailto:a@b", RealmError::NotAUrl),
            ("https://", RealmError::NotAUrl),
        ] {
            assert_eq!(check(realm, "https://r.example"), Err(error), "{realm}");
        }
    }

    #[test]
    fn a_path_is_resolved_against_the_registry() {
        assert_eq!(
            check("/token", "https://r.example:8443/v2/"),
            Ok("https://r.example:8443/token".into())
        );
        assert_eq!(
            check("//10.0.0.1/token", "https://r.example"),
            Err(RealmError::Internal("10.0.0.1".into()))
        );
    }

    #[test]
    fn the_fragment_is_removed() {
        assert_eq!(
            check("https://auth.example/t#frag", "https://r.example"),
            Ok("https://auth.example/t".into())
        );
    }
}
