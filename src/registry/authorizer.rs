//! What a credential becomes on its way to one registry: Basic in advance, or one token for everything the
//! run needs, renewed when it ends. Protocol: <https://distribution.github.io/distribution/spec/auth/token/>.

mod refusal;

use std::sync::Arc;

use http::HeaderValue;
use tokio::time::Instant;

use super::call::{Call, Outcome};
use super::host::Host;
use super::token_client::{TokenClient, realm_host};
use crate::auth::{Candidate, Credential, Realm, Scope, Search, Secret, Token, well_known_realm};
use crate::spec::RegistryHost;
use crate::store::StoreError;
use crate::sync::Mutex;

pub(super) use refusal::{AuthOutcome, Trials};

/// Connections that are opened while a token is on its way, for HTTP/1.1.
const AHEAD: usize = 4;
/// Authorises the calls to one registry with one credential.
pub(super) struct Authorizer {
    host: Arc<Host>,
    scopes: Mutex<Vec<Scope>>,
    state: tokio::sync::Mutex<State>,
    /// A copy of what `state` says, for messages and comparisons.
    shown: Mutex<Shown>,
}

struct Shown {
    candidate: Candidate,
    used_token: bool,
}

struct State {
    candidate: Candidate,
    search: Search,
    method: AuthMethod,
    /// Grows whenever the header changes, so that a refusal of an old one is told apart.
    generation: u64,
    /// Another credential was tried already.
    switched: bool,
    /// A new token was fetched because of a `denied`.
    renewed_for_denial: bool,
}

enum AuthMethod {
    /// Nothing is known yet.
    Unknown,
    /// A header that never changes, or none.
    Fixed(Option<HeaderValue>),
    /// Tokens of a token server.
    Bearer {
        server: TokenServer,
        /// One as a rule; more where a run has so many repositories that no token can be for all. The
        /// newest last.
        tokens: Vec<Held>,
    },
}

/// A token, and what it was asked for.
struct Held {
    token: Token,
    scopes: Vec<Scope>,
    generation: u64,
}

impl Held {
    fn is_fresh(&self) -> bool {
        self.token.is_fresh(Instant::now().into_std())
    }
}

/// A token server, and the name under which it knows the registry.
#[derive(Clone)]
struct TokenServer(Realm, Option<String>);

/// The header for one try, and which one it is.
pub(super) struct AuthHeader {
    pub(super) header: Option<HeaderValue>,
    generation: u64,
}

impl Authorizer {
    pub(super) fn new(host: Arc<Host>, candidate: Candidate, search: Search, scope: Scope) -> Self {
        Self {
            host,
            scopes: Mutex::new(vec![scope]),
            shown: Mutex::new(Shown {
                candidate: candidate.clone(),
                used_token: false,
            }),
            state: tokio::sync::Mutex::new(State {
                candidate,
                search,
                method: AuthMethod::Unknown,
                generation: 0,
                switched: false,
                renewed_for_denial: false,
            }),
        }
    }

    /// Whether this is the one for `candidate` at `registry`.
    pub(super) fn serves(&self, registry: &RegistryHost, candidate: &Candidate) -> bool {
        self.host.registry() == registry
            && self.shown().candidate.credential == candidate.credential
    }

    /// Adds what the run will need.
    pub(super) fn declare(&self, scope: Scope) {
        let mut scopes = self.scopes.lock();
        scopes.push(scope);
        *scopes = Scope::normalise(std::mem::take(&mut *scopes));
    }

    /// The credential in use, and whether a token was given for it; for messages.
    pub(super) fn used(&self) -> (Candidate, bool) {
        let shown = self.shown();
        (shown.candidate.clone(), shown.used_token)
    }

    /// What to send with a call, as far as is known before the registry has said anything.
    pub(super) async fn grant(&self, call: &Call) -> Outcome<AuthHeader> {
        let mut state = self.state.lock().await;
        if matches!(state.method, AuthMethod::Unknown) {
            self.begin(&mut state, call).await;
        }
        let wanted = self.wanted(call);
        let renewal = match &state.method {
            AuthMethod::Bearer { server, .. } => {
                (!state.held(&wanted).is_some_and(Held::is_fresh)).then(|| server.clone())
            }
            AuthMethod::Unknown | AuthMethod::Fixed(_) => None,
        };
        if let Some(server) = renewal {
            self.fetch(&mut state, server, None, call).await?;
        }
        Ok(state.grant(&wanted))
    }

    /// What is held for a call right now. Nothing is fetched for it.
    pub(super) async fn held_grant(&self, call: &Call) -> AuthHeader {
        self.state.lock().await.grant(&self.wanted(call))
    }

    /// The first header, before any challenge: a ready token, the token of a token server that is known, Basic.
    async fn begin(&self, state: &mut State, call: &Call) {
        let credential = state.candidate.credential.clone();
        if let Credential::Bearer(token) = &credential {
            let header = Secret::new(format!("Bearer {}", token.reveal()));
            state.fix(header_of(&header));
            return;
        }
        if let Some(known) = well_known_realm(self.host.registry()) {
            let server = TokenServer(known.realm, Some(known.service));
            self.host.transport.preconnect(&self.host.base(), AHEAD);
            // A guess that fails costs no more than its request: the registry's own challenge follows.
            let fetched = self.fetch_from(state, server, None, call, true).await;
            if fetched.is_ok() {
                return;
            }
        }
        let basic = credential
            .basic_authorization()
            .filter(|_| matches!(credential, Credential::Basic { .. }));
        state.fix(basic.as_ref().and_then(header_of));
    }

