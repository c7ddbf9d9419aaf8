//! The clients, connections and limits for one origin.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use url::Url;

use super::body::Body;
use super::bulk::Bulk;
use super::connections::Connections;
use super::dial::{Dialer, Protocol, Use};
use super::error::{ConnectFailure, MAX_HEAD, TransportError};
use super::guarded_resolver::GuardedResolver;
use super::limiter::{Limiter, Permit};
use super::request::Request;
use super::retry::{Budget, GiveUp, LONGEST_RETRY_AFTER, NEVER_CONNECTED_FOR, RetryAfter};
use super::settings::TransportSettings;
use super::tls::{Identities, TlsProfile};
use crate::address::is_loopback;
use crate::sync::Mutex;
use crate::text::clean;

/// The HTTP/2 window of a stream. A blob that is not bulk fits into one window, and a slow reader uses little memory.
const STREAM_WINDOW: u32 = 1 << 20;
/// The maximum number of headers of a response.
pub(super) const MAX_HEADERS: usize = 1000;

/// The addresses of every name below `localhost` (RFC 6761, section 6.3). Port 0 means the port of the URL.
const LOOPBACK: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

/// The settings of one [`HostClient`], besides the settings of the run.
pub(super) struct HostOptions {
    pub(super) profile: TlsProfile,
    /// The name of the host's directory in certs.d.
    pub(super) certs_name: String,
    pub(super) known: Protocol,
    /// Set if another origin referred to this one.
    pub(super) guarded_resolver: Option<GuardedResolver>,
}

/// The clients for one origin.
pub(super) struct HostClient {
    /// The client for a host that speaks HTTP/2: all requests share one connection.
    one_connection: Option<reqwest::Client>,
    /// The client for any host: one connection for each running request, until the host is known to speak HTTP/2. So no
    /// request waits until a first connection shows the HTTP version.
    any: reqwest::Client,
    /// The client for large bodies. `None` over plain HTTP, where every request has a separate connection.
    bulk: OnceLock<Option<Bulk>>,
    pub(super) dialer: Dialer,
    pub(super) limiter: Arc<Limiter>,
    pub(super) connections: Arc<Connections>,
    pub(super) profile: TlsProfile,
    /// The pause after a "too many requests" without `Retry-After`.
    first_pause: Duration,
    identities: Arc<Identities>,
    has_answered: AtomicBool,
    /// The time when the first connection attempt failed, as long as no connection has been accepted.
    unavailable_since: Mutex<Option<Instant>>,
    builder: ClientBuilder,
    /// Host and port, for messages.
    pub(super) host: String,
}

/// The client for one request.
pub(super) struct Choice<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) takes: Takes<'a>,
}

/// The HTTP versions that a client uses.
pub(super) enum Takes<'a> {
    Any,
    OnlyHttp2,
    /// HTTP/1.1, on connections for large bodies.
    Bulk(&'a Bulk),
}

impl HostClient {
    /// Creates the clients for the origin of `url`, without connections. Also returns warnings about certificate files
    /// that cannot be used.
    pub(super) fn new(
        url: &Url,
        settings: TransportSettings,
        options: HostOptions,
    ) -> Result<(Self, Vec<String>), TransportError> {
        let host = authority(url);
        let tls = options.profile.setup(&options.certs_name);
        let tls = tls.map_err(|error| TransportError::Tls {
            host: host.clone(),
            cause: error.to_string(),
        })?;
        let (jobs, timeouts) = (settings.jobs, settings.timeouts);
        let builder = ClientBuilder {
            tls: tls.config,
            settings,
            guarded_resolver: options.guarded_resolver,
            loopback_name: url
                .domain()
                .filter(|name| name.ends_with(".localhost"))
                .map(str::to_owned),
            // Go's clients do the same, and users expect it.
            is_direct: url.host().is_some_and(|host| is_loopback(&host)),
            url: url.clone(),
        };
        let dialer = Dialer::new(timeouts.connect);
        let may_share = url.scheme() == "https" && options.known == Protocol::Http2;
        let one_connection = may_share.then(|| builder.only_http2(&dialer)).transpose()?;
        let client = Self {
            one_connection,
            any: builder.any(&dialer)?,
            bulk: OnceLock::new(),
            limiter: Limiter::new(jobs),
            connections: Arc::default(),
            profile: options.profile,
            first_pause: timeouts.first_pause,
            dialer,
            identities: tls.identities,
            has_answered: AtomicBool::new(false),
            unavailable_since: Mutex::new(None),
            builder,
            host,
        };
        Ok((client, tls.warnings))
    }

