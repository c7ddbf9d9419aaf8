//! Sends one request to wherever it ends up: the host_client of its host, redirects by hand, limits on the head.
//! One call is one try; who calls decides whether to try again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::Instant;
use url::Url;

use super::body::{Activity, Body, Response};
use super::dial::Protocol;
use super::error::{MAX_HEAD, TransportError};
use super::guarded_resolver::GuardedResolver;
use super::host_client::{HostClient, MAX_HEADERS, authority};
use super::redirect::{MAX_HOPS, RedirectRefused, check_hop, may_carry_authorization};
use super::retry::{Budget, Retries};
use super::settings::TransportSettings;
use super::tls::TlsProfile;
use crate::progress::{Event, Observed};
use crate::sync::Mutex;

/// One request, for one try.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers, without authorisation.
    pub headers: HeaderMap,
    /// `Authorization`, which is dropped when a redirect leaves scheme, host and port.
    pub authorization: Option<HeaderValue>,
    /// What is sent.
    pub body: Body,
    /// The body is as secret as the authorisation, and stays with it.
    pub is_confidential: bool,
    /// The host that named the address (of a token server, of an upload), if another one did. It is trusted alike:
    /// an authority that signs for a registry signs for its neighbours too. Client certificates are looked up
    /// under the host's own name, and the name may not stand for this machine or link.
    pub referred_by: Option<Url>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            body: Body::Empty,
            is_confidential: false,
            referred_by: None,
        }
    }

    /// The same once more, unless its body can be sent only once.
    fn again(&self) -> Option<Self> {
        Some(Self {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            authorization: self.authorization.clone(),
            body: self.body.again()?,
            is_confidential: self.is_confidential,
            referred_by: self.referred_by.clone(),
        })
    }

    /// The headers as they are sent.
    fn take_headers(&mut self) -> HeaderMap {
        let mut headers = std::mem::take(&mut self.headers);
        if let Some(mut authorization) = self.authorization.take() {
            authorization.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, authorization);
        }
        let has_body = matches!(self.method, Method::PUT | Method::POST | Method::PATCH);
        if has_body || !matches!(self.body, Body::Empty) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        headers
    }
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin(String);

impl Origin {
    fn of(url: &Url) -> Self {
        Self(format!(
            "{}://{}:{}",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        ))
    }
}

/// The HTTP client of one run. Cheap to clone.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    settings: TransportSettings,
    budget: Arc<Budget>,
    observed: Observed,
    clients: Mutex<HashMap<ClientKey, Arc<HostClient>>>,
}

/// An origin, and the one that led there where that is not the user's own: each leads with its own trust, and to
/// what it may lead to.
type ClientKey = (Origin, Option<Origin>);

impl Transport {
    /// A client with no connection yet.
    pub fn new(settings: TransportSettings, observed: Observed) -> Self {
        let budget = Budget::new(settings.retry_for, settings.timeouts.first_pause);
        Self(Arc::new(Inner {
            settings,
            budget: Arc::new(budget),
            observed,
            clients: Mutex::default(),
        }))
    }

    /// The tries of one request, within the budget of the run.
    pub fn retries(&self) -> Retries {
        Retries::new(Arc::clone(&self.0.budget), Arc::clone(&self.0.observed))
    }

    /// How long a guess may take that is not needed for anything but speed.
    pub fn patience_for_a_guess(&self) -> Duration {
        self.0.settings.timeouts.connect / 2
    }

    /// Who is told what happens.
    pub fn observed(&self) -> &Observed {
        &self.0.observed
    }

    /// Opens the host_client to an origin with trust of its own. `certs_name` is the name under which certs.d
    /// knows the host. Does nothing if the host_client is open.
    pub fn open_lane(
        &self,
        url: &Url,
        profile: &TlsProfile,
        certs_name: &str,
        known: Protocol,
    ) -> Result<(), TransportError> {
        self.lane_or(url, (Origin::of(url), None), || {
            (profile.clone(), certs_name.to_owned(), known, None)
        })
        .map(drop)
    }

    /// What the host of `url` is known to speak.
    pub fn protocol(&self, url: &Url) -> Protocol {
        self.clients()
            .get(&(Origin::of(url), None))
            .map_or(Protocol::Unknown, |host_client| host_client.protocol())
    }

