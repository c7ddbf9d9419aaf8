//! The client of one registry with one credential: authorizes calls, sends them, and retries within the budget.

use std::sync::{Arc, OnceLock};

use http::StatusCode;

use super::answer::{Answer, MAX_WRITE_ANSWER, Reply};
use super::authorizer::Authorizer;
use super::call::{Call, Outcome};
use super::endpoint::Endpoint;
use super::error::{refused, unreachable};
use super::refusal::{AuthOutcome, Trials};
use crate::auth::Candidate;
use crate::hint::Hint;
use crate::spec::RegistryHost;
use crate::store::StoreError;
use crate::transport::{
    Body, GaveUpAfter, GiveUp, Retries, TransportError, is_retryable_status,
    may_carry_authorization,
};

/// A client of one registry with one credential.
pub(super) struct Client {
    endpoint: Arc<Endpoint>,
    authorizer: Authorizer,
    /// Whether one `PUT` may set several tags (`OCI-Tag`), once an answer has shown it.
    pub(super) takes_many_tags: OnceLock<bool>,
    /// Locked by a copy within the registry if the registry has refused the second connection that the copy needs. Only
    /// one such copy runs at a time, so that one copy can get both connections.
    pub(super) copies_within: tokio::sync::Mutex<()>,
}

/// The reason why a call has no answer.
pub(super) enum CallError {
    /// The error is final.
    Final(StoreError),
    /// The request failed in transit; another attempt may succeed.
    Transport(TransportError),
}

