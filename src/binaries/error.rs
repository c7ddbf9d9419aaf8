//! Errors of the search in a layer.

use std::io;

use super::limits::{MAX_UNPACKED, MAX_UNPACKED_RATIO};
use crate::spec::limits::MAX_TAR_EXTENSION;

/// An error that ended the search in a layer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    #[error("it is truncated")]
    Truncated,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it is not a tar archive (uncompressed, or compressed with gzip or zstd)")]
    NotTar,
    #[error(transparent)]
    Limit(#[from] Limit),
}

/// A limit that an image exceeds. The image itself may be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    #[error("the image has more than {0} files")]
    Files(usize),
    #[error("the links of the image have more than {0} bytes")]
    Links(usize),
    #[error("a layer needs a zstd window of {} MiB; the limit is {} MiB", requested.div_ceil(1 << 20), limit >> 20)]
    Window { requested: u64, limit: u64 },
    #[error("a layer with a zstd window of {} MiB repeats content from more than {} MiB before", window.div_ceil(1 << 20), limit >> 20)]
    History { window: u64, limit: u64 },
    #[error("a layer unpacks to more than {MAX_UNPACKED_RATIO} times its size")]
    Ratio,
    #[error("the layers unpack to more than {} GiB", MAX_UNPACKED >> 30)]
    Unpacked,
    #[error("a layer has an extension header of more than {} MiB", MAX_TAR_EXTENSION >> 20)]
    Extension,
}

impl From<io::Error> for LayerError {
    fn from(error: io::Error) -> Self {
        let limit = error.get_ref().and_then(|inner| inner.downcast_ref());
        match limit {
            Some(limit) => Self::Limit(*limit),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Truncated,
            None => Self::Damaged(error.to_string()),
        }
    }
}

impl From<Limit> for io::Error {
    fn from(limit: Limit) -> Self {
        Self::other(limit)
    }
}
