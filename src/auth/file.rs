//! Reads small files with a size limit.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use crate::disk::{self, DiskError};

/// Why a file cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: Arc<io::Error>,
    },
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
}

impl FileError {
    pub(super) fn unreadable(path: &Path, cause: impl Into<io::Error>) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            cause: Arc::new(cause.into()),
        }
    }
}

/// Returns the content of the file, or `None` if it does not exist. Fails above `limit` bytes.
pub(super) async fn read_bounded(
    path: &Path,
    limit: u64,
) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    use io::ErrorKind::{NotADirectory, NotFound};
    let unreadable = |error| FileError::unreadable(path, error);
    let file = match disk::open(path) {
        Ok((file, _)) => tokio::fs::File::from_std(file),
        // A parent of the path may be a file: then there is no such file, either.
        Err(DiskError::Io { cause, .. }) if matches!(cause.kind(), NotFound | NotADirectory) => {
            return Ok(None);
        }
        Err(DiskError::Io { cause, .. }) => return Err(unreadable(cause)),
        Err(DiskError::NotRegular { found, .. }) => {
            return Err(unreadable(io::Error::other(format!("it is {found}"))));
        }
        Err(error) => return Err(unreadable(io::Error::other(error))),
    };
    let mut text = Zeroizing::new(Vec::new());
    file.take(limit + 1)
        .read_to_end(&mut text)
        .await
        .map_err(unreadable)?;
    if text.len() as u64 > limit {
        return Err(FileError::TooLarge {
            path: path.into(),
            limit,
        });
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn devices_and_pipes_are_refused() {
        for path in ["/dev/zero", "/dev/null", "/"] {
            let error = read_bounded(Path::new(path), 10).await.unwrap_err();
            assert!(matches!(error, FileError::Unreadable { .. }), "{error}");
        }
        let missing = read_bounded(Path::new("/none/of/these"), 10).await;
        assert!(missing.unwrap().is_none());
    }
}
