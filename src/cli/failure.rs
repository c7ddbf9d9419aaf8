//! How a command fails: what is printed, and the exit code.

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
use crate::text::log_safe;

/// Exit codes, documented in the README.
pub mod exit {
    /// Any failure that has no code of its own.
    pub const FAILURE: u8 = 1;
    /// Wrong usage: flags, arguments, malformed reference, bad spec file.
    pub const USAGE: u8 = 2;
    /// Authentication or authorisation refused.
    pub const AUTHORISATION: u8 = 3;
    /// A source does not exist.
    pub const NOT_FOUND: u8 = 4;
    /// Refused: conflict, missing platform, verification mismatch.
    pub const REFUSED: u8 = 5;
    /// The registry or the network kept failing after all retries.
    pub const UNAVAILABLE: u8 = 6;
    /// Partly done: some tags landed, some did not.
    pub const PARTIAL: u8 = 7;
    /// Added to the number of a signal that ended the run.
    pub const SIGNAL: u8 = 128;
}

/// Why a command ends without success.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    error: anyhow::Error,
    hints: Vec<Hint>,
    /// The CI system knows.
    is_told: bool,
}

impl Failure {
    pub(super) fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
            hints: Vec::new(),
            is_told: false,
        }
    }

    /// A failure that is said in one sentence.
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

    /// Whether a signal ended the run.
    pub(super) fn is_interruption(&self) -> bool {
        self.code > exit::SIGNAL
    }

    /// How an execution failed, if it did: by a signal; partly if something landed, else as the first thing that failed. The
    /// hints say what else failed, and what landed all the same.
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
                let code = if execution.landed_something() {
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
        let landed = names_of(execution, |tag| tag.result.is_ok());
        let unverified = names_of(execution, |tag| {
            tag.change == Change::Certain && tag.result.is_err()
        });
        if !unverified.is_empty() {
            failure = failure.hint(Hint::Unverified(unverified));
        }
        failure = if !landed.is_empty() {
            failure.hint(Hint::Pushed(landed))
        } else if execution.changed_something() {
            failure
        } else {
            failure.hint(Hint::Unchanged)
        };
        Some(failure)
    }

    /// Another failure of the same run.
    pub(super) fn and(mut self, other: &Self) -> Self {
        if self.is_interruption() && other.is_interruption() {
            self.hints.extend(other.hints.iter().cloned());
            return self;
        }
        self.hint(Hint::AlsoFailed(other.text()))
    }

    /// A failure after these were published: nobody is to think that nothing was, or only what one of them says.
    pub(super) fn after(mut self, results: &[IndexResult]) -> Self {
        let tags = results.iter().flat_map(IndexResult::published_tags);
        let landed: Vec<String> = tags.map(str::to_owned).collect();
        if landed.is_empty() {
            return self;
        }
        self.hints
            .retain(|hint| !matches!(hint, Hint::Pushed(_) | Hint::Unchanged));
        self.hint(Hint::Pushed(landed))
    }

    pub(super) fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Keeps Docker's words as the error; the hints are more specific.
    pub(super) fn reference(text: &str, error: ReferenceError) -> Self {
        let explanation = match &error {
            ReferenceError::Format(reason) => Some(Hint::Text(reason.to_string())),
            _ => None,
        };
        let hints = explanation.into_iter().chain(reference_hints(text, &error));
        Self {
            hints: hints.collect(),
            ..Self::new(exit::USAGE, error)
        }
    }

    /// For the reports.
    pub(super) fn result(&self, wording: Wording) -> ErrorResult {
        ErrorResult {
            message: self.text(),
            hints: wording.render_all(&self.hints),
        }
    }

    /// The error in one line.
    pub(super) fn text(&self) -> String {
        format!("{:#}", self.error)
    }

    /// The same, where something else of the run did land.
    pub(super) fn partial(mut self) -> Self {
        if !self.is_interruption() {
            self.code = exit::PARTIAL;
        }
        self
    }

    /// Puts a sentence before the error.
    pub(super) fn context(mut self, text: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.error = self.error.context(text);
        self
    }

    /// The exit code that it means.
    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// The same, after a report that said it.
    pub(super) fn told(mut self) -> Self {
        self.is_told = true;
        self
    }

    /// Whether a report has said it.
    pub(super) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Prints the error and what to try, and gives the exit code.
    pub(super) fn print(&self, wording: Wording) -> ExitCode {
        let palette = Palette::of_stderr(&Environment::of_process());
        let error = palette.paint(Tone::Error, "error");
        // A closed standard error does not change the exit code.
        let _ = writeln!(stderr(), "{error}: {}", log_safe(&self.text()));
        let hint = palette.paint(Tone::Notice, "hint");
        for text in wording.render_all(&self.hints) {
            let _ = writeln!(stderr(), " {hint}: {}", log_safe(&text));
        }
        ExitCode::from(self.code)
    }
}

/// The tags that `pick` picks, with their places.
fn names_of(execution: &Execution, pick: impl Fn(&TagOutcome) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for target in &execution.targets {
        let tags = target.tags.iter().filter(|tag| pick(tag));
        names.extend(tags.map(|tag| format!("{}:{}", target.location, tag.tag)));
    }
    names
}

/// The exit code for a failure of this kind.
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
            code: code_of(error.kind),
            error: error.into(),
            hints,
            is_told: false,
        }
    }
}

impl From<OpsError> for Failure {
    fn from(error: OpsError) -> Self {
        let code = match &error {
            OpsError::Store(error)
            | OpsError::DigestNotFound(error)
            | OpsError::NoSuchManifest { error, .. } => code_of(error.kind),
            OpsError::Plan(_)
            | OpsError::BaseKeepsMoving { .. }
            | OpsError::EntryWithoutPlatform { .. } => exit::REFUSED,
            OpsError::NoRepository { .. }
            | OpsError::AmbiguousEntry { .. }
            | OpsError::UnknownPlatform(_) => exit::USAGE,
            OpsError::NoImage { .. } => exit::NOT_FOUND,
            OpsError::Draft(_)
            | OpsError::NoDraft { .. }
            | OpsError::NoEntry { .. }
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

/// Parses a reference of a command that `docker manifest` has too.
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
            code: exit::REFUSED,
            error: error.into(),
            hints,
            is_told: false,
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let hints = error.hints();
        Self {
            code: exit::USAGE,
            error: error.into(),
            hints,
            is_told: false,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(exit::FAILURE, error)
    }
}
