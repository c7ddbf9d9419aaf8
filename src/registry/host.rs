//! One registry: where it answers, and the loop through which every call goes: authorise, send, find out what
//! the answer asks for (a token, patience, another scheme), try again within the budget.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Method, StatusCode};
use url::Url;

use super::authorizer::{Authorizer, Verdict};
use super::call::{Answer, Call, CallTarget, MAX_ERROR_BODY, Outcome};
use super::error::{refused, unreachable};
use super::facts::Facts;
use crate::content::StoreError;
use crate::spec::RegistryHost;
use crate::transport::{
    Body, Protocol, Request, Response, Retries, RetryAfter, TlsError, TlsProfile, Transport,
    TransportError, check_hop, is_retryable_status, may_carry_authorization,
};

/// A registry and how it is reached.
pub(super) struct Host {
    registry: RegistryHost,
    pub(super) transport: Transport,
    pub(super) facts: Facts,
    secure: Url,
    plain: Url,
    /// Speaks TLS, as far as is known.
    tls: AtomicBool,
    /// Whether that has been seen to be so.
    settled: AtomicBool,
    /// Plain HTTP is allowed.
    allows_plain: bool,
}

impl Host {
    pub(super) fn new(
        registry: RegistryHost,
        transport: Transport,
        profile: &TlsProfile,
        facts: Facts,
    ) -> Result<Self, TlsError> {
        let known = facts.of(&registry);
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{}/v2/", registry.endpoint()))
                .expect("a parsed registry host is the host of an address")
        };
        let (secure, plain) = (parse("https"), parse("http"));
        let loopback = registry.is_loopback();
        let expects_tls = profile.expects_tls(registry.as_str()) || known.tls == Some(true);
        let protocol = match known.http2 {
            Some(true) => Protocol::Http2,
            Some(false) => Protocol::Http1,
            None => Protocol::Unknown,
        };
        transport.open_lane(&secure, profile, registry.as_str(), protocol)?;
        Ok(Self {
            tls: AtomicBool::new(!loopback || expects_tls),
            settled: AtomicBool::new(false),
            allows_plain: loopback || profile.insecure,
            registry,
            transport,
            facts,
            secure,
            plain,
        })
    }

    pub(super) fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// `https://host/v2/`, or `http://…` where that is what the registry speaks.
    pub(super) fn base(&self) -> &Url {
        if self.tls.load(Ordering::Relaxed) {
            &self.secure
        } else {
            &self.plain
        }
    }

    /// Whether a credential may travel to the registry as it is: over TLS, on this machine, or where the
    /// user said that plain HTTP will do.
    pub(super) fn may_see_credentials(&self) -> bool {
        self.tls.load(Ordering::Relaxed) || self.allows_plain
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
            let (response, asked_from) = self.head(authorizer, call, &mut retries).await?;
            let elsewhere =
                response.was_redirected() && !may_carry_authorization(&asked_from, response.url());
            let status = response.status();
            let headers = response.headers().clone();
            let url = response.url().clone();
            let body = if !status.is_success() {
                Ok(Bytes::from(response.beginning(MAX_ERROR_BODY).await))
            } else if call.method == Method::HEAD {
                Ok(Bytes::new())
            } else {
                response.bytes(what, limit).await
            };
            match body {
                Ok(body) => {
                    return Ok(Answer {
                        status,
                        headers,
                        url,
                        elsewhere,
                        body,
                    });
                }
                Err(error) => self.pause(call, &error, None, &mut retries).await?,
            }
        }
    }

    /// A call whose answer is a success with a body that streams.
    pub(super) async fn open(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        retries: &mut Retries,
    ) -> Outcome<Response> {
        let (response, _) = self.head(authorizer, call, retries).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Self::refusal(authorizer, call, response).await)
    }

    /// The error for an answer that is no success.
    pub(super) fn refused(authorizer: &Authorizer, call: &Call, answer: &Answer) -> StoreError {
        let (candidate, used_token) = authorizer.used();
        refused(call, answer, &candidate, used_token)
    }

    async fn refusal(authorizer: &Authorizer, call: &Call, response: Response) -> StoreError {
        let answer = Answer {
            status: response.status(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            elsewhere: false,
            body: Bytes::from(response.beginning(MAX_ERROR_BODY).await),
        };
        Self::refused(authorizer, call, &answer)
    }

    /// Sends a call until there is an answer that neither authorisation nor patience will change.
    async fn head(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        retries: &mut Retries,
    ) -> Outcome<(Response, Url)> {
        let mut verdicts = 0;
        loop {
            let grant = authorizer.grant(call).await?;
            let url = self
                .address(call)
                .map_err(|error| unreachable(call, &error, self.allows_plain))?;
            let mut request = Request::new(call.method.clone(), url.clone());
            request.headers = call.headers.clone();
            request.authorization = grant.header.clone().filter(|_| {
                self.may_see_credentials() && may_carry_authorization(self.base(), &url)
            });
            if !call.body.is_empty() {
                request.body = Body::Bytes(call.body.clone());
            }
            match self.transport.send(request).await {
                Ok(response) if is_tls_server(&url, &response) && self.switch_scheme(&url) => {}
                Ok(response) => {
                    self.settle(&url);
                    let status = response.status();
                    let asks = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                        && may_carry_authorization(self.base(), response.url());
                    if asks && verdicts < 3 {
                        verdicts += 1;
                        match authorizer.consider(call, &grant, &response).await? {
                            Verdict::TryAgain => continue,
                            Verdict::Final => return Ok((response, url)),
                        }
                    }
                    if !is_retryable_status(status) {
                        if status.is_success() {
                            authorizer.satisfied(&grant);
                        }
                        return Ok((response, url));
                    }
                    self.wait_out(authorizer, call, response, retries).await?;
                }
                Err(error) if self.is_wrong_scheme(&url, &error) && self.switch_scheme(&url) => {}
                Err(error) => self.pause(call, &error, None, retries).await?,
            }
        }
    }

    /// One try of a request whose body can be sent only once.
    pub(super) async fn send_once(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        body: Body,
    ) -> Outcome<Result<Answer, TransportError>> {
        let grant = authorizer.grant(call).await?;
        let url = match self.address(call) {
            Ok(url) => url,
            Err(error) => return Ok(Err(error)),
        };
        let mut request = Request::new(call.method.clone(), url.clone());
        request.headers = call.headers.clone();
        request.authorization = grant
            .header
            .filter(|_| self.may_see_credentials() && may_carry_authorization(self.base(), &url));
        request.body = body;
        let response = match self.transport.send(request).await {
            Ok(response) => response,
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            elsewhere: false,
            body: Bytes::from(response.beginning(MAX_ERROR_BODY).await),
        }))
    }

    /// Waits before the next try, or says why there is none.
    pub(super) async fn pause(
        &self,
        call: &Call,
        error: &TransportError,
        asked: Option<RetryAfter>,
        retries: &mut Retries,
    ) -> Outcome<()> {
        if !error.is_retryable() {
            return Err(unreachable(call, error, self.allows_plain));
        }
        let cause = error.to_string();
        match retries.pause(&call.doing, &cause, asked).await {
            Ok(()) => Ok(()),
            Err(given_up) => {
                let mut told = unreachable(call, error, self.allows_plain);
                told.cause = format!("{cause} ({given_up})");
                Err(told)
            }
        }
    }

    async fn wait_out(
        &self,
        authorizer: &Authorizer,
        call: &Call,
        response: Response,
        retries: &mut Retries,
    ) -> Outcome<()> {
        let asked = RetryAfter::of(response.headers());
        let told = Self::refusal(authorizer, call, response).await;
        match retries.pause(&call.doing, &told.cause, asked).await {
            Ok(()) => Ok(()),
            Err(given_up) => Err(StoreError {
                cause: format!("{} ({given_up})", told.cause),
                ..told
            }),
        }
    }

    fn address(&self, call: &Call) -> Result<Url, TransportError> {
        match &call.target {
            CallTarget::Path(path) => {
                let text = format!("{}{}/{path}", self.base(), call.repository.path());
                Url::parse(&text).map_err(|error| TransportError::Source(error.to_string()))
            }
            CallTarget::Location(location) => {
                check_hop(self.base(), location)?;
                Ok(location.clone())
            }
        }
    }

    /// Whether what went wrong is what happens when the wrong one of http and https is spoken.
    fn is_wrong_scheme(&self, url: &Url, error: &TransportError) -> bool {
        match (url.scheme(), error) {
            ("https", TransportError::NotTls { .. }) => true,
            ("http", TransportError::Broken { .. }) => self.registry.is_loopback(),
            _ => false,
        }
    }

    /// Goes over from the scheme of `failed` to the other, if that is allowed and was not decided by an answer
    /// already. `true`: try again. Requests that failed side by side all come here; the first one switches.
    fn switch_scheme(&self, failed: &Url) -> bool {
        if failed.scheme() != self.base().scheme() {
            return true;
        }
        if !self.allows_plain || self.settled.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.tls.store(failed.scheme() == "http", Ordering::Relaxed);
        true
    }

    fn settle(&self, url: &Url) {
        if self.settled.swap(true, Ordering::Relaxed) {
            return;
        }
        let is_tls = url.scheme() == "https";
        self.facts
            .learn(&self.registry, |facts| facts.tls = Some(is_tls));
    }

    /// Keeps what this run has found out about the connection.
    pub(super) fn note_protocol(&self) {
        let http2 = match self.transport.protocol(self.base()) {
            Protocol::Http2 => Some(true),
            Protocol::Http1 => Some(false),
            Protocol::Unknown => None,
        };
        let is_tls = self.tls.load(Ordering::Relaxed);
        self.facts.learn(&self.registry, |facts| {
            facts.tls = Some(is_tls);
            if http2.is_some() && is_tls {
                facts.http2 = http2;
            }
        });
    }
}

/// A TLS server that was spoken to in the clear: Go's answers 400 without any header, nginx 400 with HTML.
fn is_tls_server(url: &Url, response: &Response) -> bool {
    url.scheme() == "http"
        && response.status() == StatusCode::BAD_REQUEST
        && response
            .header(http::header::CONTENT_TYPE)
            .is_none_or(|text| text.starts_with("text/html"))
}
