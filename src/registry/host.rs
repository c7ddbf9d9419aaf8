//! One registry: how a call goes there. Authorise, send, find out what the answer asks for (a token, patience,
//! another scheme), try again within the budget.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::authorizer::{AuthHeader, AuthOutcome, Authorizer, Trials};
use super::call::{Answer, Call, CallTarget, Outcome};
use super::error::{refused, unreachable};
use super::scheme::Schemes;
use super::state::RepositoryState;
use crate::spec::RegistryHost;
use crate::store::StoreError;
use crate::sync::Mutex;
use crate::transport::{
    Body, Protocol, Request, Response, Retries, TlsProfile, Transport, TransportError, check_hop,
    is_retryable_status, may_carry_authorization,
};

/// A registry and how it is reached.
pub(super) struct Host {
    registry: RegistryHost,
    pub(super) transport: Transport,
    schemes: Schemes,
    /// The command names it, so that `--insecure` is for it.
    is_named: bool,
    /// Whether one `PUT` may name several tags (`OCI-Tag`), once an answer has shown it.
    pub(super) takes_many_tags: OnceLock<bool>,
    states: Mutex<HashMap<String, Arc<RepositoryState>>>,
}

/// What one try has led to.
pub(super) enum Reply {
    /// A success whose body is still to be read; `elsewhere`: it came from another origin than it was asked from.
    Success { response: Response, elsewhere: bool },
    /// Any other answer.
    Other(Answer),
    /// Something better can be sent now: a body that was a stream has to be made anew.
    Again,
}

/// Why a call did not succeed this time.
pub(super) enum RetryCause {
    /// An answer.
    Answer(Answer),
    /// None.
    Transport(TransportError),
}

impl Host {
    pub(super) fn new(
        registry: RegistryHost,
        transport: Transport,
        profile: &TlsProfile,
        is_named: bool,
    ) -> Result<Self, TransportError> {
        let expects_tls = profile.expects_tls(registry.as_str());
        let schemes = Schemes::new(&registry, profile.insecure, expects_tls);
        let is_public = crate::auth::well_known_realm(&registry).is_some();
        let protocol = if is_public {
            // All of these speak HTTP/2.
            Protocol::Http2
        } else {
            Protocol::Unknown
        };
        transport.open_lane(schemes.secure(), profile, registry.as_str(), protocol)?;
        Ok(Self {
            schemes,
            is_named,
            states: Mutex::default(),
            registry,
            transport,
            takes_many_tags: OnceLock::new(),
        })
    }

    pub(super) fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// `https://host/v2/`, or `http://…` where that is what the registry speaks.
    pub(super) fn base(&self) -> Url {
        self.schemes.base()
    }

    /// What this run remembers of a repository.
    pub(super) fn state(&self, path: &str) -> Arc<RepositoryState> {
        let mut states = self.states.lock();
        Arc::clone(states.entry(path.to_owned()).or_default())
    }

    /// A call whose answer is read whole: at most `limit` bytes of a success, the beginning of an error.
    pub(super) async fn exchange(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        what: &'static str,
        limit: u64,
    ) -> Outcome<Answer> {
        let mut retries = self.transport.retries();
        loop {
            let cause = match self.try_once(authorizer, call, what, limit).await? {
                Ok(answer) if !self.is_temporary(call, &answer) => return Ok(answer),
                Ok(answer) => RetryCause::Answer(answer),
                Err(error) => RetryCause::Transport(error),
            };
            self.pause(authorizer, call, cause, &mut retries).await?;
        }
    }

