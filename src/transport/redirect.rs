//! Which URLs a response may redirect to, and where `Authorization` may be sent.

use url::Url;

use crate::address::{is_internal, is_loopback};

/// The maximum number of redirects that are followed for one request.
pub(super) const MAX_HOPS: usize = 10;

/// Why a redirect, or the location of an upload, is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRefused {
    #[error("refused redirect from https to plain http at {0}")]
    Downgrade(String),
    #[error("refused redirect to internal address {0}")]
    Internal(String),
    #[error("refused redirect to URL scheme {0:?}")]
    Scheme(String),
    #[error("refused redirect to {0} with credentials in the URL")]
    UserInfo(String),
    #[error("invalid Location URL in a redirect")]
    InvalidLocation,
    #[error("more than {MAX_HOPS} redirects")]
    TooMany,
}

/// Checks whether a request to `from` may be redirected to `to`. A redirect from https to http is refused. An IP
/// literal of a private, link-local or loopback range is refused unless it is the host of `from` (or both are
/// loopback). Otherwise a registry could use its client to probe the local network (SSRF).
pub fn check_hop(from: &Url, to: &Url) -> Result<(), RedirectRefused> {
    let host = || to.host_str().unwrap_or_default().to_owned();
    match (from.scheme(), to.scheme()) {
        ("http" | "https", "https") | ("http", "http") => {}
        ("https", "http") => return Err(RedirectRefused::Downgrade(host())),
        (_, other) => return Err(RedirectRefused::Scheme(other.to_owned())),
    }
    // reqwest would send the user name and password as a Basic header.
    if !to.username().is_empty() || to.password().is_some() {
        return Err(RedirectRefused::UserInfo(host()));
    }
    let (Some(from_host), Some(to_host)) = (from.host(), to.host()) else {
        return Err(RedirectRefused::InvalidLocation);
    };
    let both_loopback = is_loopback(&from_host) && is_loopback(&to_host);
    if from_host != to_host && is_internal(&to_host) && !both_loopback {
        return Err(RedirectRefused::Internal(host()));
    }
    Ok(())
}

/// Returns whether `Authorization` meant for `from` may be sent to `to`: only to the same scheme, host and port.
pub fn may_carry_authorization(from: &Url, to: &Url) -> bool {
    from.origin() == to.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, to: &str) -> Result<(), RedirectRefused> {
        check_hop(&from.parse().unwrap(), &to.parse().unwrap())
    }

    #[test]
    fn public_and_same_host_redirects_are_allowed() {
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
    fn internal_addresses_and_downgrades_are_refused() {
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
            let refused = hop("https://ghcr.io/", to);
            assert!(matches!(refused, Err(RedirectRefused::Internal(_))), "{to}");
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
    fn authorization_stays_at_its_origin() {
        let same =
            |a: &str, b: &str| may_carry_authorization(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://a.io/x", "https://a.io:443/y"));
        assert!(!same("https://a.io/x", "https://a.io:444/y"));
        assert!(!same("https://a.io/x", "http://a.io/y"));
        assert!(!same("https://a.io/x", "https://b.a.io/y"));
    }
}
