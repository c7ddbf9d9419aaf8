//! Authorizes the calls of one client: Basic with the first request, or one token for everything that the run needs.
//! Protocol: <https://distribution.github.io/distribution/spec/auth/token/>.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};

use super::answer::Answer;
use super::call::{Access, Call, Outcome};
use super::endpoint::Endpoint;
use super::error::search_failed;
use super::token_client::{TokenClient, realm_host};
use super::tokens::{AuthHeader, AuthMethod, AuthState, HeldToken, bearer_header, secret_header};
use crate::auth::{
    Candidate, Challenge, Credential, Origin, Realm, Scheme, Scope, Search, TokenServer,
    known_token_server, parse_challenges,
};
use crate::progress::Event;
use crate::store::{FailureKind, StoreError};
use crate::sync::Mutex;

/// The maximum number of attempts at one call with new credentials: after a challenge, an expired token, a token with
/// more scopes, or another credential.
const MAX_TRIALS: u32 = 4;

/// Authorizes calls to one registry, with one credential at a time.
pub(super) struct Authorizer {
    endpoint: Arc<Endpoint>,
    /// The scopes that the run needs, for all repositories.
    scopes: Mutex<Vec<Scope>>,
    state: tokio::sync::Mutex<AuthState>,
    /// A copy of a part of `state`, for messages and comparisons.
    in_use: Mutex<InUse>,
}

#[derive(Clone)]
struct InUse {
    candidate: Candidate,
    /// Whether the registry or its token server has accepted the credential.
    is_accepted: bool,
    /// Whether the credential is, or was, from a cloud. The cloud is called with the first request.
    is_deferred: bool,
}

/// The credentials that were tried for one call.
#[derive(Default)]
pub(super) struct Trials {
    count: u32,
    /// Whether a new token has replaced one that was refused.
    has_renewed: bool,
}

/// The consequence of a refusal for a call.
pub(super) enum AuthOutcome {
    /// The call should be sent again: the credentials have changed.
    TryAgain,
    /// The answer is final.
    Final,
}