/// The reason why a call is retried.
pub(super) enum RetryCause {
    Answer(Answer),
    Transport(TransportError),
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<TransportError> for CallError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl Client {
    pub(super) fn new(endpoint: Arc<Endpoint>, authorizer: Authorizer) -> Self {
        Self {
            endpoint,
            authorizer,
            takes_many_tags: OnceLock::new(),
            copies_within: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// Returns whether this client is for `registry` with `candidate`.
    pub(super) fn serves(&self, registry: &RegistryHost, candidate: &Candidate) -> bool {
        self.endpoint.registry() == registry && self.authorizer.uses(candidate)
    }

    pub(super) fn retries(&self) -> Retries {
        self.endpoint.transport().retries()
    }

    /// Sends a read call until it has an answer that is not temporary, and reads at most `limit` bytes of a success.
    pub(super) async fn read(
        &self,
        call: &Call,
        what: &'static str,
        limit: u64,
    ) -> Outcome<Answer> {
        let mut retries = self.retries();
        loop {
            let cause = match self.try_once(call, what, limit).await {
                Ok(answer) if !is_temporary(call, &answer) => return Ok(answer),
                Ok(answer) => RetryCause::Answer(answer),
                Err(CallError::Transport(error)) => RetryCause::Transport(error),
                Err(CallError::Final(error)) => return Err(error),
            };
            self.pause(call, cause, &mut retries).await?;
        }
    }

    /// Sends a read call like [`Self::read`] and discards the body of the answer.
    pub(super) async fn exchange(&self, call: &Call) -> Outcome<Answer> {
        self.read(call, "an answer", MAX_WRITE_ANSWER).await
    }

    /// Sends a call once, and reads at most `limit` bytes of a success.
    pub(super) async fn try_once(
        &self,
        call: &Call,
        what: &'static str,
        limit: u64,
    ) -> Result<Answer, CallError> {
        let reply = self.send(call).await?;
        Ok(reply.read(&call.method, what, limit).await?)
    }

    /// Sends a call like [`Self::try_once`] and discards the body of the answer.
    pub(super) async fn try_write(&self, call: &Call) -> Result<Answer, CallError> {
        self.try_once(call, "an answer", MAX_WRITE_ANSWER).await
    }

    /// Opens the body of a success, which the caller streams. Any other answer that is not temporary is returned as it
    /// is.
    pub(super) async fn open(&self, call: &Call, retries: &mut Retries) -> Outcome<Reply> {
        loop {
            let cause = match self.send(call).await {
                Ok(Reply::Refusal(answer)) if is_temporary(call, &answer) => {
                    RetryCause::Answer(answer)
                }
                Ok(reply) => return Ok(reply),
                Err(CallError::Transport(error)) => RetryCause::Transport(error),
                Err(CallError::Final(error)) => return Err(error),
            };
            self.pause(call, cause, retries).await?;
        }
    }

    /// Sends a call, and sends it again each time the registry asks for new credentials.
    async fn send(&self, call: &Call) -> Result<Reply, CallError> {
        let mut trials = Trials::default();
        loop {
            if let Some(reply) = self.attempt(call, None, &mut trials).await? {
                return Ok(reply);
            }
        }
    }

    /// Sends a call once. `stream` replaces its body. Returns `None` if the call should be sent again with new
    /// credentials. `trials` counts the credentials that were tried for this call.
    pub(super) async fn attempt(
        &self,
        call: &Call,
        stream: Option<Body>,
        trials: &mut Trials,
    ) -> Result<Option<Reply>, CallError> {
        let permit = self.endpoint.permit(call, stream.is_some()).await?;
        let header = self.authorizer.header(call).await?;
        // If the request is refused, its permit is kept until there are new credentials, so that no other request is sent
        // with the refused ones.
        let (reply, _permit) = self
            .endpoint
            .send(call, permit, header.value.as_ref(), stream)
            .await?;
        let Reply::Refusal(answer) = &reply else {
            if call.is_to_registry() {
                self.authorizer.accept(&header);
            }
            return Ok(Some(reply));
        };
        let asks_for_credentials = matches!(answer.status.as_u16(), 401 | 403)
            && may_carry_authorization(&self.endpoint.base(), &answer.url);
        if !asks_for_credentials {
            return Ok(Some(reply));
        }
        match self
            .authorizer
            .consider(call, &header, answer, trials)
            .await?
        {
            AuthOutcome::Final => Ok(Some(reply)),
            AuthOutcome::TryAgain => Ok(None),
        }
    }

    /// Sends a call once with the current credentials (best effort). The answer is ignored.
    pub(super) async fn send_best_effort(&self, call: &Call) {
        let Ok(permit) = self.endpoint.permit(call, false).await else {
            return;
        };
        let header = self.authorizer.current_header(call).await;
        // The answer is read so that the connection can be reused.
        if let Ok((Reply::Success(success), _)) = self
            .endpoint
            .send(call, permit, header.value.as_ref(), None)
            .await
        {
            drop(success.read_write_answer(&call.method).await);
        }
    }

    /// Waits before the next attempt, or returns the error of the last one if there is none.
    pub(super) async fn pause(
        &self,
        call: &Call,
        cause: RetryCause,
        retries: &mut Retries,
    ) -> Outcome<()> {
        let (error, delay) = match &cause {
            RetryCause::Answer(answer) => (self.refused(call, answer), answer.retry_delay()),
            RetryCause::Transport(failure) => {
                let endpoint = &self.endpoint;
                let (allows_plain, is_named) = (endpoint.allows_plain_http(), endpoint.is_named());
                let error = unreachable(call, failure, allows_plain, is_named);
                if !failure.is_retryable() {
                    return Err(error);
                }
                (error, failure.delay())
            }
        };
        let operation = call.operation.to_string();
        let paused = retries.pause(&operation, &error.cause(), delay).await;
        paused.map_err(|reason| {
            let last = error.source;
            let error = StoreError {
                source: Arc::new(GaveUpAfter { last, reason }),
                ..error
            };
            match reason {
                GiveUp::Budget(_) | GiveUp::Slow(_) => error.hint(Hint::RaiseRetryBudget),
                _ => error,
            }
        })
    }

    /// Returns the error for an answer that is not the expected one.
    pub(super) fn refused(&self, call: &Call, answer: &Answer) -> StoreError {
        let (candidate, is_accepted) = self.authorizer.in_use();
        refused(call, answer, &candidate, is_accepted)
    }
}

/// Returns whether the same call may succeed a moment later. Content that this run has written may not be visible
/// everywhere in the registry at once.
pub(super) fn is_temporary(call: &Call, answer: &Answer) -> bool {
    is_retryable_status(answer.status)
        || (answer.status == StatusCode::NOT_FOUND && call.reads_own_write)
}
