//! Uploads of blobs with one streamed `PUT`. After a broken connection the upload continues at the position that the
//! registry reports. A blob that is too large for one request is sent in chunks.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs>.

use std::sync::Arc;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use url::Url;

use super::answer::{Answer, Reply};
use super::call::{Call, Outcome};
use super::client::{CallError, RetryCause, is_temporary};
use super::refusal::Trials;
use super::repository::RegistryRepository;
use super::upload::{Position, Upload, range_end, without_digest};
use super::upload_content::{CHECKPOINT, Content};
use crate::spec::{Descriptor, Manifest, Repository};
use crate::store::{FailureKind, Operation, Store, StoreError};
use crate::sync::Mutex;
use crate::transport::{BULK_SIZE, TransportError};

/// The sizes of a chunk, tried in this order where a registry or a proxy limits the body of a request. The last one is
/// the default limit of nginx (`client_max_body_size`).
const CHUNKS: [u64; 3] = [32 << 20, 8 << 20, 1 << 20];
/// The maximum number of steps without a pause: after a new token, a redirect, or a smaller chunk size.
const MAX_TURNS: u32 = 12;

impl RegistryRepository {
    /// Copies a blob from another store: see [`Store::copy_blob`].
    pub(super) async fn upload(
        &self,
        blob: &Descriptor,
        from: Arc<dyn Store>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Outcome<()> {
        let source = from.repository().map(Repository::registry);
        let is_within = source == Some(self.repository.registry());
        let mut upload = Upload {
            repository: self,
            blob,
            number: self.state.begin_upload(),
            content: Content::new(blob.clone(), from),
            opened: Mutex::default(),
            operation: Operation::new(
                format!("push blob {} to", blob.digest.short()),
                self.repository.to_string(),
            ),
            max_chunk: u64::MAX,
            min_chunk: 0,
            is_within,
            is_monolithic: false,
            has_resynced: false,
            has_reread: false,
            is_unconfirmed: false,
            trials: Trials::default(),
            turns: 0,
        };
        let is_bulk = blob.size >= BULK_SIZE;
        let _bulk = is_bulk.then(|| self.client.endpoint().begin_bulk_upload());
        upload.run(progress).await?;
        self.state.end_upload(upload.number);
        self.state.record_push(format!("blobs/{}", blob.digest));
        Ok(())
    }

    /// Uploads the blobs of a manifest that were mounted but that the registry does not have. distribution answers 201
    /// to a mount by a sha512 digest, and does not find the blob afterwards. Returns whether there were such blobs.
    pub(super) async fn replace_mounts(&self, manifest: &Manifest) -> Outcome<bool> {
        let mut has_uploaded = false;
        for blob in manifest.image().iter().flat_map(|image| image.blobs()) {
            let Some(source) = self.state.take_mount(&blob.digest) else {
                continue;
            };
            let source = Self::new(
                Arc::clone(&self.client),
                source,
                self.max_manifest,
                Arc::default(),
            );
            let call = self.blob_call(Method::HEAD, blob, "look for");
            let answer = self.client.try_write(&call).await;
            if answer.is_ok_and(|answer| answer.status == StatusCode::NOT_FOUND) {
                self.upload(blob, Arc::new(source), &|_| ()).await?;
                has_uploaded = true;
            }
        }
        Ok(has_uploaded)
    }

    /// Starts an upload to check whether the credentials allow pushes: see [`Store::try_push`].
    pub(super) async fn try_upload(&self) -> Outcome<()> {
        let operation = Operation::new("push to", self.repository.to_string());
        let call = self.call(Method::POST, "blobs/uploads/".to_owned(), operation);
        let error = match self.client.try_write(&call).await {
            Ok(answer) if answer.status == StatusCode::ACCEPTED => {
                self.state.keep_trial(answer.location());
                return Ok(());
            }
            Ok(answer) => self.refused(&call, &answer),
            Err(CallError::Final(error)) => error,
            Err(CallError::Transport(_)) => return Ok(()),
        };
        match error.kind {
            FailureKind::Unauthorized | FailureKind::Denied | FailureKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Cancels the upload of [`Self::try_upload`].
    pub(super) async fn cancel_trial(&self) {
        if let Some(location) = self.state.take_trial() {
            self.cancel_upload(location).await;
        }
    }

    /// Cancels all open uploads, including those whose future was dropped.
    pub(super) async fn cancel_uploads(&self) {
        let open = self.state.take_open_uploads().into_iter();
        join_all(open.map(|location| self.cancel_upload(location))).await;
    }

    /// Cancels an upload (best effort). Registries delete old uploads by themselves, and distribution requires the
    /// permission to delete.
    async fn cancel_upload(&self, location: Url) {
        let operation = Operation::new("cancel an upload to", self.repository.to_string());
        let call = Call::to_location(&self.repository, Method::DELETE, location, operation);
        self.client.send_best_effort(&call).await;
    }
}

/// The next step of an upload.
enum Next {
    /// The registry has the blob.
    Finish,
    /// Send the next request.
    Continue(Position),
    /// Request the position, and continue there.
    Resync,
    /// Start over.
    Restart,
    /// Wait, request the position, and continue there.
    Wait(RetryCause),
}

impl Upload<'_> {
    async fn run(&mut self, progress: &(dyn Fn(u64) + Send + Sync)) -> Outcome<()> {
        let repository = self.repository;
        let mut retries = repository.client.retries();
        let mut position = match repository.state.take_offered_upload(&self.blob.digest) {
            Some(location) => Position {
                offset: 0,
                location,
            },
            None => self.begin_and_open().await?,
        };
        let mut furthest = 0;
        let mut only_one = None;
        loop {
            repository
                .state
                .move_upload(self.number, &position.location);
            let call = self.call(&position);
            let sent = self.send(&call, &position, progress).await;
            if let Some(failure) = self.content.take_failure() {
                repository.cancel_upload(position.location).await;
                repository.state.end_upload(self.number);
                // Wrong content may be a transmission error the first time. The second time, the source stores wrong
                // content.
                if failure.kind != FailureKind::Refused || self.has_reread {
                    return Err(failure);
                }
                self.has_reread = true;
                self.content = self.content.restarted();
                position = self.begin().await?;
                continue;
            }
            let cause = match self.next(&call, sent, &position).await? {
                Next::Finish => return Ok(()),
                Next::Continue(next) => {
                    position = next;
                    continue;
                }
                Next::Resync => {
                    self.turn(&call)?;
                    match self.find_position(&position.location).await? {
                        Some(next) => position = next,
                        None => return Ok(()),
                    }
                    continue;
                }
                Next::Restart => {
                    self.turn(&call)?;
                    position = self.begin().await?;
                    continue;
                }
                Next::Wait(RetryCause::Transport(TransportError::NoFurtherConnection {
                    ..
                })) if only_one.is_none() => {
                    only_one = Some(repository.client.copies_within.lock().await);
                    continue;
                }
                Next::Wait(cause) => cause,
            };
            let reached = self.content.reached();
            if reached >= furthest + CHECKPOINT {
                furthest = reached;
                retries.reset();
            }
            repository.client.pause(&call, cause, &mut retries).await?;
            match self.find_position(&position.location).await? {
                Some(next) => position = next,
                None => return Ok(()),
            }
        }
    }

    /// Decides the next step from the outcome of a request.
    async fn next(
        &mut self,
        call: &Call,
        sent: Result<Option<Reply>, CallError>,
        position: &Position,
    ) -> Outcome<Next> {
        let success = match sent {
            Ok(Some(Reply::Success(success))) => success,
            Ok(Some(Reply::Refusal(answer))) => {
                return self.next_after_refusal(call, answer, position);
            }
            // There are new credentials.
            Ok(None) => return Ok(Next::Resync),
            Err(CallError::Transport(error)) => {
                return Ok(Next::Wait(RetryCause::Transport(error)));
            }
            Err(CallError::Final(error)) => return Err(error),
        };
        let answer = match success.read_write_answer(&call.method).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Next::Wait(RetryCause::Transport(error))),
        };
        if call.method == Method::PUT {
            return self.confirm(answer).await;
        }
        let sent = position.offset + self.length(position);
        // The registry cannot have more than was sent.
        let offset = range_end(&answer).map_or(sent, |end| end.min(sent));
        if offset <= position.offset {
            let error = TransportError::Broken {
                host: self.repository.repository.registry().to_string(),
                cause: "the registry stored none of the sent bytes".to_owned(),
            };
            return Ok(Next::Wait(RetryCause::Transport(error)));
        }
        if offset < sent {
            // Registries rarely accept a part of a request.
            self.turn(call)?;
        }
        self.has_resynced = false;
        self.trials = Trials::default();
        Ok(Next::Continue(Position {
            offset,
            location: answer
                .location()
                .unwrap_or_else(|| position.location.clone()),
        }))
    }

