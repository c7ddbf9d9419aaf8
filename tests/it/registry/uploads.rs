//! Uploads in every form that the specification defines or that registries use.

use http::{Method, StatusCode};

use super::client::{Answer, Client};
use crate::support::{
    digest,
    registry::{Chunks, Class, Fault, Registry, Role, Rule, Scheme, Site},
};

const START: &str = "/v2/a/blobs/uploads/";

async fn post(client: &mut Client, path: &str) -> Answer {
    client.send(Method::POST, path, &[], "").await
}

async fn patch(client: &mut Client, location: &str, range: &str, body: &'static str) -> Answer {
    let ranged = [("content-range", range)];
    let headers = if range.is_empty() { &[][..] } else { &ranged };
    client.send(Method::PATCH, location, headers, body).await
}

fn with_digest(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

#[tokio::test]
async fn a_blob_is_uploaded_in_one_request_in_two_and_in_chunks() {
    let registry = Registry::builder().tls().start().await;
    let mut client = Client::of(&registry);

    let one = digest::sha256(b"one");
    let answer = client
        .send(Method::POST, &with_digest(START, &one), &[], "one")
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("location"), format!("/v2/a/blobs/{one}"));
    assert_eq!(answer.header("docker-content-digest"), one);

    let two = digest::sha512(b"two");
    let location = post(&mut client, START).await.header("location").to_owned();
    let answer = client
        .put(
            &with_digest(&location, &two),
            "application/octet-stream",
            "two",
        )
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);

    let three = digest::sha256(b"abcdefgh");
    let begun = post(&mut client, START).await;
    assert_eq!((begun.status.as_u16(), begun.header("range")), (202, "0-0"));
    let answer = patch(&mut client, begun.header("location"), "0-2", "abc").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-2")
    );
    let answer = patch(&mut client, answer.header("location"), "", "def").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-5")
    );
    let status = client.get(answer.header("location")).await;
    assert_eq!(
        (status.status.as_u16(), status.header("range")),
        (204, "0-5")
    );
    let last = with_digest(answer.header("location"), &three);
    let answer = client
        .send(Method::PUT, &last, &[("content-range", "6-7")], "gh")
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);

    for (digest, content) in [(one, "one"), (two, "two"), (three, "abcdefgh")] {
        assert_eq!(
            client.get(&format!("/v2/a/blobs/{digest}")).await.body,
            content
        );
    }
    assert_eq!(registry.uploads(), 0);
}

#[tokio::test]
async fn chunks_out_of_order_are_refused_with_the_offset() {
    let registry = Registry::plain().await;
    let mut client = Client::of(&registry);
    let begun = post(&mut client, START).await;
    let location = begun.header("location").to_owned();
    patch(&mut client, &location, "0-2", "abc").await;
    for range in ["0-2", "4-6", "3-9", "bytes 3-5/6", "x"] {
        let answer = patch(&mut client, &location, range, "def").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("range")),
            (416, "0-2"),
            "{range}"
        );
        assert_eq!(answer.header("location"), location);
    }
    assert_eq!(
        patch(&mut client, &location, "3-5", "def").await.status,
        StatusCode::ACCEPTED
    );
}

#[tokio::test]
async fn a_wrong_digest_and_a_cancelled_upload_leave_nothing() {
    let registry = Registry::plain().await;
    let mut client = Client::of(&registry);
    let wrong = digest::sha256(b"other");
    let location = post(&mut client, START).await.header("location").to_owned();
    let answer = client.put(&location, "application/octet-stream", "x").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (400, "DIGEST_INVALID".into())
    );
    let answer = client
        .put(
            &with_digest(&location, &wrong),
            "application/octet-stream",
            "x",
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (400, "DIGEST_INVALID".into())
    );
    let location = post(&mut client, START).await.header("location").to_owned();
    let answer = client.send(Method::DELETE, &location, &[], "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get(&location).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        (registry.uploads(), registry.snapshot().blobs.len()),
        (0, 0)
    );
}

#[tokio::test]
async fn existing_blob_is_mounted_if_enabled() {
    for on in [true, false] {
        let builder = Registry::builder();
        let builder = if on {
            builder
        } else {
            builder.without_mounts()
        };
        let registry = builder.start().await;
        let digest = registry.put_blob("from/here", "blob");
        let mut client = Client::of(&registry);
        let path = format!("{START}?mount={digest}&from=from/here");
        let answer = post(&mut client, &path).await;
        assert_eq!(answer.status.as_u16(), if on { 201 } else { 202 });
        assert_eq!(registry.has_blob("a", &digest), on);
        let path = format!("{START}?mount={}&from=from/here", digest::sha256(b"none"));
        let answer = post(&mut client, &path).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        assert!(
            answer
                .header("location")
                .starts_with("/v2/a/blobs/uploads/")
        );
    }
}

