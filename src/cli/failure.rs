//! Failures of commands: message, hints and exit code.

use std::fmt;
use std::io::{Write as _, stderr};
use std::process::ExitCode;

use crate::draft::DraftError;
use crate::environment::Environment;
use crate::execute::{Change, Execution, TagOutcome};
use crate::hint::Hint;
use crate::ops::OpsError;
use crate::plan::PlanError;
use crate::report::{ErrorResult, IndexResult, Palette, Tone, Wording};
use crate::sources::{SourceError, reference_hints};
use crate::spec::{Reference, ReferenceError};
use crate::store::{FailureKind, StoreError};
use crate::text::{log_safe, with_causes};

/// Exit codes, documented in the README.
pub mod exit {
    /// Any other failure.
    pub const FAILURE: u8 = 1;
    /// Wrong usage: flags, arguments, malformed reference, bad spec file.
    pub const USAGE: u8 = 2;
    /// Authentication or authorisation refused.
    pub const AUTHORISATION: u8 = 3;
    /// A source does not exist.
    pub const NOT_FOUND: u8 = 4;
    /// Refused: conflict, missing platform, verification mismatch.
    pub const REFUSED: u8 = 5;
    /// The registry or the network still failed after all retries.
    pub const UNAVAILABLE: u8 = 6;
    /// Partly done: some tags were pushed, some were not.
    pub const PARTIAL: u8 = 7;
    /// Added to the number of a signal that ended the run.
    pub const SIGNAL: u8 = 128;
}

#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    error: anyhow::Error,
    hints: Vec<Hint>,
    /// The report for the CI system contains this failure.
    is_reported: bool,
}

impl Failure {
    pub(super) fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
            hints: Vec::new(),
            is_reported: false,
        }
    }

    pub(super) fn message(code: u8, text: impl fmt::Display) -> Self {
        Self::new(code, anyhow::anyhow!("{text}"))
    }

    pub(super) fn usage(text: impl fmt::Display) -> Self {
        Self::message(exit::USAGE, text)
    }

    pub(super) fn interrupted(signal: u8) -> Self {
        let name = if signal == 2 {
            "interrupted"
        } else {
            "terminated"
        };
        Self::message(exit::SIGNAL + signal, name).hint("run the same command again to complete it")
    }

    /// Returns whether a signal ended the run.
    pub(super) fn is_interruption(&self) -> bool {
        self.code > exit::SIGNAL
    }

    /// Returns the failure of an execution: the signal that ended it, or its first failure. Without a signal, the exit
    /// code is [`exit::PARTIAL`] if something was published. Notes list further failures and pushed tags.
    pub(super) fn of_execution(execution: &Execution) -> Option<Self> {
        let failures = execution.failures();
        let mut failure = match (execution.interrupted, &failures[..]) {
            (Some(signal), _) => {
                let mut failure = Self::interrupted(signal);
                let hints = failures.iter().flat_map(|error| error.hints.clone());
                failure.hints.extend(hints);
                failure
            }
            (None, []) => return None,
            (None, [first, others @ ..]) => {
                let code = if execution.published_something() {
                    exit::PARTIAL
                } else {
                    code_of(first.kind)
                };
                let mut failure = Self::message(code, first);
                failure.hints.clone_from(&first.hints);
                for other in others {
                    failure = failure.hint(Hint::AlsoFailed(other.to_string()));
                    failure.hints.extend(other.hints.iter().cloned());
                }
                failure
            }
        };
        let pushed = names_of(execution, TagOutcome::is_published);
        let unverified = names_of(execution, |tag| {
            tag.change == Change::Certain && tag.result.is_err()
        });
        if !unverified.is_empty() {
            failure = failure.hint(Hint::Unverified(unverified));
        }
        failure = if !pushed.is_empty() {
            failure.hint(Hint::Pushed(pushed))
        } else if execution.changed_something() {
            failure
        } else {
            failure.hint(Hint::Unchanged)
        };
        Some(failure)
    }

    /// Adds another failure of the same run.
    pub(super) fn and(mut self, other: &Self) -> Self {
        if self.is_interruption() && other.is_interruption() {
            self.hints.extend(other.hints.iter().cloned());
            return self;
        }
        self.hint(Hint::AlsoFailed(other.text()))
    }

    /// Adds a note with the published tags of all results.
    pub(super) fn after(mut self, results: &[IndexResult]) -> Self {
        let tags = results.iter().flat_map(IndexResult::published_tags);
        let pushed: Vec<String> = tags.map(str::to_owned).collect();
        if pushed.is_empty() {
            return self;
        }
        self.hints
            .retain(|hint| !matches!(hint, Hint::Pushed(_) | Hint::Unchanged));
        self.hint(Hint::Pushed(pushed))
    }

    pub(super) fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Creates the failure for an invalid reference. The message has Docker's words; the hints are more specific.
    pub(super) fn reference(text: &str, error: ReferenceError) -> Self {
        let explanation = match &error {
            ReferenceError::Format(reason) => Some(Hint::Note(reason.to_string())),
            _ => None,
        };
        let hints = explanation.into_iter().chain(reference_hints(text, &error));
        Self {
            hints: hints.collect(),
            ..Self::new(exit::USAGE, error)
        }
    }

    /// Returns message and hints for the reports.
    pub(super) fn result(&self, wording: Wording) -> ErrorResult {
        ErrorResult::new(self.text(), &self.hints, wording)
    }

    /// Returns the error in one line.
    pub(super) fn text(&self) -> String {
        with_causes(&*self.error)
    }

    /// Sets the exit code of a partial failure, unless a signal ended the run.
    pub(super) fn partial(mut self) -> Self {
        if !self.is_interruption() {
            self.code = exit::PARTIAL;
        }
        self
    }

    /// Puts `text` before the message.
    pub(super) fn context(mut self, text: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.error = self.error.context(text);
        self
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// Marks that the report for the CI system contains the failure.
    pub(super) fn reported(mut self) -> Self {
        self.is_reported = true;
        self
    }

    pub(super) fn is_reported(&self) -> bool {
        self.is_reported
    }

    /// Prints the error with its hints and notes, and returns the exit code.
    pub(super) fn print(&self, wording: Wording) -> ExitCode {
        let palette = Palette::of_stderr(&Environment::of_process());
        let error = palette.paint(Tone::Error, "error");
        // A closed standard error does not change the exit code.
        let result = self.result(wording);
        let _ = writeln!(stderr(), "{error}: {}", log_safe(&result.message));
        for (label, text) in result.labelled() {
            let label = palette.paint(Tone::Notice, label);
            let _ = writeln!(stderr(), " {label}: {}", log_safe(text));
        }
        ExitCode::from(self.code)
    }
}

