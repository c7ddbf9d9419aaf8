//! Names that a registry leads to (a token server, a redirect, the place of an upload) are looked up with care: what a
//! name stands for is as much the other side's choice as an address would be.

use std::io;
use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address::{is_loopback, is_of_this_link};

/// Looks up names as the system does, and leaves out what no registry may lead to under one of them: this machine
/// and this link, where the metadata services of clouds are.
///
/// Private networks are not left out: the endpoints that clouds put into a customer's network have the names of
/// the public ones, and a company's registry leads to its neighbours. Nor is anything left out for a registry
/// that is on this machine or link itself, under whatever name: its neighbours are where it is.
#[derive(Debug, Clone)]
pub(super) struct GuardedResolver {
    /// The host that was led to. Other names (a proxy's) are the user's own.
    host: String,
    /// The host that led there.
    referred_by: String,
}

/// A name that stands for nothing but addresses that it may not lead to.
#[derive(Debug, thiserror::Error)]
#[error("{0} is the name of an address on this machine or link")]
pub(super) struct LeadsInside(pub(super) String);

impl GuardedResolver {
    /// For the host of `to`, which `referred_by` named; `None` if that host is written as an address (which has been
    /// checked), is the referred_by's own, or the referred_by is written as one of this machine.
    pub(super) fn new(to: &Url, referred_by: &Url) -> Option<Self> {
        let leads_from_here = referred_by.host().is_some_and(|host| is_loopback(&host));
        match to.host() {
            Some(Host::Domain(host)) if !leads_from_here && to.host() != referred_by.host() => {
                Some(Self {
                    host: host.to_owned(),
                    referred_by: referred_by.host_str().unwrap_or_default().to_owned(),
                })
            }
            _ => None,
        }
    }

    /// What of `found` may be led to. `referred_by` looks up where the referred_by is, if that matters.
    async fn allowed(
        &self,
        name: &str,
        found: Vec<SocketAddr>,
        referred_by: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> Result<Vec<SocketAddr>, LeadsInside> {
        if name != self.host || found.is_empty() {
            return Ok(found);
        }
        let outside: Vec<_> = found.iter().copied().filter(is_outside).collect();
        if !outside.is_empty() {
            return Ok(outside);
        }
        // Each of its addresses: a name can stand for one elsewhere, and for one here to get around this.
        let leads_from_here = referred_by.await.is_ok_and(|referred_by| {
            !referred_by.is_empty() && !referred_by.iter().any(is_outside)
        });
        if leads_from_here {
            Ok(found)
        } else {
            Err(LeadsInside(name.to_owned()))
        }
    }
}

fn is_outside(address: &SocketAddr) -> bool {
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

    /// What is left of `addresses`, which `name` stands for, to a referred_by at `referred_by`.
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
            guarded_resolver("https://led.example/x", "https://registry.example/").unwrap();
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
    fn a_name_may_not_stand_for_this_machine_or_link() {
        for inside in [
            "169.254.169.254",
            "127.0.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "::ffff:169.254.169.254",
        ] {
            let refused = allowed("led.example", &[inside]).unwrap_err();
            assert!(refused.starts_with("led.example is the name"), "{refused}");
            assert_eq!(
                allowed("led.example", &[inside, "1.1.1.1"]).unwrap(),
                ["1.1.1.1"]
            );
        }
        for outside in ["1.1.1.1", "10.0.0.1", "fd00::1", "2606:4700::1111"] {
            assert_eq!(allowed("led.example", &[outside]).unwrap(), [outside]);
        }
    }

    #[test]
    fn a_registry_on_this_machine_or_link_may_lead_there_by_name() {
        for referred_by in [&["127.0.1.1"][..], &["::1", "127.0.0.1"], &["169.254.1.1"]] {
            assert_eq!(
                allowed_by(referred_by, "led.example", &["127.0.1.1"]).unwrap(),
                ["127.0.1.1"]
            );
        }
        for referred_by in [
            &["1.0.0.1"][..],
            &["127.0.0.1", "1.0.0.1"],
            &["10.0.0.1"],
            &[],
        ] {
            allowed_by(referred_by, "led.example", &["127.0.1.1"]).unwrap_err();
        }
    }

    #[test]
    fn the_users_own_names_are_left_alone() {
        assert_eq!(
            allowed("proxy.example", &["127.0.0.1"]).unwrap(),
            ["127.0.0.1"]
        );
        for (to, referred_by) in [
            ("https://led.example/", "http://localhost:5000/"),
            ("https://led.example/", "http://127.0.0.1:5000/"),
            ("https://1.1.1.1/", "https://registry.example/"),
            // Its own host, on whatever port.
            ("http://registry.local:9000/", "http://registry.local:5000/"),
        ] {
            assert!(
                guarded_resolver(to, referred_by).is_none(),
                "{to} {referred_by}"
            );
        }
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let guarded_resolver = |host: &str, referred_by: &str| GuardedResolver {
            host: host.to_owned(),
            referred_by: referred_by.to_owned(),
        };
        let elsewhere = guarded_resolver("localhost", "1.1.1.1");
        let refused = elsewhere.resolve("localhost".parse().unwrap()).await;
        let error = refused.err().expect("this machine");
        assert!(error.is::<LeadsInside>(), "{error}");
        for fine in [
            guarded_resolver("led.example", "1.1.1.1"),
            guarded_resolver("localhost", "localhost"),
        ] {
            let found = fine.resolve("localhost".parse().unwrap()).await.unwrap();
            assert!(found.count() > 0, "{fine:?}");
        }
    }
}
