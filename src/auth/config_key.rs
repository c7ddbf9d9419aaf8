//! Matches the keys of a configuration with registries and repositories. The port is part of the host.

use crate::spec::RegistryHost;

/// Docker's key for Docker Hub, for historical reasons.
///
/// <https://github.com/docker/cli/blob/master/cli/config/configfile/file.go> (`authConfigKey`)
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Returns the key that Docker writes for a registry and passes to credential helpers.
pub(super) fn docker_key(host: &RegistryHost) -> &str {
    if host.is_docker_hub() {
        HUB_KEY
    } else {
        host.as_str()
    }
}

/// A key of `auths` or `credHelpers`, or the value of a variable that names a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigKey {
    host: RegistryHost,
    /// The namespace or repository of the key; empty for the whole host.
    path: String,
}

impl ConfigKey {
    /// Parses a key. Returns `None` if it names no registry; such a key matches nothing.
    ///
    /// In a URL the path is ignored: `docker login` accepted any URL and matched the host only. Without a scheme the path
    /// is a namespace, as in Podman's `auth.json`, except for the API paths `v1` and `v2`.
    ///
    /// <https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md>
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (rest, is_url) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let known = ["http", "https"];
                let known = known.iter().any(|name| scheme.eq_ignore_ascii_case(name));
                (known.then_some(rest)?, true)
            }
            None => (text, false),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let for_host = is_url || path == "v1" || path == "v2";
        Some(Self {
            host: host.parse().ok()?,
            path: if for_host { "" } else { path }.into(),
        })
    }

    /// Returns how specific a matching key is: the number of its path components, or 0 for the whole host. Returns
    /// `None` if the key does not match. Only whole components match: `team` does not match `teammate/app`.
    pub(super) fn fit(&self, host: &RegistryHost, repository: &str) -> Option<usize> {
        if !self.host.as_str().eq_ignore_ascii_case(host.as_str()) {
            return None;
        }
        if self.path.is_empty() {
            return Some(0);
        }
        let rest = repository.strip_prefix(&self.path)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| self.path.split('/').count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(key: &str, host: &str, repository: &str) -> Option<usize> {
        ConfigKey::parse(key)?.fit(&host.parse().expect("a host"), repository)
    }

    #[test]
    fn docker_hub_has_several_spellings() {
        for key in [
            "https://index.docker.io/v1/",
            "https://index.docker.io/v2/",
            "index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "https://docker.io",
            "registry-1.docker.io",
            "https://registry-1.docker.io/v2/",
            "registry.hub.docker.com",
            "HTTPS://Index.Docker.IO/v1/",
        ] {
            for host in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
                assert_eq!(fit(key, host, "library/nginx"), Some(0), "{key} {host}");
            }
        }
    }

    #[test]
    fn a_key_never_fits_another_host() {
        for (key, host) in [
            ("ghcr.io", "ghcr.io.evil.example"),
            ("ghcr.io", "evil-ghcr.io"),
            ("evil.example/ghcr.io", "ghcr.io"),
            ("https://evil.example/ghcr.io", "ghcr.io"),
            ("https://ghcr.io@evil.example", "ghcr.io"),
            ("https://user:pass@ghcr.io", "ghcr.io"),
            ("localhost", "localhost:5000"),
            ("localhost:5000", "localhost"),
            ("localhost:5000", "localhost:5001"),
            ("localhost:5000", "127.0.0.1:5000"),
            ("http://localhost:5000", "localhost:500"),
            ("docker.io.evil.example", "docker.io"),
            ("ssh://ghcr.io", "ghcr.io"),
            ("auth.docker.io", "docker.io"),
            ("", "ghcr.io"),
            ("https://", "ghcr.io"),
            ("*", "ghcr.io"),
        ] {
            assert_eq!(fit(key, host, "team/app"), None, "{key} {host}");
        }
    }

    #[test]
    fn scheme_case_and_api_path_do_not_matter() {
        for key in [
            "GHCR.io",
            "https://ghcr.io",
            "http://ghcr.io/",
            "https://ghcr.io/v2/",
            "https://ghcr.io/some/api",
            "ghcr.io/",
            "ghcr.io/v1/",
        ] {
            assert_eq!(fit(key, "Ghcr.IO", "team/app"), Some(0), "{key}");
        }
    }

    #[test]
    fn a_namespace_fits_whole_components_only() {
        assert_eq!(fit("ghcr.io/team", "ghcr.io", "team/app"), Some(1));
        assert_eq!(fit("ghcr.io/team/app", "ghcr.io", "team/app"), Some(2));
        assert_eq!(fit("ghcr.io/team/", "ghcr.io", "team/app"), Some(1));
        assert_eq!(fit("ghcr.io/team", "ghcr.io", "teammate/app"), None);
        assert_eq!(fit("ghcr.io/team/app/x", "ghcr.io", "team/app"), None);
        assert_eq!(fit("ghcr.io/other", "ghcr.io", "team/app"), None);
        assert_eq!(
            fit("docker.io/library/nginx", "docker.io", "library/nginx"),
            Some(2)
        );
    }
}
