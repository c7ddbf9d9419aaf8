//! The order in which credentials are looked for. Reads nothing but the environment.
//!
//! | step | place |
//! | --- | --- |
//! | 1 | `POLYARCH_REGISTRY` and its kin, `PLUGIN_REGISTRY` and its kin |
//! | 2 | the file that `REGISTRY_AUTH_FILE` names |
//! | 3 | `DOCKER_AUTH_CONFIG`; the files that docker/login-action writes for buildx |
//! | 4 | Docker's `config.json` |
//! | 5 | Podman's `auth.json`, of the session and of the user |
//! | 6 | what the CI provides |
//! | 7 | anonymous |

use std::path::PathBuf;

use super::ci::Provider;
use crate::environment::Environment;

/// One place of the search.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The step, 1 to 7.
    pub(super) step: u8,
    /// The place in words, such as the path of the file.
    pub(super) name: String,
    pub(super) source: Source,
}

/// How to look there.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Our own variables.
    Variables,
    /// A file like Docker's `config.json`.
    File(PathBuf),
    /// The same JSON in this variable.
    Json(&'static str),
    /// A directory with files for single registries and repositories.
    Scoped(PathBuf),
    /// What a CI system provides.
    Ci(Provider),
    /// The end of the search.
    Anonymous,
    /// A place that does not exist in this environment, and why.
    Absent(&'static str),
}

impl Place {
    pub(super) fn file(step: u8, path: PathBuf) -> Self {
        Self {
            step,
            name: path.display().to_string(),
            source: Source::File(path),
        }
    }

    fn file_or_absent(step: u8, name: &str, path: Option<PathBuf>, reason: &'static str) -> Self {
        match path {
            Some(path) => Self::file(step, path),
            None => Self::named(step, name, Source::Absent(reason)),
        }
    }

    fn named(step: u8, name: &str, source: Source) -> Self {
        Self {
            step,
            name: name.to_owned(),
            source,
        }
    }
}

/// Every place, in the order of the search.
pub(super) fn all(environment: &Environment) -> Vec<Place> {
    let mut places = vec![
        Place::named(1, "POLYARCH_* and PLUGIN_* variables", Source::Variables),
        registry_auth_file(environment),
        docker_auth_config(environment),
        scoped(environment),
        Place::file_or_absent(
            4,
            "~/.docker/config.json",
            docker_directory(environment).map(|directory| directory.join("config.json")),
            NO_HOME,
        ),
        Place::file_or_absent(
            5,
            "$XDG_RUNTIME_DIR/containers/auth.json",
            environment.var("XDG_RUNTIME_DIR").map(podman_file),
            "XDG_RUNTIME_DIR is not set",
        ),
        Place::file_or_absent(
            5,
            "~/.config/containers/auth.json",
            user_config(environment).map(podman_file),
            NO_HOME,
        ),
    ];
    places.extend(
        Provider::ALL
            .into_iter()
            .map(|provider| Place::named(6, provider.variables(), Source::Ci(provider))),
    );
    places.push(Place::named(7, "anonymous access", Source::Anonymous));
    places
}

const NO_HOME: &str = "the home directory is not known";

fn registry_auth_file(environment: &Environment) -> Place {
    let name = "REGISTRY_AUTH_FILE";
    match environment.var(name) {
        Some(path) => Place::named(2, &format!("{path} ({name})"), Source::File(path.into())),
        None => Place::named(2, name, Source::Absent("not set")),
    }
}

fn docker_auth_config(environment: &Environment) -> Place {
    let name = "DOCKER_AUTH_CONFIG";
    let source = match environment.var(name) {
        Some(_) => Source::Json(name),
        None => Source::Absent("not set"),
    };
    Place::named(3, name, source)
}

/// `$BUILDX_CONFIG/config`, else `buildx/config` in Docker's directory.
///
/// <https://docs.docker.com/build/building/registry-auth/>
fn scoped(environment: &Environment) -> Place {
    let buildx = environment
        .var("BUILDX_CONFIG")
        .map(PathBuf::from)
        .or_else(|| docker_directory(environment).map(|directory| directory.join("buildx")));
    match buildx.map(|directory| directory.join("config")) {
        Some(path) => Place {
            step: 3,
            name: path.display().to_string(),
            source: Source::Scoped(path),
        },
        None => Place::named(3, "~/.docker/buildx/config", Source::Absent(NO_HOME)),
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
        all(&environment)
            .into_iter()
            .filter(|place| (2..=5).contains(&place.step))
            .map(|place| {
                let absent = matches!(place.source, Source::Absent(_));
                format!(
                    "{} {}{}",
                    place.step,
                    place.name,
                    if absent { " -" } else { "" }
                )
            })
            .collect()
    }

    #[test]
    fn the_home_directory_is_enough() {
        assert_eq!(
            names(&[("HOME", "/home/joe")]),
            [
                "2 REGISTRY_AUTH_FILE -",
                "3 DOCKER_AUTH_CONFIG -",
                "3 /home/joe/.docker/buildx/config",
                "4 /home/joe/.docker/config.json",
                "5 $XDG_RUNTIME_DIR/containers/auth.json -",
                "5 /home/joe/.config/containers/auth.json",
            ]
        );
    }

    #[test]
    fn variables_move_the_places() {
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
                "2 /tmp/auth.json (REGISTRY_AUTH_FILE)",
                "3 DOCKER_AUTH_CONFIG",
                "3 /docker/buildx/config",
                "4 /docker/config.json",
                "5 /run/user/1/containers/auth.json",
                "5 /config/containers/auth.json",
            ]
        );
        let moved = names(&[("DOCKER_CONFIG", "/docker"), ("BUILDX_CONFIG", "/buildx")]);
        assert!(moved.contains(&"3 /buildx/config".to_owned()), "{moved:?}");
    }

    #[test]
    fn without_a_home_the_places_in_it_are_absent() {
        assert!(names(&[]).iter().all(|name| name.ends_with(" -")));
    }
}
