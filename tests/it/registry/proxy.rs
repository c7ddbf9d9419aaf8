//! The proxy through which clients reach registries by invented names.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::client::connector;
use crate::support::{
    proxy::{Passed, Proxy},
    registry::Registry,
};

/// Sends these bytes and returns everything that the proxy answers.
async fn talk(proxy: &Proxy, bytes: &str) -> String {
    let address = proxy.url();
    let address = address.strip_prefix("http://").expect("a plain proxy");
    let mut tcp = TcpStream::connect(address).await.expect("a listener");
    tcp.write_all(bytes.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn tunnel_reaches_a_registry_by_an_invented_name() {
    let proxy = Proxy::start().await;
    let registry = Registry::builder()
        .tls_http1()
        .name("registry.test")
        .start()
        .await;
    let address = proxy.url().replace("http://", "");
    let mut tcp = TcpStream::connect(address).await.expect("a listener");
    let connect = format!("CONNECT {} HTTP/1.1\r\nhost: x\r\n\r\n", registry.host());
    tcp.write_all(connect.as_bytes()).await.expect("a request");
    let mut answer = [0; 39];
    let opened = b"HTTP/1.1 200 Connected\r\n\r\n";
    tcp.read_exact(&mut answer[..opened.len()])
        .await
        .expect("an answer");
    assert!(answer.starts_with(opened));
    let name = "registry.test".try_into().expect("a name");
    let mut tls = connector().connect(name, tcp).await.expect("TLS");
    let get = format!("GET /v2/ HTTP/1.1\r\nhost: {}\r\n\r\n", registry.host());
    tls.write_all(get.as_bytes()).await.expect("a request");
    tls.read_exact(&mut answer[..15]).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    let passed = Passed {
        method: "CONNECT".into(),
        target: registry.host().into(),
        status: 200,
    };
    assert_eq!(proxy.passed(), [passed]);
}

#[tokio::test]
async fn plain_request_is_forwarded_without_proxy_headers() {
    let proxy = Proxy::with_password("user", "pw").await;
    let registry = Registry::builder().name("registry.test").start().await;
    let url = format!("{}/v2/", registry.url());
    let answer = talk(&proxy, &format!("GET {url} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 407"), "{answer}");
    let password = "Proxy-Authorization: Basic dXNlcjpwdw==";
    let get = format!("GET {url} HTTP/1.1\r\nHost: x\r\n{password}\r\nX-Kept: 1\r\n\r\n");
    let answer = talk(&proxy, &get).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let requests = registry.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].path.as_str(), requests[0].header("x-kept")),
        ("/v2/", "1")
    );
    assert!(!requests[0].carries("user:pw") && !requests[0].carries("dXNlcjpwdw=="));
}

#[tokio::test]
async fn the_proxy_reaches_only_the_loopback_network() {
    let proxy = Proxy::start().await;
    for target in ["example.com:443", "192.0.2.1:443", "nonsense"] {
        let answer = talk(&proxy, &format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    }
}