#[tokio::test]
async fn chunk_minimum_is_announced_and_enforced() {
    let registry = Registry::builder()
        .chunk_minimum(4)
        .patch_status(201)
        .start()
        .await;
    let mut client = Client::of(&registry);
    let begun = post(&mut client, START).await;
    assert_eq!(begun.header("oci-chunk-min-length"), "4");
    let location = begun.header("location").to_owned();
    assert_eq!(
        patch(&mut client, &location, "0-3", "abcd").await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        patch(&mut client, &location, "4-5", "ef").await.status,
        StatusCode::CREATED
    );
    let answer = patch(&mut client, &location, "6-9", "ghij").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (416, "0-5")
    );
    let last = with_digest(&location, &digest::sha256(b"abcdef"));
    let answer = client.send(Method::PUT, &last, &[], "").await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn chunks_can_be_refused() {
    let whole = Registry::builder().chunks(Chunks::WholeOnly).start().await;
    let mut client = Client::of(&whole);
    let location = post(&mut client, START).await.header("location").to_owned();
    assert_eq!(
        patch(&mut client, &location, "0-2", "abc")
            .await
            .status
            .as_u16(),
        416
    );
    assert_eq!(
        patch(&mut client, &location, "", "abc")
            .await
            .status
            .as_u16(),
        202
    );
    assert_eq!(
        patch(&mut client, &location, "", "def")
            .await
            .status
            .as_u16(),
        416
    );

    let none = Registry::builder().chunks(Chunks::Refused).start().await;
    let mut client = Client::of(&none);
    let location = post(&mut client, START).await.header("location").to_owned();
    let answer = patch(&mut client, &location, "", "abc").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (405, "UNSUPPORTED".into())
    );
}

#[tokio::test]
async fn location_of_another_host_is_required_unchanged() {
    let registry = Registry::builder()
        .uploads_at(Site::new(Scheme::TlsHttp2).ip("127.0.0.4"))
        .location_query()
        .start()
        .await;
    let begun = post(&mut Client::of(&registry), START).await;
    let first = begun.header("location").to_owned();
    assert!(first.starts_with("https://127.0.0.4:"), "{first}");

    let mut client = Client::of_role(&registry, Role::Upload);
    let (bare, _) = first.split_once('?').expect("a query");
    assert_eq!(
        patch(&mut client, bare, "", "abc").await.status,
        StatusCode::BAD_REQUEST
    );
    let second = patch(&mut client, &first, "", "abc")
        .await
        .header("location")
        .to_owned();
    assert_ne!(first, second);
    let digest = digest::sha256(b"abc");
    let stale = client
        .send(Method::PUT, &with_digest(&first, &digest), &[], "")
        .await;
    assert_eq!(stale.code(), "BLOB_UPLOAD_INVALID");
    let answer = client
        .send(Method::PUT, &with_digest(&second, &digest), &[], "")
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert!(registry.has_blob("a", &digest));
}

#[tokio::test]
async fn locations_can_be_whole_urls() {
    let registry = Registry::builder().absolute_locations().start().await;
    let answer = post(&mut Client::of(&registry), START).await;
    let start = format!("{}/v2/a/blobs/uploads/", registry.url());
    assert!(answer.header("location").starts_with(&start));
}

#[tokio::test]
async fn interrupted_upload_keeps_the_received_part() {
    for scheme in [Scheme::Http, Scheme::TlsHttp2] {
        let registry = Registry::builder().scheme(scheme).start().await;
        registry.rule(Rule::on(Class::UploadPatch).then(Fault::ResetUpload(3)));
        let mut client = Client::of(&registry);
        let location = post(&mut client, START).await.header("location").to_owned();
        let broken = client
            .attempt(Method::PATCH, &location, &[], "abcdef")
            .await;
        assert!(broken.is_err(), "{scheme:?}");
        let mut client = Client::of(&registry);
        let status = client.get(&location).await;
        assert_eq!(status.header("range"), "0-2", "{scheme:?}");
        let patched = registry
            .requests()
            .into_iter()
            .find(|r| r.class == Class::UploadPatch);
        let patched = patched.expect("a PATCH");
        assert_eq!((patched.body, patched.status), (3, None));
        assert_eq!(
            patch(&mut client, &location, "3-5", "def")
                .await
                .status
                .as_u16(),
            202
        );
        let digest = digest::sha256(b"abcdef");
        let answer = client
            .send(Method::PUT, &with_digest(&location, &digest), &[], "")
            .await;
        assert_eq!(answer.status, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn discarded_uploads_are_verified_and_known_but_not_kept() {
    let registry = Registry::builder().discard_uploads().start().await;
    let mut client = Client::of(&registry);
    let wrong = with_digest(START, &digest::sha256(b"other"));
    assert_eq!(
        client.send(Method::POST, &wrong, &[], "blob").await.code(),
        "DIGEST_INVALID"
    );
    let digest = digest::sha256(b"blob");
    client
        .send(Method::POST, &with_digest(START, &digest), &[], "blob")
        .await;
    let path = format!("/v2/a/blobs/{digest}");
    let head = client.head(&path).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "4")
    );
    assert_eq!(client.get(&path).await.status, StatusCode::NOT_FOUND);
}
