//! Sends one request to wherever it ends up: the lane of its host, redirects by hand, limits on the head.
//! One call is one try; who calls decides whether to try again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use super::body::{Activity, Body, PATIENCE, Response};
use super::dial::{Dialer, Protocol};
use super::error::{TransportError, clean};
use super::limiter::Limiter;
use super::redirect::{MAX_HOPS, RedirectRefused, check_hop, may_carry_authorization};
use super::retry::{Budget, Retries, RetryAfter};
use super::tls::{TlsError, TlsProfile};
use crate::progress::{Event, Observed};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of headers in an answer.
const MAX_HEAD: usize = 64 << 10;
/// Big enough that a fast link is never idle, small enough that a slow reader holds little.
const STREAM_WINDOW: u32 = 1 << 20;

/// What one run allows and trusts.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// Requests under way at once, for each host.
    pub jobs: usize,
    /// The waiting between tries that the run allows itself.
    pub retry_for: Duration,
    /// Trust for hosts that have no profile of their own (token servers, redirects).
    pub tls: TlsProfile,
}

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
        }
    }
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The origin of an address.
    pub fn of(url: &Url) -> Self {
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
    lanes: Mutex<HashMap<Origin, Arc<Lane>>>,
}

/// The way to one origin: its connections and how many requests may be under way.
struct Lane {
    client: reqwest::Client,
    dialer: Dialer,
    limiter: Arc<Limiter>,
    host: String,
}

impl Transport {
    /// A client with no connection yet.
    pub fn new(settings: TransportSettings, observed: Observed) -> Self {
        let budget = Arc::new(Budget::new(settings.retry_for));
        Self(Arc::new(Inner {
            settings,
            budget,
            observed,
            lanes: Mutex::default(),
        }))
    }

    /// The tries of one request, within the budget of the run.
    pub fn retries(&self) -> Retries {
        Retries::new(Arc::clone(&self.0.budget), Arc::clone(&self.0.observed))
    }

    /// Who is told what happens.
    pub fn observed(&self) -> &Observed {
        &self.0.observed
    }

    /// Opens the lane to an origin with trust of its own. `certs_name` is the name under which certs.d
    /// knows the host. Does nothing if the lane is open.
    pub fn open_lane(
        &self,
        url: &Url,
        profile: &TlsProfile,
        certs_name: &str,
        known: Protocol,
    ) -> Result<(), TlsError> {
        let origin = Origin::of(url);
        if self.lanes().contains_key(&origin) {
            return Ok(());
        }
        let lane = self.build_lane(url, profile, certs_name, known)?;
        self.lanes().entry(origin).or_insert(lane);
        Ok(())
    }

    /// What the host of `url` has been found to speak.
    pub fn protocol(&self, url: &Url) -> Protocol {
        self.lanes()
            .get(&Origin::of(url))
            .map_or(Protocol::Unknown, |lane| lane.dialer.protocol())
    }

    /// Begins to open `count` connections to the host of `url` ahead of the requests that will need them (one
    /// is enough where HTTP/2 is known). They are kept until then; a failure shows at the request.
    pub fn preconnect(&self, url: &Url, count: usize) {
        let Ok(lane) = self.lane(url) else { return };
        let count = match lane.dialer.protocol() {
            Protocol::Http2 => 1,
            Protocol::Http1 | Protocol::Unknown => count,
        };
        for _ in 0..count {
            // Polled once, the request asks for a connection; dropped, it leaves the dial to itself (see `dial`).
            drop(lane.client.get(url.clone()).send().now_or_never());
        }
    }

    /// One try of one request: redirects are followed, the body of the answer is still to be read.
    pub async fn send(&self, mut request: Request) -> Result<Response, TransportError> {
        for hops in 0..=MAX_HOPS {
            let next = Redirectable {
                method: request.method.clone(),
                url: request.url.clone(),
                headers: request.headers.clone(),
                authorization: request.authorization.clone(),
                body: request.body.again(),
            };
            let mut response = self.send_once(request).await?;
            response.hops = hops;
            match next.after(&response)? {
                Some(onward) => request = onward,
                None => return Ok(response),
            }
        }
        Err(RedirectRefused::TooMany.into())
    }

