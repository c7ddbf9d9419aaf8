//! Blobs on their way out: one streamed `PUT`, every byte hashed once; after a broken connection the upload
//! goes on where the registry says it stopped.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs>.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use super::call::{Answer, Call, Outcome};
use super::repository::RegistryRepository;
use crate::content::{FailureKind, Store, StoreError};
use crate::spec::{Descriptor, Hasher};
use crate::transport::{Body, TransportError};

/// How far apart the points are from which hashing can go on.
const CHECKPOINT: u64 = 8 << 20;
/// The size of a chunk for a registry (or a proxy before it) that takes no large body.
const CHUNK: u64 = 32 << 20;

impl RegistryRepository {
    /// Copies a blob from `from`. See [`Store::copy_blob`].
    pub(super) async fn upload(
        &self,
        blob: &Descriptor,
        from: Arc<dyn Store>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Outcome<()> {
        let doing = format!("push blob {} to {}", blob.digest, self.repository);
        let mut upload = Upload {
            repository: self,
            blob,
            content: Content::new(blob.clone(), from),
            doing,
            chunk: u64::MAX,
        };
        upload.run(progress).await
    }

    fn taken_upload(&self, blob: &Descriptor) -> Option<Url> {
        self.open_uploads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&blob.digest)
    }
}

struct Upload<'a> {
    repository: &'a RegistryRepository,
    blob: &'a Descriptor,
    content: Content,
    doing: String,
    /// The most bytes of one request.
    chunk: u64,
}

/// What one request has led to.
enum Step {
    /// The blob is there.
    Done,
    /// The upload stands at this many bytes, at this address.
    At(u64, Url),
    /// The upload is gone: from the beginning.
    Over,
}

