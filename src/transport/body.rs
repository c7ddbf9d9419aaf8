//! Request bodies, with an idle timeout and a minimum rate.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;

use super::error::SourceFailed;
use super::rate::RateWindow;
use crate::sync::Mutex;

/// A request body.
pub enum Body {
    Empty,
    Bytes(Bytes),
    /// A body that is read while it is sent. An error of the stream ends the request and is returned as
    /// [`TransportError::Source`](super::TransportError::Source).
    Stream {
        length: u64,
        content: Unread,
    },
}

/// The content of a streamed body until its first piece is read. Until then, the request can be sent again.
#[derive(Clone)]
pub struct Unread(Arc<Mutex<Option<Pieces>>>);

type Pieces = BoxStream<'static, Result<Bytes, String>>;

impl Unread {
    fn new(content: Pieces) -> Self {
        Self(Arc::new(Mutex::new(Some(content))))
    }
}

impl Body {
    /// Creates a streamed body of `length` bytes.
    pub fn stream(length: u64, content: Pieces) -> Self {
        Self::Stream {
            length,
            content: Unread::new(content),
        }
    }

    /// Returns whether a stream has been read from. Such a body cannot be sent again.
    pub(super) fn is_spent(&self) -> bool {
        matches!(self, Self::Stream { content, .. } if content.0.lock().is_none())
    }

    /// Returns the size in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { length, .. } => *length,
        }
    }

    /// Returns a copy; `None` for a stream, which can be read only once.
    pub(super) fn try_clone(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream { .. } => None,
        }
    }

    /// Returns the body for one try.
    pub(super) fn to_reqwest(&self, activity: &Activity) -> reqwest::Body {
        match self {
            Self::Empty => reqwest::Body::from(Bytes::new()),
            Self::Bytes(bytes) => reqwest::Body::from(bytes.clone()),
            Self::Stream { content, length } => reqwest::Body::wrap_stream(Watched {
                unread: content.clone(),
                content: None,
                left: *length,
                activity: activity.clone(),
            }),
        }
    }
}

/// The state of a request's transfer, shared between its body and its timer.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<ActivityState>>);

struct ActivityState {
    waiting_for: WaitingFor,
    rate: RateWindow,
    /// The time spent waiting for the peer until `waiting_for` last changed.
    waited: Duration,
    /// The number of bytes of a streamed body that were transferred so far.
    sent: u64,
}

enum WaitingFor {
    /// The peer has been reading the body since this instant.
    Peer(Instant),
    /// The source of the body is being read; it has its own limits.
    Source,
    /// Since this instant, no part of a body has been sent: a connection is being opened, or the response is awaited.
    Response(Instant),
}

/// Why a request is given up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// There was no progress for this number of seconds.
    Idle(u64),
    /// The body was read too slowly over this number of seconds.
    TooSlow(u64),
}

impl Activity {
    pub(super) fn new(idle_timeout: Duration) -> Self {
        Self(Arc::new(Mutex::new(ActivityState {
            waiting_for: WaitingFor::Response(Instant::now()),
            rate: RateWindow::new(idle_timeout),
            waited: Duration::ZERO,
            sent: 0,
        })))
    }

