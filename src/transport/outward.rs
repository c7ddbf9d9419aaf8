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
/// the public ones, and a company's registry leads to its neighbours.
#[derive(Debug, Clone)]
pub(super) struct Outward {
    /// The host that was led to. Other names (a proxy's) are the user's own.
    host: String,
}

/// A name that stands for nothing but addresses that it may not lead to.
#[derive(Debug, thiserror::Error)]
#[error("{0} is the name of an address on this machine or link")]
pub(super) struct LeadsInside(pub(super) String);

impl Outward {
    /// For the host of `to`, which `leader` named; `None` if that host is written as an address (which has been
    /// checked) or the registry is on this machine itself.
    pub(super) fn new(to: &Url, leader: &Url) -> Option<Self> {
        let leads_from_here = leader.host().is_some_and(|host| is_loopback(&host));
        match to.host() {
            Some(Host::Domain(host)) if !leads_from_here => Some(Self {
                host: host.to_owned(),
            }),
            _ => None,
        }
    }

    fn allowed(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, LeadsInside> {
        if name != self.host || found.is_empty() {
            return Ok(found);
        }
        let is_outside = |address: &SocketAddr| {
            !is_of_this_link(&match address.ip() {
                IpAddr::V4(address) => Host::<&str>::Ipv4(address),
                IpAddr::V6(address) => Host::Ipv6(address),
            })
        };
        let outside: Vec<_> = found.into_iter().filter(is_outside).collect();
        if outside.is_empty() {
            return Err(LeadsInside(name.to_owned()));
        }
        Ok(outside)
    }
}

impl Resolve for Outward {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found: io::Result<Vec<_>> = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map(Iterator::collect);
            let allowed = this.allowed(name.as_str(), found?)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outward(to: &str, leader: &str) -> Option<Outward> {
        Outward::new(&to.parse().unwrap(), &leader.parse().unwrap())
    }

    fn allowed(name: &str, addresses: &[&str]) -> Result<Vec<String>, String> {
        let found = addresses
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
            .collect();
        let outward = outward("https://led.example/x", "https://registry.example/").unwrap();
        match outward.allowed(name, found) {
            Ok(left) => Ok(left
                .iter()
                .map(|address| address.ip().to_string())
                .collect()),
            Err(error) => Err(error.to_string()),
        }
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
    fn the_users_own_names_are_left_alone() {
        assert_eq!(
            allowed("proxy.example", &["127.0.0.1"]).unwrap(),
            ["127.0.0.1"]
        );
        for (to, leader) in [
            ("https://led.example/", "http://localhost:5000/"),
            ("https://led.example/", "http://127.0.0.1:5000/"),
            ("https://1.1.1.1/", "https://registry.example/"),
        ] {
            assert!(outward(to, leader).is_none(), "{to} {leader}");
        }
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let outward = Outward {
            host: "localhost".to_owned(),
        };
        let refused = outward.resolve("localhost".parse().unwrap()).await;
        let error = refused.err().expect("this machine");
        assert!(error.is::<LeadsInside>(), "{error}");
        let own = Outward {
            host: "led.example".to_owned(),
        };
        let found = own.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.count() > 0);
    }
}
