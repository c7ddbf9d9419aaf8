//! A proxy that injects faults into HTTP/1.1: resets, stalls, truncated answers, bursts of 5xx, and answers that are
//! lost after the server has handled the request. The fault of a request depends on the seed, its method and path, and
//! the number of equal requests before it. So a repeated run has the same faults, even if its requests overlap
//! differently.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

/// A time that is longer than the idle timeout of the client.
const ENDLESS: Duration = Duration::from_secs(10);
/// The maximum size of the head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// The frequency of the faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct FaultSettings {
    pub(super) seed: u64,
    /// The share of requests with a fault, from 0 to 1.
    pub(super) rate: f64,
    /// The maximum number of requests in a burst of error statuses.
    pub(super) burst: u32,
    /// Whether one request is never answered.
    pub(super) endless_stall: bool,
}

/// The fault of a request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection is reset before the server receives the request.
    Reset,
    /// The server receives a part of the body. Then the connection is reset.
    CutBody(f64),
    /// The server handles the request, and the answer is lost.
    LoseAnswer,
    /// The head of the answer ends in the middle.
    CutHead,
    /// The body of the answer ends in the middle, because the connection is closed or reset.
    CutAnswer { at: f64, reset: bool },
    /// No data is transferred for this time: before the server receives the request, or in the middle of the answer.
    Stall { time: Duration, before: bool },
    /// This status is sent instead of the answer. `acted`: the server has handled the request.
    Status { code: u16, acted: bool },
    /// The whole answer is sent. Then the connection is closed or reset without notice.
    CloseAfter { reset: bool },
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset before the request",
            Self::CutBody(_) => "reset in the request body",
            Self::LoseAnswer => "answer lost",
            Self::CutHead => "head of the answer truncated",
            Self::CutAnswer { reset: true, .. } => "reset in the answer",
            Self::CutAnswer { reset: false, .. } => "answer truncated",
            Self::Stall { time, .. } if time == ENDLESS => "stall without end",
            Self::Stall { .. } => "stall",
            Self::Status { acted: true, .. } => "error status after the request was handled",
            Self::Status { acted: false, .. } => "error status",
            Self::CloseAfter { .. } => "closed while idle",
        }
    }
}

/// A running proxy. Ends, with all its connections, when dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

struct State {
    settings: FaultSettings,
    target: SocketAddr,
    history: Mutex<History>,
}

/// The requests and faults so far.
#[derive(Default)]
struct History {
    seen: HashMap<String, u64>,
    burst_left: u32,
    has_stalled: bool,
    injected: BTreeMap<&'static str, u64>,
}

impl Proxy {
    /// Starts a proxy in front of `target` (`ip:port`).
    pub(super) async fn start(target: &str, settings: FaultSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let state = Arc::new(State {
            settings,
            target: target.parse().expect("an address"),
            history: Mutex::default(),
        });
        Self {
            address: listener.local_addr().expect("a bound socket"),
            task: tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle(),
            state,
        }
    }

    /// Returns `127.0.0.1:port`.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns how often each fault was injected.
    pub(super) fn injected(&self) -> BTreeMap<&'static str, u64> {
        self.state.history().injected.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the fault of a request, and counts it.
    fn decide(&self, request: &Request) -> Option<Fault> {
        let mut history = self.history();
        let key = request.key();
        let count = history.seen.entry(key.clone()).or_default();
        *count += 1;
        let mut hasher = DefaultHasher::new();
        (self.settings.seed, key, *count).hash(&mut hasher);
        let mut dice = fastrand::Rng::with_seed(hasher.finish());
        let fault = if history.burst_left > 0 {
            history.burst_left -= 1;
            Some(status(&mut dice))
        } else if dice.f64() < self.settings.rate {
            Some(self.draw(&mut dice, &mut history, request))
        } else {
            None
        };
        if let Some(fault) = fault {
            *history.injected.entry(fault.name()).or_default() += 1;
        }
        fault
    }

    fn draw(&self, dice: &mut fastrand::Rng, history: &mut History, request: &Request) -> Fault {
        if self.settings.endless_stall && !history.has_stalled {
            history.has_stalled = true;
            return Fault::Stall {
                time: ENDLESS,
                before: dice.bool(),
            };
        }
        match dice.u8(0..20) {
            0..=2 => Fault::Reset,
            3..=4 if request.length > 0 => Fault::CutBody(dice.f64()),
            3..=6 => Fault::LoseAnswer,
            7 => Fault::CutHead,
            8..=10 => Fault::CutAnswer {
                at: dice.f64(),
                reset: dice.bool(),
            },
            11..=12 => Fault::Stall {
                time: Duration::from_millis(dice.u64(50..800)),
                before: dice.bool(),
            },
            13..=14 => Fault::CloseAfter { reset: dice.bool() },
            15..=16 => status(dice),
            _ => {
                history.burst_left = dice.u32(1..=self.settings.burst);
                status(dice)
            }
        }
    }
}

