//! A forward proxy (RFC 9110, 9.3.6 CONNECT; RFC 9112, 3.2.2 absolute-form). Through it, clients reach registries by
//! names that DNS does not have. Names under `.test` resolve to 127.0.0.1, loopback addresses are used unchanged, a
//! test may add further names, and all other names fail.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// A target (`host:port`) and the address that it resolves to.
type Mapped = (String, SocketAddr);

/// A running proxy. It ends, with all its connections, when dropped.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Passed>>>,
    task: AbortHandle,
}

/// A request to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// `CONNECT`, or the method of a request over plain HTTP.
    pub method: String,
    /// `host:port`
    pub target: String,
    /// The status of the proxy's own answer, or 200 if it forwarded the request.
    pub status: u16,
}

/// The head of a request.
struct Head {
    method: String,
    target: String,
    headers: Vec<String>,
    /// The bytes after the head.
    rest: Vec<u8>,
}

impl Proxy {
    /// Creates a proxy without a password.
    pub async fn start() -> Self {
        Self::start_with(None, Vec::new()).await
    }

    /// Creates a proxy that connects requests for `target` (`host:port`) to `address`.
    pub async fn mapping(target: &str, address: SocketAddr) -> Self {
        Self::mapping_all([(target.to_owned(), address)]).await
    }

    /// Creates a proxy that connects requests for each target to its address.
    pub async fn mapping_all(mapped: impl IntoIterator<Item = Mapped>) -> Self {
        Self::start_with(None, mapped.into_iter().collect()).await
    }

    /// Creates a proxy that requires a password.
    pub async fn with_password(user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        Self::start_with(Some(format!("Basic {pair}")), Vec::new()).await
    }

    async fn start_with(credentials: Option<String>, mapped: Vec<Mapped>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let seen = Arc::default();
        let task = tokio::spawn(serve(listener, credentials, mapped, Arc::clone(&seen)));
        Self {
            address,
            seen,
            task: task.abort_handle(),
        }
    }

    /// Returns the URL of the proxy, such as `http://127.0.0.1:3128`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns all requests to the proxy.
    pub fn passed(&self) -> Vec<Passed> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    credentials: Option<String>,
    mapped: Vec<Mapped>,
    seen: Arc<Mutex<Vec<Passed>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let (credentials, mapped) = (credentials.clone(), mapped.clone());
                let seen = Arc::clone(&seen);
                connections.spawn(async move {
                    // The client sees that a connection breaks.
                    let _ = pass(client, credentials, mapped, &seen).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass(
    mut client: TcpStream,
    credentials: Option<String>,
    mapped: Vec<Mapped>,
    seen: &Mutex<Vec<Passed>>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let Some(head) = read_head(&mut client).await? else {
        return Ok(());
    };
    let (target, path) = destination(&head);
    let allowed = credentials.is_none() || head.header("proxy-authorization") == credentials;
    let found = mapped.into_iter().find(|(name, _)| *name == target);
    let address = found.map_or_else(|| resolve(&target), |(_, address)| Some(address));
    let server = match address {
        Some(address) if allowed => TcpStream::connect(address).await.ok(),
        _ => None,
    };
    let status = match (&server, allowed) {
        (_, false) => 407,
        (None, true) => 502,
        (Some(_), true) => 200,
    };
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Passed {
            method: head.method.clone(),
            target,
            status,
        });
    let Some(mut server) = server else {
        let reason = match status {
            407 => "Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"proxy\"",
            _ => "Bad Gateway",
        };
        let answer = format!("HTTP/1.1 {status} {reason}\r\ncontent-length: 0\r\n\r\n");
        return client.write_all(answer.as_bytes()).await;
    };
    server.set_nodelay(true)?;
    if head.method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    } else {
        server.write_all(head.onward(&path).as_bytes()).await?;
    }
    server.write_all(&head.rest).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Reads up to the empty line. Returns `None` if the stream ends before it.
async fn read_head(client: &mut TcpStream) -> std::io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if client.read_buf(&mut bytes).await? == 0 || bytes.len() > 64 * 1024 {
            return Ok(None);
        }
    };
    let rest = bytes.split_off(end + 4);
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = text.split("\r\n").map(str::to_owned);
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    Ok(Some(Head {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        headers: lines.collect(),
        rest,
    }))
}

impl Head {
    fn header(&self, name: &str) -> Option<String> {
        let pairs = self.headers.iter().filter_map(|line| line.split_once(':'));
        let mut values = pairs.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim().to_owned())
    }

    /// Returns the head for the server: for one request, without the headers that are meant for the proxy.
    fn onward(&self, path: &str) -> String {
        let kept = self.headers.iter().filter(|line| {
            let name = line.split(':').next().unwrap_or_default().to_lowercase();
            !name.starts_with("proxy-") && name != "connection"
        });
        let kept: String = kept.flat_map(|line| [line, "\r\n"]).collect();
        format!(
            "{} {path} HTTP/1.1\r\n{kept}connection: close\r\n\r\n",
            self.method
        )
    }
}

/// Returns the target as `host:port`, and the path of the request.
fn destination(head: &Head) -> (String, String) {
    let Some(rest) = head.target.strip_prefix("http://") else {
        return (head.target.clone(), String::new());
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    (authority.to_owned(), format!("/{path}"))
}

fn resolve(target: &str) -> Option<SocketAddr> {
    let (host, port) = target.rsplit_once(':')?;
    let invented = host
        .rsplit_once('.')
        .is_some_and(|(_, last)| last == "test");
    let host = if invented { "127.0.0.1" } else { host };
    let address: SocketAddr = format!("{host}:{port}").parse().ok()?;
    address.ip().is_loopback().then_some(address)
}
