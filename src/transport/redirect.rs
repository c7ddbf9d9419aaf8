//! Where a request may be sent on to, and what may travel with it.

use url::Url;

use crate::address::{is_internal, is_loopback};

/// The most hops that are followed.
pub(super) const MAX_HOPS: usize = 10;

/// A redirect (or an upload location) that must not be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRefused {
    /// From https to http: what follows would travel in the clear.
    #[error("refused to go on from https to plain http at {0}")]
    Downgrade(String),
    /// To an address inside the network of whoever runs this.
    #[error("refused to be sent to the internal address {0}")]
    Internal(String),
    /// Neither http nor https.
    #[error("refused to be sent to an address of scheme {0:?}")]
    Scheme(String),
    /// A user name or password inside of the address.
    #[error("refused to be sent to {0} with a user name or password that the answer names")]
    UserInfo(String),
    /// Not an address.
    #[error("the answer names a location that is no address")]
    Malformed,
    /// In circles, or for ever.
    #[error("more than {MAX_HOPS} redirects")]
    TooMany,
}

/// Whether a request that went to `from` may go on to `to`. https never becomes http, and an IP
/// literal of a private, link-local or loopback range is refused unless it is the host itself (or both
/// are loopback), so that a registry cannot make its client probe the network it runs in (SSRF).
pub fn check_hop(from: &Url, to: &Url) -> Result<(), RedirectRefused> {
    let shown = || to.host_str().unwrap_or_default().to_owned();
    match (from.scheme(), to.scheme()) {
        ("http" | "https", "https") | ("http", "http") => {}
        ("https", "http") => return Err(RedirectRefused::Downgrade(shown())),
        (_, other) => return Err(RedirectRefused::Scheme(other.to_owned())),
    }
    // reqwest would make a Basic header of it.
    if !to.username().is_empty() || to.password().is_some() {
        return Err(RedirectRefused::UserInfo(shown()));
    }
    let (Some(from_host), Some(to_host)) = (from.host(), to.host()) else {
        return Err(RedirectRefused::Malformed);
    };
    let both_loopback = is_loopback(&from_host) && is_loopback(&to_host);
    if from_host != to_host && is_internal(&to_host) && !both_loopback {
        return Err(RedirectRefused::Internal(shown()));
    }
    Ok(())
}

/// Whether `Authorization` meant for `from` may be sent to `to`: only to the same scheme, host and port.
pub fn may_carry_authorization(from: &Url, to: &Url) -> bool {
    from.scheme() == to.scheme()
        && from.host() == to.host()
        && from.port_or_known_default() == to.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, to: &str) -> Result<(), RedirectRefused> {
        check_hop(&from.parse().unwrap(), &to.parse().unwrap())
    }

    #[test]
    fn hops_outward_are_fine() {
        for (from, to) in [
            ("https://ghcr.io/v2/", "https://cdn.example/x"),
            ("https://ghcr.io/v2/", "https://93.184.216.34/x"),
            ("http://10.0.0.1:5000/v2/", "http://10.0.0.1:6000/x"),
            ("http://127.0.0.1:5000/", "http://127.0.0.2:5000/"),
            ("http://localhost:5000/", "http://127.0.0.1:9000/"),
        ] {
            assert_eq!(hop(from, to), Ok(()), "{from} {to}");
        }
    }

    #[test]
    fn hops_inward_and_downward_are_refused() {
        for to in [
            "https://169.254.169.254/latest",
            "https://10.1.2.3/",
            "https://192.168.0.1/",
            "https://172.20.0.1/",
            "https://100.64.0.1/",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://2852039166/",
            "https://0x7f.1/",
        ] {
            assert!(
                matches!(
                    hop("https://ghcr.io/", to),
                    Err(RedirectRefused::Internal(_))
                ),
                "{to}"
            );
        }
        assert!(matches!(
            hop("https://a.io/", "http://a.io/"),
            Err(RedirectRefused::Downgrade(_))
        ));
        assert!(matches!(
            hop("https://a.io/", "https://user:pw@b.io/"),
            Err(RedirectRefused::UserInfo(_))
        ));
        assert!(matches!(
            hop("https://a.io/", "file:///etc/passwd"),
            Err(RedirectRefused::Scheme(_))
        ));
    }

    #[test]
    fn authorization_stays_with_its_origin() {
        let same =
            |a: &str, b: &str| may_carry_authorization(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://a.io/x", "https://a.io:443/y"));
        assert!(!same("https://a.io/x", "https://a.io:444/y"));
        assert!(!same("https://a.io/x", "http://a.io/y"));
        assert!(!same("https://a.io/x", "https://b.a.io/y"));
    }
}
