//! Reads small files whole, and never more than a limit of them.

use std::path::Path;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use super::{KeychainError, Location};

/// The whole file, or `None` if there is none. Never reads more than `limit` bytes.
pub(super) async fn read_bounded(
    path: &Path,
    limit: u64,
) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
    let unreadable = |error| KeychainError::Unreadable {
        path: path.into(),
        cause: Arc::new(error),
    };
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        // Also where a directory on the way is a file: there is no such file.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut text = Zeroizing::new(Vec::new());
    file.take(limit + 1)
        .read_to_end(&mut text)
        .await
        .map_err(unreadable)?;
    if text.len() as u64 > limit {
        return Err(KeychainError::TooLarge {
            location: Location::File(path.into()),
            limit,
        });
    }
    Ok(Some(text))
}
