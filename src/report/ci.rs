//! Which CI system a run belongs to: its reports differ.

use crate::environment::Environment;

/// A CI system that gets reports of its own. Others (Woodpecker, Drone, Jenkins, …) are served by the files and
/// by standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiSystem {
    /// GitHub Actions, and what runs its actions: Gitea, Forgejo.
    GitHub,
    /// GitLab CI.
    GitLab,
    /// None, or one without reports.
    None,
}

impl CiSystem {
    /// The system whose job this is, by the variables that each sets in every job.
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
    fn each_system_is_known_by_its_variable() {
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
