//! Blobs on their way out: one streamed `PUT`; after a broken connection the upload goes on where the registry
//! says it stopped, in chunks where the whole is too large for one request.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs>.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use super::authorizer::Trials;
use super::call::{Answer, Call, Outcome};
use super::host::{Reply, RetryCause};
use super::repository::RegistryRepository;
use super::upload_content::{CHECKPOINT, Content};
use crate::spec::Descriptor;
use crate::store::{FailureKind, Operation, Store, StoreError};
use crate::transport::{Body, TransportError};

/// The sizes of a chunk, for a registry (or a proxy before it) that takes no larger body. The last one is what
/// nginx takes unless it is told otherwise (`client_max_body_size`).
const CHUNKS: [u64; 3] = [32 << 20, 8 << 20, 1 << 20];
/// How often a copy may go on at once, without a pause: after a new token, a redirect, a smaller chunk.
const MOST_TURNS: u32 = 12;
/// The most bytes of an answer to an upload.
const MAX_ANSWER: u64 = 64 << 10;

impl RegistryRepository {
    /// Copies a blob from `from`. See [`Store::copy_blob`].
    pub(super) async fn upload(
        &self,
        blob: &Descriptor,
        from: Arc<dyn Store>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Outcome<()> {
        let mut upload = Upload {
            repository: self,
            blob,
            number: self.state.upload_began(),
            content: Content::new(blob.clone(), from),
            operation: Operation::new(
                format!("push blob {} to", blob.digest),
                self.repository.to_string(),
            ),
            largest: u64::MAX,
            smallest: 0,
            whole_only: false,
            resynced: false,
            reread: false,
            trials: Trials::default(),
            turns: 0,
        };
        upload.run(progress).await?;
        self.state.upload_ended(upload.number);
        self.state.pushed(format!("blobs/{}", blob.digest));
        Ok(())
    }

    /// Tells the registry that nothing more will come for the uploads that stand open, those whose work was
    /// dropped among them.
    pub(super) async fn cancel_uploads(&self) {
        let open = self.state.take_uploads().into_iter();
        join_all(open.map(|location| self.cancel_upload(location))).await;
    }

    /// As good as it can: the registry forgets an upload by itself some time. Distribution wants the permission to
    /// delete for this, which who only pushes need not have.
    async fn cancel_upload(&self, location: Url) {
        let doing = format!("cancel an upload to {}", self.repository);
        let call = Call::to_location(&self.repository, Method::DELETE, location, doing);
        self.host.send_in_passing(&self.authorizer, &call).await;
    }
}

struct Upload<'a> {
    repository: &'a RegistryRepository,
    blob: &'a Descriptor,
    /// In the state of the repository.
    number: u64,
    content: Content,
    operation: Operation,
    /// The most bytes that one request may carry.
    largest: u64,
    /// The fewest bytes of a chunk that is not the last (`OCI-Chunk-Min-Length`).
    smallest: u64,
    /// The registry takes no part of a blob: what broke starts over.
    whole_only: bool,
    /// A 416 was answered by asking where the upload stands.
    resynced: bool,
    /// The source gave wrong content, and is read once more.
    reread: bool,
    /// What has been tried to be let in, since something was taken.
    trials: Trials,
    turns: u32,
}

/// How far an upload has come, and where it goes on.
struct Place {
    offset: u64,
    location: Url,
}

/// What to do next.
enum Next {
    /// The blob is there.
    Finished,
    /// Send more.
    GoOn(Place),
    /// Ask where the upload stands, and go on from there.
    Resync,
    /// Start over.
    Restart,
    /// Wait, ask where the upload stands, and go on from there.
    Wait(RetryCause),
}