impl Authorizer {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        candidate: Candidate,
        search: Search,
        scope: Scope,
    ) -> Self {
        Self {
            endpoint,
            scopes: Mutex::new(vec![scope]),
            in_use: Mutex::new(InUse {
                is_deferred: candidate.credential == Credential::Deferred,
                candidate: candidate.clone(),
                is_accepted: false,
            }),
            state: tokio::sync::Mutex::new(AuthState::new(candidate, search)),
        }
    }

    /// Returns whether the credential of `candidate` is the one in use.
    pub(super) fn uses(&self, candidate: &Candidate) -> bool {
        let in_use = self.in_use.lock();
        in_use.candidate.credential == candidate.credential
            || (in_use.is_deferred && candidate.credential == Credential::Deferred)
    }

    /// Adds a scope that the run will need.
    pub(super) fn declare(&self, scope: Scope) {
        let mut scopes = self.scopes.lock();
        scopes.push(scope);
        *scopes = Scope::normalise(std::mem::take(&mut *scopes));
    }

    /// Returns the credential in use, and whether the registry or its token server has accepted it.
    pub(super) fn in_use(&self) -> (Candidate, bool) {
        let in_use = self.in_use.lock().clone();
        (in_use.candidate, in_use.is_accepted)
    }

    /// Records that the registry has accepted a header.
    pub(super) fn accept(&self, header: &AuthHeader) {
        if header.value.is_some() {
            self.in_use.lock().is_accepted = true;
        }
    }

    /// Returns the header for a call, and fetches a token if one is needed.
    pub(super) async fn header(&self, call: &Call) -> Outcome<AuthHeader> {
        let mut state = self.state.lock().await;
        if matches!(state.method, AuthMethod::Unknown) {
            self.begin(&mut state, call).await?;
        }
        let needed = self.needed(call);
        let renewal = match &state.method {
            AuthMethod::Bearer { server, .. } => {
                (!state.held(&needed).is_some_and(HeldToken::is_fresh)).then(|| server.clone())
            }
            AuthMethod::Unknown | AuthMethod::Fixed(_) => None,
        };
        if let Some(server) = renewal {
            self.fetch(&mut state, server, None, call).await?;
        }
        Ok(state.header(&needed))
    }

    /// Returns the header for a call without fetching a token.
    pub(super) async fn current_header(&self, call: &Call) -> AuthHeader {
        self.state.lock().await.header(&self.needed(call))
    }

    /// Handles a 401 or 403: gets the token that the challenge asks for, a new token, or another credential. Tries each
    /// of them once.
    pub(super) async fn consider(
        &self,
        call: &Call,
        sent: &AuthHeader,
        answer: &Answer,
        trials: &mut Trials,
    ) -> Outcome<AuthOutcome> {
        trials.count += 1;
        if trials.count > MAX_TRIALS {
            return Ok(AuthOutcome::Final);
        }
        let mut state = self.state.lock().await;
        if sent.generation != state.header(&self.needed(call)).generation {
            // A concurrent call has changed the credentials already. The other token may have expired, too.
            return Ok(AuthOutcome::TryAgain);
        }
        if answer.status == StatusCode::FORBIDDEN {
            return self.consider_denial(&mut state, call).await;
        }
        let values = answer.headers.get_all(header::WWW_AUTHENTICATE);
        let challenges = parse_challenges(values.iter().map(HeaderValue::as_bytes));
        let of = |scheme| {
            let mut all = challenges.iter();
            all.find(move |challenge| challenge.scheme == scheme)
        };
        if let Some(challenge) = of(Scheme::Bearer) {
            return self
                .consider_bearer(&mut state, call, sent, challenge, trials)
                .await;
        }
        let basic = state.candidate.credential.basic_authorization();
        let was_basic = matches!(state.method, AuthMethod::Fixed(Some(_)));
        if let (Some(_), Some(basic), false) = (of(Scheme::Basic), basic, was_basic) {
            state.fix(secret_header(&basic));
            self.in_use.lock().is_accepted = false;
            return Ok(AuthOutcome::TryAgain);
        }
        // zot with bearer authorization answers a request with Basic with a 401 without a challenge. It sends a
        // challenge only to requests without credentials.
        if challenges.is_empty() && was_basic && !state.has_dropped_basic && !self.is_accepted() {
            state.has_dropped_basic = true;
            state.fix(None);
            return Ok(AuthOutcome::TryAgain);
        }
        self.try_next_candidate(&mut state, call).await
    }

    async fn consider_bearer(
        &self,
        state: &mut AuthState,
        call: &Call,
        sent: &AuthHeader,
        challenge: &Challenge,
        trials: &mut Trials,
    ) -> Outcome<AuthOutcome> {
        let challenged = challenge.scope().map(Scope::parse_list).unwrap_or_default();
        let is_too_narrow = challenge.error() == Some("insufficient_scope");
        if state.was_requested_with(&self.needed(call), &challenged) {
            // A request with the same scopes gives the same token, unless the last one had expired.
            if is_too_narrow || trials.has_renewed {
                return self.try_next_candidate(state, call).await;
            }
            trials.has_renewed = true;
        }
        // A token whose scopes are too narrow for this call may be sufficient for other calls.
        if !is_too_narrow {
            state.drop_refused(sent);
        }
        self.follow(state, call, challenge, challenged).await
    }

    /// Fetches the token that a challenge asks for.
    async fn follow(
        &self,
        state: &mut AuthState,
        call: &Call,
        challenge: &Challenge,
        challenged: Vec<Scope>,
    ) -> Outcome<AuthOutcome> {
        let registry = self.endpoint.registry();
        let base = self.endpoint.base();
        let realm =
            Realm::check(challenge.realm().unwrap_or_default(), &base).map_err(|error| {
                StoreError::new(FailureKind::Refused, call.operation.clone(), error).hint(format!(
                    "contact the operator of {registry}: it names a token server that must not receive credentials"
                ))
            })?;
        let service = challenge.service().map(str::to_owned);
        let server = TokenServer { realm, service };
        let error = match self.fetch(state, server, Some(challenged), call).await {
            Ok(()) => return Ok(AuthOutcome::TryAgain),
            Err(error) => error,
        };
        let is_refused = matches!(error.kind, FailureKind::Unauthorized | FailureKind::Denied);
        if is_refused
            && matches!(
                self.try_next_candidate(state, call).await,
                Ok(AuthOutcome::TryAgain)
            )
        {
            return Ok(AuthOutcome::TryAgain);
        }
        Err(error)
    }

    /// Handles a 403. GHCR sometimes answers 403 to a valid token during parallel pushes, so one new token is requested
    /// and the call is sent again. ECR answers 403 to an expired login.
    async fn consider_denial(&self, state: &mut AuthState, call: &Call) -> Outcome<AuthOutcome> {
        let is_expected = call.access == Access::Pull && self.is_accepted();
        if call.is_optional || is_expected {
            return Ok(AuthOutcome::Final);
        }
        if call.access == Access::Pull {
            return self.try_next_candidate(state, call).await;
        }
        if let AuthMethod::Bearer { server, .. } = &state.method
            && !state.has_renewed_for_denial
        {
            let server = server.clone();
            state.has_renewed_for_denial = true;
            self.fetch(state, server, None, call).await?;
            return Ok(AuthOutcome::TryAgain);
        }
        self.try_next_candidate(state, call).await
    }

    fn is_accepted(&self) -> bool {
        self.in_use.lock().is_accepted
    }

    /// Returns whether another credential may be tried. For reads, a credential that the user has set in variables is
    /// not replaced.
    fn may_switch(&self, state: &AuthState, call: &Call) -> bool {
        let pushes = self.scopes.lock().iter().any(|scope| scope.allows("push"));
        let is_explicit = matches!(state.candidate.origin, Origin::Variables(_));
        (pushes || !is_explicit)
            && !call.is_optional
            && !state.has_switched
            && state.candidate.credential != Credential::Anonymous
    }

    /// Switches to the credential of the next source, once. Read-only credentials in `DOCKER_AUTH_CONFIG` must not
    /// prevent a push in GitLab CI, and an expired login in a Docker config must not prevent a read.
    async fn try_next_candidate(&self, state: &mut AuthState, call: &Call) -> Outcome<AuthOutcome> {
        if !self.may_switch(state, call) {
            return Ok(AuthOutcome::Final);
        }
        state.has_switched = true;
        let next = match state.search.next().await {
            Ok(Some(next)) if next.credential != Credential::Anonymous => next,
            _ => return Ok(AuthOutcome::Final),
        };
        let notice = format!(
            "{} refused the credentials from {}; trying those from {}",
            self.endpoint.registry(),
            state.candidate.origin,
            next.origin
        );
        let observed = self.endpoint.transport().observed();
        observed.observe(Event::Notice(&notice));
        {
            let mut in_use = self.in_use.lock();
            in_use.candidate = next.clone();
            in_use.is_accepted = false;
        }
        match state.switch_to(next) {
            AuthMethod::Bearer { server, .. } => self.fetch(state, server, None, call).await?,
            AuthMethod::Unknown | AuthMethod::Fixed(_) => {
                let basic = state.candidate.credential.basic_authorization();
                state.fix(basic.as_ref().and_then(secret_header));
            }
        }
        Ok(AuthOutcome::TryAgain)
    }

    /// Prepares the first request: uses a given token, gets a token from a well-known token server, or uses Basic.
    async fn begin(&self, state: &mut AuthState, call: &Call) -> Outcome<()> {
        if state.candidate.credential == Credential::Deferred {
            self.resolve(state).await?;
        }
        let credential = state.candidate.credential.clone();
        if let Credential::Bearer(token) = &credential {
            state.fix(bearer_header(token));
            return Ok(());
        }
        if let Some(server) = known_token_server(self.endpoint.registry()) {
            self.endpoint.preconnect();
            // A failure costs only this request: the challenge of the registry follows.
            if self
                .fetch_from(state, server, None, call, true)
                .await
                .is_ok()
            {
                return Ok(());
            }
        }
        let basic = match credential {
            Credential::Basic { .. } => credential.basic_authorization(),
            _ => None,
        };
        state.fix(basic.as_ref().and_then(secret_header));
        Ok(())
    }

    /// Calls the clouds of the registry for a deferred credential.
    async fn resolve(&self, state: &mut AuthState) -> Outcome<()> {
        let registry = self.endpoint.registry();
        self.endpoint.preconnect();
        let found = state.search.next().await;
        let found = found.map_err(|error| search_failed(registry, error))?;
        state.candidate = found.unwrap_or(Candidate {
            credential: Credential::Anonymous,
            origin: Origin::Anonymous,
        });
        self.in_use.lock().candidate = state.candidate.clone();
        Ok(())
    }

    /// Returns the declared scopes of the repositories of a call.
    fn needed(&self, call: &Call) -> Vec<Scope> {
        let repositories = [Some(&call.repository), call.also_reads.as_ref()];
        let is_of_call = |scope: &&Scope| {
            let mut paths = repositories.iter().flatten().map(|it| it.path());
            paths.any(|path| path == scope.repository())
        };
        self.scopes
            .lock()
            .iter()
            .filter(is_of_call)
            .cloned()
            .collect()
    }

    /// Returns the scopes of a token request: the scopes of the call and of the challenge, and all other scopes that
    /// the run has declared. If they are too many for one token, returns as many as fit of the scopes without a token.
    fn to_request(
        &self,
        state: &AuthState,
        call: &Call,
        challenged: Option<Vec<Scope>>,
    ) -> Vec<Scope> {
        let mut needed = self.needed(call);
        // A challenge may name scopes of other kinds. Only repository scopes are repeated.
        needed.extend(challenged.unwrap_or_default());
        let needed = Scope::normalise(needed);
        let declared = self.scopes.lock().clone();
        let all = Scope::normalise(declared.iter().chain(&needed).cloned());
        let fitting = Scope::fitting(needed.clone(), declared.clone());
        if fitting == all {
            return all;
        }
        let more = declared.into_iter().filter(|scope| {
            let one = std::slice::from_ref(scope);
            !needed.contains(scope) && !state.held(one).is_some_and(HeldToken::is_fresh)
        });
        Scope::fitting(needed.clone(), more)
    }

    /// Gets a token for a call. An error names the operation of the call.
    async fn fetch(
        &self,
        state: &mut AuthState,
        server: TokenServer,
        challenged: Option<Vec<Scope>>,
        call: &Call,
    ) -> Outcome<()> {
        let name = realm_host(&server.realm);
        self.fetch_from(state, server, challenged, call, false)
            .await
            .map_err(|error| StoreError {
                operation: format!("{} (getting a token from {name})", call.operation).into(),
                ..error
            })
    }

    async fn fetch_from(
        &self,
        state: &mut AuthState,
        server: TokenServer,
        challenged: Option<Vec<Scope>>,
        call: &Call,
        is_guess: bool,
    ) -> Outcome<()> {
        let scopes = self.to_request(state, call, challenged);
        let client = TokenClient {
            transport: self.endpoint.transport(),
            registry: self.endpoint.registry(),
            base: &self.endpoint.base(),
            server: &server,
            scopes: &scopes,
            is_guess,
        };
        let token = client.token(&state.candidate).await?;
        state.hold(server, token, scopes);
        self.in_use.lock().is_accepted = true;
        Ok(())
    }
}
