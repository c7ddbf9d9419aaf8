//! How long the client waits.

use std::time::Duration;

/// The durations that the client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The maximum time until a connection is open, including TLS.
    pub connect: Duration,
    /// The maximum time until the next bytes of a request or response are transferred.
    pub idle: Duration,
    /// The upper bound of the pause before the second try of a request. It doubles with each further failure.
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