/// Returns the full names of the tags that `pick` selects.
fn names_of(execution: &Execution, pick: impl Fn(&TagOutcome) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for target in &execution.targets {
        let tags = target.tags.iter().filter(|tag| pick(tag));
        names.extend(tags.map(|tag| format!("{}:{}", target.location, tag.tag)));
    }
    names
}

pub(super) fn code_of(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Unauthorized | FailureKind::Denied => exit::AUTHORISATION,
        FailureKind::NotFound => exit::NOT_FOUND,
        FailureKind::Refused => exit::REFUSED,
        FailureKind::Unavailable => exit::UNAVAILABLE,
        FailureKind::Other => exit::FAILURE,
    }
}

impl From<StoreError> for Failure {
    fn from(mut error: StoreError) -> Self {
        let hints = std::mem::take(&mut error.hints);
        Self {
            hints,
            ..Self::new(code_of(error.kind), error)
        }
    }
}

impl From<OpsError> for Failure {
    fn from(error: OpsError) -> Self {
        let code = match &error {
            OpsError::Store(error) | OpsError::DigestNotFound(error) => code_of(error.kind),
            OpsError::NoSuchManifest { error, .. } => code_of(error.kind),
            OpsError::Plan(_)
            | OpsError::BaseKeepsMoving { .. }
            | OpsError::TagExists { .. }
            | OpsError::EntryWithoutPlatform { .. } => exit::REFUSED,
            OpsError::NoRepository { .. }
            | OpsError::AmbiguousEntry { .. }
            | OpsError::UnknownPlatform(_) => exit::USAGE,
            OpsError::NoImage { .. } => exit::NOT_FOUND,
            OpsError::Draft(_)
            | OpsError::NoDraft { .. }
            | OpsError::NoEntry { .. }
            | OpsError::NothingToRemove { .. }
            | OpsError::DraftExists => exit::FAILURE,
            OpsError::Interrupted { signal } => exit::SIGNAL + signal,
        };
        let hints = error.hints();
        Self {
            hints,
            ..Self::new(code, error)
        }
    }
}

/// Parses a reference as `docker manifest` does: the default tag is `latest`.
pub(super) fn parse_reference(text: &str) -> Result<Reference, Failure> {
    Reference::parse_or_latest(text).map_err(|error| Failure::reference(text, error))
}

impl From<DraftError> for Failure {
    fn from(error: DraftError) -> Self {
        let hint = error.hint();
        let failure = Self::new(exit::FAILURE, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let hints = error.hints();
        Self {
            hints,
            ..Self::new(exit::REFUSED, error)
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let hints = error.hints();
        Self {
            hints,
            ..Self::new(exit::USAGE, error)
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(exit::FAILURE, error)
    }
}
