//! Counts slow answers and failed tries against the retry budget. The time of an answer is measured until the end of
//! its body. It begins when the request was sent, or when the request began to wait for a connection.

use std::sync::Arc;
use std::time::Duration;

use super::rate::MINIMUM_RATE;
use super::retry::{Budget, GiveUp};
use crate::sync::Mutex;

/// The part of the idle timeout that one result may take without being slow: 5 s of 30 s.
const PART_OF_IDLE: u32 = 6;

/// Measures the waits for one result: an answer with the redirects that lead to it, or all pages of a list. Each byte
/// increases the allowed time by the time that it takes at the minimum rate. Clones share their measurements.
#[derive(Clone, Debug)]
pub struct WaitMeter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: Arc<Budget>,
    allowed: Duration,
    measured: Mutex<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    waited: Duration,
    bytes: u64,
    /// The time that has been counted already.
    counted: Duration,
}

impl WaitMeter {
    pub(super) fn new(budget: Arc<Budget>, idle_timeout: Duration) -> Self {
        Self(Arc::new(Inner {
            budget,
            allowed: idle_timeout / PART_OF_IDLE,
            measured: Mutex::default(),
        }))
    }

    /// Adds time spent waiting for the peer, and the bytes that were transferred meanwhile.
    pub(super) fn add(&self, waited: Duration, bytes: u64) {
        let mut measured = self.0.measured.lock();
        measured.waited += waited;
        measured.bytes += bytes;
    }

    /// Counts the time that exceeds the allowed time. Fails if this exceeds the budget.
    pub(super) fn count(&self) -> Result<(), GiveUp> {
        self.count_beyond(self.0.allowed)
    }

    /// Counts the whole time of a failed try. The budget is checked before the next try.
    pub(super) fn count_failure(&self) {
        let _ = self.count_beyond(Duration::ZERO);
    }

    fn count_beyond(&self, allowed: Duration) -> Result<(), GiveUp> {
        let mut measured = self.0.measured.lock();
        let of_bytes = Duration::from_millis(measured.bytes.saturating_mul(1000) / MINIMUM_RATE);
        let slow = measured.waited.saturating_sub(allowed + of_bytes);
        let added = slow.saturating_sub(measured.counted);
        if added.is_zero() {
            return Ok(());
        }
        measured.counted = slow;
        self.0.budget.charge(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Timeouts;

    const SECOND: Duration = Duration::from_secs(1);

    fn meter(budget: u64) -> WaitMeter {
        let budget = Budget::new(Duration::from_secs(budget), &Timeouts::default());
        WaitMeter::new(Arc::new(budget), 30 * SECOND)
    }

    async fn wait(meter: &WaitMeter, time: Duration, bytes: u64) -> Result<(), GiveUp> {
        tokio::time::sleep(time).await;
        meter.add(time, bytes);
        meter.count()
    }

    #[tokio::test(start_paused = true)]
    async fn five_seconds_of_a_result_are_allowed() {
        let meter = meter(1);
        for _ in 0..2 {
            wait(&meter, SECOND * 5 / 2, 0).await.unwrap();
        }
        wait(&meter, SECOND, 0).await.unwrap();
        let error = wait(&meter, SECOND / 10, 0).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "gave up after 1 s of slow answers and retries"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_at_the_minimum_rate_is_not_slow() {
        let meter = meter(1);
        for _ in 0..1000 {
            wait(&meter, SECOND, 1 << 10).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_time_of_a_failed_try_counts() {
        let meter = meter(10);
        tokio::time::sleep(9 * SECOND).await;
        meter.add(9 * SECOND, 0);
        meter.count_failure();
        meter.0.budget.spend(Duration::ZERO, SECOND).unwrap();
        meter
            .0
            .budget
            .spend(Duration::ZERO, 2 * SECOND)
            .unwrap_err();
    }
}
