//! How connections to one host are opened. A dial belongs to the host, not to the request that asked for it:
//! if that goes away, the connection is kept for the next one. So connections can be opened ahead of need.

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

/// How long a connection that nobody took is worth keeping: a server closes it some time.
const KEPT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a host speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Not known yet.
    Unknown,
    /// HTTP/1.1: a connection for each request under way.
    Http1,
    /// HTTP/2: one connection for all.
    Http2,
}

/// No connection came in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", .0.as_secs_f32())]
struct TooSlow(Duration);

/// Whoever asked for HTTP/2 only cannot use the connection.
#[derive(Debug, thiserror::Error)]
#[error("the host does not speak HTTP/2")]
struct NotHttp2;

/// Opens the connections to one host, for all clients of its host_client.
#[derive(Clone)]
pub(super) struct Dialer(Arc<Shared>);

struct Shared {
    /// The longest that a dial may take.
    limit: Duration,
    protocol: AtomicU8,
    dials: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Dials under way.
    under_way: usize,
    /// Who wants a connection, first come first served.
    waiting: VecDeque<Waiter>,
    /// Connections that nobody was left to take.
    ready: VecDeque<(Instant, Open)>,
}

struct Waiter {
    only_http2: bool,
    reply: oneshot::Sender<Result<Open, BoxError>>,
}

/// A connection. Its type is reqwest's own and has no name, hence `Any`.
struct Open {
    connection: Box<dyn Any + Send>,
    is_http2: bool,
}

impl Dialer {
    pub(super) fn new(limit: Duration) -> Self {
        Self(Arc::new(Shared {
            limit,
            protocol: AtomicU8::new(Protocol::Unknown as u8),
            dials: AtomicU64::new(0),
            state: Mutex::default(),
        }))
    }

    /// What the host has been seen to speak.
    pub(super) fn protocol(&self) -> Protocol {
        match self.0.protocol.load(Ordering::Relaxed) {
            1 => Protocol::Http1,
            2 => Protocol::Http2,
            _ => Protocol::Unknown,
        }
    }

    /// Whether no connection was ever asked for.
    pub(super) fn is_fresh(&self) -> bool {
        self.0.dials.load(Ordering::Relaxed) == 0
    }

    /// The layer around the connector of a client; `only_http2` if the client can use nothing else.
    pub(super) fn layer(&self, only_http2: bool) -> DialLayer {
        DialLayer {
            shared: Arc::clone(&self.0),
            only_http2,
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A dial has ended: its outcome goes to whoever has waited longest.
    fn finished(&self, outcome: Result<Open, BoxError>) {
        let mut state = self.state();
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
                let _ = waiter.reply.send(Err(NotHttp2.into()));
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

/// Puts the dialer before a client's connector.
#[derive(Clone)]
pub(super) struct DialLayer {
    shared: Arc<Shared>,
    only_http2: bool,
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

/// The connector with the dialer before it.
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
        let DialLayer { shared, only_http2 } = self.layer.clone();
        shared.dials.fetch_add(1, Ordering::Relaxed);
        if only_http2 && shared.protocol.load(Ordering::Relaxed) == Protocol::Http1 as u8 {
            return Box::pin(std::future::ready(Err(NotHttp2.into())));
        }
        let (reply, answer) = oneshot::channel();
        let mut state = shared.state();
        if let Some(open) = state.take_ready(only_http2) {
            drop(state);
            let _ = reply.send(Ok(open));
        } else {
            state.waiting.retain(|waiter| !waiter.reply.is_closed());
            state.waiting.push_back(Waiter { only_http2, reply });
            // A dial whose own request went away serves this one.
            let dials = state.under_way < state.waiting.len();
            state.under_way += usize::from(dials);
            drop(state);
            if dials {
                let dialling = self.inner.call(destination);
                tokio::spawn(dial(dialling, shared));
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

/// Waits for a connection and hands it over.
async fn dial<C, F>(dialling: F, shared: Arc<Shared>)
where
    C: Connection + Send + 'static,
    F: Future<Output = Result<C, BoxError>> + Send,
{
    let outcome = tokio::time::timeout(shared.limit, dialling)
        .await
        .unwrap_or_else(|_| Err(TooSlow(shared.limit).into()));
    shared.finished(outcome.map(|connection| Open {
        is_http2: connection.connected().is_negotiated_h2(),
        connection: Box::new(connection),
    }));
}
