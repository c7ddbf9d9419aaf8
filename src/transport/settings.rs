//! Configuration of the HTTP client of one run.

use std::time::Duration;

use super::proxy::Proxies;
use super::timeouts::Timeouts;
use super::tls::TlsProfile;
use crate::environment::Environment;

/// Limits, trust and proxies of one run.
#[derive(Clone)]
pub struct TransportSettings {
    /// The maximum number of concurrent requests to one host. Requests with a streamed body are not counted, since the
    /// source of the body may be a request to the same host.
    pub jobs: usize,
    /// The total time that the run may wait for retries.
    pub retry_for: Duration,
    /// The trust settings for hosts that have no separate settings and that no other host referred to.
    pub tls: TlsProfile,
    pub proxies: Proxies,
    pub timeouts: Timeouts,
}

impl TransportSettings {
    /// Creates the default settings, with trust and proxies from the environment.
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
