//! How many requests to one host are under way at once. A host that says "too many" gets fewer: halved
//! at each such answer, one more for each full round of successes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::sync::Mutex;

/// The gate before one host. Requests with a body that streams pass without taking a place: what they send
/// may come from the same host, and two that wait for each other's place would wait for ever.
pub(super) struct Limiter {
    most: usize,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    allowed: usize,
    under_way: usize,
    successes: usize,
    not_before: Option<Instant>,
}

/// The right to have one request under way; given back when dropped.
pub(super) struct Permit(Arc<Limiter>);

impl Limiter {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let most = most.max(1);
        Arc::new(Self {
            most,
            state: Mutex::new(State {
                allowed: most,
                under_way: 0,
                successes: 0,
                not_before: None,
            }),
            changed: Notify::new(),
        })
    }

    /// Waits for a place.
    pub(super) async fn enter(self: &Arc<Self>) -> Permit {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change between look and wait is missed.
            changed.as_mut().enable();
            match self.try_enter() {
                Ok(()) => return Permit(Arc::clone(self)),
                Err(Some(until)) => {
                    // Whoever sleeps may be dropped meanwhile, and the change that woke it would be lost for all
                    // others: it is passed on, so that everybody waits for the time and nobody for a change.
                    self.changed.notify_one();
                    tokio::time::sleep_until(until).await;
                }
                Err(None) => changed.await,
            }
        }
    }

    /// Waits until the host wants to hear of us again, without taking a place.
    pub(super) async fn wait_turn(&self) {
        loop {
            let until = self.lock().not_before;
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    fn try_enter(&self) -> Result<(), Option<Instant>> {
        let mut state = self.lock();
        if let Some(until) = state.not_before {
            if until > Instant::now() {
                return Err(Some(until));
            }
            state.not_before = None;
        }
        if state.under_way < state.allowed {
            state.under_way += 1;
            Ok(())
        } else {
            Err(None)
        }
    }

    /// The host said "too many requests": fewer from now on, and none before `pause` has passed.
    pub(super) fn slow_down(&self, pause: Duration) {
        let mut state = self.lock();
        state.allowed = (state.allowed / 2).max(1);
        state.successes = 0;
        let until = Instant::now() + pause;
        state.not_before = Some(state.not_before.map_or(until, |before| before.max(until)));
    }

    /// The host answered as it should.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        if state.allowed >= self.most {
            return;
        }
        state.successes += 1;
        if state.successes >= state.allowed {
            state.successes = 0;
            state.allowed += 1;
            drop(state);
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn never_more_than_allowed() {
        let limiter = Limiter::new(2);
        let first = limiter.enter().await;
        let _second = limiter.enter().await;
        let third = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { drop(limiter.enter().await) }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        third.await.unwrap();
    }

    /// A request that waits for the time is dropped (another one of its image failed): those behind it go on.
    #[tokio::test(start_paused = true)]
    async fn no_change_is_lost_with_a_request_that_is_dropped() {
        let limiter = Limiter::new(1);
        let first = limiter.enter().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let limiter = Arc::clone(&limiter);
                tokio::spawn(async move { drop(limiter.enter().await) })
            })
            .collect();
        tokio::task::yield_now().await;
        limiter.slow_down(Duration::from_secs(3));
        drop(first);
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The first in the queue was woken, and sleeps.
        waiting[0].abort();
        for waiting in waiting.into_iter().skip(1) {
            let patience = Duration::from_secs(10);
            tokio::time::timeout(patience, waiting)
                .await
                .unwrap()
                .unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_means_fewer_and_later() {
        let limiter = Limiter::new(8);
        limiter.slow_down(Duration::from_secs(5));
        let before = Instant::now();
        let permits = [
            limiter.enter().await,
            limiter.enter().await,
            limiter.enter().await,
            limiter.enter().await,
        ];
        assert!(before.elapsed() >= Duration::from_secs(5));
        assert!(limiter.try_enter().is_err());
        for _ in 0..4 {
            limiter.succeeded();
        }
        assert!(limiter.try_enter().is_ok());
        drop(permits);
    }
}
