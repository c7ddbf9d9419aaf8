//! One request in the terms of the distribution API, and its answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::redactor::Redactor;
use super::registries::Access;
use crate::spec::{Digest, MediaType, Repository};
use crate::store::{Operation, StoreError};
use crate::transport::{Response, RetryAfter, TransportError};

/// The media types of manifests that are asked for, best first.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// The most bytes of an error body that are read.
const MAX_ERROR_BODY: usize = 8 << 10;

/// A request that can be sent as often as it needs.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) target: CallTarget,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What it needs the permission for.
    pub(super) access: Access,
    /// It need not succeed: no other credential is tried for it.
    pub(super) is_offer: bool,
    pub(super) repository: Repository,
    /// Another repository that it reads.
    pub(super) reads: Option<Repository>,
}

/// Where a call goes.
#[derive(Clone)]
pub(super) enum CallTarget {
    /// Behind `/v2/<repository>/` of the registry.
    Path(String),
    /// An address that the registry named (an upload's `Location`).
    Location(Url),
}

impl Call {
    pub(super) fn new(
        repository: &Repository,
        method: Method,
        path: String,
        operation: impl Into<Operation>,
    ) -> Self {
        let access = if matches!(method, Method::GET | Method::HEAD) {
            Access::Pull
        } else {
            Access::Push
        };
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        Self {
            operation: operation.into(),
            method,
            target: CallTarget::Path(path),
            headers,
            body: Bytes::new(),
            access,
            is_offer: false,
            repository: repository.clone(),
            reads: None,
        }
    }

    /// A call to an address that the registry named.
    pub(super) fn to_location(
        repository: &Repository,
        method: Method,
        location: Url,
        operation: impl Into<Operation>,
    ) -> Self {
        let mut call = Self::new(repository, method, String::new(), operation);
        call.target = CallTarget::Location(location);
        call.access = Access::Push;
        call
    }

    pub(super) fn accepting_manifests(self) -> Self {
        self.header(header::ACCEPT, HeaderValue::from_static(MANIFEST_TYPES))
    }

    pub(super) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn with_body(mut self, media_type: &MediaType, body: Bytes) -> Self {
        if let Ok(value) = HeaderValue::from_str(media_type.as_str()) {
            self.headers.insert(header::CONTENT_TYPE, value);
        }
        self.body = body;
        self
    }

    /// Whether an answer can only be to what this call did itself.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// An answer whose body has been read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from, after redirects.
    pub(super) url: Url,
    /// It came from another origin than it was asked from.
    pub(super) elsewhere: bool,
    /// The whole body of a success, the beginning of an error's.
    pub(super) body: Bytes,
    /// What was redactor to be let in, which an error may repeat.
    pub(super) redactor: Redactor,
}

impl Answer {
    /// An answer that is no success, with the beginning of its body.
    pub(super) async fn refusal(response: Response, elsewhere: bool) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            elsewhere,
            body: Bytes::from(response.beginning(MAX_ERROR_BODY).await),
            redactor: Redactor::default(),
        }
    }

    /// The same as the answer to a request with this `Authorization`.
    pub(super) fn after_showing(mut self, authorization: Option<&HeaderValue>) -> Self {
        self.redactor = authorization.map(Redactor::in_header).unwrap_or_default();
        self
    }

    /// A success with its whole body, at most `limit` bytes of `what`; of a write its head is enough.
    pub(super) async fn whole(
        response: Response,
        elsewhere: bool,
        method: &Method,
        what: &'static str,
        limit: u64,
    ) -> Result<Self, TransportError> {
        let status = response.status();
        let headers = response.headers().clone();
        let url = response.url().clone();
        let body = match *method {
            Method::HEAD => Bytes::new(),
            Method::GET => response.bytes(what, limit).await?,
            // What was written is written, whatever is said about it.
            _ => Bytes::from(response.beginning(MAX_ERROR_BODY).await),
        };
        Ok(Self {
            status,
            headers,
            url,
            elsewhere,
            body,
            redactor: Redactor::default(),
        })
    }

    /// How long the registry asks to wait.
    pub(super) fn retry_after(&self) -> Option<RetryAfter> {
        RetryAfter::of(&self.headers)
    }

    /// The digest that the registry says the content has.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.header("docker-content-digest")?.parse().ok()
    }

    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn media_type(&self) -> MediaType {
        MediaType::new(self.header(header::CONTENT_TYPE).unwrap_or_default())
    }

    /// The address in `Location`, which may be relative and carry a query.
    pub(super) fn location(&self) -> Option<Url> {
        self.url.join(self.header(header::LOCATION)?).ok()
    }
}

/// What comes of a call: an answer, or the error that the reader of the log sees.
pub(super) type Outcome<T> = Result<T, StoreError>;
