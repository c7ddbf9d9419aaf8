//! Blobs: looks them up, mounts them, reads small ones whole and verified, and streams large ones, with resumption after
//! a broken connection.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};

use super::answer::{Answer, Reply, Success};
use super::call::{Call, Outcome};
use super::client::{Client, RetryCause};
use super::error::{DAMAGED, wrong_digest};
use super::repository::RegistryRepository;
use crate::spec::{Descriptor, Repository};
use crate::store::{BlobStream, FailureKind, Operation, StoreError};
use crate::transport::{BULK_SIZE, Response, Retries, TransportError};

impl RegistryRepository {
    /// Reads a blob of at most `limit` bytes, and verifies it.
    pub(super) async fn read_blob(&self, blob: &Descriptor, limit: u64) -> Outcome<Bytes> {
        if let Some(bytes) = blob.embedded() {
            return Ok(bytes.into());
        }
        let call = self.blob_call(Method::GET, blob, "read");
        let refused =
            |cause: String| StoreError::new(FailureKind::Refused, call.operation.clone(), cause);
        if blob.size > limit {
            return Err(refused(format!(
                "its descriptor declares {} bytes; the limit is {limit}",
                blob.size
            )));
        }
        let mut mismatches = 0;
        loop {
            let answer = self.client.read(&call, "a blob", limit).await?;
            if answer.status != StatusCode::OK {
                return Err(self.refused(&call, &answer));
            }
            if answer.body.len() as u64 == blob.size && blob.digest.matches(&answer.body) {
                return Ok(answer.body);
            }
            mismatches += 1;
            if mismatches == 2 {
                let found = answer.body.len();
                let cause = if found as u64 == blob.size {
                    wrong_digest(&answer.body, &blob.digest)
                } else {
                    let expected = blob.size;
                    format!("the registry twice sent {found} bytes instead of {expected} bytes")
                };
                return Err(refused(cause).hint(DAMAGED));
            }
        }
    }

    /// Returns whether the repository has a blob.
    pub(super) async fn find_blob(&self, blob: &Descriptor) -> Outcome<bool> {
        let call = self.blob_call(Method::HEAD, blob, "look for");
        let answer = self.client.exchange(&call).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(&call, &answer)),
        }
    }

    /// Mounts a blob from another repository of the registry. Returns `false` if the blob has to be copied.
    pub(super) async fn mount(&self, blob: &Descriptor, from: &Repository) -> Outcome<bool> {
        // The registry may have another repository with the same path.
        if from.registry() != self.repository.registry() {
            return Ok(false);
        }
        let action = format!("mount blob {} from {from} into", blob.digest.short());
        let operation = Operation::new(action, self.repository.to_string());
        let path = format!("blobs/uploads/?mount={}&from={}", blob.digest, from.path());
        let mut call = self.call(Method::POST, path, operation);
        call.is_optional = true;
        call.also_reads = Some(from.clone());
        let answer = self.client.exchange(&call).await?;
        match answer.status {
            StatusCode::CREATED => {
                self.state.record_push(format!("blobs/{}", blob.digest));
                self.state.record_mount(blob.digest.clone(), from.clone());
                Ok(true)
            }
            StatusCode::ACCEPTED => {
                if let Some(location) = answer.location() {
                    let digest = blob.digest.clone();
                    self.state.keep_offered_upload(digest, location);
                }
                Ok(false)
            }
            // A registry that refuses the mount may still accept a copy.
            status if status.is_client_error() => Ok(false),
            _ => Err(self.refused(&call, &answer)),
        }
    }

    /// Streams a blob from byte `offset` on.
    pub(super) async fn stream_blob(&self, blob: &Descriptor, offset: u64) -> Outcome<BlobStream> {
        let mut call = self.blob_call(Method::GET, blob, "read");
        call.is_bulk = blob.size >= BULK_SIZE;
        let mut download = Download {
            client: Arc::clone(&self.client),
            call,
            retries: self.client.retries(),
            position: offset,
            size: blob.size,
            uses_ranges: true,
            pieces: None,
        };
        // A missing blob is an error of this call, not of the stream.
        download.connect().await?;
        Ok(stream::try_unfold(download, |mut download| async move {
            Ok(download.next().await?.map(|piece| (piece, download)))
        })
        .boxed())
    }
}

