//! Opens the connections to one host. A connection attempt belongs to the host, not to the request that needs it: if the
//! request is dropped, the next one takes the connection. So connections can be opened ahead of need.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::Connection;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::sync::Mutex;

/// How long an unused connection is kept; servers close idle connections.
const KEPT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The HTTP version of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Not known yet.
    Unknown,
    /// One connection for each running request.
    Http1,
    /// One connection for all requests.
    Http2,
}

const NOT_HTTP2: &str = "the host does not speak HTTP/2";
/// The error of a request that only opens a connection for others.
const OPENED_AHEAD: &str = "the connection is opened for a later request";

/// The connections that a client accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Any,
    OnlyHttp2,
    /// The client accepts none: it opens connections for other clients of the dialer.
    Ahead,
}

/// Opens the connections to one host, for several clients.
#[derive(Clone)]
pub(super) struct Dialer(Arc<Shared>);

struct Shared {
    timeout: Duration,
    protocol: AtomicU8,
    /// The number of connections that were requested so far.
    attempts: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of connection attempts in progress.
    under_way: usize,
    /// The requests that wait for a connection, in their order.
    waiting: VecDeque<Waiter>,
    /// Open connections that no request waits for.
    ready: VecDeque<(Instant, Open)>,
}

struct Waiter {
    only_http2: bool,
    reply: oneshot::Sender<Result<Open, BoxError>>,
}

/// A connection. Its type is private to reqwest and cannot be named, hence `Any`.
struct Open {
    connection: Box<dyn Any + Send>,
    is_http2: bool,
}

impl Dialer {
    /// Creates a dialer whose connection attempts may take `timeout`.
    pub(super) fn new(timeout: Duration) -> Self {
        Self(Arc::new(Shared {
            timeout,
            protocol: AtomicU8::new(Protocol::Unknown as u8),
            attempts: AtomicU64::new(0),
            state: Mutex::default(),
        }))
    }

    /// Returns the protocol of the latest connection.
    pub(super) fn protocol(&self) -> Protocol {
        match self.0.protocol.load(Ordering::Relaxed) {
            1 => Protocol::Http1,
            2 => Protocol::Http2,
            _ => Protocol::Unknown,
        }
    }

    /// Returns the number of connections that were requested so far.
    pub(super) fn attempts(&self) -> u64 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    /// Returns a layer for the connector of a client.
    pub(super) fn layer(&self, usage: Use) -> DialLayer {
        DialLayer {
            shared: Arc::clone(&self.0),
            usage,
        }
    }
}

impl Shared {
    /// Passes the result of a connection attempt to the request that has waited longest.
    fn finished(&self, outcome: Result<Open, BoxError>) {
        let mut state = self.state.lock();
        state.under_way -= 1;
        let mut open = match outcome {
            Ok(open) => open,
            Err(error) => {
                if let Some(waiter) = state.next_waiter() {
                    let _ = waiter.reply.send(Err(error));
                }
                return;
            }
        };
        let seen = if open.is_http2 {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        self.protocol.store(seen as u8, Ordering::Relaxed);
        while let Some(waiter) = state.next_waiter() {
            if waiter.only_http2 && !open.is_http2 {
                let _ = waiter.reply.send(Err(NOT_HTTP2.into()));
                continue;
            }
            let Err(Ok(back)) = waiter.reply.send(Ok(open)) else {
                return;
            };
            open = back;
        }
        state.ready.push_back((Instant::now(), open));
    }
}

impl State {
    fn next_waiter(&mut self) -> Option<Waiter> {
        std::iter::from_fn(|| self.waiting.pop_front()).find(|waiter| !waiter.reply.is_closed())
    }

    fn take_ready(&mut self, only_http2: bool) -> Option<Open> {
        self.ready.retain(|(since, _)| since.elapsed() < KEPT);
        let fits = |(_, open): &(Instant, Open)| open.is_http2 || !only_http2;
        let position = self.ready.iter().position(fits)?;
        self.ready.remove(position).map(|(_, open)| open)
    }
}

/// A layer that wraps the connector of a client.
#[derive(Clone)]
pub(super) struct DialLayer {
    shared: Arc<Shared>,
    usage: Use,
}

impl<S> Layer<S> for DialLayer {
    type Service = Dial<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Dial {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Dial<S> {
    inner: S,
    layer: DialLayer,
}

impl<S, R> Service<R> for Dial<S>
where
    S: Service<R, Error = BoxError> + Clone + Send + 'static,
    S::Response: Connection + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        let DialLayer { shared, usage } = self.layer.clone();
        shared.attempts.fetch_add(1, Ordering::Relaxed);
        let only_http2 = usage == Use::OnlyHttp2;
        if usage == Use::Ahead {
            shared.state.lock().under_way += 1;
            tokio::spawn(dial(self.inner.call(destination), shared));
            return Box::pin(std::future::ready(Err(OPENED_AHEAD.into())));
        }
        if only_http2 && shared.protocol.load(Ordering::Relaxed) == Protocol::Http1 as u8 {
            return Box::pin(std::future::ready(Err(NOT_HTTP2.into())));
        }
        let (reply, answer) = oneshot::channel();
        let mut state = shared.state.lock();
        if let Some(open) = state.take_ready(only_http2) {
            drop(state);
            let _ = reply.send(Ok(open));
        } else {
            state.waiting.retain(|waiter| !waiter.reply.is_closed());
            state.waiting.push_back(Waiter { only_http2, reply });
            // This request uses a connection attempt whose own request was dropped.
            let needs_attempt = state.under_way < state.waiting.len();
            state.under_way += usize::from(needs_attempt);
            drop(state);
            if needs_attempt {
                tokio::spawn(dial(self.inner.call(destination), shared));
            }
        }
        Box::pin(async move {
            let open = answer
                .await
                .unwrap_or_else(|_| Err("the runtime is shutting down".into()))?;
            let connection = open.connection.downcast::<S::Response>();
            connection
                .map(|connection| *connection)
                .map_err(|_| "a connection of another client".into())
        })
    }
}

/// Waits for a connection and passes it to a request.
async fn dial<C, F>(attempt: F, shared: Arc<Shared>)
where
    C: Connection + Send + 'static,
    F: Future<Output = Result<C, BoxError>> + Send,
{
    let outcome = tokio::time::timeout(shared.timeout, attempt)
        .await
        .unwrap_or_else(|_| {
            let seconds = shared.timeout.as_secs_f32();
            Err(format!("no connection within {seconds} s").into())
        });
    shared.finished(outcome.map(|connection| Open {
        is_http2: connection.connected().is_negotiated_h2(),
        connection: Box::new(connection),
    }));
}