    /// Returns the HTTP version of the host, if it is known.
    pub(super) fn protocol(&self) -> Protocol {
        match self.dialer.protocol() {
            Protocol::Unknown if self.one_connection.is_some() => Protocol::Http2,
            seen => seen,
        }
    }

    /// Returns whether a connection has ever been opened, TLS included.
    pub(super) fn has_connected(&self) -> bool {
        let bulk = self.bulk.get().and_then(Option::as_ref);
        self.dialer.protocol() != Protocol::Unknown
            || bulk.is_some_and(|bulk| bulk.dialer.protocol() != Protocol::Unknown)
    }

    /// Returns the client for the next request without a large body.
    pub(super) fn shared(&self) -> Choice<'_> {
        match &self.one_connection {
            Some(client) if self.dialer.protocol() != Protocol::Http1 => Choice {
                client,
                takes: Takes::OnlyHttp2,
            },
            _ => Choice {
                client: &self.any,
                takes: Takes::Any,
            },
        }
    }

    /// Returns the client for the next request with a large body, or for the read of one (`is_read`).
    pub(super) fn for_bulk(&self, is_read: bool) -> Choice<'_> {
        match self.bulk() {
            Some(bulk) if bulk.is_used(is_read) => Choice {
                client: &bulk.client,
                takes: Takes::Bulk(bulk),
            },
            _ => self.shared(),
        }
    }

    /// Waits until `request` may be sent. Returns no permit if the request does not count towards the limit.
    pub(super) async fn permit(&self, request: &Request) -> Option<Permit> {
        if request.is_counted && !matches!(request.body, Body::Stream { .. }) {
            return Some(self.limiter.acquire().await);
        }
        self.limiter.wait_for_pause().await;
        None
    }

    /// Returns the clients for large bodies. Returns `None` if the host speaks only HTTP/1.1, where any client is
    /// suitable.
    pub(super) fn bulk(&self) -> Option<&Bulk> {
        if self.dialer.protocol() == Protocol::Http1 {
            return None;
        }
        let create = || {
            (self.builder.url.scheme() == "https").then_some(())?;
            let dialer = Dialer::new(self.builder.settings.timeouts.connect);
            let client = self.builder.bulk(&dialer, Use::Any).ok()?;
            let ahead = self.builder.bulk(&dialer, Use::Ahead).ok()?;
            Some(Bulk::new(client, ahead, dialer))
        };
        self.bulk.get_or_init(create).as_ref()
    }

    /// Finds the reason why the host refused the client, after a connection to `url` broke. With TLS 1.3, a server
    /// refuses a client certificate after the client has completed the handshake. An HTTP/2 client has then begun to
    /// write, and only sees that the connection is closed; an HTTP/1.1 client reads the alert. So one more request is
    /// sent over HTTP/1.1, unless the host never requested a certificate or has already answered a request.
    pub(super) async fn refusal(&self, url: &Url) -> Option<TransportError> {
        let is_doubtful =
            self.identities.were_requested() && !self.has_answered.load(Ordering::Relaxed);
        if !is_doubtful || url.scheme() != "https" {
            return None;
        }
        let client = self.builder.only_http1().ok()?;
        let error = client.head(url.join("/").ok()?).send().await.err()?;
        let error = TransportError::from_reqwest(&error, &self.host);
        matches!(error, TransportError::Refused { .. }).then_some(error)
    }

    /// Limits the time for which a host that has never accepted a connection is tried.
    pub(super) fn note_unavailable(&self, error: TransportError) -> TransportError {
        if self.has_connected() || !is_unavailable(&error) {
            return error;
        }
        let since = *self
            .unavailable_since
            .lock()
            .get_or_insert_with(Instant::now);
        let left = NEVER_CONNECTED_FOR.saturating_sub(since.elapsed());
        let TransportError::Connect { host, cause, .. } = error else {
            return error;
        };
        let error = TransportError::Connect {
            host,
            cause,
            kind: ConnectFailure::Unavailable {
                retry_within: Some(left),
            },
        };
        if left.is_zero() {
            return TransportError::GaveUp {
                cause: error.to_string(),
                reason: GiveUp::NeverConnected,
            };
        }
        error
    }

    /// Adapts the number of concurrent requests to a response that arrived after `delay`. A pause that the host asks
    /// for applies to all requests to this host, if the budget allows it.
    pub(super) fn note(&self, response: &reqwest::Response, delay: Duration, budget: &Budget) {
        self.has_answered.store(true, Ordering::Relaxed);
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => {
                let asked =
                    RetryAfter::of(response.headers()).map_or(self.first_pause, |asked| asked.0);
                // A longer pause ends the run, so that the other requests need not wait for it.
                let is_honoured =
                    asked <= LONGEST_RETRY_AFTER && budget.spend(Duration::ZERO, asked).is_ok();
                self.limiter
                    .slow_down(if is_honoured { asked } else { Duration::ZERO });
            }
            StatusCode::SERVICE_UNAVAILABLE => self.limiter.slow_down(Duration::ZERO),
            status if status.is_server_error() => {}
            _ => {
                let is_http2 = response.version() == http::Version::HTTP_2;
                self.limiter.succeeded(delay, is_http2);
            }
        }
    }
}