    /// Whether a connection to the host of `url` has ever been opened, TLS included.
    pub fn has_connected(&self, url: &Url) -> bool {
        self.clients()
            .get(&(Origin::of(url), None))
            .is_some_and(|host_client| host_client.dialer.protocol() != Protocol::Unknown)
    }

    /// Begins to open `count` connections to the host of `url` ahead of the requests that will need them (one
    /// is enough where HTTP/2 is known). They are kept until then; a failure shows at the request. Does nothing
    /// if there have been connections already.
    pub fn preconnect(&self, url: &Url, count: usize) {
        let Ok(host_client) = self.host_client(url) else {
            return;
        };
        if !host_client.dialer.is_fresh() {
            return;
        }
        let count = match host_client.protocol() {
            Protocol::Http2 => 1,
            Protocol::Http1 | Protocol::Unknown => count,
        };
        let (client, _) = host_client.client();
        // Polled once, each asks for a connection of its own; dropped, it leaves the dial to itself (see `dial`).
        let mut asking: Vec<_> = (0..count)
            .map(|_| Box::pin(client.get(url.clone()).send()))
            .collect();
        for request in &mut asking {
            drop(request.as_mut().now_or_never());
        }
    }

    /// One try of one request: redirects are followed, the body of the answer is still to be read. A streamed
    /// body cannot be sent twice, so a redirect of it is handed out as it is.
    pub async fn send(&self, mut request: Request) -> Result<Response, TransportError> {
        let mut host_client = match &request.referred_by {
            Some(referred_by) => {
                self.led_lane(&request.url, referred_by, &self.host_client(referred_by)?)?
            }
            None => self.host_client(&request.url)?,
        };
        for hops in 0..=MAX_HOPS {
            let next = request.again();
            let mut response = self.send_once(&host_client, request).await?;
            response.hops = hops;
            match next.map(|next| onward(next, &response)).transpose()? {
                Some(Some(onward)) => {
                    host_client = self.led_lane(&onward.url, response.url(), &host_client)?;
                    // Read, so that its connection can be used again.
                    response.beginning(1 << 10).await;
                    request = onward;
                }
                _ => return Ok(response),
            }
        }
        Err(RedirectRefused::TooMany.into())
    }

    async fn send_once(
        &self,
        host_client: &HostClient,
        mut request: Request,
    ) -> Result<Response, TransportError> {
        let permit = if matches!(request.body, Body::Stream { .. }) {
            host_client.limiter.wait_turn().await;
            None
        } else {
            Some(host_client.limiter.enter().await)
        };
        let began = Instant::now();
        let (client, only_http2) = host_client.client();
        let again = if only_http2 { request.again() } else { None };
        let (method, url) = (request.method.clone(), request.url.clone());
        let mut outcome = self.try_once(host_client, client, &mut request).await;
        // The host was known to speak HTTP/2, and no longer does.
        if outcome.is_err()
            && only_http2
            && host_client.dialer.protocol() == Protocol::Http1
            && let Some(mut again) = again
        {
            outcome = self
                .try_once(host_client, host_client.client().0, &mut again)
                .await;
        }
        if matches!(outcome, Err(TransportError::Broken { .. }))
            && let Some(refusal) = host_client.refusal(&url).await
        {
            outcome = Err(refusal);
        }
        self.tell(&method, &url, &outcome, began.elapsed());
        let response = outcome?;
        check_head(&response, &host_client.host)?;
        host_client.note(&response, &self.0.budget);
        Ok(Response {
            inner: response,
            host: host_client.host.clone(),
            permit,
            hops: 0,
            silence: self.0.settings.timeouts.silence,
        })
    }

    async fn try_once(
        &self,
        host_client: &HostClient,
        client: &reqwest::Client,
        request: &mut Request,
    ) -> Result<reqwest::Response, TransportError> {
        let activity = Activity::new();
        // A registry may need long to take in what it was sent: one more second for each 10 MiB.
        let patience =
            self.0.settings.timeouts.silence + Duration::from_secs(request.body.len() / (10 << 20));
        let headers = request.take_headers();
        let builder = client
            .request(request.method.clone(), request.url.clone())
            .headers(headers);
        let builder = match std::mem::replace(&mut request.body, Body::Empty) {
            Body::Empty => builder,
            body => builder.body(body.into_reqwest(&activity)),
        };
        tokio::select! {
            outcome = builder.send() => {
                outcome.map_err(|error| TransportError::from_reqwest(&error, &host_client.host))
            }
            () = activity.silence(patience) => Err(TransportError::Timeout {
                host: host_client.host.clone(),
                seconds: patience.as_secs(),
            }),
        }
    }

