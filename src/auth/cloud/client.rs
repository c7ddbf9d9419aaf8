//! HTTP calls to clouds over the transport of the run: its limits, retries, proxies and TLS apply.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use url::form_urlencoded::Serializer;
use url::{Host, Url};

use super::error::CloudError;
use crate::address::{is_internal, is_loopback};
use crate::auth::Secret;
use crate::auth::secret::SecretLog;
use crate::environment::Environment;
use crate::text::clean;
use crate::transport::{Body, Redirects, Request, RetryDelay, Transport, is_retryable_status};

/// The maximum size of an answer in bytes.
const MAX_ANSWER: u64 = 256 << 10;
/// The time limit of one try of a call.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The time limit of a metadata service.
const METADATA_LIMIT: Duration = Duration::from_secs(1);
/// The maximum number of characters of an error message that are shown.
const MAX_SHOWN: usize = 300;

/// Calls clouds with the environment of the run.
pub(in crate::auth) struct CloudClient {
    pub(super) environment: Environment,
    transport: Transport,
    secrets: Arc<SecretLog>,
}

/// A request that can be sent repeatedly.
pub(super) struct CloudRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    headers: HeaderMap,
    pub(super) body: Option<Secret>,
}

/// An answer, with its text.
#[derive(Debug)]
pub(super) struct CloudAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: Secret,
    pub(super) host: String,
}

impl CloudRequest {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    pub(super) fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    pub(super) fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let body = encoded_form(fields);
        Self::post(url, "application/x-www-form-urlencoded", body)
    }

    pub(super) fn post(url: Url, content_type: &'static str, body: Secret) -> Self {
        let mut request = Self::new(Method::POST, url);
        let content_type = HeaderValue::from_static(content_type);
        request.headers.insert(CONTENT_TYPE, content_type);
        request.body = Some(body);
        request
    }

    /// Adds a header. A value that is not valid in a header is omitted.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value)) {
            value.set_sensitive(true);
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn bearer(self, token: &Secret) -> Self {
        self.header("authorization", &format!("Bearer {}", token.reveal()))
    }

    fn to_request(&self, is_direct: bool) -> Request {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        request.headers = self.headers.clone();
        request.authorization = request.headers.remove(AUTHORIZATION);
        request.is_confidential = true;
        request.is_direct = is_direct;
        request.is_counted = false;
        request.redirects = Redirects::Return;
        if let Some(body) = &self.body {
            request.body = Body::Bytes(Bytes::copy_from_slice(body.reveal().as_bytes()));
        }
        request
    }

    fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }
}

impl CloudAnswer {
    /// Parses the answer as JSON; `Null` if it is something else.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(self.text.reveal()).unwrap_or_default()
    }

    /// Returns a text field of a JSON answer. Fails if the answer is an error or lacks the field.
    pub(super) fn field(
        &self,
        operation: &str,
        pointer: &'static str,
    ) -> Result<Secret, CloudError> {
        self.successful(operation)?;
        let json = self.json();
        let text = json.pointer(pointer).and_then(Value::as_str);
        text.filter(|text| is_header_text(text))
            .map(Secret::new)
            .ok_or_else(|| self.incomplete(operation, &pointer[1..]))
    }

    pub(super) fn incomplete(&self, operation: &str, missing: &'static str) -> CloudError {
        CloudError::Incomplete {
            operation: operation.to_owned(),
            host: self.host.clone(),
            missing,
        }
    }

    /// Fails unless the status is a success.
    pub(super) fn successful(&self, operation: &str) -> Result<(), CloudError> {
        if self.status.is_success() {
            return Ok(());
        }
        Err(CloudError::Refused {
            operation: operation.to_owned(),
            host: self.host.clone(),
            status: self.status.as_u16(),
            message: error_message(self.text.reveal())
                .map(|message| format!(": {}", clean(&message, MAX_SHOWN)))
                .unwrap_or_default(),
        })
    }
}

impl CloudClient {
    pub(in crate::auth) fn new(
        environment: &Environment,
        transport: Transport,
        secrets: Arc<SecretLog>,
    ) -> Self {
        Self {
            environment: environment.clone(),
            transport,
            secrets,
        }
    }

    pub(in crate::auth) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(super) fn var(&self, name: &str) -> Option<&str> {
        self.environment.var(name)
    }

    /// Adds a secret to those that are masked in logs.
    pub(super) fn keep(&self, secret: Secret) -> Secret {
        self.secrets.add(&secret);
        secret
    }

    /// Returns the URL in a variable, if the variable is set. It must be https, or http to this machine.
    pub(super) fn endpoint(&self, variable: &str) -> Result<Option<Url>, CloudError> {
        let Some(text) = self.var(variable) else {
            return Ok(None);
        };
        checked_url(text, variable, is_local).map(Some)
    }

    /// Returns the URL of a metadata service in a variable. It must be https, or http to an internal address.
    pub(super) fn metadata_endpoint(&self, variable: &str) -> Result<Option<Url>, CloudError> {
        let Some(text) = self.var(variable) else {
            return Ok(None);
        };
        checked_url(text, variable, is_internal_host).map(Some)
    }

