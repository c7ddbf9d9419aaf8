//! Token servers of large registries, so that a token can be fetched before the first challenge. Every entry was
//! checked against the headers of the registry.

use url::Url;

use super::{Realm, TokenServer, is_label};
use crate::spec::RegistryHost;

/// Host, realm, service.
const FIXED: [(&str, &str, &str); 6] = [
    (
        "docker.io",
        "https://auth.docker.io/token",
        "registry.docker.io",
    ),
    ("ghcr.io", "https://ghcr.io/token", "ghcr.io"),
    ("quay.io", "https://quay.io/v2/auth", "quay.io"),
    (
        "registry.gitlab.com",
        "https://gitlab.com/jwt/auth",
        "container_registry",
    ),
    (
        "public.ecr.aws",
        "https://public.ecr.aws/token/",
        "public.ecr.aws",
    ),
    ("gcr.io", "https://gcr.io/v2/token", "gcr.io"),
];

/// Registries whose host is also the token server: the suffix of the host, and the path.
const FAMILIES: [(&str, &str); 2] = [
    // Google Artifact Registry: <region>-docker.pkg.dev
    ("-docker.pkg.dev", "/v2/token"),
    // Azure: <name>.azurecr.io
    (".azurecr.io", "/oauth2/token"),
];

/// Returns the token server of a known registry at its default port.
pub fn known_token_server(host: &RegistryHost) -> Option<TokenServer> {
    let host = host.as_str();
    let server = |realm: &str, service: &str| {
        Some(TokenServer {
            realm: Realm::trusted(Url::parse(realm).ok()?),
            service: Some(service.to_owned()),
        })
    };
    if let Some((_, realm, service)) = FIXED.into_iter().find(|(known, _, _)| *known == host) {
        return server(realm, service);
    }
    let (name, path) = FAMILIES
        .into_iter()
        .find_map(|(end, path)| Some((host.strip_suffix(end)?, path)))?;
    is_label(name).then(|| server(&format!("https://{host}{path}"), host))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(host: &str) -> Option<(String, String)> {
        let known = known_token_server(&host.parse().ok()?)?;
        Some((known.realm.to_string(), known.service?))
    }

    #[test]
    fn known_registries_have_their_realm() {
        for (host, realm, service) in [
            (
                "docker.io",
                "https://auth.docker.io/token",
                "registry.docker.io",
            ),
            (
                "registry-1.docker.io",
                "https://auth.docker.io/token",
                "registry.docker.io",
            ),
            ("GHCR.io", "https://ghcr.io/token", "ghcr.io"),
            (
                "europe-west1-docker.pkg.dev",
                "https://europe-west1-docker.pkg.dev/v2/token",
                "europe-west1-docker.pkg.dev",
            ),
            (
                "myteam.azurecr.io",
                "https://myteam.azurecr.io/oauth2/token",
                "myteam.azurecr.io",
            ),
        ] {
            assert_eq!(known(host), Some((realm.into(), service.into())), "{host}");
        }
    }

    #[test]
    fn lookalikes_are_unknown() {
        for host in [
            "ghcr.io:5000",
            "ghcr.io.example",
            "xghcr.io",
            "-docker.pkg.dev",
            ".azurecr.io",
            "a/b.azurecr.io",
            "evil.example#.azurecr.io",
            "myteam.azurecr.io.example",
            "localhost:5000",
            "",
        ] {
            assert_eq!(known(host), None, "{host}");
        }
    }

    #[test]
    fn every_realm_of_the_table_passes_the_checks_of_a_challenge() {
        for (host, realm, _) in FIXED {
            let registry = Url::parse(&format!("https://{host}")).expect("a URL");
            assert!(Realm::check(realm, &registry).is_ok(), "{realm}");
        }
    }
}