fn is_unavailable(error: &TransportError) -> bool {
    matches!(
        error,
        TransportError::Connect {
            kind: ConnectFailure::Unavailable { .. },
            ..
        }
    )
}

/// Builds the clients for one origin.
struct ClientBuilder {
    tls: rustls::ClientConfig,
    settings: TransportSettings,
    guarded_resolver: Option<GuardedResolver>,
    /// A name below `localhost`, which many systems do not resolve.
    loopback_name: Option<String>,
    /// No proxy is used.
    is_direct: bool,
    url: Url,
}

impl ClientBuilder {
    /// Uses HTTP/2 and HTTP/1.1.
    fn any(&self, dialer: &Dialer) -> Result<reqwest::Client, TransportError> {
        let builder = self.common(self.tls.clone())?;
        self.build(builder.connector_layer(dialer.layer(Use::Any)))
    }

    /// Uses HTTP/2.
    fn only_http2(&self, dialer: &Dialer) -> Result<reqwest::Client, TransportError> {
        let builder = self.common(self.tls.clone())?;
        let builder = builder.connector_layer(dialer.layer(Use::OnlyHttp2));
        self.build(builder.http2_prior_knowledge())
    }

    /// Uses HTTP/1.1.
    fn bulk(&self, dialer: &Dialer, usage: Use) -> Result<reqwest::Client, TransportError> {
        let builder = self.common(self.http1_tls())?;
        self.build(builder.connector_layer(dialer.layer(usage)).http1_only())
    }

    /// Uses HTTP/1.1 on separate connections.
    fn only_http1(&self) -> Result<reqwest::Client, TransportError> {
        let timeout = self.settings.timeouts.connect;
        self.build(self.common(self.http1_tls())?.http1_only().timeout(timeout))
    }

    fn http1_tls(&self) -> rustls::ClientConfig {
        let mut tls = self.tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        tls
    }

    fn common(&self, tls: rustls::ClientConfig) -> Result<reqwest::ClientBuilder, TransportError> {
        let mut builder = reqwest::Client::builder();
        builder = if self.is_direct {
            builder.no_proxy()
        } else {
            self.settings.proxies.apply(&self.url, builder)?
        };
        if let Some(guarded_resolver) = &self.guarded_resolver {
            builder = builder.dns_resolver(Arc::new(guarded_resolver.clone()));
        } else if let Some(name) = &self.loopback_name {
            builder = builder.resolve_to_addrs(name, &LOOPBACK);
        }
        Ok(builder
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("polyarch/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(self.settings.jobs.max(1))
            .tcp_nodelay(true)
            .http1_max_headers(MAX_HEADERS)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(4 * STREAM_WINDOW)
            // HTTP/2 counts 32 bytes more for each header; the exact limit is checked for both.
            .http2_max_header_list_size(u32::try_from(2 * MAX_HEAD).unwrap_or(u32::MAX)))
    }

    fn build(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::Client, TransportError> {
        builder
            .build()
            .map_err(|error| TransportError::from_reqwest(&error, &authority(&self.url)))
    }
}

/// Returns the host, with the port unless it is the default one: for messages, and as certs.d names directories.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let text = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    clean(&text, 260)
}
