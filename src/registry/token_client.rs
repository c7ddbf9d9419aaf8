//! Requests tokens from a token server, with retries.
//! Protocol: <https://distribution.github.io/distribution/spec/auth/token/>.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use super::answer::MAX_ERROR_BODY;
use super::call::Outcome;
use super::error::{UnexpectedAnswer, no_credentials, wrong_credentials};
use super::error_body::RegistryError;
use super::redactor::Redactor;
use super::tokens::secret_header;
use crate::auth::{
    Candidate, Credential, MAX_TOKEN_ANSWER, Realm, Scope, Secret, Token, TokenError, TokenRequest,
    TokenServer,
};
use crate::spec::RegistryHost;
use crate::store::{FailureKind, StoreError};
use crate::transport::{
    Body, Request, Response, RetryDelay, Transport, TransportError, authority, is_retryable_status,
};

/// A request for a token with some scopes.
pub(super) struct TokenClient<'a> {
    pub(super) transport: &'a Transport,
    /// The registry that the token is for.
    pub(super) registry: &'a RegistryHost,
    /// The address of the registry, which referred to the token server.
    pub(super) base: &'a Url,
    pub(super) server: &'a TokenServer,
    pub(super) scopes: &'a [Scope],
    /// Whether the token server is a guess: the registry has not named it yet. Then there is one attempt with a short
    /// timeout, since the registry's challenge will name the server.
    pub(super) is_guess: bool,
}

impl TokenClient<'_> {
    /// Returns a token for a credential, or for anonymous access.
    pub(super) async fn token(&self, candidate: &Candidate) -> Outcome<Token> {
        self.request(candidate)
            .await
            .map_err(|failure| failure.into_error(self, candidate))
    }

    async fn request(&self, candidate: &Candidate) -> Result<Token, TokenFailure> {
        let request = TokenRequest {
            server: self.server,
            scopes: self.scopes,
            account: candidate.credential.username(),
        };
        if let Credential::IdentityToken { token, .. } = &candidate.credential {
            let post = TokenCall {
                url: self.server.realm.url().clone(),
                authorization: None,
                form: Some(request.form(token)),
                secret: Some(token.clone()),
            };
            match self.send(post).await {
                // Azure answers 400, others do not support POST: fall back to GET with Basic.
                Err(TokenFailure::Status(status, ..))
                    if matches!(status.as_u16(), 400 | 401 | 404 | 405) => {}
                outcome => return outcome,
            }
        }
        let basic = candidate.credential.basic_authorization();
        let get = TokenCall {
            url: request.get(),
            authorization: basic.as_ref().and_then(secret_header),
            form: None,
            secret: None,
        };
        self.send(get).await
    }

    async fn send(&self, call: TokenCall) -> Result<Token, TokenFailure> {
        if self.is_guess {
            let timeout = self.transport.optional_request_timeout();
            return tokio::time::timeout(timeout, self.try_once(&call))
                .await
                .unwrap_or(Err(TokenFailure::Late));
        }
        let doing = format!("get a token from {}", realm_host(&self.server.realm));
        let mut retries = self.transport.retries();
        loop {
            let failure = match self.try_once(&call).await {
                Err(failure) if failure.is_temporary() => failure,
                outcome => return outcome,
            };
            let delay = match &failure {
                TokenFailure::Status(_, _, delay) => *delay,
                TokenFailure::Transport(error) => error.delay(),
                _ => RetryDelay::default(),
            };
            let cause = failure.into_cause(&self.server.realm).to_string();
            if let Err(reason) = retries.pause(&doing, &cause, delay).await {
                return Err(TokenFailure::Transport(TransportError::GaveUp {
                    cause,
                    reason,
                }));
            }
        }
    }

    async fn try_once(&self, call: &TokenCall) -> Result<Token, TokenFailure> {
        let sent = Instant::now().into_std();
        let mut request = call.request();
        request.referred_by = Some(self.base.clone());
        request.is_counted = false;
        let response = self
            .transport
            .send(request)
            .await
            .map_err(TokenFailure::Transport)?;
        let status = response.status();
        if status.is_success() {
            return read(response, sent).await;
        }
        let delay = RetryDelay::after_response(response.headers());
        let body = response.beginning(MAX_ERROR_BODY).await;
        let error = RegistryError::of_body(&body, &call.redactor());
        Err(TokenFailure::Status(status, error, delay))
    }
}