    /// Decides the next step after a successful `PUT`. The status 201 completes the upload. After any other status, the
    /// upload is complete only if the registry has the blob.
    async fn confirm(&mut self, answer: Answer) -> Outcome<Next> {
        if answer.status == StatusCode::CREATED || self.has_blob_now().await {
            return Ok(Next::Finish);
        }
        if !self.is_unconfirmed {
            self.is_unconfirmed = true;
            return Ok(Next::Wait(RetryCause::Answer(answer)));
        }
        let registry = self.repository.repository.registry();
        let cause = format!(
            "{registry} answered {} twice, but did not store the blob",
            answer.status
        );
        Err(StoreError::new(
            FailureKind::Refused,
            self.operation.clone(),
            cause,
        ))
    }

    /// Checks once whether the registry has the blob.
    async fn has_blob_now(&self) -> bool {
        let call = self
            .repository
            .blob_call(Method::HEAD, self.blob, "look for");
        let answer = self.repository.client.try_write(&call).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    fn next_after_refusal(
        &mut self,
        call: &Call,
        answer: Answer,
        position: &Position,
    ) -> Outcome<Next> {
        let is_part = call.method == Method::PATCH || position.offset > 0;
        match answer.status.as_u16() {
            _ if is_temporary(call, &answer) => Ok(Next::Wait(RetryCause::Answer(answer))),
            301 | 302 | 303 | 307 | 308 if answer.location().is_some() => {
                self.turn(call)?;
                let moved = answer.location().map(without_digest);
                Ok(Next::Continue(Position {
                    offset: position.offset,
                    location: moved.unwrap_or_else(|| position.location.clone()),
                }))
            }
            413 if self.shrink(self.length(position)) => Ok(Next::Resync),
            // The position is wrong, or the registry does not support chunks (Google).
            416 if is_part && !self.has_resynced => {
                self.has_resynced = true;
                Ok(Next::Resync)
            }
            400 | 405 | 416 | 501
                if is_part && !self.is_monolithic && self.max_chunk == u64::MAX =>
            {
                self.is_monolithic = true;
                Ok(Next::Restart)
            }
            404 | 410 | 416 if self.turns < MAX_TURNS / 2 => Ok(Next::Restart),
            _ => Err(self.repository.refused(call, &answer)),
        }
    }

    /// Reduces the maximum size of a request below the size that was refused. Returns `false` if there is no smaller
    /// size.
    fn shrink(&mut self, refused: u64) -> bool {
        let mut sizes = CHUNKS.into_iter();
        match sizes.find(|size| *size < refused && *size >= self.min_chunk) {
            Some(size) if !self.is_monolithic => {
                self.max_chunk = size;
                true
            }
            _ => false,
        }
    }

    /// Counts a step without a pause. The limit ends an upload that a registry redirects or restarts again and again.
    fn turn(&mut self, call: &Call) -> Outcome<()> {
        self.turns += 1;
        if self.turns <= MAX_TURNS {
            return Ok(());
        }
        let cause = format!("the registry redirected or restarted it more than {MAX_TURNS} times");
        let operation = call.operation.clone();
        Err(StoreError::new(FailureKind::Refused, operation, cause))
    }
}