impl Upload<'_> {
    async fn run(&mut self, progress: &(dyn Fn(u64) + Send + Sync)) -> Outcome<()> {
        let repository = self.repository;
        let mut retries = repository.host.transport.retries();
        let mut place = match repository.state.take_upload(&self.blob.digest) {
            Some(location) => Place {
                offset: 0,
                location,
            },
            None => self.begin().await?,
        };
        let mut furthest = 0;
        loop {
            repository.state.upload_at(self.number, &place.location);
            let call = self.call(&place);
            let sent = self.send(&call, &place, progress).await;
            if let Some(failure) = self.content.failure() {
                // Nothing is left lying about.
                repository.cancel_upload(place.location).await;
                repository.state.upload_ended(self.number);
                // Wrong content once may be an accident on the way, twice is what the source has.
                if failure.kind != FailureKind::Refused || self.reread {
                    return Err(failure);
                }
                self.reread = true;
                self.content = self.content.afresh();
                place = self.begin().await?;
                continue;
            }
            let cause = match self.judge(&call, sent?, &place).await? {
                Next::Finished => return Ok(()),
                Next::GoOn(next) => {
                    place = next;
                    continue;
                }
                Next::Resync => {
                    self.turn(&call)?;
                    match self.find_place(&place.location).await? {
                        Some(next) => place = next,
                        None => return Ok(()),
                    }
                    continue;
                }
                Next::Restart => {
                    self.turn(&call)?;
                    place = self.begin().await?;
                    continue;
                }
                Next::Wait(cause) => cause,
            };
            let reached = self.content.reached();
            if reached >= furthest + CHECKPOINT {
                furthest = reached;
                retries.reset();
            }
            repository
                .host
                .pause(&repository.authorizer, &call, cause, &mut retries)
                .await?;
            match self.find_place(&place.location).await? {
                Some(next) => place = next,
                None => return Ok(()),
            }
        }
    }

    /// Opens an upload.
    async fn begin(&mut self) -> Outcome<Place> {
        let path = "blobs/uploads/".to_owned();
        let call = self
            .repository
            .call(Method::POST, path, self.operation.clone());
        let answer = self
            .repository
            .exchange(&call, "an answer", MAX_ANSWER)
            .await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.repository.refused(&call, &answer));
        }
        if let Some(least) = answer.header("oci-chunk-min-length") {
            self.smallest = least.trim().parse().unwrap_or(0);
        }
        let location = answer.location().ok_or_else(|| {
            StoreError::new(
                FailureKind::Refused,
                self.operation.clone(),
                "the registry opened an upload without saying where",
            )
        })?;
        Ok(Place {
            offset: 0,
            location,
        })
    }

    /// The request that goes on from a place: everything in one `PUT`; the rest of it, or a part where the size of a
    /// request is limited, as a `PATCH`; nothing but the digest where all bytes are there.
    fn call(&self, place: &Place) -> Call {
        let length = self.length(place);
        let closes = length == self.blob.size || place.offset >= self.blob.size;
        let mut address = place.location.clone();
        let method = if closes {
            // Appended, never rebuilt: the rest of the query is the registry's own.
            address
                .query_pairs_mut()
                .append_pair("digest", &self.blob.digest.to_string());
            Method::PUT
        } else {
            Method::PATCH
        };
        let repository = &self.repository.repository;
        let call = Call::to_location(repository, method, address, self.operation.clone()).header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        let last = place.offset.saturating_add(length.saturating_sub(1));
        let range = format!("{}-{last}", place.offset);
        match HeaderValue::from_str(&range) {
            Ok(range) if !closes => call.header(header::CONTENT_RANGE, range),
            _ => call,
        }
    }

    /// How many bytes the next request carries.
    fn length(&self, place: &Place) -> u64 {
        let left = self.blob.size.saturating_sub(place.offset);
        left.min(self.largest.max(self.smallest))
    }

    /// Sends, and tells how far it is ten times a second.
    async fn send(
        &mut self,
        call: &Call,
        place: &Place,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Outcome<Result<Reply, TransportError>> {
        let length = self.length(place);
        let content = if length == 0 {
            stream::empty().boxed()
        } else {
            self.content.open(place.offset, length).await?
        };
        let body = Body::Stream { length, content };
        let RegistryRepository {
            host, authorizer, ..
        } = self.repository;
        let Self {
            content, trials, ..
        } = self;
        let sending = host.attempt(authorizer, call, Some(body), trials);
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

    /// What an answer asks for.
    async fn judge(
        &mut self,
        call: &Call,
        reply: Result<Reply, TransportError>,
        place: &Place,
    ) -> Outcome<Next> {
        let answer = match reply {
            Ok(Reply::Success {
                response,
                elsewhere,
            }) => Answer::whole(response, elsewhere, &call.method, "an answer", MAX_ANSWER).await,
            Ok(Reply::Other(answer)) => return self.judge_refusal(call, answer, place),
            // A new token is there.
            Ok(Reply::Again) => return Ok(Next::Resync),
            Err(error) => Err(error),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(Next::Wait(RetryCause::Transport(error))),
        };
        if call.method == Method::PUT {
            return Ok(Next::Finished);
        }
        let sent = place.offset + self.length(place);
        // No more than was sent can be there, whatever it says.
        let offset = range_end(&answer).map_or(sent, |end| end.min(sent));
        if offset <= place.offset {
            let error = TransportError::Broken {
                host: self.repository.repository.registry().to_string(),
                cause: "the registry took nothing of what was sent".to_owned(),
            };
            return Ok(Next::Wait(RetryCause::Transport(error)));
        }
        if offset < sent {
            // Not all of it was taken: nothing that an honest registry does often.
            self.turn(call)?;
        }
        self.resynced = false;
        self.trials = Trials::default();
        Ok(Next::GoOn(Place {
            offset,
            location: answer.location().unwrap_or_else(|| place.location.clone()),
        }))
    }

    fn judge_refusal(&mut self, call: &Call, answer: Answer, place: &Place) -> Outcome<Next> {
        let host = &self.repository.host;
        let is_part = call.method == Method::PATCH || place.offset > 0;
        match answer.status.as_u16() {
            _ if host.is_temporary(call, &answer) => Ok(Next::Wait(RetryCause::Answer(answer))),
            301 | 302 | 303 | 307 | 308 if answer.location().is_some() => {
                self.turn(call)?;
                let moved = answer.location().map(without_digest);
                Ok(Next::GoOn(Place {
                    offset: place.offset,
                    location: moved.unwrap_or_else(|| place.location.clone()),
                }))
            }
            413 if self.shrink(self.length(place)) => Ok(Next::Resync),
            // It stands elsewhere than we thought; or it takes no parts at all (Google).
            416 if is_part && !self.resynced => {
                self.resynced = true;
                Ok(Next::Resync)
            }
            400 | 405 | 416 | 501 if is_part && !self.whole_only && self.largest == u64::MAX => {
                self.whole_only = true;
                Ok(Next::Restart)
            }
            404 | 410 | 416 if self.turns < MOST_TURNS / 2 => Ok(Next::Restart),
            _ => Err(self.repository.refused(call, &answer)),
        }
    }

    /// Makes requests smaller than the one that was too large. `false`: there is nothing smaller to try.
    fn shrink(&mut self, refused: u64) -> bool {
        let mut sizes = CHUNKS.into_iter();
        match sizes.find(|size| *size < refused && *size >= self.smallest) {
            Some(size) if !self.whole_only => {
                self.largest = size;
                true
            }
            _ => false,
        }
    }

    /// Counts what goes on without a pause, so that no registry can lead us round in circles.
    fn turn(&mut self, call: &Call) -> Outcome<()> {
        self.turns += 1;
        if self.turns <= MOST_TURNS {
            return Ok(());
        }
        Err(StoreError::new(
            FailureKind::Refused,
            call.operation.clone(),
            "the registry sends the upload round in circles",
        ))
    }

    /// Where an upload stands that was interrupted; `None` if the blob is complete. If the registry does not tell,
    /// a new upload is begun.
    async fn find_place(&mut self, location: &Url) -> Outcome<Option<Place>> {
        match self.repository.knows_blob(self.blob).await {
            Ok(true) => return Ok(None),
            Err(error) if error.kind == FailureKind::Unavailable => return Err(error),
            Ok(false) | Err(_) => {}
        }
        if !self.whole_only
            && let Some(place) = self.ask_for_place(location).await
        {
            return Ok(Some(place));
        }
        self.begin().await.map(Some)
    }

    async fn ask_for_place(&self, location: &Url) -> Option<Place> {
        let answer = self.touch(location).await?;
        let fits = |offset: &u64| (1..=self.blob.size).contains(offset);
        let offset = range_end(&answer).filter(fits)?;
        Some(Place {
            offset,
            location: answer.location().unwrap_or_else(|| location.clone()),
        })
    }

    /// One try to ask the upload itself.
    async fn touch(&self, location: &Url) -> Option<Answer> {
        let RegistryRepository {
            host,
            authorizer,
            repository,
            ..
        } = self.repository;
        let call = Call::to_location(
            repository,
            Method::GET,
            location.clone(),
            self.operation.clone(),
        );
        let tried = host.try_once(authorizer, &call, "an answer", MAX_ANSWER);
        let answer = tried.await.ok()?.ok()?;
        answer.status.is_success().then_some(answer)
    }
}

/// The location without the digest that was appended for the request which was redirected.
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

/// How many bytes `Range: 0-<last>` says are there. Some registries write `bytes=0-…`.
pub(super) fn range_end(answer: &Answer) -> Option<u64> {
    let text = answer.header(header::RANGE)?;
    let (_, last) = text.trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    // "0-0" is what an empty upload says as well as one of a single byte: nobody goes on from there.
    last.checked_add(u64::from(last > 0))
}