    async fn send_once(&self, request: Request) -> Result<Response, TransportError> {
        let lane = self.lane(&request.url)?;
        let permit = lane.limiter.enter().await;
        let activity = Activity::new();
        let length = match &request.body {
            Body::Stream { length, .. } => *length,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Empty => 0,
        };
        let mut headers = request.headers;
        if let Some(mut authorization) = request.authorization {
            authorization.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, authorization);
        }
        let sends_body = !matches!(request.body, Body::Empty);
        if sends_body || matches!(request.method, Method::PUT | Method::POST | Method::PATCH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut builder = lane
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(headers);
        if sends_body {
            builder = builder.body(request.body.into_reqwest(&activity));
        }
        let began = Instant::now();
        // A registry may need long to take in what it was sent: one more second for each 10 MiB.
        let patience = PATIENCE + Duration::from_secs(length / (10 << 20));
        let outcome = tokio::select! {
            outcome = builder.send() => {
                outcome.map_err(|error| TransportError::from_reqwest(&error, &lane.host))
            }
            () = activity.silence(patience) => Err(TransportError::Timeout {
                host: lane.host.clone(),
                seconds: patience.as_secs(),
            }),
        };
        self.tell(&request.method, &request.url, &outcome, began.elapsed());
        let response = outcome?;
        check_head(&response, &lane.host)?;
        lane.note(&response);
        Ok(Response {
            inner: response,
            host: lane.host.clone(),
            permit: Some(permit),
            hops: 0,
        })
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
        let mut shown = url.clone();
        shown.set_query(None);
        self.0.observed.observe(Event::Request {
            method: method.as_str(),
            url: shown.as_str(),
            outcome: &outcome,
            took,
        });
    }

    fn lane(&self, url: &Url) -> Result<Arc<Lane>, TransportError> {
        let origin = Origin::of(url);
        if let Some(lane) = self.lanes().get(&origin) {
            return Ok(Arc::clone(lane));
        }
        let name = authority(url);
        let lane = self
            .build_lane(url, &self.0.settings.tls, &name, Protocol::Unknown)
            .map_err(|error| TransportError::Tls {
                host: name,
                cause: error.to_string(),
            })?;
        Ok(Arc::clone(self.lanes().entry(origin).or_insert(lane)))
    }

    fn build_lane(
        &self,
        url: &Url,
        profile: &TlsProfile,
        certs_name: &str,
        known: Protocol,
    ) -> Result<Arc<Lane>, TlsError> {
        let (tls, warnings) = profile.config(certs_name)?;
        for warning in warnings {
            self.0.observed.observe(Event::Warning(&warning));
        }
        let dialer = Dialer::new(if url.scheme() == "http" {
            Protocol::Http1
        } else {
            known
        });
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connector_layer(dialer.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("polyarch/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(self.0.settings.jobs)
            .tcp_nodelay(true)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(4 * STREAM_WINDOW)
            .http2_max_header_list_size(65_536);
        // Go's clients never send loopback through a proxy, and neither do people expect it.
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| TlsError {
            path: certs_name.into(),
            cause: error.to_string(),
        })?;
        Ok(Arc::new(Lane {
            client,
            dialer,
            limiter: Limiter::new(self.0.settings.jobs),
            host: authority(url),
        }))
    }

    fn lanes(&self) -> std::sync::MutexGuard<'_, HashMap<Origin, Arc<Lane>>> {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn note(&self, response: &reqwest::Response) {
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            let pause = RetryAfter::of(response.headers())
                .map_or(Duration::from_millis(250), |asked| asked.0);
            self.limiter.slow_down(pause.min(Duration::from_secs(60)));
        } else if !response.status().is_server_error() {
            self.limiter.succeeded();
        }
    }
}

/// What is left of a request once it was sent: enough to send it on.
struct Redirectable {
    method: Method,
    url: Url,
    headers: HeaderMap,
    authorization: Option<HeaderValue>,
    body: Option<Body>,
}

impl Redirectable {
    /// The request that follows, if the answer is a redirect that can be followed. A streamed body cannot be
    /// sent twice, so its redirect is handed to the caller as it is.
    fn after(self, response: &Response) -> Result<Option<Request>, TransportError> {
        let repeats_method = matches!(response.status().as_u16(), 307 | 308);
        let is_read = matches!(self.method, Method::GET | Method::HEAD);
        let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let (true, Some(body)) = (is_redirect && (is_read || repeats_method), self.body) else {
            return Ok(None);
        };
        let Some(location) = response.header(header::LOCATION) else {
            return Ok(None);
        };
        let url = self
            .url
            .join(location)
            .map_err(|_| RedirectRefused::Malformed)?;
        check_hop(&self.url, &url)?;
        let authorization = self
            .authorization
            .filter(|_| may_carry_authorization(&self.url, &url));
        Ok(Some(Request {
            method: self.method,
            url,
            headers: self.headers,
            authorization,
            body,
        }))
    }
}

fn check_head(response: &reqwest::Response, host: &str) -> Result<(), TransportError> {
    let size: usize = response
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size > MAX_HEAD {
        return Err(TransportError::TooLarge {
            host: host.to_owned(),
            what: "headers",
            limit: MAX_HEAD as u64,
        });
    }
    Ok(())
}

/// Host, and port if one is written: for messages, and as certs.d names directories.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let text = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    clean(&text, 260)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
