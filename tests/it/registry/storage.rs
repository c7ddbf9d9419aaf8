//! Manifests: stored manifests can be read, and nothing else.

use http::{Method, StatusCode};
use serde_json::json;

use super::client::Client;
use crate::support::{
    digest,
    image::{Image, Index, media},
    registry::{DigestHeader, Registry, Scheme},
};

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];

#[tokio::test]
async fn manifests_are_served_by_tag_and_digest_in_every_scheme() {
    for scheme in SCHEMES {
        let registry = Registry::builder().scheme(scheme).start().await;
        let image = Image::new("linux/arm64/v8").load(&registry, "team/app", "1.0");
        let mut client = Client::of(&registry);
        for reference in ["1.0", &image.digest] {
            let path = format!("/v2/team/app/manifests/{reference}");
            let answer = client.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.header("content-type"), media::OCI_MANIFEST);
            assert_eq!(answer.header("docker-content-digest"), image.digest);
            assert_eq!(answer.body, image.bytes);
            let head = client.head(&path).await;
            assert_eq!(head.status, StatusCode::OK);
            assert_eq!(head.header("content-length"), image.bytes.len().to_string());
            assert_eq!(head.header("docker-content-digest"), image.digest);
            assert!(head.body.is_empty());
        }
        let http2 = registry.requests()[0].version == http::Version::HTTP_2;
        assert_eq!(http2, scheme == Scheme::TlsHttp2);
        assert_eq!(registry.connections().len(), 1);
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn missing_content_has_its_error_code() {
    let registry = Registry::plain().await;
    let mut client = Client::of(&registry);
    let digest = digest::sha256(b"nothing");
    for (path, code) in [
        ("/v2/a/manifests/1".to_owned(), "MANIFEST_UNKNOWN"),
        (format!("/v2/a/blobs/{digest}"), "BLOB_UNKNOWN"),
        ("/v2/a/tags/list".to_owned(), "NAME_UNKNOWN"),
        ("/v2/a/blobs/uploads/none".to_owned(), "BLOB_UPLOAD_UNKNOWN"),
    ] {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.code(), code, "{path}");
    }
    let answer = client.get("/v2/Upper/manifests/1").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (400, "NAME_INVALID".into())
    );
    let answer = client.get("/v2/a/blobs/sha256:zz").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (400, "DIGEST_INVALID".into())
    );
    assert_eq!(client.get("/v1/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get("/v2/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_manifest_is_put_by_tag_and_by_both_kinds_of_digest() {
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64")
        .docker()
        .load(&registry, "a", None);
    let mut client = Client::of(&registry);
    let sha512 = digest::sha512(&image.bytes);
    for (reference, stored) in [
        ("latest", &image.digest),
        (&image.digest, &image.digest),
        (&sha512, &sha512),
    ] {
        let path = format!("/v2/a/manifests/{reference}");
        let answer = client
            .put(&path, media::DOCKER_MANIFEST, image.bytes.clone())
            .await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(answer.header("docker-content-digest"), *stored);
        assert_eq!(
            answer.header("location"),
            format!("/v2/a/manifests/{stored}")
        );
        assert_eq!(client.get(&path).await.body, image.bytes);
    }
    assert_eq!(registry.tag("a", "latest"), Some(image.digest));
}

#[tokio::test]
async fn a_manifest_that_is_wrong_is_refused() {
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&registry, "a", None);
    let mut client = Client::of(&registry);
    let other = digest::sha256(b"other");
    let kind = media::OCI_MANIFEST;
    let both = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [], "layers": []});
    let big = format!("{{\"schemaVersion\": 2{}}}", " ".repeat(4 << 20));
    for (reference, kind, body, status, code) in [
        (
            other.as_str(),
            kind,
            image.bytes.clone(),
            400,
            "DIGEST_INVALID",
        ),
        ("t", kind, "not json".into(), 400, "MANIFEST_INVALID"),
        (
            "t",
            media::OCI_INDEX,
            image.bytes.clone(),
            400,
            "MANIFEST_INVALID",
        ),
        ("t", kind, both.to_string().into(), 400, "MANIFEST_INVALID"),
        (
            "t",
            kind,
            "{\"schemaVersion\": 1}".into(),
            400,
            "MANIFEST_INVALID",
        ),
        ("-t", kind, image.bytes.clone(), 400, "MANIFEST_INVALID"),
        ("t", kind, big.into(), 413, "SIZE_INVALID"),
    ] {
        let answer = client
            .put(&format!("/v2/a/manifests/{reference}"), kind, body)
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code.into())
        );
    }
    assert!(registry.tags("a").is_empty());
}

