//! What one run allows its requests: how many at once, how much waiting, whom to trust, which way out.

use std::time::Duration;

use super::proxy::Proxies;
use super::tls::TlsProfile;
use crate::environment::Environment;

/// What one run allows and trusts.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// Requests under way at once, for each host. Bodies that stream are not counted: one may wait for another.
    pub jobs: usize,
    /// The waiting between tries that the run allows itself.
    pub retry_for: Duration,
    /// Trust for hosts that have no profile of their own and that no other host has led to.
    pub tls: TlsProfile,
    /// The proxies that lead out.
    pub proxies: Proxies,
    /// How long is waited for what.
    pub timeouts: Timeouts,
}

impl TransportSettings {
    /// The defaults, with trust and proxies as the environment says.
    pub fn of_environment(environment: &Environment) -> Self {
        Self {
            jobs: 16,
            retry_for: Duration::from_secs(120),
            tls: TlsProfile::of_environment(environment),
            proxies: Proxies::of_environment(environment),
            timeouts: Timeouts::default(),
        }
    }
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For a sign of life inside a request.
    pub silence: Duration,
    /// Before the second try of a request, at most; it doubles with each further failure.
    pub first_pause: Duration,
}

impl Timeouts {
    /// With this much patience for a silence; who has less than the usual has no more for a connection either.
    pub fn of_patience(silence: Duration) -> Self {
        let usual = Self::default();
        Self {
            connect: usual.connect.min(silence),
            silence,
            ..usual
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            first_pause: Duration::from_millis(250),
        }
    }
}
