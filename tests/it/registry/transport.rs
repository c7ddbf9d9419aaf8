//! The layers below the endpoints: hosts, TLS, the log, the rate limit, the delay line.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use rustls::{
    ClientConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::client::{Client, connector};
use crate::support::{
    image::{Image, Index, media},
    registry::{Class, Fault, Registry, Rule, Scheme, closed_address, tls},
};

#[tokio::test]
async fn registry_has_a_name_and_ends_when_dropped() {
    let registry = Registry::builder().ip("127.0.0.2").tls().start().await;
    let address = registry.address();
    assert_eq!(registry.host(), format!("127.0.0.2:{}", address.port()));
    assert_eq!(registry.url(), format!("https://{}", registry.host()));
    assert_eq!(
        registry.reference("a", "t"),
        format!("{}/a:t", registry.host())
    );
    let digest = "sha256:".to_owned() + &"0".repeat(64);
    assert!(
        registry
            .reference("a", &digest)
            .ends_with(&format!("/a@{digest}"))
    );
    let named = Registry::builder().name("localhost").start().await;
    assert_eq!(
        named.url(),
        format!("http://localhost:{}", named.address().port())
    );

    let mut open = TcpStream::connect(address).await.expect("a listener");
    drop(registry);
    let mut byte = [0];
    assert!(!matches!(open.read(&mut byte).await, Ok(n) if n > 0));
    TcpStream::connect(address)
        .await
        .expect_err("nothing listens");
    TcpStream::connect(closed_address())
        .await
        .expect_err("nothing listens");
}

