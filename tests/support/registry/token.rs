//! The token server. Tokens are opaque; a table contains the permissions and the expiry of each token (see the token
//! documents of the distribution project: `token.md`, `oauth.md`).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{Method, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{
    accounts::{Bearer, TokenField},
    auth,
    body::{Inbox, Interrupted},
    options::Auth,
    reply::{self, Reply},
    route,
    server::Shared,
};

/// The maximum size of a POST form, in bytes.
const FORM_LIMIT: usize = 64 * 1024;

/// A clock that tests can advance.
pub struct Clock {
    start: Instant,
    ahead: Mutex<Duration>,
}

impl Clock {
    /// Creates a clock that starts at zero.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            ahead: Mutex::default(),
        }
    }

    /// Returns the time since the start.
    pub fn now(&self) -> Duration {
        self.start.elapsed() + *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

/// The result of checking a token for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token is sufficient.
    Good,
    /// The token was not issued by this server.
    Unknown,
    /// The token has expired, or was used too often.
    Expired,
    /// The token is valid but lacks a permission.
    TooNarrow,
}

/// All tokens that were issued.
#[derive(Default)]
pub struct Tokens {
    issued: HashMap<String, Token>,
    /// Refresh tokens that were issued, and their users.
    refresh: HashMap<String, String>,
}

struct Token {
    access: Vec<(String, String)>,
    expires: Duration,
    uses: Option<u64>,
}

impl Tokens {
    /// Checks `token` for the permissions `wanted` (repository, action), and counts its use.
    pub fn verdict(&mut self, now: Duration, token: &str, wanted: &[(&str, &str)]) -> Verdict {
        let Some(token) = self.issued.get_mut(token) else {
            return Verdict::Unknown;
        };
        if now >= token.expires || token.uses == Some(0) {
            return Verdict::Expired;
        }
        if let Some(uses) = &mut token.uses {
            *uses -= 1;
        }
        let has = |(repo, action): &(&str, &str)| {
            let mut access = token.access.iter();
            access.any(|(own_repo, own_action)| own_repo == repo && own_action == action)
        };
        if wanted.iter().all(has) {
            Verdict::Good
        } else {
            Verdict::TooNarrow
        }
    }

    /// Invalidates every token that was issued so far.
    pub fn expire(&mut self) {
        for token in self.issued.values_mut() {
            token.expires = Duration::ZERO;
        }
    }

    /// Returns all access tokens that were issued.
    pub fn all(&self) -> Vec<String> {
        self.issued.keys().cloned().collect()
    }
}

