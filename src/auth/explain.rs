//! A whole search for credentials as data: what `polyarch auth REF` prints. Shows user
//! names, never secrets.

use serde::Serialize;

use super::error::in_one_line;
use super::places::Place;
use super::{Candidate, KeychainError, Scope};

/// Every place of a search, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The registry, in lower case; Docker Hub is `docker.io`.
    pub registry: String,
    /// The repository without the registry.
    pub repository: String,
    /// The actions that credentials were looked for, such as `pull`.
    pub actions: Vec<String>,
    /// The places. Exactly one of them is used.
    pub steps: Vec<Step>,
}

/// One place of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The number of the step in the documentation, 1 to 7; several places can share it.
    pub step: u8,
    /// The place: a path, the names of variables.
    pub place: String,
    /// Whether this is the credential that is tried first.
    pub used: bool,
    /// What was found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a place had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Outcome {
    /// A credential, or the right to do without.
    Found {
        /// In one or two words, such as `password`.
        kind: &'static str,
        /// The user name, if the credential has one.
        username: Option<String>,
        /// Where exactly: the key in a file, the helper, the variables.
        origin: String,
    },
    /// Nothing for this registry.
    Nothing {
        /// Why, in a few words.
        reason: &'static str,
    },
    /// The place could not be used.
    Error {
        /// What went wrong.
        message: String,
    },
}

impl Explanation {
    pub(super) fn new(registry: &str, scope: &Scope, mut steps: Vec<Step>) -> Self {
        let found = |step: &&mut Step| matches!(step.outcome, Outcome::Found { .. });
        if let Some(step) = steps.iter_mut().find(found) {
            step.used = true;
        }
        Self {
            registry: registry.to_owned(),
            repository: scope.repository().to_owned(),
            actions: scope.actions().map(str::to_owned).collect(),
            steps,
        }
    }

    /// The place whose credential is tried first.
    pub fn used(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.used)
    }
}

impl Step {
    pub(super) fn found(place: Place, candidate: &Candidate) -> Self {
        let credential = &candidate.credential;
        let outcome = Outcome::Found {
            kind: credential.kind(),
            username: credential.username().map(str::to_owned),
            origin: candidate.origin.to_string(),
        };
        Self::new(place, outcome)
    }

    pub(super) fn nothing(place: Place, reason: &'static str) -> Self {
        Self::new(place, Outcome::Nothing { reason })
    }

    pub(super) fn error(place: Place, error: &KeychainError) -> Self {
        let message = in_one_line(error);
        Self::new(place, Outcome::Error { message })
    }

    fn new(place: Place, outcome: Outcome) -> Self {
        Self {
            step: place.step,
            place: place.name,
            used: false,
            outcome,
        }
    }
}
