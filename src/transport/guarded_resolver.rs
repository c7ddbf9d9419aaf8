//! Name resolution for hosts that a registry refers to (a token server, a redirect, the location of an upload). The
//! registry chooses the name, and thus the addresses that it resolves to.

use std::io;
use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address::{is_loopback, is_of_this_link};

/// Resolves names as the system does, without the addresses of this machine and of this link, which include the
/// metadata services of clouds.
///
/// Private networks are allowed: the private endpoints of clouds have the same names as the public ones, and a
/// company's registry refers to hosts of its network. A registry that is itself on this machine or link may refer to
/// any address.
#[derive(Debug, Clone)]
pub(super) struct GuardedResolver {
    /// The host that was referred to. Other names (a proxy's) come from the user.
    host: String,
    /// The host that referred to it.
    referred_by: String,
}

/// A name that resolves only to addresses that are not allowed.
#[derive(Debug, thiserror::Error)]
#[error("{0} resolves to an address of this machine or link")]
pub(super) struct InternalName(pub(super) String);

impl GuardedResolver {
    /// Returns the resolver for `to`, which `referred_by` named. `None` if no check is needed: `to` is an IP literal
    /// (checked before) or the same host, or `referred_by` is on this machine.
    pub(super) fn new(to: &Url, referred_by: &Url) -> Option<Self> {
        let is_local = referred_by.host().is_some_and(|host| is_loopback(&host));
        match to.host() {
            Some(Host::Domain(host)) if !is_local && to.host() != referred_by.host() => {
                Some(Self {
                    host: host.to_owned(),
                    referred_by: referred_by.host_str().unwrap_or_default().to_owned(),
                })
            }
            _ => None,
        }
    }

    /// Returns the allowed addresses of `found`. If none of them is external, awaits `referred_by`, the addresses of the
    /// referring host.
    async fn allowed(
        &self,
        name: &str,
        found: Vec<SocketAddr>,
        referred_by: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> Result<Vec<SocketAddr>, InternalName> {
        if name != self.host || found.is_empty() {
            return Ok(found);
        }
        let external: Vec<_> = found.iter().copied().filter(is_external).collect();
        if !external.is_empty() {
            return Ok(external);
        }
        // All addresses of the referring host must be local. Otherwise a name could bypass the check with one local and
        // one other address.
        let is_local = referred_by.await.is_ok_and(|referred_by| {
            !referred_by.is_empty() && !referred_by.iter().any(is_external)
        });
        if is_local {
            Ok(found)
        } else {
            Err(InternalName(name.to_owned()))
        }
    }
}

fn is_external(address: &SocketAddr) -> bool {
    !is_of_this_link(&match address.ip() {
        IpAddr::V4(address) => Host::<&str>::Ipv4(address),
        IpAddr::V6(address) => Host::Ipv6(address),
    })
}

async fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = look_up(name.as_str()).await?;
            let referred_by = look_up(&this.referred_by);
            let allowed = this.allowed(name.as_str(), found, referred_by).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn guarded_resolver(to: &str, referred_by: &str) -> Option<GuardedResolver> {
        GuardedResolver::new(&to.parse().unwrap(), &referred_by.parse().unwrap())
    }

    /// Returns the allowed addresses. `name` resolves to `addresses`, and the registry is at `referred_by`.
    fn allowed_by(
        referred_by: &[&str],
        name: &str,
        addresses: &[&str],
    ) -> Result<Vec<String>, String> {
        let parsed = |addresses: &[&str]| -> Vec<_> {
            let parsed = addresses.iter().map(|text| text.parse().unwrap());
            parsed.map(|address| SocketAddr::new(address, 0)).collect()
        };
        let guarded_resolver =
            guarded_resolver("https://other.example/x", "https://registry.example/").unwrap();
        let referred_by = parsed(referred_by);
        let allowed = guarded_resolver.allowed(name, parsed(addresses), async { Ok(referred_by) });
        match allowed.now_or_never().unwrap() {
            Ok(left) => Ok(left
                .iter()
                .map(|address| address.ip().to_string())
                .collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn allowed(name: &str, addresses: &[&str]) -> Result<Vec<String>, String> {
        allowed_by(&["1.0.0.1"], name, addresses)
    }

    #[test]
    fn a_name_must_not_resolve_to_this_machine_or_link() {
        for internal in [
            "169.254.169.254",
            "127.0.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "::ffff:169.254.169.254",
        ] {
            let refused = allowed("other.example", &[internal]).unwrap_err();
            assert!(
                refused.starts_with("other.example resolves to"),
                "{refused}"
            );
            assert_eq!(
                allowed("other.example", &[internal, "1.1.1.1"]).unwrap(),
                ["1.1.1.1"]
            );
        }
        for external in ["1.1.1.1", "10.0.0.1", "fd00::1", "2606:4700::1111"] {
            assert_eq!(allowed("other.example", &[external]).unwrap(), [external]);
        }
    }

    #[test]
    fn a_local_registry_may_refer_to_local_names() {
        for referred_by in [&["127.0.1.1"][..], &["::1", "127.0.0.1"], &["169.254.1.1"]] {
            assert_eq!(
                allowed_by(referred_by, "other.example", &["127.0.1.1"]).unwrap(),
                ["127.0.1.1"]
            );
        }
        for referred_by in [
            &["1.0.0.1"][..],
            &["127.0.0.1", "1.0.0.1"],
            &["10.0.0.1"],
            &[],
        ] {
            allowed_by(referred_by, "other.example", &["127.0.1.1"]).unwrap_err();
        }
    }

    #[test]
    fn names_from_the_user_are_not_checked() {
        assert_eq!(
            allowed("proxy.example", &["127.0.0.1"]).unwrap(),
            ["127.0.0.1"]
        );
        for (to, referred_by) in [
            ("https://other.example/", "http://localhost:5000/"),
            ("https://other.example/", "http://127.0.0.1:5000/"),
            ("https://1.1.1.1/", "https://registry.example/"),
            // The registry refers to its own host, on any port.
            ("http://registry.local:9000/", "http://registry.local:5000/"),
        ] {
            assert!(
                guarded_resolver(to, referred_by).is_none(),
                "{to} {referred_by}"
            );
        }
    }

    #[tokio::test]
    async fn names_are_resolved() {
        let guarded_resolver = |host: &str, referred_by: &str| GuardedResolver {
            host: host.to_owned(),
            referred_by: referred_by.to_owned(),
        };
        let public = guarded_resolver("localhost", "1.1.1.1");
        let refused = public.resolve("localhost".parse().unwrap()).await;
        let error = refused.err().expect("a local address");
        assert!(error.is::<InternalName>(), "{error}");
        for allowed in [
            guarded_resolver("other.example", "1.1.1.1"),
            guarded_resolver("localhost", "localhost"),
        ] {
            let found = allowed.resolve("localhost".parse().unwrap()).await.unwrap();
            assert!(found.count() > 0, "{allowed:?}");
        }
    }
}
