//! The minimum average rate of a streamed body.

use std::time::Duration;

/// The shortest time over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(30);
/// The minimum average rate, in bytes per second.
pub(super) const MINIMUM_RATE: u64 = 1 << 10;

/// Measures a stream in consecutive windows. Only time spent waiting for the peer counts.
#[derive(Debug)]
pub(super) struct RateWindow {
    length: Duration,
    waited: Duration,
    bytes: u64,
}

impl RateWindow {
    /// Uses windows of 30 s, or of `idle_timeout` where that is longer.
    pub(super) fn new(idle_timeout: Duration) -> Self {
        Self {
            length: WINDOW.max(idle_timeout),
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Counts bytes that arrived after waiting for the peer.
    pub(super) fn add(&mut self, waited: Duration, bytes: u64) {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited >= self.length && self.is_fast_enough() {
            self.waited = Duration::ZERO;
            self.bytes = 0;
        }
    }

    /// Returns how much longer to wait for the peer before the stream is too slow. Returns `None` if enough bytes have
    /// already arrived in this window.
    pub(super) fn remaining(&self) -> Option<Duration> {
        (!self.is_fast_enough()).then(|| self.length.saturating_sub(self.waited))
    }

    /// Returns the length of a window in whole seconds, for messages.
    pub(super) fn seconds(&self) -> u64 {
        self.length.as_secs()
    }

    fn is_fast_enough(&self) -> bool {
        self.bytes >= MINIMUM_RATE * self.length.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_byte_per_second_is_too_slow_after_30_s() {
        let mut window = RateWindow::new(SECOND);
        for left in (0..30).rev() {
            window.add(SECOND, 1);
            assert_eq!(window.remaining(), Some(left * SECOND));
        }
    }

    #[test]
    fn each_window_is_measured_separately() {
        let mut window = RateWindow::new(SECOND);
        window.add(SECOND, 1 << 20);
        assert_eq!(window.remaining(), None);
        window.add(29 * SECOND, 0);
        assert_eq!(window.remaining(), Some(30 * SECOND));
    }

    #[test]
    fn a_longer_idle_timeout_makes_longer_windows() {
        let window = RateWindow::new(60 * SECOND);
        assert_eq!(window.remaining(), Some(60 * SECOND));
        assert_eq!(window.seconds(), 60);
    }
}
