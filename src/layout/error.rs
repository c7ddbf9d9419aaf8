//! Errors of layouts, before the operation is known.

use std::path::{Path, PathBuf};

use super::tar_index::TarError;
use crate::disk::DiskError;
use crate::hint::Hint;
use crate::spec::{Digest, JsonError, ManifestError};
use crate::store::{FailureKind, Operation, StoreError};

/// Why a layout cannot be read or written. Becomes a [`StoreError`] with [`LayoutError::during`].
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error("not an OCI image layout: no file oci-layout")]
    NoLayout,
    #[error("unsupported imageLayoutVersion {found:?} in oci-layout: expected {expected}")]
    Version {
        found: String,
        expected: &'static str,
    },
    #[error("invalid index.json: {0}")]
    InvalidIndex(ManifestError),
    #[error("index.json is not an index")]
    NotAnIndex,

    #[error(transparent)]
    Tar(#[from] TarError),
    #[error("compressed archives are not supported ({format})")]
    Compressed {
        format: &'static str,
        tool: &'static str,
        path: PathBuf,
    },
    #[error("saved by a Docker version before 25: no index.json")]
    OldDockerArchive,
    #[error("truncated: oci-layout or index.json and the end of the archive are missing")]
    TruncatedArchive,
    #[error("not an OCI image layout: oci-layout or index.json is missing")]
    NoLayoutInArchive,

    #[error("index.json has no entries")]
    Empty,
    #[error("no entry of index.json is named {tag:?}")]
    UnknownTag { tag: String, names: String },
    #[error("two images are named {tag:?} in index.json: {first} and {second}")]
    AmbiguousTag {
        tag: String,
        first: String,
        second: String,
    },
    #[error("{count} images, and neither tag nor digest was given; names: {names}")]
    SeveralImages { count: usize, names: String },
    #[error("{} is not in the layout", .0.short())]
    Absent(Digest),

    #[error("{found} bytes instead of {expected}")]
    WrongSize { found: u64, expected: u64 },
    #[error("more than the expected {expected} bytes")]
    TooManyBytes { expected: u64 },
    #[error("the content has the digest {} instead of {}: damaged or altered", found.short(), expected.short())]
    WrongDigest { found: Digest, expected: Digest },
    #[error("{size} bytes exceed the limit of {limit}")]
    TooLarge { size: u64, limit: u64 },
    #[error("no byte {offset} in {length} bytes")]
    OutOfRange { offset: u64, length: u64 },
    #[error("{path} ended {missing} bytes early")]
    EndedEarly { path: PathBuf, missing: u64 },

    #[error("existing archives are read-only")]
    ReadOnly,
    #[error("the path is a directory")]
    IsDirectory { path: PathBuf },
    #[error("the directory is neither empty nor an OCI image layout: it contains {0}")]
    OtherFiles(String),
    #[error("the copy was cancelled")]
    Cancelled,

    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

impl LayoutError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Empty | Self::UnknownTag { .. } | Self::Absent(_) => FailureKind::NotFound,
            Self::Disk(error) if error.is_not_found() => FailureKind::NotFound,
            Self::Task(_) | Self::Disk(DiskError::Io { .. } | DiskError::Busy { .. }) => {
                FailureKind::Other
            }
            _ => FailureKind::Refused,
        }
    }

    fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Compressed { tool, path, .. } => {
                format!("decompress it first with `{tool} {}`", path.display())
            }
            Self::OldDockerArchive => "save it with Docker 25 or later, or convert it with `skopeo copy docker-archive:FILE oci:DIRECTORY:TAG`".to_owned(),
            Self::UnknownTag { names, .. } => format!("use one of the names in index.json: {names}"),
            Self::AmbiguousTag { .. } => "select one by its digest: …@sha256:…".to_owned(),
            Self::SeveralImages { .. } => "select one: PATH:TAG or PATH@DIGEST".to_owned(),
            Self::IsDirectory { path } => {
                format!("write oci:{} for a layout in a directory", path.display())
            }
            Self::OtherFiles(_) => "use a new or empty directory".to_owned(),
            _ => return None,
        };
        Some(Hint::Text(text))
    }

    pub(super) fn during(self, operation: impl Into<Operation>) -> StoreError {
        let (kind, hint) = (self.kind(), self.hint());
        let mut error = StoreError::new(kind, operation, self);
        error.hints.extend(hint);
        error
    }

    pub(super) fn compressed(format: &'static str, tool: &'static str, path: &Path) -> Self {
        Self::Compressed {
            format,
            tool,
            path: path.to_owned(),
        }
    }
}
