//! Sends one request, on a connection to its origin, and follows redirects. One call is one try; the caller decides
//! whether to try again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, Method};
use tokio::time::Instant;
use url::{Origin, Url};

use super::body::Body;
use super::dial::Protocol;
use super::error::{MAX_HEAD, TransportError};
use super::guarded_resolver::GuardedResolver;
use super::host_client::{HostClient, HostOptions, MAX_HEADERS, authority};
use super::limiter::Permit;
use super::proxy::Proxies;
use super::rate::RateWindow;
use super::redirect::{MAX_HOPS, RedirectRefused};
use super::request::Request;
use super::response::{BytesAtOnce, Response};
use super::retry::{Budget, Retries};
use super::settings::TransportSettings;
use super::tls::TlsProfile;
use super::wait_meter::WaitMeter;
use crate::progress::{Event, Observed};
use crate::sync::Mutex;

/// The HTTP client of one run. Cheap to clone.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    settings: TransportSettings,
    budget: Arc<Budget>,
    observed: Observed,
    clients: Mutex<HashMap<ClientKey, Arc<HostClient>>>,
    at_once: Arc<BytesAtOnce>,
}

/// An origin, and the origin that referred to it (`None` if the user named it). Each pair has separate trust settings and
/// restrictions. An origin paired with itself is a client without proxies.
type ClientKey = (Origin, Option<Origin>);

impl Transport {
    /// Creates a client without connections.
    pub fn new(settings: TransportSettings, observed: Observed) -> Self {
        let budget = Budget::new(settings.retry_for, &settings.timeouts);
        Self(Arc::new(Inner {
            settings,
            budget: Arc::new(budget),
            observed,
            clients: Mutex::default(),
            at_once: Arc::default(),
        }))
    }

    /// Returns the tries of one request, within the budget of the run.
    pub fn retries(&self) -> Retries {
        Retries::new(Arc::clone(&self.0.budget), Arc::clone(&self.0.observed))
    }

    /// Returns a meter for the waits of several requests that lead to one result.
    pub fn wait_meter(&self) -> WaitMeter {
        WaitMeter::new(Arc::clone(&self.0.budget), self.0.settings.timeouts.idle)
    }

    /// Returns the timeout for a request whose only purpose is to save time, such as a token request before a
    /// challenge.
    pub fn optional_request_timeout(&self) -> Duration {
        self.0.settings.timeouts.connect / 2
    }

    pub fn observed(&self) -> &Observed {
        &self.0.observed
    }

    /// Configures an origin with separate trust settings. `certs_name` is its directory name in certs.d. Does nothing
    /// if the origin is already configured.
    pub fn configure(
        &self,
        url: &Url,
        profile: &TlsProfile,
        certs_name: &str,
        known: Protocol,
    ) -> Result<(), TransportError> {
        self.client_or_new(url, (url.origin(), None), || HostOptions {
            profile: profile.clone(),
            certs_name: certs_name.to_owned(),
            known,
            guarded_resolver: None,
        })
        .map(drop)
    }

    /// Returns the HTTP version of the host of `url`, if it is known.
    pub fn protocol(&self, url: &Url) -> Protocol {
        self.0
            .clients
            .lock()
            .get(&(url.origin(), None))
            .map_or(Protocol::Unknown, |client| client.protocol())
    }

    /// Returns whether a connection to the host of `url` has ever been opened, TLS included.
    pub fn has_connected(&self, url: &Url) -> bool {
        self.0
            .clients
            .lock()
            .get(&(url.origin(), None))
            .is_some_and(|client| client.has_connected())
    }