/// A running download.
struct Download {
    client: Arc<Client>,
    call: Call,
    retries: Retries,
    position: u64,
    size: u64,
    /// The registry may support `Range`.
    uses_ranges: bool,
    pieces: Option<BoxStream<'static, Result<Bytes, TransportError>>>,
}

impl Download {
    async fn connect(&mut self) -> Outcome<()> {
        if self.position >= self.size && self.size > 0 {
            self.pieces = Some(stream::empty().boxed());
            return Ok(());
        }
        let mut opened = self.open().await?;
        if let Err(answer) = &opened
            && answer.status == StatusCode::RANGE_NOT_SATISFIABLE
            && self.uses_ranges
        {
            // A cache in front of the registry may have the whole blob, but not this part.
            self.uses_ranges = false;
            opened = self.open().await?;
        }
        let response = opened.map_err(|answer| self.client.refused(&self.call, &answer))?;
        let skip = self.bytes_to_skip(&response)?;
        self.pieces = Some(skipping(response.pieces(), skip));
        Ok(())
    }

    async fn open(&mut self) -> Outcome<Result<Response, Answer>> {
        let mut call = self.call.clone();
        if self.position > 0
            && self.uses_ranges
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", self.position))
        {
            call = call.header(header::RANGE, range);
        }
        let reply = self.client.open(&call, &mut self.retries).await?;
        Ok(match reply {
            Reply::Success(Success { response, .. }) => Ok(response),
            Reply::Refusal(answer) => Err(answer),
        })
    }

    /// Returns how many bytes of the answer come before the position: none if it is the requested part, all of them if
    /// the registry does not support ranges and starts over.
    fn bytes_to_skip(&self, response: &Response) -> Outcome<u64> {
        if self.position == 0 || response.status() == StatusCode::OK {
            return Ok(self.position);
        }
        let starts_right = response
            .header(header::CONTENT_RANGE)
            .is_some_and(|range| starts_at(range, self.position));
        if response.status() == StatusCode::PARTIAL_CONTENT && starts_right {
            return Ok(0);
        }
        Err(self.refused(format!(
            "the registry answered {} with another range than the rest from byte {}",
            response.status(),
            self.position
        )))
    }

    async fn next(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            if self.pieces.is_none() {
                self.connect().await?;
            }
            let Some(pieces) = &mut self.pieces else {
                return Ok(None);
            };
            let error = match pieces.next().await {
                Some(Ok(piece)) => {
                    self.position += piece.len() as u64;
                    if self.position > self.size {
                        return Err(self.refused(format!(
                            "the registry sent more than the {} bytes that its descriptor declares",
                            self.size
                        )));
                    }
                    self.retries.reset();
                    return Ok(Some(piece));
                }
                None if self.position == self.size => return Ok(None),
                None => TransportError::Broken {
                    host: self.client.endpoint().registry().to_string(),
                    cause: format!(
                        "the blob ended after {} of {} bytes",
                        self.position, self.size
                    ),
                },
                Some(Err(error)) => error,
            };
            self.pieces = None;
            let cause = RetryCause::Transport(error);
            self.client
                .pause(&self.call, cause, &mut self.retries)
                .await?;
        }
    }

    fn refused(&self, cause: String) -> StoreError {
        StoreError::new(FailureKind::Refused, self.call.operation.clone(), cause)
    }
}

/// Returns whether a `Content-Range` begins at `position`.
pub(super) fn starts_at(range: &str, position: u64) -> bool {
    range.starts_with(&format!("bytes {position}-"))
}

/// Drops the first `skip` bytes of a stream.
fn skipping(
    pieces: BoxStream<'static, Result<Bytes, TransportError>>,
    skip: u64,
) -> BoxStream<'static, Result<Bytes, TransportError>> {
    if skip == 0 {
        return pieces;
    }
    let mut left = skip;
    pieces
        .filter_map(move |piece| {
            let kept = match piece {
                Ok(mut bytes) => {
                    let cut = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    left -= cut as u64;
                    let rest = bytes.split_off(cut);
                    (!rest.is_empty()).then_some(Ok(rest))
                }
                Err(error) => Some(Err(error)),
            };
            std::future::ready(kept)
        })
        .boxed()
}
