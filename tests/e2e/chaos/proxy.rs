//! A proxy that spoils HTTP/1.1 between a client and a server: resets, stalls, truncation, bursts of 5xx, answers
//! that are lost after the server has acted. What happens to a request follows from the seed, its method and path,
//! and how often it was seen: the same run meets the same faults however its requests overlap.

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

/// Longer than the client waits for a sign of life.
const ENDLESS: Duration = Duration::from_secs(10);
/// The most bytes of a request's or an answer's head.
const MAX_HEAD: usize = 64 << 10;

/// How much is spoilt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) seed: u64,
    /// The share of requests that something happens to, of 1.
    pub(super) rate: f64,
    /// The most requests in a burst of 5xx.
    pub(super) burst: u32,
    /// One request is never answered.
    pub(super) endless_stall: bool,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection is reset before the server hears of the request.
    Reset,
    /// A part of the body arrives, then the connection is reset.
    CutBody(f64),
    /// The server acts, the answer is lost.
    LoseAnswer,
    /// The head of the answer ends in the middle.
    CutHead,
    /// The body of the answer ends in the middle, by an end or a reset.
    CutAnswer { at: f64, reset: bool },
    /// Nothing moves for a while: before the server hears of it, or in the middle of the answer.
    Stall { time: Duration, before: bool },
    /// This status in place of the answer, whether the server acted or not.
    Status { code: u16, acted: bool },
    /// The answer comes; then the connection is closed without a word.
    CloseAfter { reset: bool },
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset before the request",
            Self::CutBody(_) => "reset in the request body",
            Self::LoseAnswer => "answer lost",
            Self::CutHead => "answer's head cut",
            Self::CutAnswer { reset: true, .. } => "reset in the answer",
            Self::CutAnswer { reset: false, .. } => "answer truncated",
            Self::Stall { time, .. } if time == ENDLESS => "stall without end",
            Self::Stall { .. } => "stall",
            Self::Status { acted: true, .. } => "error status after the write",
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
    weather: Weather,
    target: SocketAddr,
    course: Mutex<Course>,
}

/// What has happened so far.
#[derive(Default)]
struct Course {
    seen: HashMap<String, u64>,
    burst_left: u32,
    stalled_for_ever: bool,
    injected: BTreeMap<&'static str, u64>,
}

impl Proxy {
    /// Starts one in front of `target`, which is `ip:port`.
    pub(super) async fn start(target: &str, weather: Weather) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let state = Arc::new(State {
            weather,
            target: target.parse().expect("an address"),
            course: Mutex::default(),
        });
        Self {
            address: listener.local_addr().expect("a bound socket"),
            task: tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle(),
            state,
        }
    }

    /// `127.0.0.1:port`.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    /// How often each fault was injected.
    pub(super) fn injected(&self) -> BTreeMap<&'static str, u64> {
        self.state.course().injected.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn course(&self) -> std::sync::MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to this request.
    fn decide(&self, request: &Request) -> Option<Fault> {
        let mut course = self.course();
        let key = request.key();
        let count = course.seen.entry(key.clone()).or_default();
        *count += 1;
        let mut hasher = DefaultHasher::new();
        (self.weather.seed, key, *count).hash(&mut hasher);
        let mut dice = fastrand::Rng::with_seed(hasher.finish());
        let fault = if course.burst_left > 0 {
            course.burst_left -= 1;
            Some(status(&mut dice))
        } else if dice.f64() < self.weather.rate {
            Some(self.draw(&mut dice, &mut course, request))
        } else {
            None
        };
        if let Some(fault) = fault {
            *course.injected.entry(fault.name()).or_default() += 1;
        }
        fault
    }

    fn draw(&self, dice: &mut fastrand::Rng, course: &mut Course, request: &Request) -> Fault {
        if self.weather.endless_stall && !course.stalled_for_ever {
            course.stalled_for_ever = true;
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
                course.burst_left = dice.u32(1..=self.weather.burst);
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
                    // A connection that breaks is the client's matter.
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

    /// The request without what is different in every run: identifiers of uploads.
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

    /// The head as the server gets it: it closes the connection behind its answer, which shows where that ends.
    fn onward(&self) -> Vec<u8> {
        let end = self.head.len() - 2;
        [&self.head[..end], b"connection: close\r\n\r\n"].concat()
    }
}

/// The value of a header in a head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Where a head ends, behind its empty line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

/// The connection of a client.
struct Relay<'a> {
    client: TcpStream,
    /// Bytes that came behind what was read.
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

    /// Answers one request. `false`: the connection is no more.
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

    /// Ends the connection with a reset.
    fn reset(&self) -> std::io::Result<bool> {
        self.client.set_zero_linger()?;
        Ok(false)
    }

    async fn answer_with(&mut self, code: u16) -> std::io::Result<bool> {
        let body = "<html>the wires are wet</html>";
        let answer = format!(
            "HTTP/1.1 {code} Weather\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.client.write_all(answer.as_bytes()).await?;
        Ok(true)
    }

    /// The next request, up to its body; `None` if there is none.
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

    /// The bytes of a request's body that come next, at most `left`.
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

    /// Passes the head and the first bytes of the body on.
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

    /// The server's whole answer, as if its connection stayed open.
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
    reason = "a share of a length lies between nothing and all of it"
)]
fn part(length: usize, share: f64) -> usize {
    (length as f64 * share) as usize
}
