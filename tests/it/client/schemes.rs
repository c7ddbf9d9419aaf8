//! HTTP or HTTPS, and trusted authorities. On loopback both schemes are tried; plain HTTP to other hosts needs a flag.

use super::shown;
use polyarch::registry::Access;
use polyarch::store::{FailureKind, Store as _};

use super::fixture::{Builder, soon, tag};
use crate::support::{
    image::Image,
    registry::{Class, Fault, Greeting, Registry, Rule, Scheme},
};

async fn registry(scheme: Scheme) -> Registry {
    let registry = Registry::builder().scheme(scheme).start().await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    registry
}

/// Reads a manifest and returns the result.
async fn read(registry: &Registry, builder: Builder) -> Result<(), polyarch::store::StoreError> {
    let client = builder.build();
    let store = client.pull(registry, "a").await;
    soon(store.manifest(&tag("t"))).await.map(drop)
}

/// Returns settings without TLS options.
fn plain() -> Builder {
    Builder::new()
}

#[tokio::test]
async fn on_this_machine_plain_http_needs_no_flag() {
    let registry = registry(Scheme::Http).await;
    read(&registry, plain()).await.unwrap();
    assert_eq!(registry.requests().len(), 1);
    read(&registry, plain().insecure()).await.unwrap();
}

#[tokio::test]
async fn loopback_tls_is_detected_and_its_certificate_checked() {
    for scheme in [Scheme::TlsHttp1, Scheme::TlsHttp2] {
        let registry = registry(scheme).await;
        let error = read(&registry, plain()).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Other, "{error}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(shown(&error, &registry), @"
            failed to read HOST/a:t: TLS error with HOST: the certificate is signed by an unknown authority
            trust its certificate with --ca-cert FILE, SSL_CERT_FILE, or /etc/docker/certs.d/HOST/ca.crt
            skip certificate checks for this command with --insecure
            ");
        }
        read(&registry, plain().insecure()).await.unwrap();
        read(&registry, Builder::of(&registry)).await.unwrap();
    }
}

#[tokio::test]
async fn parallel_requests_share_the_scheme_probe() {
    for scheme in [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2] {
        let registry = registry(scheme).await;
        let client = plain().insecure().build();
        let store = client.pull(&registry, "a").await;
        let name = tag("t");
        let all = futures_util::future::join_all((0..8).map(|_| store.manifest(&name)));
        for outcome in soon(all).await {
            outcome.unwrap();
        }
        assert!(
            client.events.of("waiting").is_empty(),
            "{:?}",
            client.events.all()
        );
    }
}

#[tokio::test]
async fn answers_of_tls_servers_to_plain_http_are_recognised() {
    // These are the answers of Go and nginx. A registry behind them may answer differently.
    for (answer, switches) in [
        (
            "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            true,
        ),
        (
            "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>",
            true,
        ),
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            false,
        ),
    ] {
        let registry = registry(Scheme::Http).await;
        registry.rule(
            Rule::on(Class::ManifestGet)
                .forever()
                .then(Fault::Raw(answer.into())),
        );
        let error = read(&registry, plain()).await.unwrap_err();
        // The server does not use TLS, so its own answer is reported.
        assert!(
            error.cause().contains("answered 400 Bad Request"),
            "{error}"
        );
        assert_eq!(
            registry.count(Class::ManifestGet),
            1 + usize::from(switches)
        );
    }
}

#[tokio::test]
async fn failing_plain_registry_stays_plain() {
    for greeting in [Greeting::Reset, Greeting::Close] {
        let registry = registry(Scheme::Http).await;
        registry.greet(1, greeting);
        read(&registry, plain()).await.unwrap();
    }
    let registry = registry(Scheme::TlsHttp2).await;
    registry.greet(1, Greeting::Reset);
    read(&registry, Builder::of(&registry)).await.unwrap();
}

#[tokio::test]
async fn plain_http_to_other_hosts_needs_a_flag() {
    // A name of another host, which a proxy connects to.
    let registry = registry(Scheme::Http).await;
    let proxy = super::proxy::Tunnel::start(registry.address()).await;
    let port = registry.address().port();
    let through = |builder: Builder| {
        builder
            .var("HTTPS_PROXY", &proxy.url)
            .var("HTTP_PROXY", &proxy.url)
    };
    let name = format!("registry.test:{port}/a");
    let client = through(plain()).build();
    let store = client.open(&name, Access::Pull).await.unwrap();
    let error = soon(store.manifest(&tag("t"))).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Other, "{error}");
    insta::assert_snapshot!(shown(&error, &registry), @"
    failed to read registry.test:PORT/a:t: registry.test:PORT does not speak TLS
    allow plain HTTP with --insecure if it is intended: registry.test:PORT does not use TLS
    ");
    assert!(
        registry
            .requests()
            .iter()
            .all(|request| request.class != Class::ManifestGet)
    );
    let client = through(plain().insecure()).build();
    let store = client.open(&name, Access::Pull).await.unwrap();
    soon(store.manifest(&tag("t"))).await.unwrap();
}

#[tokio::test]
async fn ssl_cert_file_replaces_the_system_store() {
    let registry = registry(Scheme::TlsHttp2).await;
    let builder = plain();
    let file = builder.ca_file();
    let builder = builder.var("SSL_CERT_FILE", file.to_str().unwrap());
    read(&registry, builder).await.unwrap();
    let client = plain().var("SSL_CERT_FILE", "/nowhere/ca.pem").build();
    let store = client.pull(&registry, "a").await;
    assert!(store.manifest(&tag("t")).await.is_err());
    let warnings = client.events.of("warning");
    assert!(warnings[0].contains("/nowhere/ca.pem"), "{warnings:?}");
}

#[tokio::test]
async fn unusable_ca_file_is_an_error() {
    let registry = registry(Scheme::TlsHttp2).await;
    let client = Builder::of(&registry).ca("nonsense").build();
    let name = format!("{}/a", registry.host());
    let error = client.open(&name, Access::Pull).await.err().unwrap();
    insta::assert_snapshot!(shown(&error, &registry), @"failed to prepare the connection to HOST: TLS error with HOST: cannot use the certificates of ca.pem: no PEM certificate in it");
}

#[tokio::test]
async fn closed_port_is_reported() {
    let address = crate::support::registry::closed_address();
    let quick = plain()
        .retry_for(std::time::Duration::from_millis(50))
        .build();
    let store = quick
        .open(&format!("{address}/a"), Access::Pull)
        .await
        .unwrap();
    let error = soon(store.manifest(&tag("t"))).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unavailable, "{error}");
    assert!(error.cause().contains("cannot connect"), "{error}");
    let store = plain()
        .build()
        .open("no-such-host.invalid/a", Access::Pull)
        .await
        .unwrap();
    let error = soon(store.manifest(&tag("t"))).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unavailable, "{error}");
}
