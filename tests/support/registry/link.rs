//! One accepted connection: the byte stream under hyper, shared with whoever has
//! to end it in a way that hyper does not offer (a TCP reset, raw bytes and FIN).

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    sync::Notify,
};
use tokio_rustls::server::TlsStream;

/// A connection, plain or in TLS.
pub enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// How the server leaves a connection.
#[derive(Debug)]
pub enum Parting {
    /// A TCP reset, at once; what was not yet delivered is lost.
    Reset,
    /// These bytes as they are, then the end of the stream.
    Raw(Bytes),
    /// Open requests are answered; over HTTP/2 a GOAWAY is sent, over
    /// HTTP/1.1 `connection: close`.
    Graceful,
}

/// What a handler knows of the connection that its request came on.
pub struct Link {
    /// Counts from 1 in the order of accepting.
    pub id: u64,
    /// Whether it speaks HTTP/2.
    pub http2: bool,
    parting: Mutex<Option<Parting>>,
    ends: Notify,
}

impl Link {
    /// An open connection.
    pub fn new(id: u64, http2: bool) -> Arc<Self> {
        Arc::new(Self {
            id,
            http2,
            parting: Mutex::new(None),
            ends: Notify::new(),
        })
    }

    /// Ends the connection in this way.
    pub fn part(&self, parting: Parting) {
        *self.parting.lock().unwrap_or_else(PoisonError::into_inner) = Some(parting);
        self.ends.notify_one();
    }

    /// Waits until the connection is to end.
    pub async fn parted(&self) -> Parting {
        loop {
            self.ends.notified().await;
            let parting = self
                .parting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(parting) = parting {
                return parting;
            }
        }
    }
}

/// The stream as hyper sees it; the server keeps a second hold of it.
pub struct Tap(pub Arc<Mutex<Wire>>);

/// Ends the connection, which hyper no longer uses, in this way.
pub async fn leave(wire: Arc<Mutex<Wire>>, parting: Parting) {
    let Some(wire) = Arc::into_inner(wire) else {
        return;
    };
    let mut wire = wire.into_inner().unwrap_or_else(PoisonError::into_inner);
    match parting {
        Parting::Reset => {
            // A closing socket without linger time sends RST instead of FIN.
            let _ = wire.tcp().set_zero_linger();
        }
        Parting::Raw(bytes) => {
            let _ = wire.write_all(&bytes).await;
            let _ = wire.flush().await;
            drain(&mut wire).await;
        }
        Parting::Graceful => drain(&mut wire).await,
    }
}

/// Closes, and reads until the peer has closed too, as nginx and Go's servers do: unread
/// input would turn our FIN into a reset, and the peer could lose what was just sent.
async fn drain(wire: &mut Wire) {
    let _ = wire.shutdown().await;
    let mut sink = [0; 4096];
    let end = async { while matches!(wire.read(&mut sink).await, Ok(n) if n > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), end).await;
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl Tap {
    fn with<T>(&self, act: impl FnOnce(Pin<&mut Wire>) -> T) -> T {
        let mut wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(Pin::new(&mut *wire))
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|wire| wire.poll_read(cx, buf))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|wire| wire.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| wire.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| wire.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|wire| wire.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
