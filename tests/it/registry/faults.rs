//! Every fault, tested with a client that does not retry.

use std::time::Duration;

use http::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::client::{Answer, Client};
use crate::support::{
    digest,
    image::{Image, media},
    registry::{Class, Content, Fault, Greeting, Registry, Rule, Scheme},
};

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];
const PATH: &str = "/v2/a/manifests/t";

/// A time after which no more data is expected.
const SILENCE: Duration = Duration::from_millis(200);

/// Returns a registry with an image under `a:t`, and the bytes of its manifest.
async fn registry(scheme: Scheme) -> (Registry, Vec<u8>) {
    let registry = Registry::builder().scheme(scheme).start().await;
    let image = Image::new("linux/amd64").load(&registry, "a", "t");
    (registry, image.bytes.to_vec())
}

/// Returns the result of a GET with this fault, and checks that the next GET succeeds.
async fn get_under(scheme: Scheme, fault: Fault) -> (Result<Answer, hyper::Error>, Vec<u8>) {
    let (registry, bytes) = registry(scheme).await;
    registry.rule(Rule::on(Class::ManifestGet).then(fault));
    let mut client = Client::of(&registry);
    let answer = client.attempt(Method::GET, PATH, &[], "").await;
    assert_eq!(registry.pending_rules(), 0);
    let next = Client::of(&registry).get(PATH).await;
    assert_eq!(next.body, bytes, "{scheme:?}");
    (answer, bytes)
}

#[tokio::test]
async fn rules_apply_in_order_and_count_their_matches() {
    let (registry, _) = registry(Scheme::Http).await;
    registry.rule(
        Rule::on(Class::ManifestGet)
            .nth(2)
            .times(2)
            .then(Fault::status(500)),
    );
    registry.rule(
        Rule::on(Class::ManifestGet)
            .path("*/manifests/t")
            .nth(2)
            .then(Fault::status(418)),
    );
    registry.rule(
        Rule::when(|seen| seen.query == "x=1")
            .forever()
            .then(Fault::status(403)),
    );
    let mut client = Client::of(&registry);
    let mut statuses = vec![];
    for path in [PATH, PATH, PATH, PATH, PATH, "/v2/?x=1", "/v2/?x=1", PATH] {
        statuses.push(client.get(path).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 500, 500, 418, 200, 403, 403, 200]);
    assert_eq!(registry.fired(), [2, 1, 2]);
    assert_eq!(registry.pending_rules(), 0);
    registry.rule(Rule::on(Class::BlobGet).then(Fault::status(500)));
    assert_eq!(registry.pending_rules(), 1);
    registry.clear_rules();
    assert_eq!(registry.pending_rules(), 0);
}

#[tokio::test]
async fn an_answer_can_be_replaced_delayed_and_redirected() {
    for scheme in SCHEMES {
        let reply = Fault::reply(429, &[("retry-after", "7")], "slow down");
        let answer = get_under(scheme, reply).await.0.expect("an answer");
        assert_eq!(answer.status.as_u16(), 429);
        assert_eq!(
            (answer.header("retry-after"), answer.body.as_ref()),
            ("7", &b"slow down"[..])
        );
        let redirect = Fault::Redirect(307, "http://127.0.0.1:1/".into());
        let answer = get_under(scheme, redirect).await.0.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (307, "http://127.0.0.1:1/")
        );
        let began = std::time::Instant::now();
        let (answer, bytes) = get_under(scheme, Fault::Delay(Duration::from_millis(30))).await;
        assert!(began.elapsed() >= Duration::from_millis(30));
        assert_eq!(answer.expect("an answer").body, bytes);
    }
}

#[tokio::test]
async fn headers_can_be_changed_left_out_and_flooded() {
    for scheme in SCHEMES {
        let (registry, _) = registry(scheme).await;
        registry.rule(
            Rule::on(Class::ManifestGet)
                .then(Fault::header("content-type", "text/html"))
                .then(Fault::RemoveHeader("docker-content-digest".into()))
                .then(Fault::HeaderFlood {
                    count: 20,
                    size: 100,
                }),
        );
        let answer = Client::of(&registry).get(PATH).await;
        assert_eq!(answer.header("content-type"), "text/html");
        assert!(!answer.headers.contains_key("docker-content-digest"));
        assert_eq!(answer.header("x-flood-19").len(), 100);
    }
}

#[tokio::test]
async fn a_reset_before_the_answer_is_an_error_at_the_client() {
    for scheme in SCHEMES {
        for fault in [
            Fault::Reset,
            Fault::ResetConnection,
            Fault::GoAway,
            Fault::RefuseStream,
        ] {
            let (answer, _) = get_under(scheme, fault.clone()).await;
            answer.expect_err(&format!("{scheme:?} {fault:?}"));
        }
    }
}

