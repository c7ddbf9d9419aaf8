//! What a credential becomes on its way to one registry: Basic in advance, or one token for everything the
//! run needs, renewed when it ends. Protocol: <https://distribution.github.io/distribution/spec/auth/token/>.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use super::call::{Call, Outcome};
use super::facts::Authorization;
use super::host::Host;
use super::registries::Access;
use crate::auth::{
    Candidate, Challenge, Credential, MAX_TOKEN_ANSWER, Realm, Scheme, Scope, Search, Secret,
    Token, TokenRequest, parse_challenges, well_known_realm,
};
use crate::content::{FailureKind, StoreError};
use crate::progress::Event;
use crate::spec::RegistryHost;
use crate::transport::{Body, Request, Response, RetryAfter, TransportError, is_retryable_status};

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
        realm: Realm,
        service: Option<String>,
        token: Token,
        scopes: Vec<Scope>,
    },
}

/// The header for one try, and which one it is.
pub(super) struct Grant {
    pub(super) header: Option<HeaderValue>,
    generation: u64,
}

/// What a refusal means for the call.
pub(super) enum Verdict {
    /// There is something better to send now.
    TryAgain,
    /// The answer stands.
    Final,
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
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.push(scope);
        *scopes = Scope::normalise(std::mem::take(&mut *scopes));
    }

    /// The credential in use, and whether a token was given for it; for messages.
    pub(super) fn used(&self) -> (Candidate, bool) {
        let shown = self.shown();
        (shown.candidate.clone(), shown.used_token)
    }

    /// What to send with a call, as far as is known before the registry has said anything.
    pub(super) async fn grant(&self, call: &Call) -> Outcome<Grant> {
        let mut state = self.state.lock().await;
        if matches!(state.method, AuthMethod::Unknown) {
            self.begin(&mut state).await;
        }
        let renewal = match &state.method {
            AuthMethod::Bearer {
                realm,
                service,
                token,
                scopes,
            } => {
                let needed = self.needed(None);
                let covered = needed.iter().all(|scope| Scope::any_covers(scopes, scope));
                (!covered || !token.is_fresh(Instant::now().into_std()))
                    .then(|| (realm.clone(), service.clone()))
            }
            AuthMethod::Unknown | AuthMethod::Fixed(_) => None,
        };
        if let Some((realm, service)) = renewal {
            self.fetch(&mut state, realm, service, None, &call.doing)
                .await?;
        }
        Ok(Grant {
            header: state.header(),
            generation: state.generation,
        })
    }

    /// What a 401 or 403 asks for: a token, a new one, another credential. Each is tried once.
    pub(super) async fn consider(
        &self,
        call: &Call,
        grant: &Grant,
        response: &Response,
    ) -> Outcome<Verdict> {
        let mut state = self.state.lock().await;
        if grant.generation != state.generation {
            // Another call has been through this already.
            return Ok(Verdict::TryAgain);
        }
        if response.status() == StatusCode::FORBIDDEN {
            return self.consider_denial(&mut state, call).await;
        }
        let values = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges = parse_challenges(values.iter().map(HeaderValue::as_bytes));
        let was_bearer = matches!(state.method, AuthMethod::Bearer { .. });
        let bearer = challenges
            .iter()
            .find(|challenge| challenge.scheme == Scheme::Bearer);
        if let Some(challenge) = bearer {
            let insufficient = was_bearer && challenge.error() == Some("insufficient_scope");
            let asked = challenge.scope().map(Scope::parse_list).unwrap_or_default();
            let had_it = state.had(&asked);
            if insufficient && had_it {
                return self.next_candidate(&mut state, call).await;
            }
            return self.follow(&mut state, call, challenge, asked).await;
        }
        let basic = challenges
            .iter()
            .any(|challenge| challenge.scheme == Scheme::Basic);
        let authorization = state.candidate.credential.basic_authorization();
        if let (true, Some(authorization), AuthMethod::Fixed(None)) =
            (basic, authorization, &state.method)
        {
            state.fix(header_of(&authorization));
            return Ok(Verdict::TryAgain);
        }
        self.next_candidate(&mut state, call).await
    }

    /// A call succeeded with this grant: what is known of the registry is worth keeping.
    pub(super) fn satisfied(&self, grant: &Grant) {
        self.host.note_protocol();
        let is_bearer = self.shown().used_token;
        let anonymous = grant.header.is_none();
        self.host.facts.learn(self.host.registry(), |facts| {
            if is_bearer {
                return;
            }
            facts.authorization = Some(if anonymous {
                Authorization::None
            } else {
                Authorization::Basic
            });
        });
    }

    /// The first header, before any challenge: a ready token, the token of a token server that is known, Basic.
    async fn begin(&self, state: &mut State) {
        let credential = state.candidate.credential.clone();
        if let Credential::Bearer(token) = &credential {
            let header = Secret::new(format!("Bearer {}", token.reveal()));
            state.fix(header_of(&header));
            return;
        }
        let known = self.host.facts.of(self.host.registry()).authorization;
        if let Some((realm, service)) = self.known_realm(known.as_ref()) {
            self.host.transport.preconnect(self.host.base(), AHEAD);
            // A guess that fails costs no more than its request: the registry's own challenge follows.
            if self.fetch(state, realm, service, None, "").await.is_ok() {
                return;
            }
        }
        let is_bearer = matches!(known, Some(Authorization::Bearer { .. }));
        let basic = credential
            .basic_authorization()
            .filter(|_| !is_bearer && matches!(credential, Credential::Basic { .. }));
        state.fix(basic.as_ref().and_then(header_of));
    }

    fn known_realm(&self, known: Option<&Authorization>) -> Option<(Realm, Option<String>)> {
        if let Some(Authorization::Bearer { realm, service }) = known {
            let realm = Realm::check(realm, self.host.base()).ok()?;
            return Some((realm, service.clone()));
        }
        let known = well_known_realm(self.host.registry().as_str())?;
        Some((known.realm, Some(known.service)))
    }

    /// Fetches the token that a challenge asks for, once for each challenge.
    async fn follow(
        &self,
        state: &mut State,
        call: &Call,
        challenge: &Challenge,
        asked: Vec<Scope>,
    ) -> Outcome<Verdict> {
        let base = self.host.base().clone();
        let realm =
            Realm::check(challenge.realm().unwrap_or_default(), &base).map_err(|error| {
                StoreError::new(FailureKind::Refused, call.doing.clone(), error.to_string()).hint(
                    format!(
                        "{} names a token server that must not be shown credentials",
                        self.host.registry()
                    ),
                )
            })?;
        let service = challenge.service().map(str::to_owned);
        let fetched = self
            .fetch(
                state,
                realm.clone(),
                service.clone(),
                Some(asked),
                &call.doing,
            )
            .await;
        match fetched {
            Ok(()) => {
                self.host.facts.learn(self.host.registry(), |facts| {
                    facts.authorization = Some(Authorization::Bearer {
                        realm: realm.url().to_string(),
                        service,
                    });
                });
                Ok(Verdict::TryAgain)
            }
            Err(error) if error.kind == FailureKind::Unauthorized && self.may_switch(state) => {
                self.next_candidate(state, call).await.map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    /// 403. GHCR answers it now and then to a good token under parallel pushes: one new token, one retry.
    async fn consider_denial(&self, state: &mut State, call: &Call) -> Outcome<Verdict> {
        if call.access != Access::Push {
            return Ok(Verdict::Final);
        }
        if let AuthMethod::Bearer { realm, service, .. } = &state.method
            && !state.renewed_for_denial
        {
            let (realm, service) = (realm.clone(), service.clone());
            state.renewed_for_denial = true;
            self.fetch(state, realm, service, None, &call.doing).await?;
            return Ok(Verdict::TryAgain);
        }
        self.next_candidate(state, call).await
    }

    fn may_switch(&self, state: &State) -> bool {
        let pushes = self.needed(None).iter().any(|scope| scope.allows("push"));
        pushes && !state.switched && state.candidate.credential != Credential::Anonymous
    }

    /// A credential that was found is refused on a push: the next place may hold the one that was meant
    /// (read-only pull credentials in `DOCKER_AUTH_CONFIG` must not break a GitLab push).
    async fn next_candidate(&self, state: &mut State, _call: &Call) -> Outcome<Verdict> {
        if !self.may_switch(state) {
            return Ok(Verdict::Final);
        }
        state.switched = true;
        let next = match state.search.next().await {
            Ok(Some(next)) if next.credential != Credential::Anonymous => next,
            _ => return Ok(Verdict::Final),
        };
        self.host
            .transport
            .observed()
            .observe(Event::Notice(&format!(
                "{} refused the credentials from {}; trying those from {}",
                self.host.registry(),
                state.candidate.origin,
                next.origin
            )));
        self.shown().candidate = next.clone();
        state.candidate = next;
        state.generation += 1;
        let basic = state.candidate.credential.basic_authorization();
        match std::mem::replace(&mut state.method, AuthMethod::Unknown) {
            AuthMethod::Bearer { realm, service, .. } => {
                self.fetch(state, realm, service, None, "").await?;
            }
            AuthMethod::Unknown | AuthMethod::Fixed(_) => {
                state.fix(basic.as_ref().and_then(header_of));
            }
        }
        Ok(Verdict::TryAgain)
    }

    /// Everything the run has declared, and what a challenge asks beside it.
    fn needed(&self, asked: Option<Vec<Scope>>) -> Vec<Scope> {
        let mut scopes = self
            .scopes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // A challenge may name scopes of its own making: only those of repositories are repeated.
        scopes.extend(asked.unwrap_or_default());
        Scope::normalise(scopes)
    }

    async fn fetch(
        &self,
        state: &mut State,
        realm: Realm,
        service: Option<String>,
        asked: Option<Vec<Scope>>,
        doing: &str,
    ) -> Outcome<()> {
        let scopes = self.needed(asked);
        let token = self
            .ask_for_token(&state.candidate, &realm, service.as_deref(), &scopes)
            .await
            .map_err(|mut error| {
                if !doing.is_empty() {
                    error.doing = format!("{doing} (getting a token from {})", realm_host(&realm));
                }
                error
            })?;
        state.generation += 1;
        state.method = AuthMethod::Bearer {
            realm,
            service,
            token,
            scopes,
        };
        self.shown().used_token = true;
        Ok(())
    }

    async fn ask_for_token(
        &self,
        candidate: &Candidate,
        realm: &Realm,
        service: Option<&str>,
        scopes: &[Scope],
    ) -> Outcome<Token> {
        let request = TokenRequest {
            realm,
            service,
            scopes,
            account: candidate.credential.username(),
        };
        if let Credential::IdentityToken { token, .. } = &candidate.credential {
            let form = request.post(token);
            let post = TokenAsk {
                url: form.url,
                authorization: None,
                form: Some(form.body),
            };
            match self.token_answer(candidate, realm, post).await {
                // Azure answers 400, others know no POST at all: then Basic on GET.
                Err(TokenFailure::Status(400 | 401 | 404 | 405, _)) => {}
                outcome => return outcome.map_err(|failure| failure.told(realm)),
            }
        }
        let basic = candidate.credential.basic_authorization();
        let get = TokenAsk {
            url: request.get(),
            authorization: basic.as_ref().and_then(header_of),
            form: None,
        };
        self.token_answer(candidate, realm, get)
            .await
            .map_err(|failure| failure.told(realm))
    }

    async fn token_answer(
        &self,
        candidate: &Candidate,
        realm: &Realm,
        ask: TokenAsk,
    ) -> Result<Token, TokenFailure> {
        let transport = &self.host.transport;
        let doing = format!("get a token from {}", realm_host(realm));
        let mut retries = transport.retries();
        loop {
            let received = Instant::now().into_std();
            let outcome = match transport.send(ask.request()).await {
                Ok(response) => self.read_token(candidate, response, received).await,
                Err(error) => Err(TokenFailure::Transport(error)),
            };
            let (cause, asked) = match &outcome {
                Err(TokenFailure::Busy(status, asked)) => {
                    (format!("the token server answered {status}"), *asked)
                }
                Err(TokenFailure::Transport(error)) if error.is_retryable() => {
                    (error.to_string(), None)
                }
                _ => return outcome,
            };
            if let Err(given_up) = retries.pause(&doing, &cause, asked).await {
                return Err(TokenFailure::Transport(TransportError::GaveUp {
                    cause,
                    given_up,
                }));
            }
        }
    }

    async fn read_token(
        &self,
        candidate: &Candidate,
        response: Response,
        received: std::time::Instant,
    ) -> Result<Token, TokenFailure> {
        let status = response.status();
        if is_retryable_status(status) {
            return Err(TokenFailure::Busy(
                status,
                RetryAfter::of(response.headers()),
            ));
        }
        if !status.is_success() {
            return Err(TokenFailure::Status(status.as_u16(), candidate.clone()));
        }
        let body = response
            .bytes("token answer", MAX_TOKEN_ANSWER as u64)
            .await
            .map_err(TokenFailure::Transport)?;
        Token::parse(&body, received).map_err(|error| TokenFailure::Unusable(error.to_string()))
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn header(&self) -> Option<HeaderValue> {
        match &self.method {
            AuthMethod::Unknown => None,
            AuthMethod::Fixed(header) => header.clone(),
            AuthMethod::Bearer { token, .. } => {
                header_of(&Secret::new(format!("Bearer {}", token.secret.reveal())))
            }
        }
    }

    fn fix(&mut self, header: Option<HeaderValue>) {
        self.method = AuthMethod::Fixed(header);
        self.generation += 1;
    }

    /// Whether the token in use was asked for with these scopes already.
    fn had(&self, asked: &[Scope]) -> bool {
        match &self.method {
            AuthMethod::Bearer { scopes, .. } => {
                asked.iter().all(|scope| Scope::any_covers(scopes, scope))
            }
            AuthMethod::Unknown | AuthMethod::Fixed(_) => false,
        }
    }
}

/// A request for a token that can be sent as often as it needs.
struct TokenAsk {
    url: Url,
    authorization: Option<HeaderValue>,
    form: Option<Secret>,
}

impl TokenAsk {
    fn request(&self) -> Request {
        let Some(form) = &self.form else {
            let mut get = Request::new(Method::GET, self.url.clone());
            get.authorization.clone_from(&self.authorization);
            return get;
        };
        let mut post = Request::new(Method::POST, self.url.clone());
        post.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        post.body = Body::Bytes(Bytes::copy_from_slice(form.reveal().as_bytes()));
        post
    }
}

/// Why there is no token.
enum TokenFailure {
    /// A status that may pass.
    Busy(StatusCode, Option<RetryAfter>),
    /// A status that will not, for this credential.
    Status(u16, Candidate),
    /// The answer is no token.
    Unusable(String),
    /// No answer.
    Transport(TransportError),
}

impl TokenFailure {
    fn told(self, realm: &Realm) -> StoreError {
        let server = realm_host(realm);
        let doing = format!("get a token from {server}");
        match self {
            Self::Status(status @ (400 | 401 | 403), candidate) => {
                let cause = format!("{server} answered {status}");
                let error = StoreError::new(FailureKind::Unauthorized, doing, cause);
                if candidate.credential == Credential::Anonymous {
                    error.hint("no credentials were found, and the token server gives none to anonymous users: log in first")
                } else {
                    error.hint(format!(
                        "the token server did not accept the credentials from {}: is the password or token right, and not expired?",
                        candidate.origin
                    ))
                }
            }
            Self::Status(status, _) => StoreError::new(
                FailureKind::Other,
                doing,
                format!("{server} answered {status}"),
            ),
            Self::Busy(status, _) => StoreError::new(
                FailureKind::Unavailable,
                doing,
                format!("{server} answered {status}"),
            ),
            Self::Unusable(cause) => StoreError::new(FailureKind::Refused, doing, cause),
            Self::Transport(error) => {
                let kind = match error {
                    TransportError::TooLarge { .. } | TransportError::Redirect(_) => {
                        FailureKind::Refused
                    }
                    TransportError::Tls { .. } | TransportError::NotTls { .. } => {
                        FailureKind::Other
                    }
                    _ => FailureKind::Unavailable,
                };
                StoreError::new(kind, doing, error.to_string())
            }
        }
    }
}

fn realm_host(realm: &Realm) -> String {
    let url: &Url = realm.url();
    url.host_str().unwrap_or_default().to_owned()
}

fn header_of(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
