//! Blobs on their way here: small ones whole and verified, large ones as a stream that goes on where a
//! connection broke.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};

use super::authorizer::Authorizer;
use super::call::{Answer, Call, Outcome};
use super::host::{Host, RetryCause};
use super::repository::RegistryRepository;
use crate::spec::Descriptor;
use crate::store::{BlobStream, FailureKind, Operation, StoreError};
use crate::transport::{Response, Retries, TransportError};

impl RegistryRepository {
    /// A whole blob of at most `limit` bytes, verified.
    pub(super) async fn read_blob(&self, blob: &Descriptor, limit: u64) -> Outcome<Bytes> {
        if let Some(bytes) = blob.embedded() {
            return Ok(bytes.into());
        }
        let call = self.blob_call(Method::GET, blob, "read");
        let refused =
            |cause: String| StoreError::new(FailureKind::Refused, call.operation.clone(), cause);
        if blob.size > limit {
            return Err(refused(format!(
                "its descriptor says {} bytes; at most {limit} are read",
                blob.size
            )));
        }
        let mut mismatches = 0;
        loop {
            let answer = self.exchange(&call, "a blob", limit).await?;
            if answer.status != StatusCode::OK {
                return Err(self.refused(&call, &answer));
            }
            if answer.body.len() as u64 == blob.size && blob.digest.matches(&answer.body) {
                return Ok(answer.body);
            }
            mismatches += 1;
            if mismatches == 2 {
                return Err(refused(format!(
                    "the registry sent {} bytes with the digest {} twice, not the {} bytes that were asked for",
                    answer.body.len(),
                    blob.digest.algorithm().digest(&answer.body),
                    blob.size
                ))
                .hint("the registry, or a proxy before it, serves wrong or damaged content"));
            }
        }
    }

    pub(super) async fn knows_blob(&self, blob: &Descriptor) -> Outcome<bool> {
        let call = self.blob_call(Method::HEAD, blob, "look for");
        let answer = self.exchange(&call, "a blob", 0).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(&call, &answer)),
        }
    }

    pub(super) async fn stream_blob(&self, blob: &Descriptor, offset: u64) -> Outcome<BlobStream> {
        let mut download = Download {
            host: Arc::clone(&self.host),
            authorizer: Arc::clone(&self.authorizer),
            call: self.blob_call(Method::GET, blob, "read"),
            retries: self.host.transport.retries(),
            position: offset,
            size: blob.size,
            knows_ranges: true,
            pieces: None,
        };
        // The first answer is waited for here, so that a blob which is not there is an error at once.
        download.connect().await?;
        Ok(stream::try_unfold(download, |mut download| async move {
            Ok(download.next().await?.map(|piece| (piece, download)))
        })
        .boxed())
    }

    pub(super) fn blob_call(&self, method: Method, blob: &Descriptor, verb: &str) -> Call {
        let action = format!("{verb} blob {} of", blob.digest);
        let operation = Operation::new(action, self.repository.to_string());
        self.call(method, format!("blobs/{}", blob.digest), operation)
    }
}

/// A download under way.
struct Download {
    host: Arc<Host>,
    authorizer: Arc<Authorizer>,
    call: Call,
    retries: Retries,
    position: u64,
    size: u64,
    knows_ranges: bool,
    pieces: Option<BoxStream<'static, Result<Bytes, TransportError>>>,
}

impl Download {
    async fn connect(&mut self) -> Outcome<()> {
        if self.position >= self.size && self.size > 0 {
            self.pieces = Some(stream::empty().boxed());
            return Ok(());
        }
        let mut response = self.open().await?;
        if let Err(answer) = &response
            && answer.status == StatusCode::RANGE_NOT_SATISFIABLE
            && self.knows_ranges
        {
            // Whoever has no such part, a cache before the registry for one, may well have the whole.
            self.knows_ranges = false;
            response = self.open().await?;
        }
        let response =
            response.map_err(|answer| Host::refused(&self.authorizer, &self.call, &answer))?;
        let skip = self.bytes_to_skip(&response)?;
        self.pieces = Some(skipping(response.pieces(), skip));
        Ok(())
    }

    async fn open(&mut self) -> Outcome<Result<Response, Answer>> {
        let mut call = self.call.clone();
        if self.position > 0
            && self.knows_ranges
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", self.position))
        {
            call = call.header(header::RANGE, range);
        }
        self.host
            .open(&self.authorizer, &call, &mut self.retries)
            .await
    }

    /// How much of the answer is before the position: nothing if it is the part that was asked for, all of it up
    /// to there if the registry knows no ranges and starts over.
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
            "asked to go on at byte {}, the registry answered {} with another range",
            self.position,
            response.status()
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
                            "the registry sent more than the {} bytes that its descriptor says",
                            self.size
                        )));
                    }
                    self.retries.reset();
                    return Ok(Some(piece));
                }
                None if self.position == self.size => return Ok(None),
                None => TransportError::Broken {
                    host: self.host.registry().to_string(),
                    cause: format!(
                        "the blob ended after {} of {} bytes",
                        self.position, self.size
                    ),
                },
                Some(Err(error)) => error,
            };
            self.pieces = None;
            let cause = RetryCause::Transport(error);
            self.host
                .pause(&self.authorizer, &self.call, cause, &mut self.retries)
                .await?;
        }
    }

    fn refused(&self, cause: String) -> StoreError {
        StoreError::new(FailureKind::Refused, self.call.operation.clone(), cause)
    }
}

/// Whether a `Content-Range` says that the answer begins at `position`.
pub(super) fn starts_at(range: &str, position: u64) -> bool {
    range.starts_with(&format!("bytes {position}-"))
}

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