#[tokio::test]
async fn a_reset_over_tcp_is_a_tcp_reset() {
    for (fault, reset) in [(Fault::Reset, true), (Fault::GoAway, false)] {
        let (registry, _) = registry(Scheme::Http).await;
        registry.rule(Rule::on(Class::ManifestGet).then(fault));
        let mut tcp = TcpStream::connect(registry.address())
            .await
            .expect("a listener");
        let request = format!("GET {PATH} HTTP/1.1\r\nhost: x\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = Vec::new();
        let end = tcp.read_to_end(&mut answer).await;
        let kind = end.map_err(|error| error.kind());
        let expected = if reset {
            Err(std::io::ErrorKind::ConnectionReset)
        } else {
            Ok(0)
        };
        assert_eq!((kind, answer.len()), (expected, 0));
    }
}

#[tokio::test]
async fn http2_reset_ends_one_stream_and_goaway_all() {
    for (fault, reason, connections) in [
        (Fault::Reset, Some(h2::Reason::INTERNAL_ERROR), 1),
        (Fault::RefuseStream, Some(h2::Reason::REFUSED_STREAM), 1),
        (Fault::GoAway, Some(h2::Reason::NO_ERROR), 2),
        (Fault::ResetConnection, None, 2),
    ] {
        let (registry, _) = registry(Scheme::TlsHttp2).await;
        registry.rule(Rule::on(Class::ManifestGet).then(fault.clone()));
        let mut client = Client::of(&registry);
        let error = client
            .attempt(Method::GET, PATH, &[], "")
            .await
            .expect_err("an error");
        let source = std::error::Error::source(&error);
        let source = source.and_then(|source| source.downcast_ref::<h2::Error>());
        assert_eq!(source.and_then(h2::Error::reason), reason, "{fault:?}");
        if matches!(fault, Fault::GoAway) {
            assert!(source.is_some_and(|error| error.is_go_away() && error.is_remote()));
        }
        client.get(PATH).await;
        assert_eq!(registry.connections().len(), connections, "{fault:?}");
    }
}

#[tokio::test]
async fn a_connection_can_be_closed_after_its_answer() {
    for scheme in SCHEMES {
        let (registry, bytes) = registry(scheme).await;
        registry.rule(Rule::on(Class::ManifestGet).then(Fault::LastOnConnection));
        let mut client = Client::of(&registry);
        assert_eq!(client.get(PATH).await.body, bytes);
        let mut tries = 0;
        // An HTTP/2 client may not yet have read the GOAWAY when it sends again.
        while client.attempt(Method::GET, PATH, &[], "").await.is_err() {
            tries += 1;
            assert!(tries < 3, "{scheme:?}");
        }
        assert_eq!(registry.connections().len(), 2, "{scheme:?}");
    }
}

#[tokio::test]
async fn bodies_can_be_truncated_in_every_way() {
    for scheme in SCHEMES {
        for fault in [Fault::ResetBody(10), Fault::Truncate(10)] {
            let (answer, bytes) = get_under(scheme, fault.clone()).await;
            let answer = answer.expect("headers");
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
            assert!(answer.broken, "{scheme:?} {fault:?}");
            assert_eq!(answer.body, &bytes[..10], "{scheme:?} {fault:?}");
        }
        let (answer, bytes) = get_under(scheme, Fault::TruncateCleanly(10)).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            (answer.header("content-length"), answer.broken),
            ("10", false)
        );
        assert_eq!(answer.body, &bytes[..10]);
    }
}

#[tokio::test]
async fn bodies_can_be_corrupted_in_every_way() {
    for scheme in SCHEMES {
        let (answer, bytes) = get_under(scheme, Fault::Corrupt).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            (answer.body.len(), &answer.body[1..]),
            (bytes.len(), &bytes[1..])
        );
        assert_ne!(answer.body[0], bytes[0]);

        let (answer, bytes) = get_under(scheme, Fault::Overlong(3)).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            answer.header("content-length"),
            (bytes.len() + 3).to_string()
        );
        assert_eq!(answer.body.len(), bytes.len() + 3);

        let (answer, _) = get_under(scheme, Fault::Gzip).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.header("content-encoding"), "gzip");
        assert_eq!(answer.body[..3], [0x1f, 0x8b, 8]);

        let page = Content::from("<html>");
        let answer = get_under(scheme, Fault::Body(page))
            .await
            .0
            .expect("an answer");
        assert_eq!(answer.body, "<html>");
    }
}