async fn read(response: Response, sent: std::time::Instant) -> Result<Token, TokenFailure> {
    let body = response
        .bytes("a token answer", MAX_TOKEN_ANSWER)
        .await
        .map_err(TokenFailure::Transport)?;
    Token::parse(&body, sent).map_err(TokenFailure::Unusable)
}

/// A request to a token server. It can be sent any number of times.
struct TokenCall {
    url: Url,
    authorization: Option<HeaderValue>,
    form: Option<Secret>,
    /// The secret in the form data.
    secret: Option<Secret>,
}

impl TokenCall {
    /// Returns a redactor that removes the secrets of this request from the answer.
    fn redactor(&self) -> Redactor {
        let redactor = self.authorization.as_ref().map(Redactor::of_header);
        let redactor = redactor.unwrap_or_default();
        match &self.secret {
            Some(secret) => redactor.and(secret),
            None => redactor,
        }
    }

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

/// The reason why there is no token.
enum TokenFailure {
    /// A status that is not a success.
    Status(StatusCode, RegistryError, RetryDelay),
    /// The answer contains no usable token.
    Unusable(TokenError),
    Transport(TransportError),
    /// The guessed token server did not answer in time.
    Late,
}

impl TokenFailure {
    fn is_temporary(&self) -> bool {
        match self {
            Self::Status(status, ..) => is_retryable_status(*status),
            Self::Transport(error) => error.is_retryable(),
            Self::Unusable(_) | Self::Late => false,
        }
    }

    fn into_cause(self, realm: &Realm) -> Box<dyn Error + Send + Sync> {
        let server = realm_host(realm);
        match self {
            Self::Status(status, error, _) => UnexpectedAnswer {
                server,
                status,
                error,
            }
            .into(),
            Self::Unusable(error) => error.into(),
            Self::Transport(error) => error.into(),
            Self::Late => format!("{server} did not answer in time").into(),
        }
    }

    fn into_error(self, client: &TokenClient<'_>, candidate: &Candidate) -> StoreError {
        let server = realm_host(&client.server.realm);
        let kind = match &self {
            Self::Status(status, ..) => match status.as_u16() {
                400 | 401 => FailureKind::Unauthorized,
                403 => FailureKind::Denied,
                _ if is_retryable_status(*status) => FailureKind::Unavailable,
                _ => FailureKind::Other,
            },
            Self::Transport(
                TransportError::Tls { .. }
                | TransportError::NotTls { .. }
                | TransportError::Refused { .. },
            ) => FailureKind::Other,
            Self::Unusable(_)
            | Self::Transport(TransportError::TooLarge { .. } | TransportError::Redirect(_)) => {
                FailureKind::Refused
            }
            Self::Transport(_) | Self::Late => FailureKind::Unavailable,
        };
        let error = StoreError::new(
            kind,
            format!("get a token from {server}"),
            self.into_cause(&client.server.realm),
        );
        match kind {
            FailureKind::Unauthorized | FailureKind::Denied
                if candidate.credential == Credential::Anonymous =>
            {
                no_credentials(error, client.registry)
            }
            FailureKind::Unauthorized => wrong_credentials(error, client.registry, candidate),
            FailureKind::Denied => error.hint(format!(
                "check the permissions of the credentials from {}: the token server refuses the requested access",
                candidate.origin
            )),
            _ => error,
        }
    }
}

/// Returns the host of a token server, for messages.
pub(super) fn realm_host(realm: &Realm) -> String {
    authority(realm.url())
}
