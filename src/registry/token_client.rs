//! The talk with a token server: the request with the credential, the tries, what its refusals mean.
//! Protocol: <https://distribution.github.io/distribution/spec/auth/token/>.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use super::authorizer::header_of;
use super::call::Outcome;
use super::error::{no_credentials, wrong_credentials};
use crate::auth::{
    Candidate, Credential, MAX_TOKEN_ANSWER, Realm, Scope, Secret, Token, TokenRequest,
};
use crate::spec::RegistryHost;
use crate::store::{FailureKind, StoreError};
use crate::transport::{
    Body, Request, Response, RetryAfter, Transport, TransportError, is_retryable_status,
};

/// Asks one token server.
pub(super) struct TokenClient<'a> {
    pub(super) transport: &'a Transport,
    /// Whose token it is, for messages.
    pub(super) registry: &'a RegistryHost,
    /// Where that is, which leads to the token server.
    pub(super) base: &'a Url,
    pub(super) realm: &'a Realm,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a [Scope],
    /// A guess is tried once, and not for long: the registry's own challenge is never wrong.
    pub(super) is_guess: bool,
}

impl TokenClient<'_> {
    /// A token for a credential; for anonymous access too.
    pub(super) async fn token(&self, candidate: &Candidate) -> Outcome<Token> {
        self.obtain(candidate)
            .await
            .map_err(|failure| failure.told(self, candidate))
    }

    async fn obtain(&self, candidate: &Candidate) -> Result<Token, TokenFailure> {
        let request = TokenRequest {
            realm: self.realm,
            service: self.service,
            scopes: self.scopes,
            account: candidate.credential.username(),
        };
        if let Credential::IdentityToken { token, .. } = &candidate.credential {
            let form = request.post(token);
            let post = TokenAsk {
                url: form.url,
                authorization: None,
                form: Some(form.body),
            };
            match self.answer(post).await {
                // Azure answers 400, others know no POST at all: then Basic on GET.
                Err(TokenFailure::Status(400 | 401 | 404 | 405)) => {}
                outcome => return outcome,
            }
        }
        let basic = candidate.credential.basic_authorization();
        let get = TokenAsk {
            url: request.get(),
            authorization: basic.as_ref().and_then(header_of),
            form: None,
        };
        self.answer(get).await
    }

    async fn answer(&self, ask: TokenAsk) -> Result<Token, TokenFailure> {
        if self.is_guess {
            let patience = self.transport.patience_for_a_guess();
            return tokio::time::timeout(patience, self.try_once(&ask))
                .await
                .unwrap_or_else(|_| Err(TokenFailure::Late));
        }
        let doing = format!("get a token from {}", realm_host(self.realm));
        let mut retries = self.transport.retries();
        loop {
            let failure = match self.try_once(&ask).await {
                Err(failure) if failure.is_temporary() => failure,
                outcome => return outcome,
            };
            let (asked, lost) = match &failure {
                TokenFailure::Busy(_, asked) => (*asked, Duration::ZERO),
                TokenFailure::Transport(error) => (None, error.lost()),
                _ => (None, Duration::ZERO),
            };
            let cause = failure.cause(self.realm);
            if let Err(given_up) = retries.pause(&doing, &cause, asked, lost).await {
                return Err(TokenFailure::Transport(TransportError::GaveUp {
                    cause,
                    given_up,
                }));
            }
        }
    }

    async fn try_once(&self, ask: &TokenAsk) -> Result<Token, TokenFailure> {
        let sent = Instant::now().into_std();
        let mut request = ask.request();
        request.referred_by = Some(self.base.clone());
        let response = self
            .transport
            .send(request)
            .await
            .map_err(TokenFailure::Transport)?;
        let status = response.status();
        if status.is_success() {
            return read(response, sent).await;
        }
        let asked = RetryAfter::of(response.headers());
        // Read, so that its connection can be used again.
        response.beginning(1 << 10).await;
        Err(if is_retryable_status(status) {
            TokenFailure::Busy(status, asked)
        } else {
            TokenFailure::Status(status.as_u16())
        })
    }
}

async fn read(response: Response, sent: std::time::Instant) -> Result<Token, TokenFailure> {
    let body = response
        .bytes("a token answer", MAX_TOKEN_ANSWER as u64)
        .await
        .map_err(TokenFailure::Transport)?;
    Token::parse(&body, sent).map_err(|error| TokenFailure::Unusable(error.to_string()))
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
        post.is_confidential = true;
        post.body = Body::Bytes(Bytes::copy_from_slice(form.reveal().as_bytes()));
        post
    }
}

/// Why there is no token.
enum TokenFailure {
    /// A status that may pass.
    Busy(StatusCode, Option<RetryAfter>),
    /// A status that will not, for this credential.
    Status(u16),
    /// The answer is no token.
    Unusable(String),
    /// No answer.
    Transport(TransportError),
    /// A guess that took too long.
    Late,
}

impl TokenFailure {
    fn is_temporary(&self) -> bool {
        match self {
            Self::Busy(..) => true,
            Self::Transport(error) => error.is_retryable(),
            Self::Status(_) | Self::Unusable(_) | Self::Late => false,
        }
    }

    fn cause(&self, realm: &Realm) -> String {
        let server = realm_host(realm);
        match self {
            Self::Busy(status, _) => format!("{server} answered {}", status.as_u16()),
            Self::Status(status) => format!("{server} answered {status}"),
            Self::Unusable(cause) => cause.clone(),
            Self::Transport(error) => error.to_string(),
            Self::Late => format!("{server} did not answer in time"),
        }
    }

    fn told(&self, client: &TokenClient<'_>, candidate: &Candidate) -> StoreError {
        let server = realm_host(client.realm);
        let kind = match self {
            Self::Status(400 | 401) => FailureKind::Unauthorized,
            Self::Status(403) => FailureKind::Denied,
            Self::Status(_)
            | Self::Transport(
                TransportError::Tls { .. }
                | TransportError::NotTls { .. }
                | TransportError::Refused { .. },
            ) => FailureKind::Other,
            Self::Unusable(_)
            | Self::Transport(TransportError::TooLarge { .. } | TransportError::Redirect(_)) => {
                FailureKind::Refused
            }
            Self::Busy(..) | Self::Transport(_) | Self::Late => FailureKind::Unavailable,
        };
        let error = StoreError::new(
            kind,
            format!("get a token from {server}"),
            self.cause(client.realm),
        );
        match kind {
            FailureKind::Unauthorized | FailureKind::Denied
                if candidate.credential == Credential::Anonymous =>
            {
                no_credentials(error, client.registry)
            }
            FailureKind::Unauthorized => wrong_credentials(error, client.registry, candidate),
            FailureKind::Denied => error.hint(format!(
                "the token server refuses what was asked for with the credentials from {}",
                candidate.origin
            )),
            _ => error,
        }
    }
}

/// The host of a token server, for messages.
pub(super) fn realm_host(realm: &Realm) -> String {
    let url: &Url = realm.url();
    url.host_str().unwrap_or_default().to_owned()
}
