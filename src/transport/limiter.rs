//! Limits the number of concurrent requests to one host. The limit starts at [`START`]. It grows with each answer over
//! HTTP/2 while the delay does not grow, and is halved when the host answers 429 or 503.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::sync::Mutex;

/// The limit at the beginning. Growing delay alone never reduces it below this value; an overloaded host answers 429 or
/// 503.
const START: usize = 24;
/// Smaller differences in delay are ignored.
const NOISE: Duration = Duration::from_millis(50);

/// Limits the concurrent requests to one host. Some requests are not counted, because two requests that wait for each
/// other's permit would deadlock: the source of a streamed body may be a request to the same host, and requests that
/// hold permits wait for the answer to a request for a token.
pub(super) struct Limiter {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    most: usize,
    allowed: usize,
    /// The number of permits to remove when they are returned.
    excess: usize,
    /// The number of successes since the limit last changed.
    successes: usize,
    /// Whether the host has asked for fewer requests. From then on, the limit grows slowly.
    is_careful: bool,
    delay: Delay,
    not_before: Option<Instant>,
}

/// Measurements of the time that the host takes to answer.
#[derive(Default)]
struct Delay {
    shortest: Option<Duration>,
    smoothed: Duration,
}

impl Delay {
    fn add(&mut self, delay: Duration) {
        let Some(shortest) = &mut self.shortest else {
            self.shortest = Some(delay);
            self.smoothed = delay;
            return;
        };
        *shortest = delay.min(*shortest);
        self.smoothed = (self.smoothed * 7 + delay) / 8;
    }

    /// Returns whether requests queue at the host: the average delay is more than twice the shortest delay.
    fn has_grown(&self) -> bool {
        let shortest = self.shortest.unwrap_or_default();
        self.smoothed > shortest * 2 + NOISE
    }
}

/// The permission for one request; returned when dropped.
pub struct Permit {
    limiter: Arc<Limiter>,
    slot: Option<OwnedSemaphorePermit>,
}

