//! Everything that can go wrong while credentials are looked for. No message quotes
//! the content of a file or a variable: it may be a secret.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Location;

/// Why a place of the search could not be used. Can be cloned, because what was read
/// once is remembered, failures too.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeychainError {
    /// A credential without the variable that says where it may be sent, or half of one.
    #[error("{given} is set, but {missing} is not")]
    MissingVariable {
        /// The variable that was found.
        given: String,
        /// The one that has to be there too.
        missing: String,
    },
    /// Two variables that exclude each other.
    #[error("{first} and {second} are both set: only one of them can be used")]
    ConflictingVariables {
        /// One of the two.
        first: String,
        /// The other.
        second: String,
    },
    /// A variable that should name a registry does not.
    #[error("{variable} is not the name of a registry")]
    NotARegistry {
        /// The variable.
        variable: String,
    },
    /// A file is there but cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: Arc<io::Error>,
    },
    /// A password file holds nothing.
    #[error("{}, named by {variable}, is empty", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
        /// The variable that names it.
        variable: String,
    },
    /// A document is larger than any honest one.
    #[error("{location} is larger than {limit} bytes")]
    TooLarge {
        /// The document.
        location: Location,
        /// The limit in bytes.
        limit: u64,
    },
    /// A document is not JSON, or not of the shape of Docker's configuration.
    #[error(
        "{location} is not a valid Docker configuration: line {line}, column {column}: {problem}"
    )]
    NotJson {
        /// The document.
        location: Location,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The kind of problem, in fixed words.
        problem: &'static str,
    },
    /// The entry for this registry makes no sense.
    #[error("the entry {key} in {location} cannot be used")]
    BadEntry {
        /// The document.
        location: Location,
        /// The key of the entry.
        key: String,
        /// What is wrong with it.
        #[source]
        problem: EntryProblem,
    },
    /// A credential helper is missing or failed.
    #[error(transparent)]
    Helper(Box<HelperError>),
}

/// Which credential helper is missing or failed, and who asked for it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{program}, the credential helper that {location} names for {server}, failed")]
pub struct HelperError {
    /// The program.
    pub program: String,
    /// What it was asked for.
    pub server: String,
    /// The document that names the helper.
    pub location: Location,
    /// What happened.
    #[source]
    pub failure: HelperFailure,
}

/// What is wrong with an entry of `auths`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// `auth` is not base64.
    #[error("its `auth` is not base64")]
    NotBase64,
    /// `auth` decodes to bytes that are not text.
    #[error("its `auth` is not UTF-8 text")]
    NotText,
    /// `auth` has no colon between user name and password.
    #[error("its `auth` has no colon between user name and password")]
    NoColon,
    /// There is a password, but no user name.
    #[error("it has no user name")]
    NoUsername,
}

/// What went wrong with a credential helper.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HelperFailure {
    /// The name could lead to a program outside of the search path.
    #[error("its name may hold only letters, digits, `.`, `_`, `+` and `-`")]
    BadName,
    /// No such program.
    #[error("no such program in PATH")]
    NotFound,
    /// The program cannot be started or talked to.
    #[error("it cannot be run")]
    NotRunnable(#[source] Arc<io::Error>),
    /// It did not answer in time.
    #[error("it gave no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// It wrote more than any honest answer.
    #[error("its answer is larger than {0} bytes")]
    TooMuchOutput(u64),
    /// It ended with an error.
    #[error("{status}{message}")]
    Failed {
        /// Exit code or signal.
        status: String,
        /// The first line of what it said, cleaned, after a colon; or nothing.
        message: String,
    },
    /// Its answer is not JSON.
    #[error("its answer is not JSON (line {line}, column {column})")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Its answer lacks the user name or the secret.
    #[error("its answer lacks {0}")]
    Incomplete(&'static str),
}

/// An error and its causes in one line.
pub(super) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
