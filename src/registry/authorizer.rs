//! Authorizes the calls of one client: Basic with the first request, or one token for everything that the run needs.
//! Protocol: <https://distribution.github.io/distribution/spec/auth/token/>.

use std::sync::Arc;

use super::call::{Call, Outcome};
use super::endpoint::Endpoint;
use super::error::search_failed;
use super::token_client::{TokenClient, realm_host};
use super::tokens::{AuthHeader, AuthMethod, AuthState, HeldToken, bearer_header, secret_header};
use crate::auth::{Candidate, Credential, Origin, Scope, Search, TokenServer, known_token_server};
use crate::store::StoreError;
use crate::sync::Mutex;

/// Authorizes calls to one registry, with one credential at a time.
pub(super) struct Authorizer {
    pub(super) endpoint: Arc<Endpoint>,
    /// The scopes that the run needs, for all repositories.
    pub(super) scopes: Mutex<Vec<Scope>>,
    pub(super) state: tokio::sync::Mutex<AuthState>,
    /// A copy of a part of `state`, for messages and comparisons.
    pub(super) in_use: Mutex<InUse>,
}

#[derive(Clone)]
pub(super) struct InUse {
    pub(super) candidate: Candidate,
    /// Whether the registry or its token server has accepted the credential.
    pub(super) is_accepted: bool,
    /// Whether the credential is, or was, from a cloud. The cloud is called with the first request.
    is_deferred: bool,
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
    pub(super) fn needed(&self, call: &Call) -> Vec<Scope> {
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
    /// the run has declared. If these are too many for one token, omits the other scopes that have a token already, and
    /// those that do not fit.
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
    pub(super) async fn fetch(
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
