//! What goes wrong in a layout, before it is known what it was done for.

use crate::disk::DiskError;
use crate::hint::Hint;
use crate::spec::{Digest, JsonError, ManifestError};
use crate::store::{FailureKind, Operation, StoreError};

/// A cause that becomes a [`StoreError`] once somebody says what was being done.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: FailureKind,
    cause: String,
    hint: Option<Hint>,
}

impl Failure {
    pub fn new(kind: FailureKind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            hint: None,
        }
    }

    pub fn refused(cause: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, cause)
    }

    pub fn not_found(cause: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, cause)
    }

    pub fn absent(digest: &Digest) -> Self {
        Self::not_found(format!("{digest} is not in the layout"))
    }

    pub fn wrong_size(found: u64, expected: u64) -> Self {
        Self::refused(format!(
            "there are {found} bytes where the descriptor says {expected}"
        ))
    }

    pub fn wrong_digest(found: &Digest, expected: &Digest) -> Self {
        Self::refused(format!(
            "the content has the digest {found}, not {expected}: it was damaged or altered"
        ))
    }

    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn is_not_found(&self) -> bool {
        self.kind == FailureKind::NotFound
    }

    pub fn during(self, operation: impl Into<Operation>) -> StoreError {
        let mut error = StoreError::new(self.kind, operation, self.cause);
        error.hints.extend(self.hint);
        error
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        let kind = match &error {
            _ if error.is_not_found() => FailureKind::NotFound,
            DiskError::TooLarge { .. } | DiskError::NotRegular { .. } => FailureKind::Refused,
            DiskError::Io { .. } | DiskError::Busy { .. } => FailureKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        Self::refused(error.to_string())
    }
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        Self::refused(error.to_string())
    }
}
