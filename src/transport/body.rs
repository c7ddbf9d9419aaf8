//! Bodies: what is sent, with its progress watched; what comes back, never more than a limit, never
//! slower than the patience for one piece.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use super::error::{SourceFailed, TransportError};
use super::limiter::Permit;

/// The slowest that a body which is read whole may come, in bytes a second on average, after the patience for its
/// first piece: what drips in for hours is no answer.
const SLOWEST: u64 = 16 << 10;
/// How long the body of an error is waited for: it only makes the message better.
const ERROR_BODY_PATIENCE: Duration = Duration::from_secs(5);
/// While our side is the one that is waited for, the other side is not held to anything.
const OUR_TURN: u64 = u64::MAX;

/// What is sent.
pub enum Body {
    /// Nothing.
    Empty,
    /// A whole small body.
    Bytes(Bytes),
    /// A body that is read while it is sent. An error of the stream ends the request and comes
    /// back as [`TransportError::Source`].
    Stream {
        /// Its size in bytes.
        length: u64,
        /// Its content.
        content: BoxStream<'static, Result<Bytes, String>>,
    },
}

impl Body {
    /// Its size in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { length, .. } => *length,
        }
    }

    /// Whether it can be sent once more.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream { .. } => None,
        }
    }

    pub(super) fn into_reqwest(self, activity: &Activity) -> reqwest::Body {
        match self {
            Self::Empty => reqwest::Body::from(Bytes::new()),
            Self::Bytes(bytes) => reqwest::Body::from(bytes),
            Self::Stream { content, .. } => reqwest::Body::wrap_stream(Watched {
                content,
                activity: activity.clone(),
            }),
        }
    }
}

/// When something last moved, in milliseconds since the request began; or that we have nothing to send.
#[derive(Clone)]
pub(super) struct Activity {
    began: Instant,
    last: Arc<AtomicU64>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            last: Arc::default(),
        }
    }

    fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// What is sent is still on its way to us: whoever brings it has limits of its own.
    fn wait_for_source(&self) {
        self.last.store(OUR_TURN, Ordering::Relaxed);
    }

    /// Returns when nothing has moved for `patience`.
    pub(super) async fn silence(&self, patience: Duration) {
        loop {
            let last = self.last.load(Ordering::Relaxed);
            if last == OUR_TURN {
                tokio::time::sleep(patience).await;
                continue;
            }
            let deadline = self.began + Duration::from_millis(last) + patience;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

struct Watched {
    content: BoxStream<'static, Result<Bytes, String>>,
    activity: Activity,
}

impl Stream for Watched {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.content.poll_next_unpin(cx);
        if next.is_ready() {
            self.activity.touch();
        } else {
            self.activity.wait_for_source();
        }
        next.map(|piece| {
            piece.map(|result| result.map_err(|text| io::Error::other(SourceFailed(text))))
        })
    }
}

/// An answer whose head is here and whose body is still to be read.
pub struct Response {
    pub(super) inner: reqwest::Response,
    pub(super) host: String,
    pub(super) permit: Option<Permit>,
    pub(super) hops: usize,
    /// The longest silence that is borne.
    pub(super) silence: Duration,
}

impl Response {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// A header as text; one that is no text is as if it were not there.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Where the answer came from, after all redirects.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// Whether it came from elsewhere than where it was asked for.
    pub fn was_redirected(&self) -> bool {
        self.hops > 0
    }

    /// The HTTP version of the answer.
    pub fn is_http2(&self) -> bool {
        self.inner.version() == http::Version::HTTP_2
    }

    /// The whole body, at most `limit` bytes of it. A body that ends before its `Content-Length` is an error.
    pub async fn bytes(mut self, what: &'static str, limit: u64) -> Result<Bytes, TransportError> {
        let too_large = |host: &str| TransportError::TooLarge {
            host: host.to_owned(),
            what,
            limit,
        };
        let announced = self.inner.content_length();
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(&self.host));
        }
        let began = Instant::now();
        let mut body = BytesMut::new();
        loop {
            let longest = self.silence + Duration::from_secs(body.len() as u64 / SLOWEST);
            let piece = tokio::time::timeout_at(began + longest, self.piece());
            let Ok(piece) = piece.await else {
                return Err(TransportError::Timeout {
                    host: self.host,
                    seconds: longest.as_secs(),
                });
            };
            let Some(piece) = piece? else {
                return Ok(body.freeze());
            };
            if (body.len() + piece.len()) as u64 > limit {
                return Err(too_large(&self.host));
            }
            body.extend_from_slice(&piece);
        }
    }

    /// The beginning of an error body: at most `limit` bytes, whatever happens on the way.
    pub async fn beginning(mut self, limit: usize) -> Vec<u8> {
        let mut body = Vec::new();
        let patience = ERROR_BODY_PATIENCE.min(self.silence);
        let read = async {
            while body.len() < limit {
                let Ok(Some(piece)) = self.piece().await else {
                    break;
                };
                let room = limit - body.len();
                body.extend_from_slice(&piece[..piece.len().min(room)]);
            }
        };
        let _ = tokio::time::timeout(patience, read).await;
        body
    }

    /// The body in pieces as they arrive.
    pub fn pieces(mut self) -> BoxStream<'static, Result<Bytes, TransportError>> {
        // Whoever reads it may wait for a place of its own before it does.
        self.permit = None;
        futures_util::stream::try_unfold(self, |mut response| async move {
            Ok(response.piece().await?.map(|piece| (piece, response)))
        })
        .boxed()
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, TransportError> {
        match tokio::time::timeout(self.silence, self.inner.chunk()).await {
            Ok(Ok(Some(piece))) => Ok(Some(piece)),
            Ok(Ok(None)) => {
                self.permit = None;
                Ok(None)
            }
            Ok(Err(error)) => Err(TransportError::from_reqwest(&error, &self.host)),
            Err(_) => Err(TransportError::Timeout {
                host: self.host.clone(),
                seconds: self.silence.as_secs(),
            }),
        }
    }
}
