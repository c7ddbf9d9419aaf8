//! One request of the distribution API, as data: it can be sent as often as needed.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;

use crate::spec::{MediaType, Repository};
use crate::store::{Operation, StoreError};
use crate::transport::WaitMeter;

/// The media types of manifests in an `Accept` header, in order of preference.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// The content that a call reads, for the error about a body that is too large.
pub(super) const A_MANIFEST: &str = "a manifest";

/// The permission that a run or a request needs for a repository. It decides the scope of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

/// The result of an operation, with the error that the user sees.
pub(super) type Outcome<T> = Result<T, StoreError>;

/// A request to a registry, before it is authorized.
#[derive(Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one request"
)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) target: CallTarget,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) access: Access,
    /// Whether the run can continue if the call fails. No other credential is tried for such a call.
    pub(super) is_optional: bool,
    /// Whether this run has written the content that the call reads. A 404 then means that the registry is not
    /// consistent yet.
    pub(super) reads_own_write: bool,
    pub(super) repository: Repository,
    /// Whether the body of the request or of its answer is large: see [`crate::transport::Request::is_bulk`].
    pub(super) is_bulk: bool,
    /// Whether the body comes from the same registry: see [`crate::transport::Request::holds_another`].
    pub(super) holds_another: bool,
    /// Another repository that the registry reads for this call.
    pub(super) also_reads: Option<Repository>,
    /// Measures the waits of all calls that lead to one result.
    pub(super) meter: Option<WaitMeter>,
}

/// The address of a call.
#[derive(Clone)]
pub(super) enum CallTarget {
    /// A path below `/v2/<repository>/`.
    Path(String),
    /// An address that the registry returned, such as the `Location` of an upload.
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
            is_optional: false,
            reads_own_write: false,
            is_bulk: false,
            holds_another: false,
            repository: repository.clone(),
            also_reads: None,
            meter: None,
        }
    }

    /// Creates a call to the location of an upload.
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

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
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

    /// Returns whether the call leaves the registry unchanged.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Returns whether the call is sent to the registry itself, not to an address that the registry returned.
    pub(super) fn is_to_registry(&self) -> bool {
        matches!(self.target, CallTarget::Path(_))
    }
}