/// Answers a request for a token; `number` is its number in the log.
pub async fn serve(
    shared: &Shared,
    parts: &Parts,
    number: u64,
    body: &mut Inbox,
) -> Result<Reply, Interrupted> {
    let Auth::Bearer(bearer) = &shared.options.auth else {
        return Ok(reply::status(StatusCode::NOT_FOUND));
    };
    match parts.method {
        Method::GET => Ok(by_password(shared, bearer, parts)),
        Method::POST => {
            let Some(form) = body.collect(FORM_LIMIT).await? else {
                return Ok(reply::status(StatusCode::PAYLOAD_TOO_LARGE));
            };
            shared.log.form(number, form.clone());
            Ok(by_form(shared, bearer, &form))
        }
        _ => Ok(reply::status(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

/// Handles a GET with Basic credentials or without credentials.
fn by_password(shared: &Shared, bearer: &Bearer, parts: &Parts) -> Reply {
    let user = match auth::basic(&parts.headers) {
        Some(Ok((user, password))) if bearer.accounts.accepts(&user, &password) => Some(user),
        None if bearer.anonymous => None,
        _ => return refused(),
    };
    let query = route::query(&parts.uri);
    if let Some(refusal) = wrong_service(bearer, &query) {
        return refusal;
    }
    let (token, scope) = issue(shared, bearer, user.as_deref(), &query);
    let mut answer = json!({"issued_at": "2024-01-01T00:00:00Z"});
    if bearer.field != TokenField::AccessToken {
        answer["token"] = token.clone().into();
    }
    if bearer.field != TokenField::Token {
        answer["access_token"] = token.into();
    }
    let offline = value(&query, "offline_token") == Some("true");
    if let (Some(user), true) = (user, offline) {
        answer["refresh_token"] = refresh_token(shared, &user).into();
    }
    done(bearer, answer, &scope)
}

/// Handles a POST with a refresh (identity) token or a password.
fn by_form(shared: &Shared, bearer: &Bearer, form: &[u8]) -> Reply {
    if let Some(status) = bearer.post_status {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
        return reply::error_with(status, "UNSUPPORTED", "no POST here");
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(form).into_owned().collect();
    let field = |name| value(&form, name).unwrap_or_default().to_owned();
    let user = match field("grant_type").as_str() {
        "access_token" => {
            let shown = field("access_token");
            let mut known = bearer.access_tokens.iter();
            return match known.find(|(own, _)| *own == shown) {
                Some((_, user)) => {
                    let answer = json!({"refresh_token": refresh_token(shared, user)});
                    reply::json("application/json", &answer)
                }
                None => refused(),
            };
        }
        "refresh_token" => {
            let shown = field("refresh_token");
            let known = bearer.identity_tokens.iter().find(|(own, _)| *own == shown);
            let known = known.map(|(_, user)| user.clone());
            known.or_else(|| shared.tokens().refresh.get(&shown).cloned())
        }
        "password" => {
            Some(field("username")).filter(|user| bearer.accounts.accepts(user, &field("password")))
        }
        _ => return reply::error_with(StatusCode::BAD_REQUEST, "unsupported_grant_type", "?"),
    };
    let Some(user) = user else {
        return refused();
    };
    if let Some(refusal) = wrong_service(bearer, &form) {
        return refusal;
    }
    let (token, scope) = issue(shared, bearer, Some(&user), &form);
    let mut answer = json!({"access_token": token, "issued_at": "2024-01-01T00:00:00Z"});
    if field("access_type") == "offline" {
        answer["refresh_token"] = refresh_token(shared, &user).into();
    }
    done(bearer, answer, &scope)
}

/// Issues a token for the permissions that are both requested and granted. Returns the token and its scope.
fn issue(
    shared: &Shared,
    bearer: &Bearer,
    user: Option<&str>,
    parameters: &[(String, String)],
) -> (String, String) {
    let scopes = parameters.iter().filter(|(name, _)| name == "scope");
    let access: Vec<(String, String)> = scopes
        .flat_map(|(_, value)| value.split(' '))
        .filter_map(parse_scope)
        .flat_map(|(repo, actions)| {
            let actions = actions.into_iter();
            actions.map(move |action| (repo.clone(), action))
        })
        .filter(|(repo, action)| bearer.accounts.allows(user, repo, action))
        .collect();
    let scope: Vec<String> = access
        .iter()
        .map(|(repo, action)| format!("repository:{repo}:{action}"))
        .collect();
    let token = format!("tok-{:032x}", fastrand::u128(..));
    let entry = Token {
        access,
        expires: shared.clock.now() + bearer.actual_lifetime(),
        uses: bearer.uses,
    };
    shared.tokens().issued.insert(token.clone(), entry);
    (token, scope.join(" "))
}

/// Parses `repository:<name>:<action>,<action>`. The name may contain a colon (the port of a host).
fn parse_scope(text: &str) -> Option<(String, Vec<String>)> {
    let (name, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
    Some((name.into(), actions.split(',').map(str::to_owned).collect()))
}

fn refresh_token(shared: &Shared, user: &str) -> String {
    let token = format!("ref-{:032x}", fastrand::u128(..));
    shared.tokens().refresh.insert(token.clone(), user.into());
    token
}

fn wrong_service(bearer: &Bearer, parameters: &[(String, String)]) -> Option<Reply> {
    let service = value(parameters, "service")?;
    (service != bearer.service)
        .then(|| reply::error_with(StatusCode::BAD_REQUEST, "UNSUPPORTED", "unknown service"))
}

fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = parameters.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

fn done(bearer: &Bearer, mut answer: Value, scope: &str) -> Reply {
    if let Some(seconds) = bearer.expires_in {
        answer["expires_in"] = seconds.into();
    }
    answer["scope"] = scope.into();
    reply::json("application/json", &answer)
}

fn refused() -> Reply {
    reply::error(
        "UNAUTHORIZED",
        "authentication required: incorrect username or password",
    )
}
