//! The CI system that runs polyarch.

use crate::environment::Environment;

/// A CI system with its own reports. Others (Woodpecker, Drone, Jenkins, …) use the files and standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiSystem {
    /// GitHub Actions, Gitea, Forgejo.
    GitHub,
    GitLab,
    None,
}

impl CiSystem {
    /// Detects the system by the variables that it sets in every job.
    pub fn detect(environment: &Environment) -> Self {
        let is_true = |name| environment.var(name) == Some("true");
        if is_true("GITHUB_ACTIONS") {
            Self::GitHub
        } else if is_true("GITLAB_CI") {
            Self::GitLab
        } else {
            Self::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_detected_by_its_variable() {
        for (variables, system) in [
            (
                &[("GITHUB_ACTIONS", "true"), ("CI", "true")][..],
                CiSystem::GitHub,
            ),
            (&[("GITLAB_CI", "true"), ("CI", "true")], CiSystem::GitLab),
            (&[("CI", "woodpecker")], CiSystem::None),
            (&[("GITHUB_ACTIONS", "")], CiSystem::None),
        ] {
            let environment: Environment = variables.iter().copied().collect();
            assert_eq!(CiSystem::detect(&environment), system, "{variables:?}");
        }
    }
}
