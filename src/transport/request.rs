//! One HTTP request, and the request that follows it after a redirect.

use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use super::body::Body;
use super::error::TransportError;
use super::limiter::Permit;
use super::redirect::{RedirectRefused, check_hop, may_carry_authorization};
use super::response::Response;
use super::wait_meter::WaitMeter;

/// A request that is sent once.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one request"
)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    /// Headers other than `Authorization`.
    pub headers: HeaderMap,
    /// The `Authorization` header. It is removed when a redirect leads to another origin.
    pub authorization: Option<HeaderValue>,
    pub body: Body,
    /// Whether the body is a secret. Such a body is not sent to another origin.
    pub is_confidential: bool,
    /// Whether the body of the request or of its response is large ([`super::BULK_SIZE`] or more). The request then
    /// gets a separate HTTP/1.1 connection: the window of a shared HTTP/2 connection would limit the bytes for each
    /// round trip.
    pub is_bulk: bool,
    /// Whether the body is read from another connection to the same origin. Such a request never waits for a connection:
    /// the one that it needs may be released only after this request.
    pub holds_another: bool,
    /// Whether the request counts towards the limit of concurrent requests. A request for a token does not: requests
    /// that wait for the token hold permits.
    pub is_counted: bool,
    /// The permission to send this request ([`super::Transport::permit`]). If `None`, the request waits for one.
    pub permit: Option<Permit>,
    /// The origin that named this URL (a registry that names its token server or the location of an upload). The trust
    /// settings of that origin apply, since one authority often signs for all hosts of a registry. Client certificates
    /// are selected by the host of this URL, and the host must not resolve to this machine or link.
    pub referred_by: Option<Url>,
    pub redirects: Redirects,
    /// Whether the request bypasses the proxies, as for the metadata service of a cloud.
    pub is_direct: bool,
    /// Measures the waits for a result that needs several requests. If `None`, the request is measured alone.
    pub meter: Option<WaitMeter>,
}

/// How a redirect is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    Follow,
    /// The redirect is returned as the response.
    Return,
}

impl Request {
    /// Creates a request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            body: Body::Empty,
            is_confidential: false,
            is_bulk: false,
            holds_another: false,
            is_counted: true,
            permit: None,
            referred_by: None,
            redirects: Redirects::Follow,
            is_direct: false,
            meter: None,
        }
    }

    /// Returns a copy without permit; `None` if the body is a stream, which can be read only once.
    pub(super) fn try_clone(&self) -> Option<Self> {
        Some(Self {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            authorization: self.authorization.clone(),
            body: self.body.try_clone()?,
            is_confidential: self.is_confidential,
            is_bulk: self.is_bulk,
            holds_another: self.holds_another,
            is_counted: self.is_counted,
            permit: None,
            referred_by: self.referred_by.clone(),
            redirects: self.redirects,
            is_direct: self.is_direct,
            meter: self.meter.clone(),
        })
    }

    /// Returns the headers to send, with `Authorization` and `Content-Length`.
    pub(super) fn headers_to_send(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(mut authorization) = self.authorization.clone() {
            authorization.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, authorization);
        }
        let has_body = matches!(self.method, Method::PUT | Method::POST | Method::PATCH);
        if has_body || !matches!(self.body, Body::Empty) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        headers
    }

    /// Returns the request that follows a redirect, or `None` if `response` is not a redirect that is followed. A
    /// confidential request is not redirected to another origin.
    pub(super) fn redirected(self, response: &Response) -> Result<Option<Self>, TransportError> {
        let is_read = matches!(self.method, Method::GET | Method::HEAD);
        let is_followed = match response.status().as_u16() {
            301..=303 => is_read,
            307 | 308 => true,
            _ => false,
        };
        let is_followed = is_followed && self.redirects == Redirects::Follow;
        let Some(location) = response.header(header::LOCATION).filter(|_| is_followed) else {
            return Ok(None);
        };
        let url = self
            .url
            .join(location)
            .map_err(|_| RedirectRefused::InvalidLocation)?;
        check_hop(&self.url, &url)?;
        let stays = may_carry_authorization(&self.url, &url);
        if self.is_confidential && !stays {
            return Ok(None);
        }
        let authorization = self.authorization.filter(|_| stays);
        Ok(Some(Self {
            url,
            authorization,
            ..self
        }))
    }
}
