//! A complete search for credentials as data. Contains user names, but no secrets.

use std::borrow::Cow;

use serde::Serialize;

use super::places::Place;
use super::{Candidate, KeychainError, Scope};
use crate::text::with_causes;

/// All sources of a search, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub registry: String,
    /// The path without the registry; empty for a search of the whole registry.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// The actions that the search was for, such as `pull`.
    pub actions: Vec<String>,
    /// The sources. Exactly one of them is used.
    pub steps: Vec<Step>,
}

/// One source of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The position in the search, from 1.
    pub step: usize,
    /// A path, or the names of variables.
    pub place: String,
    /// Whether this credential is tried first.
    pub used: bool,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The result of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Outcome {
    /// A credential, or anonymous access.
    Found {
        kind: &'static str,
        username: Option<String>,
        /// The key in a file, the helper, or the variables.
        origin: String,
    },
    /// Nothing for this registry.
    Nothing { reason: Cow<'static, str> },
    /// The source failed.
    Error { message: String },
}

impl Explanation {
    pub(super) fn new(registry: &str, scope: &Scope, mut steps: Vec<Step>) -> Self {
        for (number, step) in (1..).zip(&mut steps) {
            step.step = number;
        }
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

    /// Returns the source whose credential is tried first.
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

    pub(super) fn nothing(place: Place, reason: Cow<'static, str>) -> Self {
        Self::new(place, Outcome::Nothing { reason })
    }

    pub(super) fn error(place: Place, error: &KeychainError) -> Self {
        let message = with_causes(error);
        Self::new(place, Outcome::Error { message })
    }

    fn new(place: Place, outcome: Outcome) -> Self {
        Self {
            step: 0,
            place: place.name,
            used: false,
            outcome,
        }
    }
}
