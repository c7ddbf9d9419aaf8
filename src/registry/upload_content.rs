//! The content of an upload: streams a blob of a source and hashes each byte once. It can start again at any position
//! that it has reached before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};

use super::call::Outcome;
use crate::spec::{Descriptor, Hasher};
use crate::store::{BlobStream, FailureKind, Store, StoreError};
use crate::sync::Mutex;

/// The distance between two positions at which the state of the hash is stored, in bytes.
pub(super) const CHECKPOINT: u64 = 8 << 20;

/// The bytes of a request.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, String>>;

/// The content of a blob in a source.
#[derive(Clone)]
pub(super) struct Content {
    blob: Descriptor,
    from: Arc<dyn Store>,
    shared: Arc<Shared>,
}

struct Shared {
    reached: AtomicU64,
    /// The states of the hash at increasing positions, the first at 0.
    checkpoints: Mutex<Vec<(u64, Hasher)>>,
    failure: Mutex<Option<StoreError>>,
}

impl Content {
    pub(super) fn new(blob: Descriptor, from: Arc<dyn Store>) -> Self {
        let start = (0, Hasher::new(blob.digest.algorithm()));
        Self {
            blob,
            from,
            shared: Arc::new(Shared {
                reached: AtomicU64::new(0),
                checkpoints: Mutex::new(vec![start]),
                failure: Mutex::default(),
            }),
        }
    }

    /// Returns the same content with the position at the beginning.
    pub(super) fn restarted(&self) -> Self {
        Self::new(self.blob.clone(), Arc::clone(&self.from))
    }

    /// Returns the position in the blob that the last request has reached.
    pub(super) fn reached(&self) -> u64 {
        self.shared.reached.load(Ordering::Relaxed)
    }

    /// Removes and returns the error of the source, if it could not be read to its end.
    pub(super) fn take_failure(&self) -> Option<StoreError> {
        self.shared.failure.lock().take()
    }

    /// Streams `length` bytes from `offset` on. The last piece of the blob is sent only if the digest is right. So an
    /// upload with wrong content is never completed.
    pub(super) async fn open(&self, offset: u64, length: u64) -> Outcome<Pieces> {
        let (start, hasher) = {
            let mut checkpoints = self.shared.checkpoints.lock();
            checkpoints.retain(|(at, _)| *at <= offset);
            checkpoints
                .last()
                .cloned()
                .unwrap_or((0, Hasher::new(self.blob.digest.algorithm())))
        };
        let pieces = self.from.open_blob(&self.blob, start).await?;
        self.shared.reached.store(offset, Ordering::Relaxed);
        let reader = Reader {
            pieces,
            hasher,
            position: start,
            from: offset,
            until: offset + length,
            blob: self.blob.clone(),
            shared: Arc::clone(&self.shared),
            source: self.from.name(),
        };
        Ok(stream::try_unfold(Some(reader), |reader| async move {
            let Some(mut reader) = reader else {
                return Ok(None);
            };
            match reader.next().await {
                Ok(Some(piece)) => Ok(Some((piece, Some(reader)))),
                Ok(None) => Ok(None),
                Err(error) => {
                    let text = error.to_string();
                    *reader.shared.failure.lock() = Some(error);
                    Err(text)
                }
            }
        })
        .boxed())
    }
}

struct Reader {
    pieces: BlobStream,
    hasher: Hasher,
    position: u64,
    from: u64,
    until: u64,
    blob: Descriptor,
    shared: Arc<Shared>,
    source: String,
}

impl Reader {
    async fn next(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            if self.position >= self.until {
                return Ok(None);
            }
            let Some(piece) = self.pieces.next().await.transpose()? else {
                return Err(self.refused(format!(
                    "it ended after {} of {} bytes",
                    self.position, self.blob.size
                )));
            };
            let remaining = usize::try_from(self.until - self.position).unwrap_or(usize::MAX);
            if piece.len() > remaining && self.until == self.blob.size {
                return Err(self.refused(format!("it has more than {} bytes", self.blob.size)));
            }
            let piece = piece.slice(..piece.len().min(remaining));
            let before = self.position;
            self.hasher.update(&piece);
            self.position += piece.len() as u64;
            self.checkpoint();
            if self.position == self.blob.size {
                let found = self.hasher.clone().finish();
                if found != self.blob.digest {
                    return Err(
                        self.refused(format!("its content has the digest {}", found.short()))
                    );
                }
            }
            // Bytes that the registry has are hashed, but not sent.
            let skip = usize::try_from(self.from.saturating_sub(before)).unwrap_or(usize::MAX);
            if skip >= piece.len() {
                continue;
            }
            self.shared.reached.store(self.position, Ordering::Relaxed);
            return Ok(Some(piece.slice(skip..)));
        }
    }

    /// Stores the state of the hash if the last stored one is far behind, or if the next request begins here.
    fn checkpoint(&self) {
        let mut checkpoints = self.shared.checkpoints.lock();
        let last = checkpoints.last().map_or(0, |(at, _)| *at);
        let is_due = self.position >= last + CHECKPOINT;
        if is_due || (self.position == self.until && self.position > last) {
            checkpoints.push((self.position, self.hasher.clone()));
        }
    }

    fn refused(&self, cause: String) -> StoreError {
        StoreError::new(
            FailureKind::Refused,
            format!("read blob {} of {}", self.blob.digest.short(), self.source),
            cause,
        )
        .hint("check the source: it is damaged, or its descriptor is wrong; nothing was published")
    }
}