    /// Begins to open `count` connections to the host of `url` (one if it is known to speak HTTP/2). The next requests
    /// take them, and report their failures. Does nothing if a connection was requested before.
    pub fn preconnect(&self, url: &Url, count: usize) {
        let Ok(host_client) = self.host_client(url) else {
            return;
        };
        if host_client.dialer.attempts() > 0 {
            return;
        }
        let count = match host_client.protocol() {
            Protocol::Http2 => 1,
            Protocol::Http1 | Protocol::Unknown => count,
        };
        let client = host_client.shared().client;
        // Polling each request once makes it ask for a connection. After the request is dropped, the dialer completes
        // the attempt.
        let mut requests: Vec<_> = (0..count)
            .map(|_| Box::pin(client.get(url.clone()).send()))
            .collect();
        for request in &mut requests {
            drop(request.as_mut().now_or_never());
        }
    }

    /// Begins to open connections for large bodies to the host of `url`, until the run has opened `count` of them. Does
    /// nothing over plain HTTP and HTTP/1.1, where requests do not need separate connections for large bodies.
    pub fn preconnect_bulk(&self, url: &Url, count: usize) {
        let Ok(host_client) = self.host_client(url) else {
            return;
        };
        let Some(bulk) = host_client.bulk().filter(|bulk| bulk.is_used(false)) else {
            return;
        };
        for _ in bulk.dialer.attempts()..count as u64 {
            bulk.open_ahead(url);
        }
    }

    /// Waits until `request` may be sent. A header that may expire, such as a token, is chosen after this wait. Returns
    /// no permit if the request does not count towards the limit of concurrent requests.
    pub async fn permit(&self, request: &Request) -> Result<Option<Permit>, TransportError> {
        Ok(self.client_of(request)?.permit(request).await)
    }

    /// Sends a request once and follows redirects. The caller reads the body of the response. A redirect of a request
    /// with a streamed body is returned to the caller, since the body cannot be sent twice.
    pub async fn send(&self, mut request: Request) -> Result<Response, TransportError> {
        let mut host_client = self.client_of(&request)?;
        request.meter.get_or_insert_with(|| self.wait_meter());
        for hops in 0..=MAX_HOPS {
            let copy = request.try_clone();
            let mut response = self.send_to(&host_client, request).await?;
            response.hops = hops;
            let next = copy.map(|sent| sent.redirected(&response)).transpose()?;
            let Some(next) = next.flatten() else {
                return Ok(response);
            };
            host_client = self.referred_client(&next.url, response.url(), &host_client)?;
            // The body is read so that the connection can be reused.
            response.beginning(1 << 10).await;
            request = next;
        }
        Err(RedirectRefused::TooMany.into())
    }

