//! The way to one origin: its clients, their connections, and how many requests may be under way.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::dial::{Dialer, Protocol};
use super::error::{MAX_HEAD, TransportError, clean};
use super::limiter::Limiter;
use super::outward::Outward;
use super::retry::{LONGEST_RETRY_AFTER, RetryAfter};
use super::settings::TransportSettings;
use super::tls::TlsProfile;
use crate::address::is_loopback;

/// Big enough that a fast link is never idle, small enough that a slow reader holds little.
const STREAM_WINDOW: u32 = 1 << 20;
/// The most headers of an answer.
pub(super) const MAX_HEADERS: usize = 1000;

/// The way to one origin.
pub(super) struct Lane {
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
    /// Host and port, for messages.
    pub(super) host: String,
}

impl Lane {
    /// A lane without connections; `outward` if a registry led here. Returns warnings too: files of trust that were
    /// passed over.
    pub(super) fn new(
        url: &Url,
        settings: &TransportSettings,
        profile: &TlsProfile,
        certs_name: &str,
        known: Protocol,
        outward: Option<&Outward>,
    ) -> Result<(Self, Vec<String>), TransportError> {
        let host = authority(url);
        let (tls, warnings) = profile
            .config(certs_name)
            .map_err(|error| TransportError::Tls {
                host: host.clone(),
                cause: error.to_string(),
            })?;
        let dialer = Dialer::new(settings.pace.connect);
        let client = |only_http2: bool| -> Result<reqwest::Client, TransportError> {
            let mut builder = reqwest::Client::builder();
            // Go's clients never send loopback through a proxy, and neither do people expect it.
            builder = if url.host().is_some_and(|host| is_loopback(&host)) {
                builder.no_proxy()
            } else {
                settings.proxies.apply(builder)?
            };
            if let Some(outward) = outward {
                builder = builder.dns_resolver(Arc::new(outward.clone()));
            }
            if only_http2 {
                builder = builder.http2_prior_knowledge();
            }
            builder
                .tls_backend_preconfigured(tls.clone())
                .connector_layer(dialer.layer(only_http2))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .user_agent(concat!("polyarch/", env!("CARGO_PKG_VERSION")))
                .pool_max_idle_per_host(settings.jobs.max(1))
                .tcp_nodelay(true)
                .http1_max_headers(MAX_HEADERS)
                .http2_initial_stream_window_size(STREAM_WINDOW)
                .http2_initial_connection_window_size(4 * STREAM_WINDOW)
                // HTTP/2 counts 32 bytes more for each header; the exact limit is checked for both.
                .http2_max_header_list_size(u32::try_from(2 * MAX_HEAD).unwrap_or(u32::MAX))
                .build()
                .map_err(|error| TransportError::from_reqwest(&error, &host))
        };
        let may_share = url.scheme() == "https" && known == Protocol::Http2;
        let lane = Self {
            one_connection: may_share.then(|| client(true)).transpose()?,
            any: client(false)?,
            limiter: Limiter::new(settings.jobs),
            profile: profile.clone(),
            first_pause: settings.pace.first_pause,
            dialer,
            host,
        };
        Ok((lane, warnings))
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

    /// What an answer says about how much the host can take.
    pub(super) fn note(&self, response: &reqwest::Response) {
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            let asked =
                RetryAfter::of(response.headers()).map_or(self.first_pause, |asked| asked.0);
            // A longer pause ends the run: nothing is gained by making the other requests wait for it.
            let honoured = asked <= LONGEST_RETRY_AFTER;
            self.limiter
                .slow_down(if honoured { asked } else { Duration::ZERO });
        } else if !response.status().is_server_error() {
            self.limiter.succeeded();
        }
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
