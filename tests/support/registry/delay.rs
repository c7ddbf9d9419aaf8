//! A TCP proxy that adds latency to a server. Each chunk of bytes arrives exactly half a round trip later, in order.
//! Connecting takes one round trip, like the handshake with a distant server: the first bytes of the client are delayed
//! by it. Bandwidth is unlimited, or limited for all connections together.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

/// A proxy in front of one server. When it is dropped, it and all its connections end.
pub struct DelayLine {
    /// The address for clients.
    pub address: SocketAddr,
    round_trip: Arc<AtomicU64>,
    task: AbortHandle,
}

impl DelayLine {
    /// Starts a proxy on `ip` in front of `target`.
    ///
    /// `bandwidth` limits each direction, in bytes per second.
    pub async fn start(
        ip: IpAddr,
        target: SocketAddr,
        round_trip: Duration,
        bandwidth: Option<u64>,
    ) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let round_trip = Arc::new(AtomicU64::new(nanoseconds(round_trip)));
        let link = Arc::new(Network {
            target,
            up: Direction::new(bandwidth),
            down: Direction::new(bandwidth),
        });
        let task = tokio::spawn(serve(listener, link, Arc::clone(&round_trip)));
        Self {
            address,
            round_trip,
            task: task.abort_handle(),
        }
    }

    /// Changes the latency of new connections.
    pub fn set(&self, round_trip: Duration) {
        self.round_trip
            .store(nanoseconds(round_trip), Ordering::SeqCst);
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The simulated network in front of one server, which all connections share.
struct Network {
    target: SocketAddr,
    up: Direction,
    down: Direction,
}

/// One direction of the link, which sends the bytes in order.
struct Direction {
    bandwidth: Option<u64>,
    free: Mutex<Instant>,
}

impl Direction {
    /// The maximum delay of accepted bytes by the limited bandwidth. Above it, the sender has to wait.
    const QUEUE: Duration = Duration::from_millis(10);

    fn new(bandwidth: Option<u64>) -> Self {
        Self {
            bandwidth,
            free: Mutex::new(Instant::now()),
        }
    }

    /// Returns the time at which `bytes` that are ready at `ready` have been sent.
    fn send(&self, bytes: usize, ready: Instant) -> Instant {
        let Some(bandwidth) = self.bandwidth else {
            return ready;
        };
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = ready.max(*free) + Duration::from_nanos(bytes as u64 * 1_000_000_000 / bandwidth);
        *free
    }
}

async fn serve(listener: TcpListener, link: Arc<Network>, round_trip: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let round_trip = Duration::from_nanos(round_trip.load(Ordering::SeqCst));
                connections.spawn(relay(client, Arc::clone(&link), round_trip));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(mut client: TcpStream, link: Arc<Network>, round_trip: Duration) {
    // A distant server receives no data of the client before the handshake is complete.
    let established = Instant::now() + round_trip;
    let one_way = round_trip / 2;
    let Ok(mut server) = TcpStream::connect(link.target).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let both = tokio::try_join!(
        forward(from_client, to_server, &link.up, established, one_way),
        forward(from_server, to_client, &link.down, established, one_way),
    );
    if both.is_err() {
        // If one side was reset, the other side is reset too.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Forwards bytes in one direction until the end. Returns `Err` if either side is reset.
async fn forward(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: &Direction,
    established: Instant,
    one_way: Duration,
) -> Result<(), ()> {
    let (send, mut arrive) = mpsc::unbounded_channel();
    let read = async move {
        loop {
            let mut buffer = BytesMut::with_capacity(64 * 1024);
            let event = match from.read_buf(&mut buffer).await {
                Ok(0) => Event::End,
                Ok(_) => Event::Data(buffer.freeze()),
                Err(_) => Event::Reset,
            };
            let size = match &event {
                Event::Data(bytes) => Some(bytes.len()),
                Event::End | Event::Reset => None,
            };
            let ready = Instant::now().max(established);
            let departure = direction.send(size.unwrap_or(0), ready);
            Pacer::get().schedule(departure + one_way, event, send.clone());
            if size.is_none() {
                return Ok(());
            }
            let queued = departure.saturating_duration_since(ready);
            let excess = queued.saturating_sub(Direction::QUEUE);
            if !excess.is_zero() {
                tokio::time::sleep(excess).await;
            }
        }
    };
    let write = async move {
        while let Some(event) = arrive.recv().await {
            match event {
                Event::Data(bytes) => to.write_all(&bytes).await.map_err(drop)?,
                Event::End => return to.shutdown().await.map_err(drop),
                Event::Reset => return Err(()),
            }
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(drop)
}

enum Event {
    Data(Bytes),
    End,
    Reset,
}

/// Forwards each chunk at the time when it is due. This needs a separate thread: tokio's timers have a resolution of a
/// millisecond, which would change the measured slope.
struct Pacer {
    queue: Mutex<BinaryHeap<Reverse<Scheduled>>>,
    posted: Condvar,
    count: AtomicU64,
}

struct Scheduled {
    due: Instant,
    number: u64,
    event: Event,
    to: mpsc::UnboundedSender<Event>,
}

impl Pacer {
    fn get() -> &'static Self {
        static PACER: OnceLock<&'static Pacer> = OnceLock::new();
        PACER.get_or_init(|| {
            let pacer: &'static Pacer = Box::leak(Box::new(Pacer {
                queue: Mutex::default(),
                posted: Condvar::new(),
                count: AtomicU64::new(0),
            }));
            std::thread::spawn(|| pacer.run());
            pacer
        })
    }

    fn schedule(&self, due: Instant, event: Event, to: mpsc::UnboundedSender<Event>) {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let scheduled = Scheduled {
            due,
            number,
            event,
            to,
        };
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(Reverse(scheduled));
        self.posted.notify_one();
    }

    fn run(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let wait = queue
                .peek()
                .map(|Reverse(next)| next.due.saturating_duration_since(now));
            queue = match wait {
                Some(Duration::ZERO) => {
                    if let Some(Reverse(scheduled)) = queue.pop() {
                        let _ = scheduled.to.send(scheduled.event);
                    }
                    queue
                }
                Some(wait) => {
                    let woken = self.posted.wait_timeout(queue, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let woken = self.posted.wait(queue);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}