impl Limiter {
    /// Creates a limiter that allows at most `most` requests at once.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let most = most.max(1);
        let allowed = most.min(START);
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(allowed)),
            state: Mutex::new(State {
                most,
                allowed,
                excess: 0,
                successes: 0,
                is_careful: false,
                delay: Delay::default(),
                not_before: None,
            }),
        })
    }

    /// Waits until one more request may be sent.
    pub(super) async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            self.wait_for_pause().await;
            // An error means that the semaphore is closed, which never happens.
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            let permit = Permit {
                limiter: Arc::clone(self),
                slot,
            };
            if self.pause_end().is_none() {
                return permit;
            }
        }
    }

    /// Waits until the pause that the host asked for has passed.
    pub(super) async fn wait_for_pause(&self) {
        while let Some(until) = self.pause_end() {
            tokio::time::sleep_until(until).await;
        }
    }

    fn pause_end(&self) -> Option<Instant> {
        let until = self.state.lock().not_before?;
        (until > Instant::now()).then_some(until)
    }

    /// Halves the limit, and sends no request before `pause` has passed.
    pub(super) fn slow_down(&self, pause: Duration) {
        let mut state = self.state.lock();
        state.is_careful = true;
        let half = (state.allowed / 2).max(1);
        self.reduce(&mut state, half);
        let until = Instant::now() + pause;
        state.not_before = Some(state.not_before.map_or(until, |before| before.max(until)));
    }

    /// Records that the host answered as expected after `delay`. Over HTTP/1.1 each further concurrent request would
    /// need a separate connection, so the limit grows only if it was reduced before.
    pub(super) fn succeeded(&self, delay: Duration, is_http2: bool) {
        let mut state = self.state.lock();
        state.delay.add(delay);
        state.successes += 1;
        let is_round = state.successes >= state.allowed;
        if state.delay.has_grown() {
            if is_round {
                let fewer = (state.allowed * 3 / 4).max(START).min(state.allowed);
                self.reduce(&mut state, fewer);
            }
            return;
        }
        let most = if is_http2 {
            state.most
        } else {
            state.most.min(START)
        };
        let grows = is_round || !state.is_careful;
        if state.allowed < most && grows {
            state.successes = 0;
            state.allowed += 1;
            if state.excess > 0 {
                state.excess -= 1;
            } else {
                self.slots.add_permits(1);
            }
        }
    }

    fn reduce(&self, state: &mut State, allowed: usize) {
        let surplus = state.allowed - allowed;
        state.allowed = allowed;
        state.successes = 0;
        state.excess += surplus - self.slots.forget_permits(surplus);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limiter.state.lock();
        if state.excess > 0
            && let Some(slot) = self.slot.take()
        {
            state.excess -= 1;
            slot.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);
    const SLOW: Duration = Duration::from_secs(1);

    impl Limiter {
        fn allowed(&self) -> usize {
            self.state.lock().allowed
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_than_allowed() {
        let limiter = Limiter::new(2);
        let first = limiter.acquire().await;
        let _second = limiter.acquire().await;
        let third = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { drop(limiter.acquire().await) }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        third.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_waiter_does_not_block_the_others() {
        let limiter = Limiter::new(1);
        let first = limiter.acquire().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let limiter = Arc::clone(&limiter);
                tokio::spawn(async move { drop(limiter.acquire().await) })
            })
            .collect();
        tokio::task::yield_now().await;
        limiter.slow_down(Duration::from_secs(3));
        drop(first);
        tokio::time::sleep(Duration::from_secs(1)).await;
        waiting[0].abort();
        for waiting in waiting.into_iter().skip(1) {
            let limit = Duration::from_secs(10);
            tokio::time::timeout(limit, waiting).await.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_halves_the_number_and_pauses() {
        let limiter = Limiter::new(8);
        limiter.slow_down(Duration::from_secs(5));
        let before = Instant::now();
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.push(limiter.acquire().await);
        }
        assert!(before.elapsed() >= Duration::from_secs(5));
        assert_eq!(limiter.slots.available_permits(), 0);
        for _ in 0..4 {
            limiter.succeeded(FAST, true);
        }
        assert_eq!(limiter.allowed(), 5);
        assert_eq!(limiter.slots.available_permits(), 1);
    }

    #[tokio::test]
    async fn permits_in_use_are_removed_when_returned() {
        let limiter = Limiter::new(4);
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.push(limiter.acquire().await);
        }
        limiter.slow_down(Duration::ZERO);
        permits.truncate(2);
        assert_eq!(limiter.slots.available_permits(), 0);
        permits.clear();
        assert_eq!(limiter.slots.available_permits(), 2);
    }

    #[test]
    fn the_limit_doubles_each_round_while_the_delay_is_constant() {
        let limiter = Limiter::new(128);
        assert_eq!(limiter.allowed(), START);
        for _ in 0..START {
            limiter.succeeded(FAST, true);
        }
        assert_eq!(limiter.allowed(), 2 * START);
        for _ in 0..200 {
            limiter.succeeded(FAST, true);
        }
        assert_eq!(limiter.allowed(), 128);
    }

    #[test]
    fn a_thousand_requests_take_ten_round_trips() {
        let limiter = Limiter::new(128);
        let (mut left, mut rounds) = (1000, 0);
        while left > 0 {
            let sent = limiter.allowed().min(left);
            for _ in 0..sent {
                limiter.succeeded(FAST, true);
            }
            left -= sent;
            rounds += 1;
        }
        assert_eq!(rounds, 10);
    }

    #[test]
    fn growing_delay_reduces_the_limit_to_the_start_at_most() {
        let limiter = Limiter::new(128);
        for _ in 0..200 {
            limiter.succeeded(FAST, true);
        }
        for _ in 0..2000 {
            limiter.succeeded(SLOW, true);
        }
        assert_eq!(limiter.allowed(), START);
    }

    #[test]
    fn over_http1_the_limit_does_not_grow() {
        let limiter = Limiter::new(128);
        for _ in 0..200 {
            limiter.succeeded(FAST, false);
        }
        assert_eq!(limiter.allowed(), START);
    }
}