fn status(dice: &mut fastrand::Rng) -> Fault {
    Fault::Status {
        code: dice.choice([500, 502, 503, 504, 429]).unwrap_or(500),
        acted: dice.u8(0..4) == 0,
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    // The client detects that a connection breaks.
                    let _ = Relay { client, early: Vec::new(), state: &state }.run().await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Request {
    head: Vec<u8>,
    method: String,
    path: String,
    length: usize,
}

impl Request {
    fn parse(head: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut words = text.split(' ');
        Self {
            method: words.next().unwrap_or_default().to_owned(),
            path: words.next().unwrap_or_default().to_owned(),
            length: header(&text, "content-length")
                .and_then(|value| value.parse().ok())
                .unwrap_or(0),
            head,
        }
    }

    /// Returns the method and path without the identifier of an upload, which differs in every run.
    fn key(&self) -> String {
        let path = match self.path.split_once("/blobs/uploads/") {
            Some((before, after)) => {
                let digest = after.split_once("digest=").map_or("", |(_, digest)| digest);
                format!("{before}/blobs/uploads/{digest}")
            }
            None => self.path.clone(),
        };
        format!("{} {path}", self.method)
    }

    /// Returns the head for the server. The server must close the connection after its answer, which shows where the
    /// answer ends.
    fn onward(&self) -> Vec<u8> {
        let end = self.head.len() - 2;
        [&self.head[..end], b"connection: close\r\n\r\n"].concat()
    }
}

/// Returns the value of a header.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Returns the position after the empty line that ends a head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

/// The connection of a client.
struct Relay<'a> {
    client: TcpStream,
    /// Bytes that have arrived and are not used yet.
    early: Vec<u8>,
    state: &'a State,
}

impl Relay<'_> {
    async fn run(mut self) -> std::io::Result<()> {
        self.client.set_nodelay(true)?;
        while let Some(request) = self.read_request().await? {
            let fault = self.state.decide(&request);
            if !self.serve(&request, fault).await? {
                break;
            }
        }
        Ok(())
    }

    /// Answers one request. Returns `false` if the connection must be closed.
    async fn serve(&mut self, request: &Request, fault: Option<Fault>) -> std::io::Result<bool> {
        match fault {
            Some(Fault::Reset) => return self.reset(),
            Some(Fault::Stall { time, before: true }) => {
                sleep(time).await;
                if time == ENDLESS {
                    return self.reset();
                }
            }
            Some(Fault::CutBody(share)) => {
                self.send_part(request, part(request.length, share)).await?;
                return self.reset();
            }
            Some(Fault::Status { code, acted: false }) => {
                self.read_body(request).await?;
                return self.answer_with(code).await;
            }
            _ => {}
        }
        let answer = self.ask(request).await?;
        let head = end_of_head(&answer).unwrap_or(answer.len());
        let cut = |share: f64| head + part(answer.len() - head, share);
        match fault {
            Some(Fault::LoseAnswer) => return self.reset(),
            Some(Fault::Status { code, .. }) => return self.answer_with(code).await,
            Some(Fault::CutHead) => {
                self.client.write_all(&answer[..head / 2]).await?;
                self.client.shutdown().await?;
                return Ok(false);
            }
            Some(Fault::CutAnswer { at, reset }) => {
                self.client.write_all(&answer[..cut(at)]).await?;
                if reset {
                    return self.reset();
                }
                self.client.shutdown().await?;
                return Ok(false);
            }
            Some(Fault::Stall {
                time,
                before: false,
            }) => {
                let middle = cut(0.5);
                self.client.write_all(&answer[..middle]).await?;
                sleep(time).await;
                if time == ENDLESS {
                    return self.reset();
                }
                self.client.write_all(&answer[middle..]).await?;
            }
            Some(Fault::CloseAfter { reset }) => {
                self.client.write_all(&answer).await?;
                return if reset { self.reset() } else { Ok(false) };
            }
            _ => self.client.write_all(&answer).await?,
        }
        Ok(true)
    }

    /// Resets the connection when it is dropped. Always returns `false`.
    fn reset(&self) -> std::io::Result<bool> {
        self.client.set_zero_linger()?;
        Ok(false)
    }

    async fn answer_with(&mut self, code: u16) -> std::io::Result<bool> {
        let body = "<html>an injected error</html>";
        let answer = format!(
            "HTTP/1.1 {code} Injected\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.client.write_all(answer.as_bytes()).await?;
        Ok(true)
    }

    /// Reads the head of the next request. Returns `None` if there is no further request.
    async fn read_request(&mut self) -> std::io::Result<Option<Request>> {
        loop {
            if let Some(end) = end_of_head(&self.early) {
                let rest = self.early.split_off(end);
                let head = std::mem::replace(&mut self.early, rest);
                return Ok(Some(Request::parse(head)));
            }
            let read = self.client.read_buf(&mut self.early).await?;
            if read == 0 || self.early.len() > MAX_HEAD {
                return Ok(None);
            }
        }
    }

    /// Reads the next bytes of a request body, at most `left`.
    async fn read_some(&mut self, left: usize) -> std::io::Result<Vec<u8>> {
        if self.early.is_empty() && self.client.read_buf(&mut self.early).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let rest = self.early.split_off(left.min(self.early.len()));
        Ok(std::mem::replace(&mut self.early, rest))
    }

    async fn read_body(&mut self, request: &Request) -> std::io::Result<()> {
        let mut left = request.length;
        while left > 0 {
            left -= self.read_some(left).await?.len();
        }
        Ok(())
    }

    /// Sends the head and the first `length` bytes of the body to the server.
    async fn send_part(&mut self, request: &Request, length: usize) -> std::io::Result<TcpStream> {
        let mut server = TcpStream::connect(self.state.target).await?;
        server.write_all(&request.onward()).await?;
        let mut left = length;
        while left > 0 {
            let bytes = self.read_some(left).await?;
            left -= bytes.len();
            server.write_all(&bytes).await?;
        }
        Ok(server)
    }

    /// Returns the whole answer of the server, without its `Connection` header.
    async fn ask(&mut self, request: &Request) -> std::io::Result<Vec<u8>> {
        let mut server = self.send_part(request, request.length).await?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        let end = end_of_head(&answer).unwrap_or(0);
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let kept: String = head
            .split_inclusive("\r\n")
            .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
            .collect();
        Ok([kept.as_bytes(), &answer[end..]].concat())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a length is between 0 and the length"
)]
fn part(length: usize, share: f64) -> usize {
    (length as f64 * share) as usize
}