impl Upload<'_> {
    async fn run(&mut self, progress: &(dyn Fn(u64) + Send + Sync)) -> Outcome<()> {
        let mut retries = self.repository.host.transport.retries();
        let mut place = match self.repository.taken_upload(self.blob) {
            Some(location) => (0, location),
            None => (0, self.begin().await?),
        };
        let mut furthest = 0;
        loop {
            let (offset, location) = place;
            let (call, outcome) = self.send(offset, &location, progress).await?;
            let problem = match outcome {
                Ok(answer) => match self.judge(&call, &answer, offset, &location)? {
                    Ok(Step::Done) => return Ok(()),
                    Ok(Step::At(offset, location)) => {
                        place = (offset, location);
                        continue;
                    }
                    Ok(Step::Over) => {
                        place = (0, self.begin().await?);
                        continue;
                    }
                    Err(problem) => problem,
                },
                Err(error) => error,
            };
            if let Some(failure) = self.content.failure() {
                return Err(failure);
            }
            if let Some(reached) = self.content.reached().checked_sub(furthest)
                && reached >= CHECKPOINT
            {
                furthest = self.content.reached();
                retries.reset();
            }
            self.repository
                .host
                .pause(&call, &problem, None, &mut retries)
                .await?;
            place = match self.find_place(&location).await? {
                Step::Done => return Ok(()),
                Step::At(offset, location) => (offset, location),
                Step::Over => (0, self.begin().await?),
            };
        }
    }

    async fn begin(&self) -> Outcome<Url> {
        let call = self.repository.call(
            Method::POST,
            "blobs/uploads/".to_owned(),
            self.doing.clone(),
        );
        let answer = self
            .repository
            .exchange(&call, "an answer", 64 << 10)
            .await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.repository.refused(&call, &answer));
        }
        answer.location().ok_or_else(|| {
            StoreError::new(
                FailureKind::Refused,
                self.doing.clone(),
                "the registry opened an upload without saying where",
            )
        })
    }

    /// Sends everything from `offset` on: the whole blob in one `PUT`; the rest of one, or a part where the
    /// size of a request is limited, as a `PATCH`; nothing but the digest where all bytes are there.
    async fn send(
        &self,
        offset: u64,
        location: &Url,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Outcome<(Call, Result<Answer, TransportError>)> {
        let left = self.blob.size - offset.min(self.blob.size);
        let length = left.min(self.chunk);
        let closes = left == 0 || (offset == 0 && length == left);
        let mut address = location.clone();
        let method = if closes {
            address
                .query_pairs_mut()
                .append_pair("digest", &self.blob.digest.to_string());
            Method::PUT
        } else {
            Method::PATCH
        };
        let mut call = Call::to_location(
            &self.repository.repository,
            method,
            address,
            self.doing.clone(),
        )
        .header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        if !closes {
            let range = format!("{offset}-{}", offset + length - 1);
            if let Ok(range) = HeaderValue::from_str(&range) {
                call = call.header(header::CONTENT_RANGE, range);
            }
        }
        let content = if length == 0 {
            stream::empty().boxed()
        } else {
            self.content.open(offset, length).await?
        };
        let body = Body::Stream { length, content };
        let outcome = self.send_watched(&call, body, progress).await?;
        progress(self.content.reached());
        Ok((call, outcome))
    }

    /// Sends, and tells how far it is ten times a second.
    async fn send_watched(
        &self,
        call: &Call,
        body: Body,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Outcome<Result<Answer, TransportError>> {
        let repository = self.repository;
        let sending = repository
            .host
            .send_once(&repository.authorizer, call, body);
        tokio::pin!(sending);
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            tokio::select! {
                outcome = &mut sending => return outcome,
                _ = tick.tick() => progress(self.content.reached()),
            }
        }
    }

    /// What an answer means. The outer error ends the copy, the inner one is worth another try.
    fn judge(
        &mut self,
        call: &Call,
        answer: &Answer,
        offset: u64,
        location: &Url,
    ) -> Outcome<Result<Step, TransportError>> {
        let status = answer.status;
        let closed = call.method == Method::PUT;
        if closed && status.is_success() {
            return Ok(Ok(Step::Done));
        }
        if !closed && matches!(status.as_u16(), 201 | 202 | 204) {
            let reached = range_end(answer).unwrap_or(self.content.reached());
            let next = answer.location().unwrap_or_else(|| location.clone());
            return Ok(Ok(Step::At(reached, next)));
        }
        if let Some(failure) = self.content.failure() {
            return Err(failure);
        }
        match status.as_u16() {
            413 if self.chunk > CHUNK && self.blob.size > CHUNK => {
                self.chunk = CHUNK;
                Ok(Ok(Step::Over))
            }
            // The upload stands elsewhere than we thought, or is gone; or the registry takes no chunks.
            416 | 404 if offset > 0 || self.content.reached() > 0 => Ok(Err(broken(
                self,
                format!("the registry answered {status} to an upload"),
            ))),
            400 | 405 | 501 if !closed && offset > 0 => {
                self.chunk = u64::MAX;
                Ok(Ok(Step::Over))
            }
            // A token that ended while the blob was on its way; the next try gets a new one.
            401 if self.content.reached() > 0 => Ok(Err(broken(
                self,
                "the registry answered 401 to an upload under way".to_owned(),
            ))),
            408 | 425 | 429 | 500 | 502 | 503 | 504 => Ok(Err(broken(
                self,
                format!("the registry answered {status} to an upload"),
            ))),
            _ => Err(self.repository.refused(call, answer)),
        }
    }

    /// Where an upload stands whose connection broke: the blob may even be complete.
    async fn find_place(&self, location: &Url) -> Outcome<Step> {
        if self.repository.knows_blob(self.blob).await? {
            return Ok(Step::Done);
        }
        let call = Call::to_location(
            &self.repository.repository,
            Method::GET,
            location.clone(),
            self.doing.clone(),
        );
        let answer = self
            .repository
            .exchange(&call, "an answer", 64 << 10)
            .await?;
        if !answer.status.is_success() {
            return Ok(Step::Over);
        }
        let next = answer.location().unwrap_or_else(|| location.clone());
        match range_end(&answer) {
            Some(reached) if reached > 0 && reached <= self.blob.size => {
                Ok(Step::At(reached, next))
            }
            _ => Ok(Step::Over),
        }
    }
}

