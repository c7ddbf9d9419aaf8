//! Credentials that a CI system sets in the environment of a job. Each is used for its own registry only.

use super::config_key::ConfigKey;
use super::{Candidate, Credential, Origin, Secret};
use crate::environment::Environment;
use crate::spec::RegistryHost;

/// A set of variables with a credential.
#[derive(Debug, Clone, Copy)]
pub(super) enum Provider {
    /// `GITHUB_TOKEN` for `ghcr.io`.
    GitHub,
    /// `CI_REGISTRY_USER` and `CI_REGISTRY_PASSWORD`, else `CI_JOB_TOKEN`, for `CI_REGISTRY`.
    GitLab,
    /// `DOCKERHUB_USERNAME` and `DOCKERHUB_TOKEN` for Docker Hub.
    DockerHub,
    /// `DOCKER_USERNAME` and `DOCKER_PASSWORD` for Docker Hub.
    Docker,
}

impl Provider {
    /// All providers, in the order of the search.
    pub(super) const ALL: [Self; 4] = [Self::GitHub, Self::GitLab, Self::DockerHub, Self::Docker];

    /// Returns the names of the variables, for display.
    pub(super) fn variables(self) -> &'static str {
        match self {
            Self::GitHub => "GITHUB_TOKEN (for ghcr.io)",
            Self::GitLab => {
                "CI_REGISTRY_USER, CI_REGISTRY_PASSWORD, CI_JOB_TOKEN (for CI_REGISTRY)"
            }
            Self::DockerHub => "DOCKERHUB_USERNAME, DOCKERHUB_TOKEN (for docker.io)",
            Self::Docker => "DOCKER_USERNAME, DOCKER_PASSWORD (for docker.io)",
        }
    }

    /// Returns whether the credential belongs to this registry.
    pub(super) fn serves(self, environment: &Environment, host: &RegistryHost) -> bool {
        match self {
            Self::GitHub => host.as_str() == "ghcr.io",
            Self::GitLab => environment
                .var("CI_REGISTRY")
                .and_then(ConfigKey::parse)
                .is_some_and(|key| key.fit(host, "") == Some(0)),
            Self::DockerHub | Self::Docker => host.is_docker_hub(),
        }
    }

    /// Returns the credential if all of its variables are set. Does not compare the registry.
    pub(super) fn find(self, environment: &Environment) -> Option<Candidate> {
        match self {
            Self::GitHub => github(environment),
            Self::GitLab => pair(environment, "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD")
                .or_else(|| gitlab_job(environment)),
            Self::DockerHub => pair(environment, "DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN"),
            Self::Docker => pair(environment, "DOCKER_USERNAME", "DOCKER_PASSWORD"),
        }
    }
}

/// Returns the credential of GitHub. ghcr.io requires a user name and accepts any. Without an actor, GitHub's own
/// placeholder is used.
fn github(environment: &Environment) -> Option<Candidate> {
    let token = environment.var("GITHUB_TOKEN")?;
    let (username, mut names) = match environment.var("GITHUB_ACTOR") {
        Some(actor) => (actor, vec!["GITHUB_ACTOR".to_owned()]),
        None => ("x-access-token", Vec::new()),
    };
    names.push("GITHUB_TOKEN".to_owned());
    Some(basic(username, token, names))
}

/// Returns the credential of a GitLab job:
/// <https://docs.gitlab.com/user/packages/container_registry/authenticate_with_container_registry/>
fn gitlab_job(environment: &Environment) -> Option<Candidate> {
    let token = environment.var("CI_JOB_TOKEN")?;
    Some(basic("gitlab-ci-token", token, vec!["CI_JOB_TOKEN".into()]))
}

fn pair(environment: &Environment, username: &str, password: &str) -> Option<Candidate> {
    Some(basic(
        environment.var(username)?,
        environment.var(password)?,
        vec![username.to_owned(), password.to_owned()],
    ))
}

fn basic(username: &str, password: &str, names: Vec<String>) -> Candidate {
    Candidate {
        credential: Credential::Basic {
            username: username.to_owned(),
            password: Secret::new(super::credential::without_newline(password)),
        },
        origin: Origin::Variables(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: [(&str, &str); 10] = [
        ("GITHUB_TOKEN", "gh-token"),
        ("GITHUB_ACTOR", "octocat"),
        ("CI_REGISTRY", "registry.example.com:5050"),
        ("CI_REGISTRY_USER", "deploy"),
        ("CI_REGISTRY_PASSWORD", "gl-password"),
        ("CI_JOB_TOKEN", "gl-job"),
        ("DOCKERHUB_USERNAME", "hub-user"),
        ("DOCKERHUB_TOKEN", "hub-token"),
        ("DOCKER_USERNAME", "docker-user"),
        ("DOCKER_PASSWORD", "docker-password"),
    ];

    /// User and password of every provider that serves the host.
    fn found(variables: &[(&str, &str)], host: &str) -> Vec<(String, String)> {
        let environment: Environment = variables.iter().copied().collect();
        let host: RegistryHost = host.parse().expect("a host");
        Provider::ALL
            .into_iter()
            .filter(|provider| provider.serves(&environment, &host))
            .filter_map(|provider| provider.find(&environment))
            .map(|candidate| {
                let username = candidate.credential.username().expect("a user name");
                let secret = candidate.credential.secret().expect("a password");
                (username.to_owned(), secret.reveal().to_owned())
            })
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(user, password)| ((*user).to_owned(), (*password).to_owned()))
            .collect()
    }

    #[test]
    fn each_credential_goes_to_its_registry_only() {
        for (host, expected) in [
            ("ghcr.io", &[("octocat", "gh-token")][..]),
            ("registry.example.com:5050", &[("deploy", "gl-password")]),
            (
                "index.docker.io",
                &[
                    ("hub-user", "hub-token"),
                    ("docker-user", "docker-password"),
                ],
            ),
            ("registry.example.com", &[]),
            ("registry.example.com:5051", &[]),
            ("ghcr.io:443", &[]),
            ("ghcr.io.example.com", &[]),
            ("quay.io", &[]),
        ] {
            assert_eq!(found(&EVERYTHING, host), pairs(expected), "{host}");
        }
    }

    #[test]
    fn the_job_token_replaces_a_missing_password() {
        let variables = [
            ("CI_REGISTRY", "registry.gitlab.com"),
            ("CI_REGISTRY_USER", "deploy"),
            ("CI_JOB_TOKEN", "job"),
        ];
        assert_eq!(
            found(&variables, "registry.gitlab.com"),
            pairs(&[("gitlab-ci-token", "job")])
        );
    }

    #[test]
    fn without_an_actor_the_token_still_counts() {
        assert_eq!(
            found(&[("GITHUB_TOKEN", "t")], "ghcr.io"),
            pairs(&[("x-access-token", "t")])
        );
    }

    #[test]
    fn without_ci_registry_nothing_of_gitlab_is_used() {
        assert_eq!(found(&[("CI_JOB_TOKEN", "t")], "registry.gitlab.com"), []);
    }
}