#[test]
fn a_registry_answers_while_the_test_blocks() {
    let registry = Registry::builder().start_in_background();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let status = runtime.block_on(async { Client::of(&registry).get("/v2/").await.status });
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn certificates_are_valid_for_every_name_and_no_other() {
    let registry = Registry::builder().tls().start().await;
    assert!(tls::ca_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    for (name, valid) in [
        ("localhost", true),
        ("registry.test", true),
        ("auth.test", true),
        ("127.0.0.1", true),
        ("127.0.0.9", true),
        ("example.com", false),
        ("127.0.0.10", false),
    ] {
        let tcp = TcpStream::connect(registry.address())
            .await
            .expect("a listener");
        let server = ServerName::try_from(name).expect("a name");
        assert_eq!(
            connector().connect(server, tcp).await.is_ok(),
            valid,
            "{name}"
        );
    }
}

#[tokio::test]
async fn client_certificates_can_be_required() {
    let registry = Registry::builder()
        .tls_http1()
        .client_certificates()
        .start()
        .await;
    let tcp = TcpStream::connect(registry.address())
        .await
        .expect("a listener");
    let name = ServerName::IpAddress(registry.address().ip().into());
    // With TLS 1.3, the client detects the refusal only when it reads.
    let mut tls = connector()
        .connect(name, tcp)
        .await
        .expect("the handshake of the client");
    let _ = tls.write_all(b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n").await;
    tls.read_u8().await.expect_err("refused");
    let identity = tls::client_identity();
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(tls::roots())
        .with_client_auth_cert(vec![certificate.expect("PEM")], key.expect("PEM"));
    let shown = TlsConnector::from(Arc::new(config.expect("a pair")));
    let tcp = TcpStream::connect(registry.address())
        .await
        .expect("a listener");
    let name = ServerName::IpAddress(registry.address().ip().into());
    let mut tls = shown.connect(name, tcp).await.expect("TLS");
    let request = b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n";
    tls.write_all(request).await.expect("a request");
    assert_eq!(tls.read_u8().await.expect("an answer"), b'H');
}

#[tokio::test]
async fn log_contains_the_requests() {
    let registry = Registry::builder().tls().start().await;
    let mut client = Client::of(&registry).authorized("Basic c2VjcmV0OnB3");
    client.get("/v2/a/manifests/t?x=1").await;
    client
        .put(
            "/v2/a/manifests/t",
            media::OCI_INDEX,
            "{\"schemaVersion\": 2}",
        )
        .await;
    let requests = registry.requests();
    let [get, put] = &requests[..] else {
        panic!("two requests, not {requests:?}");
    };
    assert_eq!((get.number, put.number), (1, 2));
    assert_eq!(
        (get.path.as_str(), get.query.as_str()),
        ("/v2/a/manifests/t", "x=1")
    );
    assert_eq!(
        (&get.method, get.status),
        (&Method::GET, Some(StatusCode::NOT_FOUND))
    );
    assert_eq!(
        (put.class, put.status),
        (Class::ManifestPut, Some(StatusCode::CREATED))
    );
    assert_eq!(
        (put.body, put.header("content-type")),
        (20, media::OCI_INDEX)
    );
    assert_eq!(get.connection, put.connection);
    assert!(get.at <= put.at);
    assert!(get.carries("secret:pw") && get.carries("x=1") && !get.carries("other"));
    assert_eq!(registry.writes().len(), 1);
    assert_eq!(registry.count_method(&Method::GET), 1);
    registry.clear();
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn the_maximum_of_concurrent_requests_is_counted() {
    let registry = Registry::builder().start().await;
    let wait = Fault::Delay(Duration::from_millis(100));
    registry.rule(Rule::on(Class::Ping).forever().then(wait));
    let ask = || async { Client::of(&registry).get("/v2/").await.status };
    tokio::join!(ask(), ask(), ask());
    assert_eq!(registry.most_at_once(), 3);
    registry.clear();
    ask().await;
    assert_eq!(registry.most_at_once(), 1);
}

#[tokio::test]
async fn a_rate_limit_is_enforced() {
    let registry = Registry::builder().rate_limit(3).start().await;
    let mut client = Client::of(&registry);
    let mut statuses = vec![];
    for _ in 0..4 {
        statuses.push(client.get("/v2/").await);
    }
    let codes: Vec<_> = statuses
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert_eq!(codes, [200, 200, 200, 429]);
    assert_eq!(statuses[3].header("retry-after"), "1");
    assert_eq!(statuses[3].code(), "TOOMANYREQUESTS");
}

#[tokio::test]
async fn a_delay_line_adds_the_round_trip_time() {
    let trip = Duration::from_millis(40);
    for (scheme, handshake) in [
        (Scheme::Http, 1),
        (Scheme::TlsHttp1, 2),
        (Scheme::TlsHttp2, 2),
    ] {
        let registry = Registry::builder()
            .scheme(scheme)
            .latency(trip)
            .start()
            .await;
        Image::new("linux/amd64").load(&registry, "a", "t");
        let mut client = Client::of(&registry);
        for trips in [handshake + 1, 1, 1] {
            let began = Instant::now();
            assert_eq!(client.get("/v2/a/manifests/t").await.status, StatusCode::OK);
            assert!(
                began.elapsed() >= trip * trips,
                "{scheme:?}: {:?}",
                began.elapsed()
            );
        }
        registry.set_latency(Duration::ZERO);
        assert_eq!(
            Client::of(&registry).get("/v2/").await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn a_delay_line_passes_every_byte_and_every_end() {
    let trip = Duration::from_millis(2);
    let registry = Registry::builder().latency(trip).start().await;
    let content = crate::support::registry::random_bytes(1, 2_000_000);
    let digest = registry.put_blob("a", content.clone());
    let path = format!("/v2/a/blobs/{digest}");
    assert_eq!(Client::of(&registry).get(&path).await.body, content);
    registry.rule(Rule::on(Class::BlobGet).then(Fault::Truncate(1000)));
    let cut = Client::of(&registry).get(&path).await;
    assert_eq!((cut.broken, cut.body.len()), (true, 1000));
    registry.rule(Rule::on(Class::BlobGet).then(Fault::Reset));
    let mut tcp = TcpStream::connect(registry.address())
        .await
        .expect("a listener");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.expect("a request");
    let read = tcp.read_u8().await.map_err(|error| error.kind());
    assert_eq!(read, Err(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn images_and_indexes_match_their_descriptions() {
    let registry = Registry::plain().await;
    let windows = Image::new("windows/amd64")
        .docker()
        .os_version("10.0.1")
        .os_features(["win32k"])
        .layers(&[10, 70_000]);
    let list = Index::docker()
        .image(windows.clone())
        .nested(Index::oci().of(["linux/arm/v7"]));
    let loaded = list.load(&registry, "a", "t");
    let document = registry.document("a", "t").expect("a document");
    assert_eq!(loaded.media_type, media::DOCKER_LIST);
    let platform = &document["manifests"][0]["platform"];
    assert_eq!(platform["os.version"], "10.0.1");
    assert_eq!(platform["os.features"][0], "win32k");
    assert_eq!(document["manifests"][1]["mediaType"], media::OCI_INDEX);
    let image = windows.load(&registry, "a", None);
    assert_eq!(document["manifests"][0], image.descriptor());
    let config = registry.blob("a", &image.blobs[0]).expect("a config");
    let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["os.version"], "10.0.1");
    assert_eq!(
        config["rootfs"]["diff_ids"].as_array().map(Vec::len),
        Some(2)
    );

    let attested = Index::oci().of(["linux/amd64", "linux/arm64"]).attested();
    attested.load(&registry, "a", "attested");
    let document = registry.document("a", "attested").expect("a document");
    let attestation = &document["manifests"][2];
    let annotations = &attestation["annotations"];
    assert_eq!(attestation["platform"]["os"], "unknown");
    assert_eq!(
        annotations["vnd.docker.reference.type"],
        "attestation-manifest"
    );
    assert_eq!(
        annotations["vnd.docker.reference.digest"],
        document["manifests"][0]["digest"]
    );
    assert_eq!(registry.problems(), Vec::<String>::new());

    let other = Image::new("linux/amd64").seed(1).load(&registry, "a", None);
    assert_ne!(
        other.digest,
        Image::new("linux/amd64").load(&registry, "a", None).digest
    );
}