#[tokio::test]
async fn length_can_be_too_small_or_too_large() {
    for scheme in [Scheme::Http, Scheme::TlsHttp1] {
        let (answer, bytes) = get_under(scheme, Fault::ContentLength(5)).await;
        assert_eq!(answer.expect("an answer").body, &bytes[..5]);
        let (answer, bytes) = get_under(scheme, Fault::ContentLength(9999)).await;
        let answer = answer.expect("headers");
        assert!(answer.broken);
        assert_eq!(answer.body, bytes);
    }
    for length in [5, 9999] {
        // An HTTP/2 client detects the wrong length (RFC 9113, 8.1.1).
        let (answer, _) = get_under(Scheme::TlsHttp2, Fault::ContentLength(length)).await;
        assert!(answer.map_or(true, |answer| answer.broken));
    }
}

#[tokio::test]
async fn a_body_can_be_silent_or_endless() {
    for scheme in SCHEMES {
        let (registry, _) = registry(scheme).await;
        registry.rule(Rule::on(Class::ManifestGet).then(Fault::Stall));
        registry.rule(Rule::on(Class::ManifestGet).then(Fault::StallBody(10)));
        registry.rule(Rule::on(Class::ManifestGet).then(Fault::Endless));
        for _ in 0..3 {
            let mut client = Client::of(&registry);
            timeout(SILENCE, client.get(PATH))
                .await
                .expect_err("an incomplete answer");
        }
        assert_eq!(registry.pending_rules(), 0);
        let statuses: Vec<_> = registry.requests().iter().map(|r| r.status).collect();
        assert_eq!(statuses[0], None);
    }
}

#[tokio::test]
async fn write_can_take_effect_without_its_answer() {
    for scheme in SCHEMES {
        for fault in [Fault::Reset, Fault::status(500)] {
            for applied in [true, false] {
                let (registry, bytes) = registry(scheme).await;
                let rule = Rule::on(Class::ManifestPut).then(fault.clone());
                registry.rule(if applied { rule.applied() } else { rule });
                let headers = [("content-type", media::OCI_MANIFEST)];
                let mut client = Client::of(&registry);
                let answer = client
                    .attempt(Method::PUT, "/v2/a/manifests/new", &headers, bytes)
                    .await;
                assert!(answer.map_or(true, |answer| answer.status.as_u16() == 500));
                assert_eq!(
                    registry.tag("a", "new").is_some(),
                    applied,
                    "{scheme:?} {fault:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn faults_reach_head_requests_too() {
    for scheme in SCHEMES {
        let (registry, bytes) = registry(scheme).await;
        registry.rule(Rule::on(Class::ManifestHead).then(Fault::status(503)));
        registry.rule(Rule::on(Class::ManifestHead).then(Fault::ContentLength(1)));
        let mut client = Client::of(&registry);
        assert_eq!(client.head(PATH).await.status.as_u16(), 503);
        assert_eq!(client.head(PATH).await.header("content-length"), "1");
        let whole = client.head(PATH).await;
        assert_eq!(whole.header("content-length"), bytes.len().to_string());
    }
}

#[tokio::test]
async fn raw_bytes_are_sent_unchanged() {
    let raw = Fault::Raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into());
    let answer = get_under(Scheme::TlsHttp1, raw).await.0.expect("an answer");
    assert_eq!(answer.body, "ok");
}

#[tokio::test]
async fn connections_can_be_reset_closed_or_left_silent() {
    let (registry, bytes) = registry(Scheme::Http).await;
    for (greeting, expected) in [
        (
            Greeting::Reset,
            Some(Err(std::io::ErrorKind::ConnectionReset)),
        ),
        (Greeting::Close, Some(Ok(0))),
        (Greeting::Silence, None),
    ] {
        registry.greet(1, greeting);
        let mut tcp = TcpStream::connect(registry.address())
            .await
            .expect("a listener");
        let mut byte = [0];
        let read = timeout(SILENCE, tcp.read(&mut byte)).await.ok();
        assert_eq!(
            read.map(|read| read.map_err(|error| error.kind())),
            expected
        );
    }
    assert_eq!(Client::of(&registry).get(PATH).await.body, bytes);
}

#[tokio::test]
async fn content_can_be_stored_under_a_wrong_digest() {
    let registry = Registry::plain().await;
    let wrong = digest::sha256(b"other content");
    registry.put_blob_as("a", &wrong, "content");
    registry.put_manifest_as("a", Some("t"), &wrong, media::OCI_MANIFEST, "{}");
    let mut client = Client::of(&registry);
    assert_eq!(
        client.get(&format!("/v2/a/blobs/{wrong}")).await.body,
        "content"
    );
    let manifest = client.get(PATH).await;
    assert_eq!(manifest.header("docker-content-digest"), wrong);
    assert_eq!(registry.problems().len(), 2);
}