    /// Returns when there was no progress for `timeout`, or when the peer has read too slowly.
    pub(super) async fn stalled(&self, timeout: Duration) -> Stall {
        loop {
            let deadline = {
                let state = self.0.lock();
                let now = Instant::now();
                match state.waiting_for {
                    WaitingFor::Source => now + timeout,
                    WaitingFor::Response(since) if since + timeout <= now => {
                        return Stall::Idle(timeout.as_secs());
                    }
                    WaitingFor::Response(since) => since + timeout,
                    WaitingFor::Peer(since) => {
                        let slow = state.rate.remaining().map(|left| since + left);
                        if slow.is_some_and(|slow| slow <= now) {
                            return Stall::TooSlow(state.rate.seconds());
                        }
                        if since + timeout <= now {
                            return Stall::Idle(timeout.as_secs());
                        }
                        slow.map_or(since + timeout, |slow| slow.min(since + timeout))
                    }
                }
            };
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// Returns the time spent waiting for the peer, and the number of bytes of a streamed body that were sent.
    pub(super) fn total(&self) -> (Duration, u64) {
        let state = self.0.lock();
        let current = match state.waiting_for {
            WaitingFor::Peer(since) | WaitingFor::Response(since) => since.elapsed(),
            WaitingFor::Source => Duration::ZERO,
        };
        (state.waited + current, state.sent)
    }

    /// Records that the peer is ready for more data.
    fn peer_is_ready(&self) {
        let mut state = self.0.lock();
        match state.waiting_for {
            WaitingFor::Peer(since) => {
                state.rate.add(since.elapsed(), 0);
                state.waited += since.elapsed();
                state.waiting_for = WaitingFor::Peer(Instant::now());
            }
            WaitingFor::Response(since) => {
                state.waited += since.elapsed();
                state.waiting_for = WaitingFor::Response(Instant::now());
            }
            WaitingFor::Source => {}
        }
    }

    fn waits_for_source(&self) {
        self.0.lock().waiting_for = WaitingFor::Source;
    }

    fn sends(&self, bytes: u64, is_last: bool) {
        let mut state = self.0.lock();
        state.rate.add(Duration::ZERO, bytes);
        state.sent += bytes;
        state.waiting_for = if is_last {
            WaitingFor::Response(Instant::now())
        } else {
            WaitingFor::Peer(Instant::now())
        };
    }
}

/// A streamed body that records what it is waiting for.
struct Watched {
    unread: Unread,
    /// The content, from the first piece on.
    content: Option<Pieces>,
    left: u64,
    activity: Activity,
}

impl Stream for Watched {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.content.is_none() {
            let content = self.unread.0.lock().take();
            self.content = content;
        }
        self.activity.peer_is_ready();
        let Some(content) = &mut self.content else {
            return Poll::Ready(None);
        };
        match content.poll_next_unpin(cx) {
            Poll::Pending => {
                self.activity.waits_for_source();
                Poll::Pending
            }
            Poll::Ready(Some(Ok(piece))) => {
                let bytes = piece.len() as u64;
                self.left = self.left.saturating_sub(bytes);
                self.activity.sends(bytes, self.left == 0);
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(Some(Err(text))) => {
                Poll::Ready(Some(Err(io::Error::other(SourceFailed(text)))))
            }
            Poll::Ready(None) => {
                self.activity.sends(0, true);
                Poll::Ready(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    /// Polls a body every `interval`, as a peer does that reads one piece at a time.
    async fn read_by(interval: Duration, pieces: usize, size: usize, activity: &Activity) {
        let content = stream::iter((0..pieces).map(move |_| Ok(Bytes::from(vec![0; size]))));
        let mut body = Watched {
            unread: Unread::new(content.boxed()),
            content: None,
            left: (pieces * size) as u64,
            activity: activity.clone(),
        };
        while body.next().await.is_some() {
            tokio::time::sleep(interval).await;
        }
        std::future::pending::<()>().await;
    }

    async fn stall(interval: Duration, pieces: usize, size: usize) -> (Stall, Duration) {
        let began = Instant::now();
        let activity = Activity::new(IDLE);
        let stall = tokio::select! {
            stall = activity.stalled(IDLE) => stall,
            () = read_by(interval, pieces, size, &activity) => unreachable!("it is pending"),
        };
        (stall, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_too_slowly_is_given_up() {
        let (stall, after) = stall(Duration::from_secs(5), 100, 1000).await;
        assert_eq!(stall, Stall::TooSlow(30));
        assert_eq!(after.as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_steadily_is_not_given_up() {
        let (stall, after) = stall(Duration::from_secs(5), 100, 100_000).await;
        // Only the response is missing, after the whole body was sent.
        assert_eq!(stall, Stall::Idle(10));
        assert!(after.as_secs() > 490, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_of_the_source_does_not_count() {
        let activity = Activity::new(IDLE);
        let content = stream::unfold(0, |piece| async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            (piece < 10).then(|| (Ok(Bytes::from_static(b"x")), piece + 1))
        });
        let mut body = Watched {
            unread: Unread::new(content.boxed()),
            content: None,
            left: 100,
            activity: activity.clone(),
        };
        let read = async { while body.next().await.is_some() {} };
        tokio::select! {
            stall = activity.stalled(IDLE) => panic!("{stall:?}"),
            () = read => {}
        }
    }
}