    fn tell(
        &self,
        method: &Method,
        url: &Url,
        outcome: &Result<reqwest::Response, TransportError>,
        took: Duration,
    ) {
        let outcome = match outcome {
            Ok(response) => response.status().to_string(),
            Err(error) => error.to_string(),
        };
        // Queries hold signatures, states, and scopes.
        let mut shown = url.clone();
        shown.set_query(None);
        self.0.observed.observe(Event::Request {
            method: method.as_str(),
            url: shown.as_str(),
            outcome: &outcome,
            took,
        });
    }

    fn host_client(&self, url: &Url) -> Result<Arc<HostClient>, TransportError> {
        let default = || {
            let profile = self.0.settings.tls.clone();
            (profile, authority(url), Protocol::Unknown, None)
        };
        self.lane_or(url, (Origin::of(url), None), default)
    }

    /// The host_client to where `referred_by` leads, which was reached by `by`. A host that the user has named is the user's
    /// own, whoever leads there.
    fn led_lane(
        &self,
        url: &Url,
        referred_by: &Url,
        by: &Arc<HostClient>,
    ) -> Result<Arc<HostClient>, TransportError> {
        let (origin, led_by) = (Origin::of(url), Origin::of(referred_by));
        if origin == led_by {
            return Ok(Arc::clone(by));
        }
        let own = (origin.clone(), None);
        if let Some(own) = self.clients().get(&own) {
            return Ok(Arc::clone(own));
        }
        self.lane_or(url, (origin, Some(led_by)), || {
            let guarded_resolver = GuardedResolver::new(url, referred_by);
            let profile = by.profile.clone();
            (profile, authority(url), Protocol::Unknown, guarded_resolver)
        })
    }

    /// The host_client of a way, opened as `described` if there is none.
    fn lane_or(
        &self,
        url: &Url,
        way: ClientKey,
        described: impl FnOnce() -> (TlsProfile, String, Protocol, Option<GuardedResolver>),
    ) -> Result<Arc<HostClient>, TransportError> {
        if let Some(host_client) = self.clients().get(&way) {
            return Ok(Arc::clone(host_client));
        }
        let (profile, certs_name, known, guarded_resolver) = described();
        let settings = &self.0.settings;
        let (host_client, warnings) = HostClient::new(
            url,
            settings,
            &profile,
            &certs_name,
            known,
            guarded_resolver.as_ref(),
        )?;
        for warning in warnings {
            self.0.observed.observe(Event::Warning(&warning));
        }
        Ok(Arc::clone(
            self.clients()
                .entry(way)
                .or_insert_with(|| Arc::new(host_client)),
        ))
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<ClientKey, Arc<HostClient>>> {
        self.0.clients.lock()
    }
}

/// The request that follows `sent`, if the answer is a redirect that can be followed.
fn onward(sent: Request, response: &Response) -> Result<Option<Request>, TransportError> {
    let status = response.status().as_u16();
    let is_read = matches!(sent.method, Method::GET | Method::HEAD);
    let follows = match status {
        301..=303 => is_read,
        307 | 308 => true,
        _ => false,
    };
    let Some(location) = response.header(header::LOCATION).filter(|_| follows) else {
        return Ok(None);
    };
    let url = sent
        .url
        .join(location)
        .map_err(|_| RedirectRefused::Malformed)?;
    check_hop(&sent.url, &url)?;
    let stays = may_carry_authorization(&sent.url, &url);
    if sent.is_confidential && !stays {
        return Ok(None);
    }
    let authorization = sent.authorization.filter(|_| stays);
    Ok(Some(Request {
        url,
        authorization,
        ..sent
    }))
}

fn check_head(response: &reqwest::Response, host: &str) -> Result<(), TransportError> {
    let size: usize = response
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size as u64 > MAX_HEAD || response.headers().len() > MAX_HEADERS {
        return Err(TransportError::too_large_head(host));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
