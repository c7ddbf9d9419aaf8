//! How connections to one host are opened. hyper's pool dials once for every parallel request until it has
//! learnt that the host speaks HTTP/2; the gate here lets one dial through where that is known, lets all
//! through where it is not, and keeps connections that were opened ahead of need.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::Connection;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower::{Layer, Service};

/// How long a request that could share a connection waits for it before it dials one of its own.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long after a dial its connection may still be on the way into the pool.
const SETTLING: Duration = Duration::from_millis(100);

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

/// The layer around reqwest's connector for one host.
#[derive(Clone)]
pub(super) struct Dialer(Arc<Shared>);

struct Shared {
    protocol: AtomicU8,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_flight: usize,
    last_success: Option<Instant>,
    /// Connections whose request went away before they were open. The type is reqwest's own and has no
    /// name, hence `Any`.
    ready: Vec<Box<dyn Any + Send>>,
}

impl Dialer {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self(Arc::new(Shared {
            protocol: AtomicU8::new(protocol as u8),
            state: Mutex::default(),
        }))
    }

    /// What is known of the host now.
    pub(super) fn protocol(&self) -> Protocol {
        match self.0.protocol.load(Ordering::Relaxed) {
            1 => Protocol::Http1,
            2 => Protocol::Http2,
            _ => Protocol::Unknown,
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection that everybody can share is being opened, or has just been.
    fn shared_connection_is_near(&self, state: &State) -> bool {
        self.protocol.load(Ordering::Relaxed) == Protocol::Http2 as u8
            && (state.in_flight > 0 || state.last_success.is_some_and(|at| at.elapsed() < SETTLING))
    }

    fn finished<C: Connection>(&self, outcome: Result<&C, ()>) {
        let mut state = self.state();
        state.in_flight -= 1;
        if let Ok(connection) = outcome {
            state.last_success = Some(Instant::now());
            let protocol = if connection.connected().is_negotiated_h2() {
                Protocol::Http2
            } else {
                Protocol::Http1
            };
            self.protocol.store(protocol as u8, Ordering::Relaxed);
        }
    }
}

impl<S> Layer<S> for Dialer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

/// The connector with the gate before it.
#[derive(Clone)]
pub(super) struct Gate<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, R> Service<R> for Gate<S>
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
        // A service that was polled ready must be the one that is called (tower's contract).
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let mut state = self.shared.state();
        if let Some(ready) = state.ready.pop()
            && let Ok(connection) = ready.downcast::<S::Response>()
        {
            return Box::pin(async move { Ok(*connection) });
        }
        let wait = self.shared.shared_connection_is_near(&state);
        if !wait {
            state.in_flight += 1;
        }
        drop(state);
        let shared = Arc::clone(&self.shared);
        if wait {
            return Box::pin(dial_unless_shared(inner, destination, shared));
        }
        Box::pin(dial(inner, destination, shared))
    }
}

/// Leaves it to the pool to hand the shared connection to this request, which then drops this future or lets it
/// run on unheard. Only if no shared connection came is a dial needed after all.
async fn dial_unless_shared<S, R>(
    inner: S,
    destination: R,
    shared: Arc<Shared>,
) -> Result<S::Response, BoxError>
where
    S: Service<R, Error = BoxError> + Send + 'static,
    S::Response: Connection + Send + 'static,
    S::Future: Send + 'static,
{
    let began = Instant::now();
    tokio::time::sleep(PATIENCE).await;
    {
        let mut state = shared.state();
        let came = state.last_success.is_some_and(|at| at + SETTLING >= began);
        if came {
            return Err("the shared connection closed before this request could use it".into());
        }
        state.in_flight += 1;
    }
    dial(inner, destination, shared).await
}

/// Dials in a task of its own, so that a connection survives the request that asked for it. Counted in
/// `in_flight` by the caller.
fn dial<S, R>(
    mut inner: S,
    destination: R,
    shared: Arc<Shared>,
) -> impl Future<Output = Result<S::Response, BoxError>> + Send
where
    S: Service<R, Error = BoxError> + Send + 'static,
    S::Response: Connection + Send + 'static,
    S::Future: Send + 'static,
{
    let (give, take) = oneshot::channel();
    let dialling = inner.call(destination);
    tokio::spawn(async move {
        let outcome = dialling.await;
        shared.finished(outcome.as_ref().map_err(|_| ()));
        if let Err(Ok(connection)) = give.send(outcome) {
            shared.state().ready.push(Box::new(connection));
        }
    });
    async move {
        take.await
            .unwrap_or_else(|_| Err("the runtime is shutting down".into()))
    }
}
