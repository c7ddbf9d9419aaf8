//! Responses: their heads, and their bodies with size limits, an idle timeout and a minimum rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{HeaderMap, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use super::connections::Held;
use super::error::TransportError;
use super::limiter::Permit;
use super::rate::RateWindow;
use super::wait_meter::WaitMeter;

/// The minimum average rate of a body that is read whole, in bytes per second after the idle timeout.
const MINIMUM_WHOLE_RATE: u64 = 16 << 10;
/// How long the body of an error response is read; it only improves the message.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum total size of the bodies that one run reads whole at the same time, in bytes: a hundred typical
/// manifests of 100 kB.
const MAX_AT_ONCE: u64 = 12 << 20;

/// A response whose head has arrived and whose body is still to be read.
pub struct Response {
    pub(super) inner: reqwest::Response,
    pub(super) host: String,
    pub(super) permit: Option<Permit>,
    /// The connection, until the body has been read.
    pub(super) held: Option<Held>,
    pub(super) hops: usize,
    pub(super) idle_timeout: Duration,
    pub(super) rate: RateWindow,
    pub(super) meter: WaitMeter,
    pub(super) at_once: Arc<BytesAtOnce>,
}

/// The size of all bodies that are being read whole, in bytes.
#[derive(Default)]
pub(super) struct BytesAtOnce(AtomicU64);

/// The size of one body that is being read. It is subtracted from the total when this is dropped.
struct Share<'a> {
    all: &'a BytesAtOnce,
    bytes: u64,
}

impl Share<'_> {
    /// Adds bytes that have arrived. Returns `false` if the total size of all bodies exceeds the limit.
    fn add(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        self.all.0.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_AT_ONCE
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Response {
    /// Removes and returns the permit of the request. The permit is otherwise returned when the body has been read.
    pub fn take_permit(&mut self) -> Option<Permit> {
        self.permit.take()
    }

    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Returns a header as text; `None` if it is missing or not text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Returns the URL that answered, after all redirects.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    pub fn was_redirected(&self) -> bool {
        self.hops > 0
    }

    pub fn is_http2(&self) -> bool {
        self.inner.version() == http::Version::HTTP_2
    }

    /// Reads the whole body, at most `limit` bytes of `what`. Fails if it ends before its `Content-Length`, or if all
    /// bodies that the run reads at the same time exceed 12 MiB in total.
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
        let at_once = Arc::clone(&self.at_once);
        let mut share = Share {
            all: &at_once,
            bytes: 0,
        };
        let length = announced.and_then(|length| usize::try_from(length).ok());
        let mut body = BytesMut::with_capacity(length.unwrap_or_default());
        loop {
            let longest =
                self.idle_timeout + Duration::from_secs(body.len() as u64 / MINIMUM_WHOLE_RATE);
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
            if !share.add(piece.len() as u64) {
                return Err(TransportError::TooMuchAtOnce {
                    host: self.host,
                    limit: MAX_AT_ONCE >> 20,
                });
            }
            body.extend_from_slice(&piece);
        }
    }

    /// Reads at most `limit` bytes of the body of an error response. A failure ends the read early and is not reported.
    pub async fn beginning(mut self, limit: usize) -> Vec<u8> {
        let mut body = Vec::new();
        let timeout = ERROR_BODY_TIMEOUT.min(self.idle_timeout);
        let mut measured_until = Instant::now();
        let read = async {
            while body.len() < limit {
                let Ok(Some(piece)) = self.piece().await else {
                    break;
                };
                measured_until = Instant::now();
                let left = limit - body.len();
                body.extend_from_slice(&piece[..piece.len().min(left)]);
            }
        };
        if tokio::time::timeout(timeout, read).await.is_err() {
            self.meter.add(measured_until.elapsed(), 0);
        }
        // The caller reports the error response itself; the budget is checked before the next try.
        let _ = self.meter.count();
        body
    }

    /// Returns the body in pieces as they arrive.
    pub fn pieces(mut self) -> BoxStream<'static, Result<Bytes, TransportError>> {
        // The reader may wait for another permit before it reads.
        self.permit = None;
        futures_util::stream::try_unfold(self, |mut response| async move {
            Ok(response.piece().await?.map(|piece| (piece, response)))
        })
        .boxed()
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, TransportError> {
        let slow = self.rate.remaining();
        let timeout = slow.map_or(self.idle_timeout, |slow| slow.min(self.idle_timeout));
        let began = Instant::now();
        let arrived = tokio::time::timeout(timeout, self.inner.chunk()).await;
        let bytes = match &arrived {
            Ok(Ok(Some(piece))) => piece.len() as u64,
            _ => 0,
        };
        self.meter.add(began.elapsed(), bytes);
        if !matches!(arrived, Ok(Ok(_))) {
            self.meter.count_failure();
        }
        match arrived {
            Ok(Ok(Some(piece))) => {
                self.rate.add(began.elapsed(), bytes);
                Ok(Some(piece))
            }
            Ok(Ok(None)) => {
                self.permit = None;
                self.held = None;
                let counted = self.meter.count();
                counted.map_err(|reason| TransportError::slow(&self.host, reason))?;
                Ok(None)
            }
            Ok(Err(error)) => Err(TransportError::from_reqwest(&error, &self.host)),
            Err(_) if timeout < self.idle_timeout => Err(TransportError::TooSlow {
                host: self.host.clone(),
                seconds: self.rate.seconds(),
            }),
            Err(_) => Err(TransportError::Timeout {
                host: self.host.clone(),
                seconds: self.idle_timeout.as_secs(),
            }),
        }
    }
}