    /// Everything the run has declared.
    fn declared(&self) -> Vec<Scope> {
        let scopes = self.scopes.lock();
        scopes.clone()
    }

    /// What has been declared of the repositories of a call.
    fn wanted(&self, call: &Call) -> Vec<Scope> {
        let scopes = self.scopes.lock();
        let repositories = [Some(&call.repository), call.reads.as_ref()];
        let is_of_call = |scope: &&Scope| {
            let mut paths = repositories.iter().flatten().map(|it| it.path());
            paths.any(|path| path == scope.repository())
        };
        scopes.iter().filter(is_of_call).cloned().collect()
    }

    /// What to ask a token for: what a call wants and a challenge asks, and everything else that the run has
    /// declared. Where that is too much for one token, as much as fits of what no token is held for.
    fn to_ask(&self, state: &State, call: &Call, asked: Option<Vec<Scope>>) -> Vec<Scope> {
        let mut wanted = self.wanted(call);
        // A challenge may name scopes of its own making: only those of repositories are repeated.
        wanted.extend(asked.unwrap_or_default());
        let wanted = Scope::normalise(wanted);
        let declared = self.declared();
        let all = Scope::normalise(declared.iter().chain(&wanted).cloned());
        let fitting = Scope::fitting(wanted.clone(), declared.clone());
        if fitting == all {
            return all;
        }
        let more = declared.into_iter().filter(|scope| {
            let one = std::slice::from_ref(scope);
            !wanted.contains(scope) && !state.held(one).is_some_and(Held::is_fresh)
        });
        Scope::fitting(wanted.clone(), more)
    }

    /// A token for everything that is needed. An error says what it was needed for.
    async fn fetch(
        &self,
        state: &mut State,
        server: TokenServer,
        asked: Option<Vec<Scope>>,
        call: &Call,
    ) -> Outcome<()> {
        let name = realm_host(&server.0);
        self.fetch_from(state, server, asked, call, false)
            .await
            .map_err(|error| StoreError {
                operation: format!("{} (getting a token from {name})", call.operation).into(),
                ..error
            })
    }

    async fn fetch_from(
        &self,
        state: &mut State,
        server: TokenServer,
        asked: Option<Vec<Scope>>,
        call: &Call,
        is_guess: bool,
    ) -> Outcome<()> {
        let scopes = self.to_ask(state, call, asked);
        let client = TokenClient {
            transport: &self.host.transport,
            registry: self.host.registry(),
            base: &self.host.base(),
            realm: &server.0,
            service: server.1.as_deref(),
            scopes: &scopes,
            is_guess,
        };
        let token = client.token(&state.candidate).await?;
        state.hold(server, token, scopes);
        self.shown().used_token = true;
        Ok(())
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock()
    }
}

impl State {
    /// What to send with a call that wants these scopes.
    fn grant(&self, wanted: &[Scope]) -> AuthHeader {
        let (header, generation) = match &self.method {
            AuthMethod::Unknown => (None, self.generation),
            AuthMethod::Fixed(header) => (header.clone(), self.generation),
            AuthMethod::Bearer { .. } => match self.held(wanted) {
                Some(held) => {
                    let secret = held.token.secret.reveal();
                    let header = header_of(&Secret::new(format!("Bearer {secret}")));
                    (header, held.generation)
                }
                None => (None, self.generation),
            },
        };
        AuthHeader { header, generation }
    }

    /// The newest token that was asked for with these scopes.
    fn held(&self, wanted: &[Scope]) -> Option<&Held> {
        let AuthMethod::Bearer { tokens, .. } = &self.method else {
            return None;
        };
        tokens.iter().rev().find(|held| {
            let mut scopes = wanted.iter();
            scopes.all(|scope| Scope::any_covers(&held.scopes, scope))
        })
    }

    /// Keeps a token in place of those that it makes needless and those that have ended.
    fn hold(&mut self, server: TokenServer, token: Token, scopes: Vec<Scope>) {
        self.generation += 1;
        let mut tokens = match std::mem::replace(&mut self.method, AuthMethod::Unknown) {
            AuthMethod::Bearer { tokens, .. } => tokens,
            AuthMethod::Unknown | AuthMethod::Fixed(_) => Vec::new(),
        };
        tokens.retain(|held| {
            let mut own = held.scopes.iter();
            held.is_fresh() && !own.all(|scope| Scope::any_covers(&scopes, scope))
        });
        tokens.push(Held {
            token,
            scopes,
            generation: self.generation,
        });
        self.method = AuthMethod::Bearer { server, tokens };
    }

    /// Forgets the token of a grant that was refused: what it was for is to be asked for again, all of it.
    fn drop_refused(&mut self, grant: &AuthHeader) {
        if let AuthMethod::Bearer { tokens, .. } = &mut self.method {
            tokens.retain(|held| held.generation != grant.generation);
        }
    }

    fn fix(&mut self, header: Option<HeaderValue>) {
        self.method = AuthMethod::Fixed(header);
        self.generation += 1;
    }

    /// Whether the token for a call that wants these scopes was asked for with those of a challenge, too.
    fn had(&self, wanted: &[Scope], asked: &[Scope]) -> bool {
        self.held(wanted).is_some_and(|held| {
            let mut asked = asked.iter();
            asked.all(|scope| Scope::any_covers(&held.scopes, scope))
        })
    }
}

/// A secret as the value of a header, which is never shown.
pub(super) fn header_of(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
