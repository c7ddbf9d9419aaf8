//! One accepted connection: the byte stream under hyper. It is shared with code that ends the connection in a way that
//! hyper does not support (a TCP reset, raw bytes and FIN).

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

/// A connection with or without TLS.
pub enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// How the server ends a connection.
#[derive(Debug)]
pub enum Closing {
    /// An immediate TCP reset. Data that was not yet delivered is lost.
    Reset,
    /// These bytes unchanged, then the end of the stream.
    Raw(Bytes),
    /// Running requests are answered. Over HTTP/2 a GOAWAY is sent, over HTTP/1.1 `connection: close`.
    Graceful,
}

/// The connection of a request, for its handler.
pub struct Link {
    /// The number of the connection, from 1 in the order of accepting.
    pub id: u64,
    /// Whether it speaks HTTP/2.
    pub http2: bool,
    closing: Mutex<Option<Closing>>,
    ends: Notify,
}

impl Link {
    /// Creates an open connection.
    pub fn new(id: u64, http2: bool) -> Arc<Self> {
        Arc::new(Self {
            id,
            http2,
            closing: Mutex::new(None),
            ends: Notify::new(),
        })
    }

    /// Requests that the server ends the connection in this way.
    pub fn close(&self, closing: Closing) {
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner) = Some(closing);
        self.ends.notify_one();
    }

    /// Waits until a handler requests the end of the connection.
    pub async fn closing_requested(&self) -> Closing {
        loop {
            self.ends.notified().await;
            let closing = self
                .closing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(closing) = closing {
                return closing;
            }
        }
    }
}

/// The stream that hyper uses; the server has a second reference to it.
pub struct Tap(pub Arc<Mutex<Wire>>);

/// Ends the connection, which hyper no longer uses, in this way.
pub async fn close(wire: Arc<Mutex<Wire>>, closing: Closing) {
    let Some(wire) = Arc::into_inner(wire) else {
        return;
    };
    let mut wire = wire.into_inner().unwrap_or_else(PoisonError::into_inner);
    match closing {
        Closing::Reset => {
            // A closing socket without linger time sends RST instead of FIN.
            let _ = wire.tcp().set_zero_linger();
        }
        Closing::Raw(bytes) => {
            let _ = wire.write_all(&bytes).await;
            let _ = wire.flush().await;
            drain(&mut wire).await;
        }
        Closing::Graceful => drain(&mut wire).await,
    }
}

/// Closes the connection, and reads until the peer has closed it too, as nginx and Go's servers do. With unread input,
/// the FIN would become a reset, and the peer could lose the last bytes.
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
