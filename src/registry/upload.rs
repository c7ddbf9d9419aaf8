//! One upload of a blob: its state and its requests.

use std::time::Duration;

use futures_util::future::join;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use super::answer::{Answer, Reply};
use super::call::{Call, Outcome};
use super::client::CallError;
use super::refusal::Trials;
use super::repository::RegistryRepository;
use super::upload_content::{Content, Pieces};
use crate::spec::Descriptor;
use crate::store::{FailureKind, Operation, StoreError};
use crate::sync::Mutex;
use crate::transport::{BULK_SIZE, Body};

#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one upload"
)]
pub(super) struct Upload<'a> {
    pub(super) repository: &'a RegistryRepository,
    pub(super) blob: &'a Descriptor,
    /// The number of the upload in the state of the repository.
    pub(super) number: u64,
    pub(super) content: Content,
    /// A stream of the whole content that was opened in advance.
    pub(super) opened: Mutex<Option<Pieces>>,
    pub(super) operation: Operation,
    /// The maximum size of one request, in bytes.
    pub(super) max_chunk: u64,
    /// The minimum size of every chunk except the last one, in bytes (`OCI-Chunk-Min-Length`).
    pub(super) min_chunk: u64,
    /// Whether the source is in the same registry.
    pub(super) is_within: bool,
    /// Whether the registry does not support chunks. An upload that breaks then starts over.
    pub(super) is_monolithic: bool,
    /// Whether the position has been requested after a 416.
    pub(super) has_resynced: bool,
    /// Whether the content of the source was wrong. It is read once more.
    pub(super) has_reread: bool,
    /// Whether a `PUT` was successful although the registry does not have the blob.
    pub(super) is_unconfirmed: bool,
    /// The credentials that were tried since the last progress.
    pub(super) trials: Trials,
    /// How often the upload has continued without a pause.
    pub(super) turns: u32,
}

/// The position of an upload.
pub(super) struct Position {
    pub(super) offset: u64,
    pub(super) location: Url,
}

impl Upload<'_> {
    /// Opens an upload. For a large blob, also starts to read the source and to open a connection for the upload.
    pub(super) async fn begin_and_open(&mut self) -> Outcome<Position> {
        // Within a registry, the download could hold the connection that the first request of the upload needs.
        if self.blob.size < BULK_SIZE || self.is_within {
            return self.begin().await;
        }
        let (content, size) = (self.content.clone(), self.blob.size);
        let (position, opened) = join(self.begin(), content.open(0, size)).await;
        let position = position?;
        *self.opened.lock() = Some(opened?);
        Ok(position)
    }

    /// Opens an upload.
    pub(super) async fn begin(&mut self) -> Outcome<Position> {
        let path = "blobs/uploads/".to_owned();
        let call = self
            .repository
            .call(Method::POST, path, self.operation.clone());
        let answer = self.repository.client.exchange(&call).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.repository.refused(&call, &answer));
        }
        if let Some(least) = answer.header("oci-chunk-min-length") {
            self.min_chunk = least.trim().parse().unwrap_or(0);
        }
        let location = answer.location().ok_or_else(|| {
            StoreError::new(
                FailureKind::Refused,
                self.operation.clone(),
                "the registry started an upload without a Location header",
            )
        })?;
        Ok(Position {
            offset: 0,
            location,
        })
    }

    /// Returns the request that continues at a position: a `PUT` with the whole blob, a `PATCH` with the rest or a chunk
    /// of it, or a `PUT` with the digest alone when all bytes have been sent.
    pub(super) fn call(&self, position: &Position) -> Call {
        let length = self.length(position);
        let closes = length == self.blob.size || position.offset >= self.blob.size;
        let mut address = position.location.clone();
        let method = if closes {
            // The digest is appended to the query, which must not be changed otherwise.
            address
                .query_pairs_mut()
                .append_pair("digest", &self.blob.digest.to_string());
            Method::PUT
        } else {
            Method::PATCH
        };
        let repository = &self.repository.repository;
        let mut call = Call::to_location(repository, method, address, self.operation.clone())
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
        call.is_bulk = length >= BULK_SIZE;
        call.holds_another = self.is_within;
        let last = position.offset.saturating_add(length.saturating_sub(1));
        let range = format!("{}-{last}", position.offset);
        match HeaderValue::from_str(&range) {
            Ok(range) if !closes => call.header(header::CONTENT_RANGE, range),
            _ => call,
        }
    }

    /// Returns the number of bytes of the next request.
    pub(super) fn length(&self, position: &Position) -> u64 {
        let left = self.blob.size.saturating_sub(position.offset);
        left.min(self.max_chunk.max(self.min_chunk))
    }

    /// Sends a request, and reports the progress ten times a second.
    pub(super) async fn send(
        &mut self,
        call: &Call,
        position: &Position,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Option<Reply>, CallError> {
        let length = self.length(position);
        let content = if length == 0 {
            stream::empty().boxed()
        } else if let Some(opened) = self
            .opened
            .lock()
            .take()
            .filter(|_| length == self.blob.size)
        {
            opened
        } else {
            self.content.open(position.offset, length).await?
        };
        let body = Body::stream(length, content);
        let Self {
            repository,
            content,
            trials,
            ..
        } = self;
        let sending = repository.client.attempt(call, Some(body), trials);
        tokio::pin!(sending);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let outcome = loop {
            tokio::select! {
                outcome = &mut sending => break outcome,
                _ = tick.tick() => progress(content.reached()),
            }
        };
        progress(self.content.reached());
        outcome
    }

    /// Returns the position of an interrupted upload, or of a new one if the registry does not report it. Returns `None` if
    /// the registry has the blob.
    pub(super) async fn find_position(&mut self, location: &Url) -> Outcome<Option<Position>> {
        match self.repository.find_blob(self.blob).await {
            Ok(true) => return Ok(None),
            Err(error) if error.kind == FailureKind::Unavailable => return Err(error),
            Ok(false) | Err(_) => {}
        }
        if !self.is_monolithic
            && let Some(position) = self.request_position(location).await
        {
            return Ok(Some(position));
        }
        self.begin().await.map(Some)
    }

    /// Requests the position of an upload once.
    async fn request_position(&self, location: &Url) -> Option<Position> {
        let answer = self.get_upload(location).await?;
        let fits = |offset: &u64| (1..=self.blob.size).contains(offset);
        let offset = range_end(&answer).filter(fits)?;
        Some(Position {
            offset,
            location: answer.location().unwrap_or_else(|| location.clone()),
        })
    }

    async fn get_upload(&self, location: &Url) -> Option<Answer> {
        let repository = &self.repository.repository;
        let (location, operation) = (location.clone(), self.operation.clone());
        let call = Call::to_location(repository, Method::GET, location, operation);
        let answer = self.repository.client.try_write(&call).await.ok()?;
        answer.status.is_success().then_some(answer)
    }
}

/// Removes from the location the digest that was appended for a request that was redirected.
pub(super) fn without_digest(mut location: Url) -> Url {
    let rest: Vec<_> = location
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("digest="))
        .collect();
    let rest = rest.join("&");
    location.set_query(Some(rest.as_str()).filter(|rest| !rest.is_empty()));
    location
}

/// Returns the number of bytes that the registry has, from `Range: 0-<last>`. Some registries write `bytes=0-…`.
pub(super) fn range_end(answer: &Answer) -> Option<u64> {
    let text = answer.header(header::RANGE)?;
    let (_, last) = text.trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    // "0-0" means an empty upload as well as one with a single byte, so the upload starts over.
    last.checked_add(u64::from(last > 0))
}
