//! One registry: its addresses over HTTPS and HTTP, and single requests to it. Callers add the authorization.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, HeaderValue};
use url::Url;

use super::answer::Reply;
use super::call::{Call, CallTarget};
use super::scheme::Schemes;
use super::warning::warnings;
use crate::auth::known_token_server;
use crate::progress::Event;
use crate::spec::RegistryHost;
use crate::sync::Mutex;
use crate::transport::{
    Body, ConnectFailure, Permit, Protocol, Request, TlsProfile, Transport, TransportError,
    check_hop, may_carry_authorization,
};

/// The number of connections that are opened in advance to a registry that speaks HTTP/1.1.
const PRECONNECTIONS: usize = 4;
/// The maximum number of warnings of one registry that are shown.
const MAX_WARNINGS: usize = 20;

/// A registry.
pub(super) struct Endpoint {
    registry: RegistryHost,
    transport: Transport,
    schemes: Schemes,
    /// Whether the command names this registry. Only then may it be treated as insecure.
    is_named: bool,
    /// The number of running uploads of large blobs.
    bulk_uploads: AtomicUsize,
    /// The warnings that were shown; each one is shown once.
    shown_warnings: Mutex<HashSet<String>>,
}

/// An upload of a large blob.
pub(super) struct BulkUpload<'a>(&'a AtomicUsize);

impl Drop for BulkUpload<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoint {
    pub(super) fn new(
        registry: RegistryHost,
        transport: Transport,
        profile: &TlsProfile,
        is_named: bool,
    ) -> Result<Self, TransportError> {
        let expects_tls = profile.expects_tls(registry.as_str());
        let schemes = Schemes::new(&registry, profile.insecure, expects_tls);
        let protocol = match known_token_server(&registry) {
            // All of these speak HTTP/2.
            Some(_) => Protocol::Http2,
            None => Protocol::Unknown,
        };
        transport.configure(schemes.secure(), profile, registry.as_str(), protocol)?;
        Ok(Self {
            registry,
            transport,
            schemes,
            is_named,
            bulk_uploads: AtomicUsize::new(0),
            shown_warnings: Mutex::default(),
        })
    }

    pub(super) fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(super) fn is_named(&self) -> bool {
        self.is_named
    }

    pub(super) fn allows_plain_http(&self) -> bool {
        self.schemes.allows_plain()
    }

    /// Returns `https://host/v2/`, or `http://host/v2/` where the registry speaks plain HTTP.
    pub(super) fn base(&self) -> Url {
        self.schemes.base()
    }

    /// Opens connections before the first request is ready.
    pub(super) fn preconnect(&self) {
        self.transport.preconnect(&self.base(), PRECONNECTIONS);
    }

    /// Counts an upload of a large blob until the guard is dropped, and opens a connection for it while the upload is
    /// being started.
    pub(super) fn begin_bulk_upload(&self) -> BulkUpload<'_> {
        let count = self.bulk_uploads.fetch_add(1, Ordering::Relaxed) + 1;
        self.transport.preconnect_bulk(&self.base(), count);
        BulkUpload(&self.bulk_uploads)
    }

    /// Waits until one more request may be sent. The authorization of a call is chosen after this wait, so that it is
    /// valid when the request is sent. A streamed body does not count towards the limit of concurrent requests.
    pub(super) async fn permit(
        &self,
        call: &Call,
        is_streamed: bool,
    ) -> Result<Option<Permit>, TransportError> {
        let (mut request, _) = self.request(call, None, None)?;
        request.is_counted = !is_streamed;
        self.transport.permit(&request).await
    }

    /// Sends a call, and sends it again with the other scheme if the registry does not support the first one. `stream`
    /// replaces the body of the call. It is allowed only for calls to an upload location, since it cannot be sent
    /// twice. Also returns the permit of a request that was refused.
    pub(super) async fn send(
        &self,
        call: &Call,
        mut permit: Option<Permit>,
        authorization: Option<&HeaderValue>,
        mut stream: Option<Body>,
    ) -> Result<(Reply, Option<Permit>), TransportError> {
        // The answer of another host does not show which scheme the registry supports.
        let is_own = call.is_to_registry();
        loop {
            let (mut request, url) = self.request(call, authorization, stream.take())?;
            request.permit = permit.take();
            let mut response = match self.transport.send(request).await {
                Ok(response) => response,
                Err(error)
                    if is_own
                        && self.may_be_wrong_scheme(&url, &error)
                        && self.schemes.switch(&url) =>
                {
                    // A write may have been applied before the connection broke, so the caller checks first.
                    if matches!(error, TransportError::Broken { .. }) && !call.is_read() {
                        return Err(error);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let from_other_origin =
                response.was_redirected() && !may_carry_authorization(&url, response.url());
            if is_own && !from_other_origin {
                self.show_warnings(response.headers());
            }
            if !response.status().is_success() {
                permit = response.take_permit();
            }
            let reply = Reply::receive(response, from_other_origin, authorization).await;
            if is_own {
                if let Reply::Refusal(answer) = &reply
                    && self.schemes.is_tls_server(&url, answer)
                    && self.schemes.switch(&url)
                {
                    continue;
                }
                self.schemes.settle(&url);
            }
            return Ok((reply, permit));
        }
    }

    fn show_warnings(&self, headers: &HeaderMap) {
        for text in warnings(headers) {
            let mut shown = self.shown_warnings.lock();
            if shown.len() < MAX_WARNINGS && shown.insert(text.clone()) {
                let text = format!("{}: {text}", self.registry);
                self.transport.observed().observe(Event::Warning(&text));
            }
        }
    }

    /// Builds the request of a call. Credentials are added only if it is sent to the registry itself.
    fn request(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
        stream: Option<Body>,
    ) -> Result<(Request, Url), TransportError> {
        let base = self.base();
        let url = address(&base, call)?;
        let mut request = Request::new(call.method.clone(), url.clone());
        request.headers = call.headers.clone();
        request.is_bulk = call.is_bulk;
        request.holds_another = call.holds_another;
        request.meter.clone_from(&call.meter);
        request.authorization = authorization
            .filter(|_| may_carry_authorization(&base, &url))
            .cloned();
        request.body = match stream {
            Some(body) => body,
            None if call.body.is_empty() => Body::Empty,
            None => Body::Bytes(call.body.clone()),
        };
        if !call.is_to_registry() {
            request.referred_by = Some(base);
        }
        Ok((request, url))
    }

    /// Returns whether an error can be caused by HTTP to an HTTPS server, or by HTTPS to an HTTP server.
    fn may_be_wrong_scheme(&self, url: &Url, error: &TransportError) -> bool {
        let is_secure = url.scheme() == "https";
        match error {
            TransportError::NotTls { .. } => is_secure,
            // Some servers close the connection without an answer.
            TransportError::Broken { .. } => !is_secure || !self.transport.has_connected(url),
            // Port 443 is closed, but port 80 may be open. Docker tries both.
            TransportError::Connect { kind, .. } => {
                *kind != ConnectFailure::UnknownHost && is_secure && url.port().is_none()
            }
            _ => false,
        }
    }
}

fn address(base: &Url, call: &Call) -> Result<Url, TransportError> {
    match &call.target {
        CallTarget::Path(path) => {
            let text = format!("{base}{}/{path}", call.repository.path());
            Url::parse(&text).map_err(|error| TransportError::Source(error.to_string()))
        }
        CallTarget::Location(location) => {
            check_hop(base, location)?;
            Ok(location.clone())
        }
    }
}