#[tokio::test]
async fn manifest_needs_its_content_unless_lax() {
    let other = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&other, "a", None);
    let index = Index::oci().of(["linux/amd64"]).load(&other, "a", None);

    let strict = Registry::plain().await;
    let mut client = Client::of(&strict);
    let answer = client
        .put("/v2/a/manifests/t", &image.media_type, image.bytes.clone())
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (400, "MANIFEST_BLOB_UNKNOWN".into())
    );
    assert_eq!(answer.json()["errors"].as_array().map(Vec::len), Some(2));
    let answer = client
        .put("/v2/a/manifests/t", &index.media_type, index.bytes.clone())
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (404, "MANIFEST_UNKNOWN".into())
    );
    assert_eq!(strict.snapshot().manifests.len(), 0);

    let lax = Registry::builder().lax().start().await;
    let mut client = Client::of(&lax);
    let answer = client
        .put("/v2/a/manifests/t", &index.media_type, index.bytes.clone())
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let missing = format!(
        "a@{} refers to {}, which is missing",
        index.digest, image.digest
    );
    assert_eq!(lax.problems(), [missing]);
}

#[tokio::test]
async fn foreign_layers_may_be_missing() {
    let registry = Registry::plain().await;
    let config = registry.put_blob("a", "{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_MANIFEST,
        "config": {"mediaType": media::DOCKER_CONFIG, "size": 2, "digest": config},
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "size": 9,
            "digest": digest::sha256(b"other content"),
            "urls": ["https://example.invalid/layer"],
        }],
    });
    let mut client = Client::of(&registry);
    let answer = client
        .put(
            "/v2/a/manifests/t",
            media::DOCKER_MANIFEST,
            manifest.to_string(),
        )
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn deviations_of_real_registries_are_imitated() {
    let registry = Registry::builder()
        .immutable_tags()
        .media_type_required()
        .without_manifest_location()
        .media_types([media::OCI_MANIFEST])
        .digest_header(DigestHeader::NotOnHead)
        .start()
        .await;
    let image = Image::new("linux/amd64").load(&registry, "a", None);
    let mut client = Client::of(&registry);
    let put = client
        .put(
            "/v2/a/manifests/t",
            media::OCI_MANIFEST,
            image.bytes.clone(),
        )
        .await;
    assert_eq!(put.status, StatusCode::CREATED);
    assert_eq!(put.header("location"), "");
    let again = client
        .put(
            "/v2/a/manifests/t",
            media::OCI_MANIFEST,
            image.bytes.clone(),
        )
        .await;
    assert_eq!(
        (again.status.as_u16(), again.code()),
        (400, "TAG_INVALID".into())
    );
    let head = client.head("/v2/a/manifests/t").await;
    assert_eq!(
        (head.status.as_u16(), head.header("docker-content-digest")),
        (200, "")
    );
    assert_eq!(
        client
            .get("/v2/a/manifests/t")
            .await
            .header("docker-content-digest"),
        image.digest
    );
    let untyped = image.bytes.clone();
    let untyped = String::from_utf8_lossy(&untyped).replacen("\"mediaType\"", "\"x\"", 1);
    let answer = client
        .put("/v2/a/manifests/u", media::OCI_MANIFEST, untyped)
        .await;
    assert_eq!(answer.code(), "MANIFEST_INVALID");
    let answer = client
        .put(
            "/v2/a/manifests/u",
            media::OCI_INDEX,
            "{\"schemaVersion\":2}",
        )
        .await;
    assert_eq!(answer.code(), "MANIFEST_INVALID");
}

#[tokio::test]
async fn tags_in_the_query_are_set_if_supported() {
    for known in [true, false] {
        let builder = Registry::builder();
        let builder = if known {
            builder.tag_parameters()
        } else {
            builder
        };
        let registry = builder.start().await;
        let image = Image::new("linux/amd64").load(&registry, "a", None);
        let mut client = Client::of(&registry);
        let path = format!("/v2/a/manifests/{}?tag=x&tag=y", image.digest);
        let answer = client.put(&path, media::OCI_MANIFEST, image.bytes).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let tags: Vec<_> = answer.headers.get_all("oci-tag").iter().collect();
        assert_eq!(tags, if known { vec!["x", "y"] } else { vec![] });
        let tags: Vec<_> = registry.tags("a").into_keys().collect();
        assert_eq!(tags, if known { vec!["x", "y"] } else { vec![] });
    }
}

#[tokio::test]
async fn manifests_tags_and_blobs_are_deleted() {
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&registry, "a", "t");
    let mut client = Client::of(&registry);
    let blob = image.blobs[0].clone();
    for path in [
        format!("/v2/a/blobs/{blob}"),
        "/v2/a/manifests/t".to_owned(),
        format!("/v2/a/manifests/{}", image.digest),
    ] {
        let answer = client.send(Method::DELETE, &path, &[], "").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        let answer = client.send(Method::DELETE, &path, &[], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    assert!(registry.manifest("a", "t").is_none());
    assert!(!registry.has_blob("a", &blob));
}
