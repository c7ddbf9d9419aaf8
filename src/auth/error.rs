//! Errors of the search for credentials. No message quotes the content of a file or variable, which may be secret.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::cloud::CloudError;
use super::file::FileError;
use super::origin::Location;
use super::process::HelperFailure;

/// Why a source of credentials failed. Implements `Clone`, since results are cached, including failures.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeychainError {
    /// Only some of the variables of a credential are set.
    #[error("{given} is set, but {missing} is not")]
    MissingVariable { given: String, missing: String },
    /// Two variables that exclude each other.
    #[error("{first} and {second} are both set: only one of them can be used")]
    ConflictingVariables { first: String, second: String },
    /// The value of a variable is not a registry.
    #[error("{variable} is not the name of a registry")]
    NotARegistry { variable: String },
    /// A file exists but cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: Arc<io::Error>,
    },
    /// A password file is empty.
    #[error("{}, named by {variable}, is empty", path.display())]
    EmptyFile { path: PathBuf, variable: String },
    /// A document exceeds the limit.
    #[error("{location} is larger than {limit} bytes")]
    TooLarge {
        location: Location,
        /// The limit in bytes.
        limit: u64,
    },
    /// A document is not JSON, or not a Docker configuration.
    #[error(
        "{location} is not a valid Docker configuration: line {line}, column {column}: {problem}"
    )]
    NotJson {
        location: Location,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        problem: &'static str,
    },
    /// The entry for this registry is invalid.
    #[error("the entry {key} in {location} cannot be used")]
    BadEntry {
        location: Location,
        key: String,
        #[source]
        problem: EntryProblem,
    },
    /// A credential helper is missing or failed.
    #[error(transparent)]
    Helper(Box<HelperError>),
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

/// A credential helper that is missing or failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{program}, the credential helper that {location} names for {server}, failed")]
pub struct HelperError {
    pub program: String,
    pub server: String,
    pub location: Location,
    #[source]
    pub failure: HelperFailure,
}

/// Why an entry of `auths` is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// `auth` is not base64.
    #[error("its `auth` is not base64")]
    NotBase64,
    /// `auth` does not decode to UTF-8.
    #[error("its `auth` is not UTF-8 text")]
    NotText,
    /// `auth` has no colon between user name and password.
    #[error("its `auth` has no colon between user name and password")]
    NoColon,
    /// There is a password, but no user name.
    #[error("it has no user name")]
    NoUsername,
}

impl From<FileError> for KeychainError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Unreadable { path, cause } => Self::Unreadable { path, cause },
            FileError::TooLarge { path, limit } => Self::TooLarge {
                location: Location::File(path),
                limit,
            },
        }
    }
}
