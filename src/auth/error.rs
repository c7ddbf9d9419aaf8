//! Errors of the search for credentials. No message quotes the content of a file or variable, which may be secret.

use std::path::PathBuf;

use super::cloud::CloudError;
use super::file::FileError;
use super::origin::Location;
use super::process::HelperFailure;

/// Why a source of credentials failed. Implements `Clone`, since results are cached, including failures.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeychainError {
    #[error("{given} is set, but {missing} is not")]
    MissingVariable { given: String, missing: String },
    #[error("{first} and {second} are both set: only one of them can be used")]
    ConflictingVariables { first: String, second: String },
    #[error("{variable} is not the name of a registry")]
    NotARegistry { variable: String },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}, named by {variable}, is empty", path.display())]
    EmptyFile { path: PathBuf, variable: String },
    #[error("{location} is larger than {limit} bytes")]
    TooLarge { location: Location, limit: u64 },
    #[error(
        "{location} is not a valid Docker configuration: line {line}, column {column}: {problem}"
    )]
    NotJson {
        location: Location,
        line: usize,
        column: usize,
        problem: &'static str,
    },
    #[error("the entry {key} in {location} cannot be used")]
    BadEntry {
        location: Location,
        key: String,
        #[source]
        problem: EntryProblem,
    },
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
    #[error("its `auth` is not base64")]
    NotBase64,
    #[error("its `auth` is not UTF-8 text")]
    NotText,
    #[error("its `auth` has no colon between user name and password")]
    NoColon,
    #[error("it has no user name")]
    NoUsername,
}
