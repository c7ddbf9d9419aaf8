//! The connections to one host that requests use, and the number of connections that the host accepts at once. A host
//! that refuses a further connection while it serves others limits their number. This is not a failure: requests then
//! wait, or share a connection.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use crate::sync::Mutex;

/// The number of requests after which one more connection is tried.
const PROBE_AFTER: usize = 16;

#[derive(Default)]
pub(super) struct Connections {
    state: Mutex<State>,
    /// Notifies waiting requests that a request has released its connection.
    released: Notify,
    /// Notifies waiting requests that the last request which used or opened a connection was refused.
    abandoned: Notify,
}

#[derive(Default)]
struct State {
    held: usize,
    /// The number of connections that the host accepts. `None` until it has refused one.
    most: Option<usize>,
    /// The number of requests since `most` last changed.
    requests: usize,
}

/// A connection that a request opens or uses. It is released when this is dropped.
pub(super) struct Held(Arc<Connections>);

impl Connections {
    /// Records that a request opens or uses a connection.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        self.state.lock().held += 1;
        Held(Arc::clone(self))
    }

    /// Returns whether the host is expected to refuse a further connection. Counts this request: after
    /// [`PROBE_AFTER`] requests, the limit increases by one.
    pub(super) fn are_exhausted(&self) -> bool {
        let mut state = self.state.lock();
        let Some(most) = state.most else {
            return false;
        };
        state.requests += 1;
        if state.requests >= PROBE_AFTER {
            state.requests = 0;
            state.most = Some(most + 1);
        }
        state.held >= most
    }

    /// Records that the host has no limit on connections.
    pub(super) fn clear_limit(&self) {
        self.state.lock().most = None;
    }

    /// Waits until a request releases its connection. Returns `false` if no request holds one.
    pub(super) async fn released(&self) -> bool {
        let abandoned = self.abandoned.notified();
        tokio::pin!(abandoned);
        abandoned.as_mut().enable();
        let released = self.released.notified();
        tokio::pin!(released);
        if self.state.lock().held == 0 {
            return released.now_or_never().is_some();
        }
        tokio::select! {
            biased;
            () = released => true,
            () = abandoned => false,
        }
    }
}

impl Held {
    /// Records that the host refused this connection. Returns `true` if the host may accept it later, because it serves
    /// other connections now.
    pub(super) fn refused(self) -> bool {
        let connections = Arc::clone(&self.0);
        std::mem::forget(self);
        let mut state = connections.state.lock();
        state.held -= 1;
        state.most = Some(state.held);
        state.requests = 0;
        if state.held == 0 {
            connections.abandoned.notify_waiters();
        }
        state.held > 0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state.lock().held -= 1;
        self.0.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections() -> Arc<Connections> {
        Arc::default()
    }

    #[test]
    fn refusal_while_others_are_open_limits_connections() {
        let connections = connections();
        let mut held: Vec<_> = (0..5).map(|_| connections.hold()).collect();
        assert!(!connections.are_exhausted());
        assert!(held.pop().unwrap().refused());
        assert!(connections.are_exhausted());
        held.pop();
        assert!(!connections.are_exhausted());
    }

    #[test]
    fn refusal_of_the_only_connection_is_a_failure() {
        let connections = connections();
        assert!(!connections.hold().refused());
    }

    #[test]
    fn one_more_connection_is_tried_after_many_requests() {
        let connections = connections();
        let _held = connections.hold();
        connections.hold().refused();
        for _ in 0..PROBE_AFTER {
            assert!(connections.are_exhausted());
        }
        assert!(!connections.are_exhausted());
    }

    #[tokio::test]
    async fn a_released_connection_ends_the_wait() {
        let connections = connections();
        let held = connections.hold();
        assert!(connections.hold().refused());
        let waiting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.released().await }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn the_wait_ends_once_all_were_refused() {
        let connections = connections();
        let (first, second, third) = (connections.hold(), connections.hold(), connections.hold());
        assert!(first.refused());
        let waiting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.released().await }
        });
        tokio::task::yield_now().await;
        assert!(second.refused());
        assert!(!third.refused());
        assert!(!waiting.await.unwrap());
        assert!(!connections.released().await);
    }
}
