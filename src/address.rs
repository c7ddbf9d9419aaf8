//! Classifies hosts: this machine, private networks, and the metadata services of clouds. A registry must not be able
//! to direct its clients to them.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::Host;

/// Returns whether a host is this machine: an address in `127.0.0.0/8`, `::1`, or a name that is `localhost` or ends in
/// `.localhost` (RFC 6761, section 6.3).
pub fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.as_ref().trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => match embedded(*address) {
            Some(address) => address.is_loopback(),
            None => address.is_loopback(),
        },
    }
}

/// Returns whether a host is an address outside the public internet: loopback, unspecified, private, link-local (with
/// the metadata services of clouds), shared (carrier-grade NAT), multicast, broadcast, reserved. IPv6 forms that contain
/// an IPv4 address are classified by it. Names are not resolved; only loopback names count.
pub fn is_internal<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(_) => is_loopback(host),
        Host::Ipv4(address) => is_internal_v4(*address),
        Host::Ipv6(address) => match embedded(*address) {
            Some(address) => is_internal_v4(address),
            None => is_internal_v6(*address),
        },
    }
}

/// Returns whether a host is an address of this machine or its link, to which names of other networks must not resolve:
/// loopback, unspecified, link-local (with the metadata services of clouds), multicast, broadcast. Names are not
/// resolved; only loopback names count.
pub fn is_of_this_link<S: AsRef<str>>(host: &Host<S>) -> bool {
    let is_local = |address: Ipv4Addr| {
        address.is_link_local()
            || address.is_unspecified()
            || address.is_multicast()
            || address.is_broadcast()
    };
    is_loopback(host)
        || match host {
            Host::Domain(_) => false,
            Host::Ipv4(address) => is_local(*address),
            Host::Ipv6(address) => match embedded(*address) {
                Some(address) => is_local(address),
                None => {
                    address.is_unspecified()
                        || address.is_multicast()
                        || address.is_unicast_link_local()
                }
            },
        }
}

fn is_internal_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || first == 0 // "this network", RFC 1122
        || (first == 100 && second & 0xc0 == 64) // shared address space, RFC 6598
        || (first == 192 && second == 0 && third == 0) // protocol assignments, RFC 6890
        || (first == 198 && second & 0xfe == 18) // benchmarks, RFC 2544
        || first >= 240 // reserved, and broadcast
}

fn is_internal_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.segments()[0] & 0xffc0 == 0xfec0 // site-local, RFC 3879
        || address.segments()[..3] == [0x64, 0xff9b, 1] // translation within a network, RFC 8215
}

/// Returns the IPv4 address that an IPv6 address contains: mapped (`::ffff:a.b.c.d`), compatible
/// (`::a.b.c.d`), translated (`64:ff9b::a.b.c.d`, RFC 6052) or 6to4 (`2002:…`, RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // `::` and `::1` contain none.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            from(high, low)
        }
        [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).expect(text)
    }

    #[test]
    fn internal_addresses_are_found_in_every_notation() {
        for text in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "2130706433",
            "0x7f.1",
            "017700000001",
            "127.1",
            "[::]",
            "[::1]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::127.0.0.1]",
            "[64:ff9b::a00:1]",
            "[2002:7f00:1::]",
            "[64:ff9b:1::a00:1]",
            "192.0.0.192",
            "198.18.0.1",
            "0251.0376.0251.0376",
            "0xa9fea9fe",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "registry.localhost",
        ] {
            assert!(is_internal(&host(text)), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_not_internal() {
        for text in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "169.253.0.1",
            "192.169.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[::ffff:1.1.1.1]",
            "[64:ff9b::101:101]",
            "auth.docker.io",
            "localhost.example.com",
            "notlocalhost",
        ] {
            assert!(!is_internal(&host(text)), "{text}");
        }
    }

    #[test]
    fn loopback_is_a_subset_of_internal() {
        for text in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
            assert!(is_loopback(&host(text)), "{text}");
        }
        for text in ["0.0.0.0", "[::]", "10.0.0.1", "[fe80::1]", "example.com"] {
            assert!(!is_loopback(&host(text)), "{text}");
        }
    }
}
