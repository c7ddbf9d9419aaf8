//! The errors of operations.

use crate::draft::DraftError;
use crate::hint::Hint;
use crate::plan::PlanError;
use crate::spec::{Digest, PlatformError, Reference};
use crate::store::{FailureKind, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The drop-in commands use Docker's words.
    #[error("no such manifest: {name}: {}", .error.cause())]
    NoSuchManifest {
        name: String,
        error: Box<StoreError>,
    },
    #[error("No such manifest: {list}")]
    NoDraft { list: Reference },
    /// A draft to remove that does not exist.
    #[error("No such manifest: {list}")]
    NothingToRemove { list: Reference },
    #[error("No such manifest: {image}")]
    NoImage { image: Reference },
    /// An image that is not in a draft; `names` are the entries of the draft.
    #[error("No such manifest; the entries are {names}")]
    NoEntry { names: String },
    #[error("{image} is an index with {count} images; name one of them: {names}")]
    AmbiguousEntry {
        image: String,
        count: usize,
        names: String,
    },
    #[error("refusing to amend an existing manifest list with no --amend flag")]
    DraftExists,
    #[error("manifest {entry} must have an OS and Architecture to be pushed to a registry")]
    EntryWithoutPlatform { list: String, entry: String },
    #[error(transparent)]
    UnknownPlatform(PlatformError),
    /// A bare digest that was not found in the repositories of the targets.
    #[error(transparent)]
    DigestNotFound(StoreError),
    #[error("no repository for {source_name}")]
    NoRepository { source_name: String },
    #[error("{name} exists and points to {digest}")]
    TagExists { name: String, digest: Digest },
    #[error("failed to append to {name}: other jobs keep changing it")]
    BaseKeepsMoving { name: String },
    #[error("{}", if *.signal == 2 { "interrupted" } else { "terminated" })]
    Interrupted { signal: u8 },
}

impl OpsError {
    /// Wraps the failure to read a manifest. If it does not exist, the message has Docker's words: scripts look for
    /// them.
    pub fn of_manifest(error: StoreError) -> Self {
        if error.kind == FailureKind::NotFound {
            let name = error.operation.object.clone();
            Self::NoSuchManifest {
                name,
                error: Box::new(error),
            }
        } else {
            Self::Store(error)
        }
    }

    /// Returns the hints of the error.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Store(error) => error.hints.clone(),
            Self::NoSuchManifest { error, .. } => error.hints.clone(),
            Self::Draft(error) => error.hint().into_iter().collect(),
            Self::NoDraft { list } => vec![Hint::CreateDraft { list: list.clone() }],
            Self::DraftExists => vec![Hint::AmendDraft],
            Self::EntryWithoutPlatform { list, entry } => vec![Hint::AnnotateEntry {
                list: list.clone(),
                entry: entry.clone(),
            }],
            Self::TagExists { .. } => vec![Hint::Unchanged],
            Self::UnknownPlatform(
                PlatformError::Os { .. } | PlatformError::Architecture { .. },
            ) => {
                vec![Hint::AcceptUnknownPlatform]
            }
            Self::UnknownPlatform(_)
            | Self::NothingToRemove { .. }
            | Self::NoImage { .. }
            | Self::NoEntry { .. }
            | Self::AmbiguousEntry { .. } => Vec::new(),
            Self::Plan(error) => error.hints(),
            Self::DigestNotFound(error) => {
                let own = [Hint::NameImageRepository];
                error.hints.iter().cloned().chain(own).collect()
            }
            Self::NoRepository { .. } => vec![Hint::AddImageRepository],
            Self::BaseKeepsMoving { .. } => {
                vec!["append from one job, or put the jobs into one concurrency group".into()]
            }
            Self::Interrupted { .. } => vec![
                "run the same command again to complete it".into(),
                Hint::Unchanged,
            ],
        }
    }
}
