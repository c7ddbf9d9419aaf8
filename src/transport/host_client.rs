//! The way to one origin: its clients, their connections, and how many requests may be under way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::dial::{Dialer, Protocol};
use super::error::{MAX_HEAD, TransportError};
use super::guarded_resolver::GuardedResolver;
use super::limiter::Limiter;
use super::retry::{Budget, LONGEST_RETRY_AFTER, RetryAfter};
use super::settings::TransportSettings;
use super::tls::{Identities, TlsProfile};
use crate::address::is_loopback;
use crate::text::clean;

/// Big enough that a fast link is never idle, small enough that a slow reader holds little.
const STREAM_WINDOW: u32 = 1 << 20;
/// The most headers of an answer.
pub(super) const MAX_HEADERS: usize = 1000;

/// The addresses of every name below `localhost` (RFC 6761, section 6.3). Port 0 stands for the URL's port.
const LOOPBACK: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

/// The way to one origin.
pub(super) struct HostClient {
    /// For a host that is known to speak HTTP/2: whatever is asked at once goes over one connection.
    one_connection: Option<reqwest::Client>,
    /// For any host: a connection for each request under way, until the host turns out to speak HTTP/2. So nothing
    /// waits for a first connection to tell.
    any: reqwest::Client,
    pub(super) dialer: Dialer,
    pub(super) limiter: Arc<Limiter>,
    /// How the host is trusted.
    pub(super) profile: TlsProfile,
    /// How long nothing is sent after a "too many requests" that names no time.
    first_pause: Duration,
    /// Who we are there.
    identities: Arc<Identities>,
    has_answered: AtomicBool,
    clients: Clients,
    /// Host and port, for messages.
    pub(super) host: String,
}

impl HostClient {
    /// A host_client without connections; `guarded_resolver` if a registry led here. Returns warnings too: files of trust that were
    /// passed over.
    pub(super) fn new(
        url: &Url,
        settings: &TransportSettings,
        profile: &TlsProfile,
        certs_name: &str,
        known: Protocol,
        guarded_resolver: Option<&GuardedResolver>,
    ) -> Result<(Self, Vec<String>), TransportError> {
        let host = authority(url);
        let tls = profile
            .setup(certs_name)
            .map_err(|error| TransportError::Tls {
                host: host.clone(),
                cause: error.to_string(),
            })?;
        let clients = Clients {
            tls: tls.config,
            dialer: Dialer::new(settings.timeouts.connect),
            settings: settings.clone(),
            guarded_resolver: guarded_resolver.cloned(),
            loopback_name: url
                .domain()
                .filter(|name| name.ends_with(".localhost"))
                .map(str::to_owned),
            // Go's clients never send loopback through a proxy, and neither do people expect it.
            is_direct: url.host().is_some_and(|host| is_loopback(&host)),
            host: host.clone(),
        };
        let may_share = url.scheme() == "https" && known == Protocol::Http2;
        let host_client = Self {
            one_connection: may_share.then(|| clients.only_http2()).transpose()?,
            any: clients.any()?,
            limiter: Limiter::new(settings.jobs),
            profile: profile.clone(),
            first_pause: settings.timeouts.first_pause,
            dialer: clients.dialer.clone(),
            identities: tls.identities,
            has_answered: AtomicBool::new(false),
            clients,
            host,
        };
        Ok((host_client, tls.warnings))
    }

    /// What the host speaks, as far as is known.
    pub(super) fn protocol(&self) -> Protocol {
        match self.dialer.protocol() {
            Protocol::Unknown if self.one_connection.is_some() => Protocol::Http2,
            seen => seen,
        }
    }

    /// The client for the next request. `false`: it takes any protocol.
    pub(super) fn client(&self) -> (&reqwest::Client, bool) {
        match &self.one_connection {
            Some(client) if self.dialer.protocol() != Protocol::Http1 => (client, true),
            _ => (&self.any, false),
        }
    }

    /// Why the host lets nobody in like us, after a connection to `url` broke. With TLS 1.3 a client certificate is
    /// refused when the client thinks that the handshake is over. HTTP/2 has begun to write by then, and finds the
    /// connection closed without reading why; HTTP/1.1 reads first. So it is asked once more that way, unless
    /// the host never wanted a certificate or has let us in before.
    pub(super) async fn refusal(&self, url: &Url) -> Option<TransportError> {
        let is_doubtful =
            self.identities.were_asked_for() && !self.has_answered.load(Ordering::Relaxed);
        if !is_doubtful || url.scheme() != "https" {
            return None;
        }
        let client = self.clients.only_http1().ok()?;
        let error = client.head(url.join("/").ok()?).send().await.err()?;
        let told = TransportError::from_reqwest(&error, &self.host);
        matches!(told, TransportError::Refused { .. }).then_some(told)
    }

    /// What an answer says about how much the host can take. A pause that it asks for is one of all requests to it, if
    /// the budget allows it: what waits here waits beside the request that was answered so, and that tells it.
    pub(super) fn note(&self, response: &reqwest::Response, budget: &Budget) {
        self.has_answered.store(true, Ordering::Relaxed);
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            let asked =
                RetryAfter::of(response.headers()).map_or(self.first_pause, |asked| asked.0);
            // A longer pause ends the run: nothing is gained by making the other requests wait for it.
            let honoured = asked <= LONGEST_RETRY_AFTER && budget.take(Duration::ZERO, asked);
            self.limiter
                .slow_down(if honoured { asked } else { Duration::ZERO });
        } else if !response.status().is_server_error() {
            self.limiter.succeeded();
        }
    }
}

/// What the clients of a host_client have in common.
struct Clients {
    tls: rustls::ClientConfig,
    dialer: Dialer,
    settings: TransportSettings,
    guarded_resolver: Option<GuardedResolver>,
    /// A name below `localhost`, which many systems do not resolve.
    loopback_name: Option<String>,
    /// No proxy leads there.
    is_direct: bool,
    host: String,
}

impl Clients {
    /// Takes whatever the host speaks.
    fn any(&self) -> Result<reqwest::Client, TransportError> {
        self.built(
            self.common(self.tls.clone())?
                .connector_layer(self.dialer.layer(false)),
        )
    }

    /// Takes HTTP/2.
    fn only_http2(&self) -> Result<reqwest::Client, TransportError> {
        self.built(
            self.common(self.tls.clone())?
                .connector_layer(self.dialer.layer(true))
                .http2_prior_knowledge(),
        )
    }

    /// Takes HTTP/1.1, on connections of its own.
    fn only_http1(&self) -> Result<reqwest::Client, TransportError> {
        let mut tls = self.tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let patience = self.settings.timeouts.connect;
        self.built(self.common(tls)?.http1_only().timeout(patience))
    }

    fn common(&self, tls: rustls::ClientConfig) -> Result<reqwest::ClientBuilder, TransportError> {
        let mut builder = reqwest::Client::builder();
        builder = if self.is_direct {
            builder.no_proxy()
        } else {
            self.settings.proxies.apply(builder)?
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

    fn built(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::Client, TransportError> {
        builder
            .build()
            .map_err(|error| TransportError::from_reqwest(&error, &self.host))
    }
}

/// Host, and port if one is written: for messages, and as certs.d names directories.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let text = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    clean(&text, 260)
}
