//! A server in place of the APIs and metadata services of clouds. It records every request.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;
use url::{Url, form_urlencoded};

use crate::support::registry::tls;

/// How long a reply waits for its condition, and how often it is checked.
const CONDITION_TIMEOUT: Duration = Duration::from_secs(10);
const POLLING: Duration = Duration::from_millis(2);

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// Returns a field of the form or of the query.
    pub(super) fn field(&self, name: &str) -> String {
        let url = Url::parse(&format!("http://x{}", self.target)).expect("a target");
        let query = url.query_pairs().into_owned();
        let form = form_urlencoded::parse(self.body.as_bytes()).into_owned();
        query
            .chain(form)
            .find(|(known, _)| known == name)
            .map_or(String::new(), |(_, value)| value)
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// The reaction of the server to a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// The status, additional header lines, and the body.
    Full(u16, String, String),
    /// A body of this many bytes.
    Endless(u64),
    /// A body that is sent slowly: one byte every 100 ms.
    Drip,
    /// The reply is sent when a condition holds; see [`Reply::when`].
    When(Condition, Box<Reply>),
}

/// A condition that a reply waits for.
#[derive(Clone)]
pub(super) struct Condition(Arc<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condition")
    }
}

impl Reply {
    pub(super) fn json(body: impl ToString) -> Self {
        Self::Full(200, String::new(), body.to_string())
    }

    pub(super) fn status(status: u16, body: impl ToString) -> Self {
        Self::Full(status, String::new(), body.to_string())
    }

    /// Delays the reply until a condition holds. After ten seconds, an error is sent.
    pub(super) fn when(self, condition: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self::When(Condition(Arc::new(condition)), Box::new(self))
    }
}

pub(super) struct CloudServer {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: Runtime,
}

impl CloudServer {
    /// Starts a server over plain HTTP. `reply` returns the reply for the method and path of a request, and its
    /// `Action` or target.
    pub(super) fn start(reply: impl Fn(&str, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(reply, None)
    }

    /// Starts a server over TLS.
    pub(super) fn with_tls(reply: impl Fn(&str, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(reply, Some(tls::acceptor(&["http/1.1"], false)))
    }

    fn of(
        reply: impl Fn(&str, &Seen) -> Reply + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, reply) = (Arc::clone(&seen), Arc::new(reply));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, reply, tls) = (Arc::clone(&log), Arc::clone(&reply), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &*reply, &log).await,
                            Err(_) => None,
                        },
                        None => serve(stream, &*reply, &log).await,
                    }
                });
            }
        });
        Self {
            address,
            seen,
            _runtime: runtime,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns all requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the only request to a path. Panics if there is not exactly one.
    #[track_caller]
    pub(super) fn only(&self, path: &str) -> Seen {
        let mut seen = self.seen();
        seen.retain(|request| request.path() == path);
        assert_eq!(seen.len(), 1, "{path}: {seen:?}");
        seen.remove(0)
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    reply: &(dyn Fn(&str, &Seen) -> Reply + Send + Sync),
    log: &Mutex<Vec<Seen>>,
) -> Option<()> {
    let request = read(&mut stream).await?;
    let mut answer = reply(request.path(), &request);
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
    while let Reply::When(condition, then) = answer {
        answer = wait(&condition, *then).await;
    }
    match answer {
        Reply::When(..) => return None,
        Reply::Full(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
            );
            stream.write_all((head + &body).as_bytes()).await.ok()?;
        }
        Reply::Endless(length) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
            let block = vec![b' '; 1 << 16];
            for _ in 0..length / (1 << 16) {
                stream.write_all(&block).await.ok()?;
            }
        }
        Reply::Drip => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
            for _ in 0..1000 {
                stream.write_all(b" ").await.ok()?;
                stream.flush().await.ok()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    stream.shutdown().await.ok()
}

async fn wait(condition: &Condition, then: Reply) -> Reply {
    for _ in 0..CONDITION_TIMEOUT.as_millis() / POLLING.as_millis() {
        if (condition.0)() {
            return then;
        }
        tokio::time::sleep(POLLING).await;
    }
    Reply::status(400, "the condition of the test does not hold")
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut block = [0; 4096];
        match stream.read(&mut block).await {
            Ok(length) if length > 0 => bytes.extend_from_slice(&block[..length]),
            _ => return None,
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap_or(0));
    let mut body = bytes.split_off(end);
    while body.len() < length {
        let mut block = [0; 4096];
        match stream.read(&mut block).await {
            Ok(length) if length > 0 => body.extend_from_slice(&block[..length]),
            _ => return None,
        }
    }
    Some(Seen {
        method,
        target,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
