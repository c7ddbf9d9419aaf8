//! Accepts and closes connections. Also contains the state that all hosts of a registry share.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Role,
    body::Gauge,
    link::{self, Closing, Link, Tap, Wire},
    log::Log,
    options::Options,
    script::Script,
    store::{Store, Upload},
    token::{Clock, Tokens},
    visit,
};

/// The state that all hosts of one registry share.
pub struct Shared {
    /// Its options.
    pub options: Options,
    /// The recorded requests.
    pub log: Log,
    /// The script of faults.
    pub script: Script,
    /// The clock for the lifetime of tokens.
    pub clock: Clock,
    /// The number of concurrent requests.
    pub gauge: Arc<Gauge>,
    /// The base URL of each host. Set when all hosts are listening.
    pub urls: OnceLock<Vec<(Role, String)>>,
    /// The treatment of the next connections.
    pub greetings: Mutex<VecDeque<Greeting>>,
    /// The number of connections that were refused because of the limit.
    pub refused: AtomicUsize,
    connections: AtomicU64,
    store: Mutex<Store>,
    tokens: Mutex<Tokens>,
    recent: Mutex<VecDeque<Instant>>,
}

/// A connection that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The connection is reset as soon as it is accepted.
    Reset,
    /// The connection is closed as soon as it is accepted.
    Close,
    /// The connection stays open without data: no TLS handshake, no answer.
    Silence,
}

impl Shared {
    /// Creates an empty registry.
    pub fn new(mut options: Options) -> Self {
        Self {
            script: Script::new(std::mem::take(&mut options.rules)),
            options,
            log: Log::new(),
            clock: Clock::new(),
            gauge: Arc::default(),
            urls: OnceLock::new(),
            greetings: Mutex::default(),
            refused: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
            store: Mutex::default(),
            tokens: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    /// Returns the stored content.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the valid tokens.
    pub fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a function with an upload, if the upload exists.
    pub fn with_upload<T>(&self, id: &str, act: impl FnOnce(&mut Upload) -> T) -> Option<T> {
        self.store().uploads.get_mut(id).map(act)
    }

    /// Returns the base URL of the host with this role, or of the registry itself if there is no such host.
    pub fn url(&self, role: Role) -> String {
        let urls = self.urls.get().map_or(&[][..], Vec::as_slice);
        let of = |role| urls.iter().find(|(own, _)| *own == role);
        let found = of(role).or_else(|| of(Role::Registry));
        found.map(|(_, url)| url.clone()).unwrap_or_default()
    }

    /// Returns the `Location` of `path` on the host with this role.
    pub fn location(&self, role: Role, path: &str) -> String {
        let is_other_host = self.url(role) != self.url(Role::Registry);
        if is_other_host || self.options.absolute_locations {
            format!("{}{path}", self.url(role))
        } else {
            path.to_owned()
        }
    }

    /// Counts a request, and returns whether it is within the rate limit.
    pub fn within_limit(&self) -> bool {
        let Some(limit) = self.options.rate_limit else {
            return true;
        };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent
            .front()
            .is_some_and(|time| time.elapsed() >= Duration::from_secs(1))
        {
            recent.pop_front();
        }
        let within = recent.len() < limit;
        if within {
            recent.push_back(Instant::now());
        }
        within
    }
}

/// A host of a registry that is listening.
pub struct Host {
    /// The purpose of the host.
    pub role: Role,
    /// The address on which it listens.
    pub address: SocketAddr,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Host {
    /// Binds a free port of `ip`.
    pub async fn bind(role: Role, ip: std::net::IpAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("a free port");
        Self {
            role,
            address: listener.local_addr().expect("a bound socket"),
            listener,
            tls,
        }
    }

    /// Serves requests until dropped; then every connection is closed.
    pub async fn serve(self, shared: Arc<Shared>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let Ok((tcp, _)) = accepted else { continue };
                    while connections.try_join_next().is_some() {}
                    let most = shared.options.most_connections;
                    if most.is_some_and(|most| connections.len() >= most) {
                        shared.refused.fetch_add(1, Ordering::SeqCst);
                        let _ = tcp.set_zero_linger();
                        continue;
                    }
                    let id = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                    let (shared, tls) = (Arc::clone(&shared), self.tls.clone());
                    connections.spawn(accept(tcp, tls, shared, self.role, id));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn accept(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    role: Role,
    id: u64,
) {
    let _ = tcp.set_nodelay(true);
    let greeting = shared
        .greetings
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop_front();
    match greeting {
        Some(Greeting::Reset) => {
            let _ = tcp.set_zero_linger();
            return;
        }
        Some(Greeting::Close) => return,
        Some(Greeting::Silence) => std::future::pending().await,
        None => {}
    }
    let wire = match tls {
        None => Wire::Plain(tcp),
        Some(tls) => match tls.accept(tcp).await {
            Ok(stream) => Wire::Tls(Box::new(stream)),
            Err(_) => return,
        },
    };
    let http2 = matches!(&wire, Wire::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2"));
    serve_connection(wire, shared, role, Link::new(id, http2)).await;
}

/// Serves one connection to its end.
async fn serve_connection(wire: Wire, shared: Arc<Shared>, role: Role, link: Arc<Link>) {
    let wire = Arc::new(Mutex::new(wire));
    let io = TokioIo::new(Tap(Arc::clone(&wire)));
    let known = Arc::clone(&link);
    let window = shared.options.http2_window;
    let streams = shared.options.http2_streams;
    let service = service_fn(move |request| {
        let (shared, link) = (Arc::clone(&shared), Arc::clone(&known));
        async move { visit::answer(&shared, role, &link, request).await }
    });
    let closing = if link.http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let builder = builder.timer(TokioTimer::new());
        let builder = builder.max_header_list_size(1024 * 1024);
        if streams.is_some() {
            builder.max_concurrent_streams(streams);
        }
        if let Some(window) = window {
            builder
                .initial_stream_window_size(window)
                .initial_connection_window_size(window);
        }
        let connection = builder.serve_connection(io, service);
        drive(connection, http2::Connection::graceful_shutdown, &link).await
    } else {
        let mut builder = http1::Builder::new();
        let connection = builder
            .timer(TokioTimer::new())
            .serve_connection(io, service);
        drive(connection, http1::Connection::graceful_shutdown, &link).await
    };
    link::close(wire, closing).await;
}

/// Polls a connection of hyper until it ends or a request ends it. Returns how the connection must be ended.
async fn drive<C: Future>(
    connection: C,
    graceful: impl Fn(std::pin::Pin<&mut C>),
    link: &Link,
) -> Closing {
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            _ = connection.as_mut() => return Closing::Graceful,
            closing = link.closing_requested() => match closing {
                Closing::Graceful => graceful(connection.as_mut()),
                closing => return closing,
            },
        }
    }
}
