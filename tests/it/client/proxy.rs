//! Proxies: read from the given environment, never from the environment of the process.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use polyarch::{
    registry::Access,
    store::{FailureKind, Store as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use super::fixture::{Builder, soon, tag};
use crate::support::{
    image::Image,
    registry::{Registry, Scheme},
};

/// A proxy that connects every request to one address, whatever its name.
pub(super) struct Tunnel {
    pub(super) url: String,
    /// The heads of the requests.
    pub(super) heads: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Tunnel {
    pub(super) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let shared = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, target, Arc::clone(&shared)));
            }
        });
        Self {
            url,
            heads,
            task: task.abort_handle(),
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap().push(head.clone());
    let mut server = TcpStream::connect(target).await.unwrap();
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        // Over plain HTTP the request line contains the whole URL, which servers are not required to accept.
        let (method, rest) = head.split_once(' ').unwrap();
        let (url, rest) = rest.split_once(' ').unwrap();
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let head = format!("{method} /{path} {rest}");
        server.write_all(head.as_bytes()).await.unwrap();
    }
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

#[tokio::test]
async fn registry_is_reached_through_a_proxy() {
    for scheme in [Scheme::TlsHttp1, Scheme::TlsHttp2] {
        let registry = Registry::builder().scheme(scheme).start().await;
        let image = Image::new("linux/amd64").load(&registry, "a", "t");
        let proxy = Tunnel::start(registry.address()).await;
        let with_password = proxy.url.replace("http://", "http://me:hunter2@");
        let client = Builder::of(&registry)
            .var("HTTPS_PROXY", &with_password)
            .build();
        let name = format!("registry.test:{}/a", registry.address().port());
        let store = client.open(&name, Access::Pull).await.unwrap();
        let manifest = soon(store.manifest(&tag("t"))).await.unwrap();
        assert_eq!(manifest.bytes, image.bytes);
        let heads = proxy.heads.lock().unwrap().clone();
        let host = name.trim_end_matches("/a");
        assert!(
            heads[0].starts_with(&format!("CONNECT {host} HTTP/1.1")),
            "{heads:?}"
        );
        assert!(
            heads[0]
                .to_lowercase()
                .contains("proxy-authorization: basic "),
            "{heads:?}"
        );
        // The password is sent to the proxy only.
        assert_eq!(
            registry.count_where(|request| request.carries("hunter2")),
            0
        );
        assert!(!client.events.all().join("\n").contains("hunter2"));
    }
}

#[tokio::test]
async fn no_proxy_applies_to_named_hosts_and_loopback() {
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&registry, "a", "t");
    let proxy = Tunnel::start(registry.address()).await;
    let client = Builder::of(&registry)
        .var("HTTP_PROXY", &proxy.url)
        .var("HTTPS_PROXY", &proxy.url)
        .var("NO_PROXY", "registry.test")
        .build();
    let store = client.pull(&registry, "a").await;
    assert_eq!(store.manifest(&tag("t")).await.unwrap().bytes, image.bytes);
    // Without the proxy, the name cannot be resolved.
    let store = client.open("registry.test/a", Access::Pull).await.unwrap();
    assert!(soon(store.manifest(&tag("t"))).await.is_err());
    assert!(proxy.heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn invalid_proxy_is_reported_without_its_value() {
    let client = Builder::new()
        .var("HTTPS_PROXY", "http://me:hunter2@[nonsense")
        .build();
    let error = client
        .open("registry.test/a", Access::Pull)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, FailureKind::Other);
    assert!(error.to_string().contains("HTTPS_PROXY"), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