fn broken(upload: &Upload<'_>, cause: String) -> TransportError {
    TransportError::Broken {
        host: upload.repository.repository.registry().to_string(),
        cause,
    }
}

/// How many bytes `Range: 0-<last>` says are there. Some registries write `bytes=0-…`.
fn range_end(answer: &Answer) -> Option<u64> {
    let text = answer.header(header::RANGE)?;
    let (_, last) = text.trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    // "0-0" is what an empty upload says as well as one of a single byte.
    Some(if last == 0 { 0 } else { last + 1 })
}

/// The bytes of a blob, readable from any point that was passed before, hashed once on the way out.
struct Content {
    blob: Descriptor,
    from: Arc<dyn Store>,
    shared: Arc<Shared>,
}

struct Shared {
    reached: AtomicU64,
    /// States of the hash at increasing offsets, the first at 0.
    checkpoints: Mutex<Vec<(u64, Hasher)>>,
    failure: Mutex<Option<StoreError>>,
}

impl Content {
    fn new(blob: Descriptor, from: Arc<dyn Store>) -> Self {
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

    /// How many bytes have been handed on in the latest request, counted from the start of the blob.
    fn reached(&self) -> u64 {
        self.shared.reached.load(Ordering::Relaxed)
    }

    /// Why the source could not be read to its end, if that is what happened.
    fn failure(&self) -> Option<StoreError> {
        self.shared
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The `length` bytes from `offset` on. The last piece of the blob is held back until the digest of the
    /// whole is known to be right, so that nothing wrong can be completed.
    async fn open(
        &self,
        offset: u64,
        length: u64,
    ) -> Outcome<BoxStream<'static, Result<Bytes, String>>> {
        let (start, hasher) = {
            let mut checkpoints = self
                .shared
                .checkpoints
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
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
            place: self.from.name(),
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
                    *reader
                        .shared
                        .failure
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(text)
                }
            }
        })
        .boxed())
    }
}

struct Reader {
    pieces: crate::content::BlobStream,
    hasher: Hasher,
    position: u64,
    from: u64,
    until: u64,
    blob: Descriptor,
    shared: Arc<Shared>,
    place: String,
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
            let room = usize::try_from(self.until - self.position).unwrap_or(usize::MAX);
            if piece.len() > room && self.until == self.blob.size {
                return Err(self.refused(format!("it has more than {} bytes", self.blob.size)));
            }
            let piece = piece.slice(..piece.len().min(room));
            let before = self.position;
            self.hasher.update(&piece);
            self.position += piece.len() as u64;
            self.checkpoint();
            if self.position == self.blob.size {
                let found = self.hasher.clone().finish();
                if found != self.blob.digest {
                    return Err(self.refused(format!("its content has the digest {found}")));
                }
            }
            // Bytes that the registry has already are hashed and not sent.
            let skip = usize::try_from(self.from.saturating_sub(before)).unwrap_or(usize::MAX);
            if skip >= piece.len() {
                continue;
            }
            self.shared.reached.store(self.position, Ordering::Relaxed);
            return Ok(Some(piece.slice(skip..)));
        }
    }

    fn checkpoint(&self) {
        let mut checkpoints = self
            .shared
            .checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = checkpoints.last().map_or(0, |(at, _)| *at);
        if self.position >= last + CHECKPOINT {
            checkpoints.push((self.position, self.hasher.clone()));
        }
    }

    fn refused(&self, cause: String) -> StoreError {
        StoreError::new(
            FailureKind::Refused,
            format!("read blob {} of {}", self.blob.digest, self.place),
            cause,
        )
        .hint("the source is damaged, or its descriptor is wrong; nothing was published")
    }
}
