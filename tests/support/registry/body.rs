//! Response bodies (some content, perhaps corrupted or truncated) and request bodies (counted, perhaps interrupted by a
//! rule).

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::{
    content::Content,
    link::{Closing, Link},
};

/// A response or request body that a rule has interrupted. Over HTTP/2 the stream is reset, with the code of the inner
/// error if there is one.
#[derive(Debug, thiserror::Error)]
#[error("broken off by the script")]
pub struct Broken(#[source] pub Option<h2::Error>);

/// How a response body ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The body ends as HTTP requires.
    #[default]
    Complete,
    /// The connection is closed (HTTP/1.1) or the stream is ended (HTTP/2), even if the header has another length.
    Cut,
    /// The connection is reset (HTTP/1.1), or the stream with `RST_STREAM` (HTTP/2).
    Reset,
    /// No more bytes are sent, and the connection stays open.
    Stall,
}

/// A response body.
pub struct Body {
    /// The source of its bytes.
    pub content: Content,
    /// The offset of the next byte to send.
    pub at: u64,
    /// The offset after the last byte to send; `None` if the body is endless.
    pub end: Option<u64>,
    /// Whether the first byte that is sent is changed.
    pub corrupt: bool,
    /// How it ends.
    pub ending: Ending,
    /// The pause before each byte.
    pub drip: Option<Duration>,
    link: Option<Arc<Link>>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    under_way: Option<UnderWay>,
}

impl Body {
    /// Creates a body with all of `content`.
    pub fn new(content: impl Into<Content>) -> Self {
        let content = content.into();
        Self {
            end: content.len(),
            content,
            at: 0,
            corrupt: false,
            ending: Ending::Complete,
            drip: None,
            link: None,
            pause: None,
            under_way: None,
        }
    }

    /// Creates an empty body.
    pub fn empty() -> Self {
        Self::new(Bytes::new())
    }

    /// Returns the number of bytes that will be sent, or `None` if the body is endless.
    pub fn len(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.at))
    }

    /// Limits the body to at most `length` bytes.
    pub fn shorten(&mut self, length: u64) {
        let end = self.at.saturating_add(length);
        self.end = Some(self.end.map_or(end, |old| old.min(end)));
    }

    /// Attaches the connection, which is needed to interrupt the body, and the counter of running requests.
    pub fn bind(&mut self, link: Arc<Link>, under_way: UnderWay) {
        self.link = Some(link);
        self.under_way = Some(under_way);
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ending == Ending::Complete {
            return Poll::Ready(None);
        }
        // hyper flushes its buffer while it waits for the body. Without the pause, the interruption could discard bytes
        // that were sent before it.
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(5))));
        if pause.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let http2 = self.link.as_ref().is_some_and(|link| link.http2);
        match self.ending {
            Ending::Complete => Poll::Ready(None),
            Ending::Cut if http2 => Poll::Ready(None),
            Ending::Reset if http2 => Poll::Ready(Some(Err(Broken(None)))),
            Ending::Stall => Poll::Pending,
            Ending::Cut => self.interrupt(Closing::Raw(Bytes::new())),
            Ending::Reset => self.interrupt(Closing::Reset),
        }
    }

    fn interrupt<T>(&mut self, closing: Closing) -> Poll<T> {
        if let Some(link) = self.link.take() {
            link.close(closing);
        }
        Poll::Pending
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let left = self.len().unwrap_or(u64::MAX);
        let chunk = self.content.chunk(self.at).filter(|_| left > 0);
        let Some(mut chunk) = chunk else {
            return self.poll_ending(cx);
        };
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if let Some(drip) = self.drip {
            let pause = self
                .pause
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(drip)));
            if pause.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
            chunk.truncate(1);
        }
        self.at += chunk.len() as u64;
        if std::mem::take(&mut self.corrupt) {
            let mut wrong = BytesMut::from(chunk);
            wrong[0] ^= 0x20;
            chunk = wrong.freeze();
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.len() == Some(0) && self.ending == Ending::Complete
    }

    fn size_hint(&self) -> SizeHint {
        match self.len() {
            Some(len) if self.ending == Ending::Complete => SizeHint::with_exact(len),
            _ => SizeHint::default(),
        }
    }
}

/// Counts the requests that are not completely answered.
#[derive(Default)]
pub struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    /// Counts one more request, until the returned value is dropped.
    pub fn enter(self: &Arc<Self>) -> UnderWay {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        UnderWay(Arc::clone(self))
    }

    /// Returns the maximum number of concurrent requests so far.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Resets the maximum.
    pub fn reset(&self) {
        self.most
            .store(self.now.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// A request that is being answered.
pub struct UnderWay(Arc<Gauge>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A request body.
pub struct Inbox {
    body: Incoming,
    received: Arc<AtomicU64>,
    limit: Option<u64>,
    /// The pause before each byte.
    drip: Option<Duration>,
    /// Bytes that have arrived and are not read yet.
    unread: Bytes,
}

/// The request body was interrupted by the client or by a rule.
#[derive(Debug)]
pub struct Interrupted;

impl Inbox {
    /// Creates a reader of `body` that adds the number of its bytes to `received`.
    pub fn new(body: Incoming, received: Arc<AtomicU64>) -> Self {
        Self {
            body,
            received,
            limit: None,
            drip: None,
            unread: Bytes::new(),
        }
    }

    /// Reads one byte after each `pause`.
    pub fn drip(&mut self, pause: Duration) {
        self.drip = Some(pause);
    }

    /// Interrupts the body after `limit` bytes.
    pub fn break_after(&mut self, limit: u64) {
        self.limit = Some(limit);
    }

    /// Returns the next bytes, or `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Interrupted>> {
        loop {
            if self.limit == Some(0) {
                return Some(Err(Interrupted));
            }
            let mut data = std::mem::take(&mut self.unread);
            if data.is_empty() {
                let Ok(frame) = self.body.frame().await? else {
                    return Some(Err(Interrupted));
                };
                let Ok(arrived) = frame.into_data() else {
                    continue;
                };
                data = arrived;
            }
            if let Some(pause) = self.drip {
                tokio::time::sleep(pause).await;
                self.unread = data.split_off(data.len().min(1));
            }
            if let Some(limit) = &mut self.limit {
                data.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
                *limit -= data.len() as u64;
            }
            self.received
                .fetch_add(data.len() as u64, Ordering::Relaxed);
            return Some(Ok(data));
        }
    }

    /// Reads the whole body. Returns `Ok(None)` if it has more than `most` bytes.
    pub async fn collect(&mut self, most: usize) -> Result<Option<Bytes>, Interrupted> {
        let mut all = BytesMut::new();
        while let Some(data) = self.next().await {
            all.extend_from_slice(&data?);
            if all.len() > most {
                return Ok(None);
            }
        }
        Ok(Some(all.freeze()))
    }

    /// Reads a limited number of further bytes after an early answer, as Go's servers do. Closing at once would reset
    /// the connection before the client has read the answer.
    pub async fn drain(&mut self) {
        let mut left = 256 * 1024;
        while let Some(Ok(data)) = self.next().await {
            left -= data.len().min(left);
            if left == 0 {
                return;
            }
        }
    }
}
