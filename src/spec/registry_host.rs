//! The host of a registry, normalised once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::address;

/// All names of Docker Hub; the first is the canonical one.
const DOCKER_HUB: [&str; 4] = [
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];

/// A registry as references name it: `docker.io`, `localhost:5000`, `[::1]:5000`.
///
/// The host is stored in lower case, an IP address in its canonical form, and Docker Hub as `docker.io`. The port is
/// part of the name: `ghcr.io:443` and `ghcr.io` are different registries, as in Docker's configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryHost(String);

/// Why a text is not the host of a registry. The messages begin with Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryHostError {
    /// The text does not have the form of a host with an optional port.
    #[error("invalid reference format")]
    Format,
    /// No URL can have this host: `1.2.3.999`, `a.io:99999`, `[:::]`.
    #[error("invalid reference format: {0} is not the address of a registry")]
    Address(String),
}

impl RegistryHost {
    /// Returns Docker Hub, the registry of references without a host.
    pub(super) fn docker_hub() -> Self {
        Self(DOCKER_HUB[0].to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_docker_hub(&self) -> bool {
        self.0 == DOCKER_HUB[0]
    }

    /// Returns the host (and port) that answers requests: Docker Hub's API has a different host name.
    pub fn endpoint(&self) -> &str {
        if self.is_docker_hub() {
            "registry-1.docker.io"
        } else {
            &self.0
        }
    }

    /// Returns whether the registry runs on this machine: `localhost`, `*.localhost`, 127.0.0.0/8, `[::1]`. Such a
    /// registry may be reached over plain HTTP.
    pub fn is_loopback(&self) -> bool {
        let host = match self.0.rsplit_once(':') {
            Some((host, _)) if !self.0.ends_with(']') => host,
            _ => &self.0,
        };
        Host::parse(host).is_ok_and(|host| address::is_loopback(&host))
    }
}

impl FromStr for RegistryHost {
    type Err = RegistryHostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !is_domain(text) || text.len() > 255 {
            return Err(RegistryHostError::Format);
        }
        // Docker's grammar accepts names that no URL can have: 1.2.3.999, port 99999, invalid punycode.
        let url = Url::parse(&format!("https://{text}/"))
            .map_err(|_| RegistryHostError::Address(text.to_owned()))?;
        let host = url.host_str().ok_or(RegistryHostError::Format)?;
        // The URL omits port 443, which is not the default of plain HTTP.
        let has_port = text.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let port = url.port_or_known_default().filter(|_| has_port);
        let name = match port {
            Some(port) => format!("{host}:{port}"),
            None if DOCKER_HUB.contains(&host) => DOCKER_HUB[0].to_owned(),
            // In a reference, a host of one word is recognised only by its upper-case letters.
            None if !host.contains(['.', ':']) && host != "localhost" => text.to_owned(),
            None => host.to_owned(),
        };
        Ok(Self(name))
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether a text matches Docker's grammar: `domain-name[:port]`, `IPv4[:port]` or `[IPv6][:port]`.
fn is_domain(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            let is_address_byte = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
            !address.is_empty()
                && address.bytes().all(is_address_byte)
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    host.split('.').all(is_domain_component) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_domain_component(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_normalised() {
        for (text, normal) in [
            ("ghcr.io", "ghcr.io"),
            ("GHCR.io:443", "ghcr.io:443"),
            ("LOCALHOST", "localhost"),
            ("Localhost:05000", "localhost:5000"),
            ("127.1:80", "127.0.0.1:80"),
            ("[0:0:0:0:0:0:0:1]:5000", "[::1]:5000"),
            ("[::1]", "[::1]"),
            ("DOCKER.IO", "docker.io"),
            ("Index.Docker.io", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("registry.hub.docker.com", "docker.io"),
            ("docker.io:443", "docker.io:443"),
            ("Upper", "Upper"),
        ] {
            let host: RegistryHost = text.parse().unwrap();
            assert_eq!(host.as_str(), normal, "{text}");
            assert_eq!(normal.parse(), Ok(host), "{text}");
        }
    }

    #[test]
    fn impossible_hosts_are_refused() {
        for text in ["1.2.3.999:5000", "a.io:99999", "[:::]", "xn--a.io"] {
            let error = RegistryHostError::Address(text.to_owned());
            assert_eq!(text.parse::<RegistryHost>(), Err(error));
        }
        for text in ["", "a b", "a@b", "a/b", "a:", "-a", "a_b", "[::1", "*"] {
            let error = RegistryHostError::Format;
            assert_eq!(text.parse::<RegistryHost>(), Err(error), "{text}");
        }
    }

    #[test]
    fn loopback_follows_the_address_rules() {
        for (text, loopback) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("k3d-registry.localhost:5000", true),
            ("K3D-Registry.LOCALHOST", true),
            ("127.0.0.3:5000", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("ghcr.io", false),
            ("10.0.0.1", false),
            ("notlocalhost:5000", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:80", false),
        ] {
            let host: RegistryHost = text.parse().unwrap();
            assert_eq!(host.is_loopback(), loopback, "{text}");
        }
    }
}
