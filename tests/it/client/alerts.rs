//! TLS alerts of a server: final ones end a request at once, others are retried.

use super::shown_hints;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use polyarch::{
    registry::Access,
    store::{FailureKind, Store as _, StoreError},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::AbortHandle,
};

use super::{
    certs_d::{client, guarded, read},
    fixture::{Builder, Client, soon, tag},
};
use crate::support::registry::{Scheme, tls};

#[tokio::test]
async fn refused_client_certificate_is_not_retried() {
    let (ca, untrusted) = (tls::ca_pem(), tls::untrusted_identity());
    for scheme in [Scheme::TlsHttp1, Scheme::TlsHttp2] {
        let registry = guarded(scheme).await;
        let without = vec![("ca.crt", ca.as_str())];
        let mut wrong = without.clone();
        wrong.extend([
            ("a.cert", untrusted.certificate.as_str()),
            ("a.key", untrusted.key.as_str()),
        ]);
        for (files, what) in [
            (
                without,
                "a connection without a client certificate (alert: certificate required)",
            ),
            (wrong, "the client certificate (alert: unknown ca)"),
        ] {
            let client = client(&registry, &files);
            let error = read(&client, &registry).await.unwrap_err();
            assert_eq!(error.kind, FailureKind::Other, "{error}");
            assert_eq!(error.cause(), format!("{} refused {what}", registry.host()));
            assert!(shown_hints(&error).contains("client.cert"), "{error:?}");
            assert_eq!(client.events.of("waiting"), Vec::<String>::new());
            assert!(registry.requests().is_empty());
        }
    }
}

/// A server that answers every connection with one alert.
struct Alerting {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Alerting {
    async fn start(alert: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mut greeting = vec![0; 64 << 10];
                let _ = tcp.read(&mut greeting).await;
                // A TLS 1.2 alert (21) of two bytes: the level "fatal", and the description.
                let _ = tcp.write_all(&[21, 3, 3, 0, 2, 2, alert]).await;
            }
        });
        Self {
            address,
            connections,
            task: task.abort_handle(),
        }
    }

    async fn read(&self, client: &Client) -> StoreError {
        let name = format!("{}/a", self.address);
        let store = client.open(&name, Access::Pull).await.unwrap();
        soon(store.manifest(&tag("t"))).await.unwrap_err()
    }
}

impl Drop for Alerting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn trusting() -> Client {
    let mut builder = Builder::new();
    builder.trusts_tests = true;
    builder.build()
}

#[tokio::test]
async fn a_refused_handshake_is_not_tried_again() {
    for (alert, what) in [
        (40, "the TLS handshake (alert: handshake failure)"),
        (42, "the client certificate (alert: bad certificate)"),
        (49, "access (alert: access denied)"),
        (
            70,
            "the TLS versions and ciphers of this client (alert: protocol version)",
        ),
    ] {
        let server = Alerting::start(alert).await;
        let client = trusting();
        let error = server.read(&client).await;
        assert_eq!(error.kind, FailureKind::Other, "{error}");
        assert_eq!(error.cause(), format!("{} refused {what}", server.address));
        assert_eq!(server.connections.load(Ordering::Relaxed), 1, "{alert}");
    }
}

#[tokio::test]
async fn temporary_alert_is_retried() {
    const INTERNAL_ERROR: u8 = 80;
    let server = Alerting::start(INTERNAL_ERROR).await;
    let client = trusting();
    let error = server.read(&client).await;
    assert_eq!(error.kind, FailureKind::Unavailable, "{error}");
    let waiting = client.events.of("waiting");
    assert!(waiting.len() > 1, "{waiting:?}");
    let requests = client.events.of("request").join("\n");
    assert!(requests.contains("TLS alert: internal error"), "{requests}");
}