    /// Sends a request to its origin.
    async fn send_to(
        &self,
        host_client: &HostClient,
        mut request: Request,
    ) -> Result<Response, TransportError> {
        let is_read = matches!(request.body, Body::Empty);
        let meter = request.meter.clone().unwrap_or_else(|| self.wait_meter());
        let permit = match request.permit.take() {
            Some(permit) => Some(permit),
            None => host_client.permit(&request).await,
        };
        let began = Instant::now();
        let idle_timeout = self.0.settings.timeouts.idle;
        let sent = Box::pin(host_client.exchange(&request, idle_timeout, &meter)).await;
        let (result, held) = match sent {
            Ok((response, held)) => (Ok(response), held),
            Err(error) => (Err(error), None),
        };
        let mut result = result.map_err(|error| host_client.note_unavailable(error));
        if matches!(result, Err(TransportError::Broken { .. }))
            && let Some(refusal) = host_client.refusal(&request.url).await
        {
            result = Err(refusal);
        }
        self.report(&request.method, &request.url, &result, began.elapsed());
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                meter.count_failure();
                return Err(error);
            }
        };
        let counted = meter.count();
        // The result of a write is needed, even if the answer is late.
        if matches!(request.method, Method::GET | Method::HEAD) {
            counted.map_err(|reason| TransportError::slow(&host_client.host, reason))?;
        }
        check_head(&response, &host_client.host)?;
        host_client.note(&response, began.elapsed(), &self.0.budget);
        if request.is_bulk
            && is_read
            && let Some(bulk) = host_client.bulk()
        {
            bulk.note_redirect(response.status().is_redirection());
        }
        Ok(Response {
            inner: response,
            host: host_client.host.clone(),
            permit,
            held,
            hops: 0,
            idle_timeout,
            rate: RateWindow::new(idle_timeout),
            meter,
            at_once: Arc::clone(&self.0.at_once),
        })
    }

    fn report(
        &self,
        method: &Method,
        url: &Url,
        result: &Result<reqwest::Response, TransportError>,
        took: Duration,
    ) {
        let outcome = match result {
            Ok(response) => response.status().to_string(),
            Err(error) => error.to_string(),
        };
        // The query is not logged, since it may contain signatures, states and scopes.
        let mut shown = url.clone();
        shown.set_query(None);
        self.0.observed.observe(Event::Request {
            method: method.as_str(),
            url: shown.as_str(),
            outcome: &outcome,
            took,
        });
    }

    fn client_of(&self, request: &Request) -> Result<Arc<HostClient>, TransportError> {
        match &request.referred_by {
            Some(referred_by) => {
                let by = self.host_client(referred_by)?;
                self.referred_client(&request.url, referred_by, &by)
            }
            None if request.is_direct => self.direct_client(&request.url),
            None => self.host_client(&request.url),
        }
    }

    fn host_client(&self, url: &Url) -> Result<Arc<HostClient>, TransportError> {
        self.client_or_new(url, (url.origin(), None), || self.own_options(url))
    }

    /// Returns a client that uses no proxy.
    fn direct_client(&self, url: &Url) -> Result<Arc<HostClient>, TransportError> {
        let key = (url.origin(), Some(url.origin()));
        self.client_or_new(url, key, || self.own_options(url))
    }

    /// Returns the options for an origin without separate trust settings that no other origin referred to.
    fn own_options(&self, url: &Url) -> HostOptions {
        HostOptions {
            profile: self.0.settings.tls.clone(),
            certs_name: authority(url),
            known: Protocol::Unknown,
            guarded_resolver: None,
        }
    }

    /// Returns the client for `url`, which `referred_by` has named (`by` is the client of `referred_by`). An origin
    /// that the user has named keeps its own settings, even if another origin refers to it.
    fn referred_client(
        &self,
        url: &Url,
        referred_by: &Url,
        by: &Arc<HostClient>,
    ) -> Result<Arc<HostClient>, TransportError> {
        let (origin, referring) = (url.origin(), referred_by.origin());
        if origin == referring {
            return Ok(Arc::clone(by));
        }
        let own = (origin.clone(), None);
        if let Some(own) = self.0.clients.lock().get(&own) {
            return Ok(Arc::clone(own));
        }
        self.client_or_new(url, (origin, Some(referring)), || HostOptions {
            profile: by.profile.clone(),
            certs_name: authority(url),
            known: Protocol::Unknown,
            guarded_resolver: GuardedResolver::new(url, referred_by),
        })
    }

    fn client_or_new(
        &self,
        url: &Url,
        key: ClientKey,
        options: impl FnOnce() -> HostOptions,
    ) -> Result<Arc<HostClient>, TransportError> {
        if let Some(client) = self.0.clients.lock().get(&key) {
            return Ok(Arc::clone(client));
        }
        let mut settings = self.0.settings.clone();
        if key.1.as_ref() == Some(&key.0) {
            settings.proxies = Proxies::default();
        }
        let (client, warnings) = HostClient::new(url, settings, options())?;
        for warning in warnings {
            self.0.observed.observe(Event::Warning(&warning));
        }
        let mut clients = self.0.clients.lock();
        Ok(Arc::clone(
            clients.entry(key).or_insert_with(|| Arc::new(client)),
        ))
    }
}

fn check_head(response: &reqwest::Response, host: &str) -> Result<(), TransportError> {
    let headers: &HeaderMap = response.headers();
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size as u64 > MAX_HEAD || headers.len() > MAX_HEADERS {
        return Err(TransportError::too_large_head(host));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
