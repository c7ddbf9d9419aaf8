//! Configuration of the HTTP client of one run.

use std::time::Duration;

use super::proxy::Proxies;
use super::tls::TlsProfile;
use crate::environment::Environment;

/// Limits, trust and proxies of one run.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// The most requests under way to one host. Requests with a streamed body are not counted, since the source of
    /// that body may be a request to the same host.
    pub jobs: usize,
    /// The total time that the run may wait for retries.
    pub retry_for: Duration,
    /// Trust for hosts without a profile of their own that no other host referred to.
    pub tls: TlsProfile,
    pub proxies: Proxies,
    pub timeouts: Timeouts,
}

impl TransportSettings {
    /// The defaults, with trust and proxies from the environment.
    pub fn of_environment(environment: &Environment) -> Self {
        Self {
            jobs: 128,
            retry_for: Duration::from_secs(120),
            tls: TlsProfile::of_environment(environment),
            proxies: Proxies::of_environment(environment),
            timeouts: Timeouts::default(),
        }
    }
}

/// The durations that the client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is open, TLS included.
    pub connect: Duration,
    /// Until the next bytes of a request or response.
    pub idle: Duration,
    /// Upper bound of the pause before the second try of a request; it doubles with each further failure.
    pub first_pause: Duration,
}

impl Timeouts {
    /// Uses `idle` as the idle timeout; the connect timeout is never longer.
    pub fn with_idle(idle: Duration) -> Self {
        let default = Self::default();
        Self {
            connect: default.connect.min(idle),
            idle,
            ..default
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            first_pause: Duration::from_millis(250),
        }
    }
}