    /// One try of a call whose answer is read whole.
    pub(super) async fn try_once(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        what: &'static str,
        limit: u64,
    ) -> Outcome<Result<Answer, TransportError>> {
        let mut trials = Trials::default();
        loop {
            match self.attempt(authorizer, call, None, &mut trials).await? {
                Ok(Reply::Success {
                    response,
                    elsewhere,
                }) => {
                    return Ok(Answer::whole(response, elsewhere, &call.method, what, limit).await);
                }
                Ok(Reply::Other(answer)) => return Ok(Ok(answer)),
                Ok(Reply::Again) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Sends a call that nothing depends on, once, with what is held. Whatever comes back is no reason to ask for
    /// a token, or to try other credentials.
    pub(super) async fn send_in_passing(&self, authorizer: &Authorizer, call: &Call) {
        let grant = authorizer.held_grant(call).await;
        let Ok((request, _)) = self.request(call, &grant, None) else {
            return;
        };
        if let Ok(response) = self.transport.send(request).await {
            // Read, so that the connection can be used again.
            drop(Answer::refusal(response, false).await);
        }
    }

    /// A call whose answer is a success with a body that streams, or one that no patience will change.
    pub(super) async fn open(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        retries: &mut Retries,
    ) -> Outcome<Result<Response, Answer>> {
        loop {
            let mut trials = Trials::default();
            let cause = match self.attempt(authorizer, call, None, &mut trials).await? {
                Ok(Reply::Success { response, .. }) => return Ok(Ok(response)),
                Ok(Reply::Other(answer)) if !self.is_temporary(call, &answer) => {
                    return Ok(Err(answer));
                }
                Ok(Reply::Other(answer)) => RetryCause::Answer(answer),
                Ok(Reply::Again) => continue,
                Err(error) => RetryCause::Transport(error),
            };
            self.pause(authorizer, call, cause, retries).await?;
        }
    }

    /// Whether the same call may be answered better a moment later. What this run has pushed need not be known
    /// everywhere in a registry at once.
    pub(super) fn is_temporary(&self, call: &Call, answer: &Answer) -> bool {
        if is_retryable_status(answer.status) {
            return true;
        }
        match &call.target {
            CallTarget::Path(path) if answer.status == StatusCode::NOT_FOUND && call.is_read() => {
                self.state(call.repository.path()).has_pushed(path)
            }
            _ => false,
        }
    }

    /// The error for an answer that is no success.
    pub(super) fn refused(authorizer: &Authorizer, call: &Call, answer: &Answer) -> StoreError {
        let (candidate, used_token) = authorizer.used();
        refused(call, answer, &candidate, used_token)
    }

    /// Sends a call until there is an answer that authorisation will not change. `stream` is its body if that
    /// can be sent only once: such a body goes to the `Location` of an upload that has been begun. `trials` are those
    /// of all attempts at the same. The outer error ends the call, the inner one may be worth another try.
    pub(super) async fn attempt(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        mut stream: Option<Body>,
        trials: &mut Trials,
    ) -> Outcome<Result<Reply, TransportError>> {
        let streams = stream.is_some();
        // What other hosts do says nothing of the registry.
        let is_own = matches!(call.target, CallTarget::Path(_));
        loop {
            let grant = authorizer.grant(call).await?;
            let (request, asked) = match self.request(call, &grant, stream.take()) {
                Ok(request) => request,
                Err(error) => return Ok(Err(error)),
            };
            let response = match self.transport.send(request).await {
                Ok(response) => response,
                Err(error)
                    if is_own
                        && self.may_be_wrong_scheme(&asked, &error)
                        && self.schemes.switch(&asked) =>
                {
                    // A write that broke may have been taken: who sent it looks before it is sent again.
                    if matches!(error, TransportError::Broken { .. }) && !call.is_read() {
                        return Ok(Err(error));
                    }
                    continue;
                }
                Err(error) => return Ok(Err(error)),
            };
            let elsewhere =
                response.was_redirected() && !may_carry_authorization(&asked, response.url());
            if response.status().is_success() {
                if is_own {
                    self.schemes.settle(&asked);
                }
                return Ok(Ok(Reply::Success {
                    response,
                    elsewhere,
                }));
            }
            let answer = Answer::refusal(response, elsewhere).await;
            let answer = answer.after_showing(grant.header.as_ref());
            if is_own {
                if self.schemes.is_tls_server(&asked, &answer) && self.schemes.switch(&asked) {
                    continue;
                }
                self.schemes.settle(&asked);
            }
            let asks = matches!(answer.status.as_u16(), 401 | 403)
                && may_carry_authorization(&self.base(), &answer.url);
            if !asks {
                return Ok(Ok(Reply::Other(answer)));
            }
            match authorizer.consider(call, &grant, &answer, trials).await? {
                AuthOutcome::Final => return Ok(Ok(Reply::Other(answer))),
                AuthOutcome::TryAgain if streams => return Ok(Ok(Reply::Again)),
                AuthOutcome::TryAgain => {}
            }
        }
    }

    /// The request of a call, and where it goes.
    fn request(
        &self,
        call: &Call,
        grant: &AuthHeader,
        stream: Option<Body>,
    ) -> Result<(Request, Url), TransportError> {
        let url = self.address(call)?;
        let mut request = Request::new(call.method.clone(), url.clone());
        request.headers = call.headers.clone();
        if matches!(call.target, CallTarget::Location(_)) {
            request.referred_by = Some(self.base());
        }
        request.authorization = grant
            .header
            .clone()
            .filter(|_| may_carry_authorization(&self.base(), &url));
        request.body = match stream {
            Some(body) => body,
            None if call.body.is_empty() => Body::Empty,
            None => Body::Bytes(call.body.clone()),
        };
        Ok((request, url))
    }

    fn address(&self, call: &Call) -> Result<Url, TransportError> {
        let base = self.base();
        match &call.target {
            CallTarget::Path(path) => {
                let text = format!("{base}{}/{path}", call.repository.path());
                Url::parse(&text).map_err(|error| TransportError::Source(error.to_string()))
            }
            CallTarget::Location(location) => {
                check_hop(&base, location)?;
                Ok(location.clone())
            }
        }
    }

    /// Waits before the next try, or says why there is none.
    pub(super) async fn pause(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        cause: RetryCause,
        retries: &mut Retries,
    ) -> Outcome<()> {
        let (told, asked, lost) = match &cause {
            RetryCause::Answer(answer) => (
                Self::refused(authorizer, call, answer),
                answer.retry_after(),
                Duration::ZERO,
            ),
            RetryCause::Transport(error) => {
                let told = unreachable(call, error, self.schemes.allows_plain(), self.is_named);
                if !error.is_retryable() {
                    return Err(told);
                }
                (told, None, error.lost())
            }
        };
        let operation = call.operation.to_string();
        let paused = retries.pause(&operation, &told.cause, asked, lost);
        match paused.await {
            Ok(()) => Ok(()),
            Err(given_up) => Err(StoreError {
                cause: format!("{} ({given_up})", told.cause),
                ..told
            }),
        }
    }

    /// Whether what went wrong is what happens when the wrong one of http and https is spoken.
    fn may_be_wrong_scheme(&self, url: &Url, error: &TransportError) -> bool {
        let is_secure = url.scheme() == "https";
        match error {
            TransportError::NotTls { .. } => is_secure,
            // Some servers close the connection without a word.
            TransportError::Broken { .. } => !is_secure || !self.transport.has_connected(url),
            // Port 443 is closed, port 80 may be open: Docker tries both.
            TransportError::Connect { dns: false, .. } => is_secure && url.port().is_none(),
            _ => false,
        }
    }
}
