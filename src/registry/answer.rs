//! The answer to a call.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::redactor::Redactor;
use crate::spec::{Digest, MediaType};
use crate::transport::{Response, RetryDelay, TransportError};

/// The maximum size of an error body that is read, in bytes.
pub(super) const MAX_ERROR_BODY: usize = 8 << 10;

/// The maximum size of an answer whose body is not used, in bytes.
pub(super) const MAX_WRITE_ANSWER: u64 = 64 << 10;

/// An answer as it arrives.
pub(super) enum Reply {
    /// A success.
    Success(Success),
    /// Any other status.
    Refusal(Answer),
}

/// A successful answer whose body has not been read.
pub(super) struct Success {
    pub(super) response: Response,
    from_other_origin: bool,
}

/// An answer whose body has been read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The address that answered, after redirects.
    pub(super) url: Url,
    /// Whether the answer is from another origin than the one that the request was sent to.
    pub(super) from_other_origin: bool,
    /// The whole body of a success, or the beginning of the body of an error.
    pub(super) body: Bytes,
    /// Removes the credentials of the request from a body that repeats them.
    pub(super) redactor: Redactor,
}

impl Reply {
    /// Reads the head of a response, and the beginning of the body if it is an error. `authorization` is the header of
    /// the request.
    pub(super) async fn receive(
        response: Response,
        from_other_origin: bool,
        authorization: Option<&HeaderValue>,
    ) -> Self {
        if response.status().is_success() {
            return Self::Success(Success {
                response,
                from_other_origin,
            });
        }
        Self::Refusal(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            from_other_origin,
            body: Bytes::from(response.beginning(MAX_ERROR_BODY).await),
            redactor: authorization.map(Redactor::of_header).unwrap_or_default(),
        })
    }

    /// Reads the rest of the answer: see [`Success::read`].
    pub(super) async fn read(
        self,
        method: &Method,
        what: &'static str,
        limit: u64,
    ) -> Result<Answer, TransportError> {
        match self {
            Self::Success(success) => success.read(method, what, limit).await,
            Self::Refusal(answer) => Ok(answer),
        }
    }
}

impl Success {
    /// Reads the answer to a call whose body is not used.
    pub(super) async fn read_write_answer(self, method: &Method) -> Result<Answer, TransportError> {
        self.read(method, "an answer", MAX_WRITE_ANSWER).await
    }

    /// Reads the body of the answer to a GET, at most `limit` bytes of `what`. The body of the answer to a write is not
    /// needed: the status decides.
    pub(super) async fn read(
        self,
        method: &Method,
        what: &'static str,
        limit: u64,
    ) -> Result<Answer, TransportError> {
        let response = self.response;
        let status = response.status();
        let headers = response.headers().clone();
        let url = response.url().clone();
        let body = match *method {
            Method::HEAD => Bytes::new(),
            Method::GET => response.bytes(what, limit).await?,
            _ => Bytes::from(response.beginning(MAX_ERROR_BODY).await),
        };
        Ok(Answer {
            status,
            headers,
            url,
            from_other_origin: self.from_other_origin,
            body,
            redactor: Redactor::default(),
        })
    }
}

impl Answer {
    pub(super) fn retry_delay(&self) -> RetryDelay {
        RetryDelay::after_response(&self.headers)
    }

    /// Returns the digest that the registry reports.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.header("docker-content-digest")?.parse().ok()
    }

    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn media_type(&self) -> MediaType {
        MediaType::new(self.header(header::CONTENT_TYPE).unwrap_or_default())
    }

    /// Returns the address in `Location`, which may be relative and have a query.
    pub(super) fn location(&self) -> Option<Url> {
        self.url.join(self.header(header::LOCATION)?).ok()
    }
}