    /// Sends a request and retries within the budget of the run. Redirects are not followed.
    pub(super) async fn send(&self, request: &CloudRequest) -> Result<CloudAnswer, CloudError> {
        let operation = format!("get credentials from {}", request.host());
        let mut retries = self.transport.retries();
        loop {
            let outcome = self.send_once(request, CALL_LIMIT, false).await;
            let (cause, delay) = match &outcome {
                Ok(answer) if is_retryable_status(answer.status) => {
                    let cause = format!("{} answered {}", answer.host, answer.status.as_u16());
                    (cause, RetryDelay::after_response(&answer.headers))
                }
                Err(CloudError::Transport { cause, .. }) if cause.is_retryable() => {
                    (cause.to_string(), cause.delay())
                }
                _ => return outcome,
            };
            if retries.pause(&operation, &cause, delay).await.is_err() {
                return outcome;
            }
        }
    }

    /// Sends a request and returns the token in a field of the answer.
    pub(super) async fn token(
        &self,
        request: &CloudRequest,
        operation: &str,
        pointer: &'static str,
    ) -> Result<Secret, CloudError> {
        let token = self.send(request).await?.field(operation, pointer)?;
        Ok(self.keep(token))
    }

    /// Sends a request to a metadata service: once, without a proxy, and for at most one second.
    pub(super) async fn ask_metadata(
        &self,
        request: &CloudRequest,
    ) -> Result<CloudAnswer, CloudError> {
        self.send_once(request, METADATA_LIMIT, true).await
    }

    async fn send_once(
        &self,
        request: &CloudRequest,
        limit: Duration,
        is_direct: bool,
    ) -> Result<CloudAnswer, CloudError> {
        let host = request.host();
        let exchange = async {
            let response = self.transport.send(request.to_request(is_direct)).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes("credentials", MAX_ANSWER).await?;
            Ok((status, headers, body))
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(Ok((status, headers, body))) => Ok(CloudAnswer {
                status,
                headers,
                text: Secret::new(String::from_utf8_lossy(&body)),
                host,
            }),
            Ok(Err(cause)) => Err(CloudError::Transport {
                host,
                cause: Arc::new(cause),
            }),
            Err(_) => Err(CloudError::TimedOut { host, limit }),
        }
    }
}

/// Returns whether a host is this machine. Used with [`checked_url`].
pub(super) fn is_local(host: &Host<&str>) -> bool {
    is_loopback(host)
}

/// Returns whether a host is an internal address. Used with [`checked_url`].
pub(super) fn is_internal_host(host: &Host<&str>) -> bool {
    is_internal(host)
}

/// Encodes the fields of a form.
pub(super) fn encoded_form(fields: &[(&str, &str)]) -> Secret {
    let mut form = Serializer::new(String::new());
    Secret::new(form.extend_pairs(fields).finish())
}

/// Parses a URL that is https, or http to a host that `is_plain_allowed` accepts.
pub(super) fn checked_url(
    text: &str,
    name: &str,
    is_plain_allowed: impl FnOnce(&Host<&str>) -> bool,
) -> Result<Url, CloudError> {
    let bad = || CloudError::BadEndpoint {
        variable: name.to_owned(),
    };
    let url = Url::parse(text).map_err(|_| bad())?;
    let is_allowed = match url.scheme() {
        "https" => url.host().is_some(),
        "http" => url.host().is_some_and(|host| is_plain_allowed(&host)),
        _ => false,
    };
    if is_allowed && url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err(bad())
    }
}

/// Returns whether a text can be sent in a header.
pub(super) fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns the text between `<name>` and `</name>`.
pub(super) fn xml_text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text)
}

/// Returns code and message of an error in the forms of AWS, Google and Azure.
fn error_message(text: &str) -> Option<String> {
    if let Some(code) = xml_text(text, "Code") {
        let message = xml_text(text, "Message").unwrap_or_default();
        return Some(format!("{code}: {message}"));
    }
    let json: Value = serde_json::from_str(text).ok()?;
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    let code = text("/__type")
        .map(|name| name.rsplit('#').next().unwrap_or_default())
        .or_else(|| text("/error/status"))
        .or_else(|| text("/error"))
        .or_else(|| text("/errors/0/code"));
    let message = text("/message")
        .or_else(|| text("/Message"))
        .or_else(|| text("/error/message"))
        .or_else(|| text("/error_description"))
        .or_else(|| text("/errors/0/message"));
    let parts: Vec<&str> = [code, message].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;
    use crate::progress::Silent;
    use crate::transport::{Timeouts, TransportSettings};

    #[tokio::test]
    async fn a_call_without_an_answer_ends_after_its_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        // With a paused clock, the limit passes at once. The clock runs while a connection opens.
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.read_u8().await.expect("a request");
                open.push(stream);
                tokio::time::pause();
            }
        });
        let environment = Environment::default();
        let mut settings = TransportSettings::of_environment(&environment);
        settings.timeouts = Timeouts::with_idle(CALL_LIMIT * 2);
        let transport = Transport::new(settings, Arc::new(Silent));
        let client = CloudClient::new(&environment, transport, Arc::default());
        let url = Url::parse(&format!("http://{address}/")).expect("a URL");
        let request = CloudRequest::get(url);
        for (is_metadata, limit) in [(false, CALL_LIMIT), (true, METADATA_LIMIT)] {
            let start = Instant::now();
            let outcome = if is_metadata {
                client.ask_metadata(&request).await
            } else {
                client.send(&request).await
            };
            let error = outcome.expect_err("no answer");
            assert!(matches!(error, CloudError::TimedOut { .. }), "{error}");
            let elapsed = start.elapsed();
            assert!(elapsed >= limit && elapsed < limit * 2, "{elapsed:?}");
            tokio::time::resume();
        }
    }
}
