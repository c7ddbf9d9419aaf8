//! The sources of credentials, in the order of the search. Reads only the environment.

use std::path::PathBuf;

use super::ci::Provider;
use super::cloud::CloudSource;
use crate::environment::Environment;
use crate::spec::RegistryHost;

/// One source of the search, with its name.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The name for display, such as the path of the file.
    pub(super) name: String,
    pub(super) source: Source,
}

/// How to read a source.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// polyarch's own variables.
    Variables,
    /// A file like Docker's `config.json`.
    File(PathBuf),
    /// The same JSON in this variable.
    Json(&'static str),
    /// A directory with files for single registries and repositories.
    Scoped(PathBuf),
    Cloud(CloudSource),
    /// Variables that a CI system sets.
    Ci(Provider),
    Anonymous,
    /// A source that does not exist in this environment, and why.
    Absent(&'static str),
}

impl Place {
    pub(super) fn file(path: PathBuf) -> Self {
        Self {
            name: path.display().to_string(),
            source: Source::File(path),
        }
    }

    fn file_or_absent(name: &str, path: Option<PathBuf>, reason: &'static str) -> Self {
        match path {
            Some(path) => Self::file(path),
            None => Self::named(name, Source::Absent(reason)),
        }
    }

    fn named(name: &str, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            source,
        }
    }
}

/// Returns every source, in the order of the search.
pub(super) fn all(environment: &Environment, host: &RegistryHost) -> Vec<Place> {
    let mut places = vec![
        Place::named("POLYARCH_* and PLUGIN_* variables", Source::Variables),
        registry_auth_file(environment),
        docker_auth_config(environment),
        scoped(environment),
        Place::file_or_absent(
            "~/.docker/config.json",
            docker_directory(environment).map(|directory| directory.join("config.json")),
            NO_HOME,
        ),
        Place::file_or_absent(
            "$XDG_RUNTIME_DIR/containers/auth.json",
            environment.var("XDG_RUNTIME_DIR").map(podman_file),
            "XDG_RUNTIME_DIR is not set",
        ),
        Place::file_or_absent(
            "~/.config/containers/auth.json",
            user_config(environment).map(podman_file),
            NO_HOME,
        ),
    ];
    places.extend(
        Provider::ALL
            .into_iter()
            .map(|provider| Place::named(provider.variables(), Source::Ci(provider))),
    );
    places.extend(
        CloudSource::of(host)
            .into_iter()
            .map(|source| Place::named(source.name(), Source::Cloud(source))),
    );
    places.push(Place::named("anonymous access", Source::Anonymous));
    places
}

const NO_HOME: &str = "the home directory is not known";

fn registry_auth_file(environment: &Environment) -> Place {
    let name = "REGISTRY_AUTH_FILE";
    match environment.var(name) {
        Some(path) => Place::named(&format!("{path} ({name})"), Source::File(path.into())),
        None => Place::named(name, Source::Absent("not set")),
    }
}

fn docker_auth_config(environment: &Environment) -> Place {
    let name = "DOCKER_AUTH_CONFIG";
    let source = match environment.var(name) {
        Some(_) => Source::Json(name),
        None => Source::Absent("not set"),
    };
    Place::named(name, source)
}

/// Returns the scoped configuration of buildx: `$BUILDX_CONFIG/config`, or else `buildx/config` in Docker's directory.
/// <https://docs.docker.com/build/building/registry-auth/>
fn scoped(environment: &Environment) -> Place {
    let buildx = environment
        .var("BUILDX_CONFIG")
        .map(PathBuf::from)
        .or_else(|| docker_directory(environment).map(|directory| directory.join("buildx")));
    match buildx.map(|directory| directory.join("config")) {
        Some(path) => Place {
            name: path.display().to_string(),
            source: Source::Scoped(path),
        },
        None => Place::named("~/.docker/buildx/config", Source::Absent(NO_HOME)),
    }
}

fn docker_directory(environment: &Environment) -> Option<PathBuf> {
    environment
        .var("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| environment.home().map(|home| home.join(".docker")))
}

fn user_config(environment: &Environment) -> Option<PathBuf> {
    environment
        .var("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| environment.home().map(|home| home.join(".config")))
}

fn podman_file(directory: impl Into<PathBuf>) -> PathBuf {
    directory.into().join("containers").join("auth.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(variables: &[(&str, &str)]) -> Vec<String> {
        let environment = variables.iter().copied().collect();
        all(&environment, &"ghcr.io".parse().expect("a host"))
            .into_iter()
            .filter(|place| {
                !matches!(
                    place.source,
                    Source::Variables | Source::Ci(_) | Source::Anonymous
                )
            })
            .map(|place| {
                let absent = matches!(place.source, Source::Absent(_));
                format!("{}{}", place.name, if absent { " -" } else { "" })
            })
            .collect()
    }

    #[test]
    fn the_home_directory_is_enough() {
        assert_eq!(
            names(&[("HOME", "/home/joe")]),
            [
                "REGISTRY_AUTH_FILE -",
                "DOCKER_AUTH_CONFIG -",
                "/home/joe/.docker/buildx/config",
                "/home/joe/.docker/config.json",
                "$XDG_RUNTIME_DIR/containers/auth.json -",
                "/home/joe/.config/containers/auth.json",
            ]
        );
    }

    #[test]
    fn variables_change_the_paths() {
        assert_eq!(
            names(&[
                ("HOME", "/home/joe"),
                ("REGISTRY_AUTH_FILE", "/tmp/auth.json"),
                ("DOCKER_AUTH_CONFIG", "{}"),
                ("DOCKER_CONFIG", "/docker"),
                ("XDG_RUNTIME_DIR", "/run/user/1"),
                ("XDG_CONFIG_HOME", "/config"),
            ]),
            [
                "/tmp/auth.json (REGISTRY_AUTH_FILE)",
                "DOCKER_AUTH_CONFIG",
                "/docker/buildx/config",
                "/docker/config.json",
                "/run/user/1/containers/auth.json",
                "/config/containers/auth.json",
            ]
        );
        let moved = names(&[("DOCKER_CONFIG", "/docker"), ("BUILDX_CONFIG", "/buildx")]);
        assert!(moved.contains(&"/buildx/config".to_owned()), "{moved:?}");
    }

    #[test]
    fn without_a_home_no_file_in_it_is_searched() {
        assert!(names(&[]).iter().all(|name| name.ends_with(" -")));
    }
}
