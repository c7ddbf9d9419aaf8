//! Manifests, blobs, tags and referrers: what is put can be got, and nothing else.

use http::{Method, StatusCode};
use serde_json::json;

use super::client::Client;
use crate::support::{
    digest,
    image::{self, Image, Index, media},
    registry::{Class, Content, DigestHeader, Registry, Role, Scheme, Site},
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
async fn what_is_not_there_is_told_by_its_code() {
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
async fn a_manifest_must_not_point_to_nothing_unless_the_registry_is_lax() {
    let elsewhere = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&elsewhere, "a", None);
    let index = Index::oci().of(["linux/amd64"]).load(&elsewhere, "a", None);

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
async fn foreign_layers_need_not_be_there() {
    let registry = Registry::plain().await;
    let config = registry.put_blob("a", "{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_MANIFEST,
        "config": {"mediaType": media::DOCKER_CONFIG, "size": 2, "digest": config},
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "size": 9,
            "digest": digest::sha256(b"elsewhere"),
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
async fn the_quirks_of_registries_with_manifests() {
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
async fn tags_in_the_query_are_set_and_told_where_the_registry_knows_them() {
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
        let told: Vec<_> = answer.headers.get_all("oci-tag").iter().collect();
        assert_eq!(told, if known { vec!["x", "y"] } else { vec![] });
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

#[tokio::test]
async fn blobs_are_served_whole_and_in_ranges() {
    let registry = Registry::plain().await;
    let digest = registry.put_blob("a", "0123456789");
    let path = format!("/v2/a/blobs/{digest}");
    let mut client = Client::of(&registry);
    let head = client.head(&path).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "10")
    );
    assert_eq!(client.get(&path).await.body, "0123456789");
    for (range, status, told, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
    ] {
        let answer = client
            .send(Method::GET, &path, &[("range", range)], "")
            .await;
        assert_eq!(answer.status.as_u16(), status, "{range}");
        assert_eq!(answer.header("content-range"), told);
        assert_eq!(answer.body, body);
    }
    for range in ["bytes=10-", "bytes=4-2", "lines=1-2"] {
        let answer = client
            .send(Method::GET, &path, &[("range", range)], "")
            .await;
        assert_eq!(answer.status.as_u16(), 416, "{range}");
        assert_eq!(answer.header("content-range"), "bytes */10");
    }
    let without = Registry::builder().without_ranges().start().await;
    without.put_blob("a", "0123456789");
    let answer = Client::of(&without)
        .send(Method::GET, &path, &[("range", "bytes=2-4")], "")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_ref()),
        (200, b"0123456789".as_ref())
    );
}

#[tokio::test]
async fn a_blob_that_exists_in_no_memory_is_served_with_its_digest() {
    let registry = Registry::builder().tls().start().await;
    let content = Content::virtual_bytes(7, 3_000_001);
    let digest = registry.put_blob("a", content);
    let mut client = Client::of(&registry);
    let all = client.get(&format!("/v2/a/blobs/{digest}")).await.body;
    assert_eq!(all.len(), 3_000_001);
    assert_eq!(digest::sha256(&all), digest);
    let range = [("range", "bytes=65530-70000")];
    let part = client
        .send(Method::GET, &format!("/v2/a/blobs/{digest}"), &range, "")
        .await;
    assert_eq!(part.body, all.slice(65530..=70000));
}

#[tokio::test]
async fn blobs_on_another_host_are_redirected_to_and_refuse_credentials() {
    let site = Site::new(Scheme::TlsHttp1).ip("127.0.0.2");
    let registry = Registry::builder().blobs_at(site).start().await;
    let digest = registry.put_blob("a", "blob");
    let answer = Client::of(&registry)
        .get(&format!("/v2/a/blobs/{digest}"))
        .await;
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    let location = answer.header("location").to_owned();
    assert!(location.starts_with("https://127.0.0.2:"), "{location}");

    let mut cdn = Client::of_role(&registry, Role::Cdn);
    assert_eq!(cdn.get(&location).await.body, "blob");
    let mut leaking = Client::of_role(&registry, Role::Cdn).authorized("Bearer secret");
    assert_eq!(leaking.get(&location).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(registry.count(Class::Redirected), 2);
    let leaks = registry.count_where(|request| request.role == Role::Cdn && request.authorised());
    assert_eq!(leaks, 1);
}

#[tokio::test]
async fn tags_are_listed_in_pages() {
    let registry = Registry::builder().page(3).start().await;
    for tag in ["a", "b", "c", "d", "e"] {
        Image::new("linux/amd64").load(&registry, "r", tag);
    }
    let mut client = Client::of(&registry);
    let (mut path, mut pages) = ("/v2/r/tags/list?n=2".to_owned(), vec![]);
    loop {
        let answer = client.get(&path).await;
        pages.push(answer.json()["tags"].to_string());
        let Some((next, _)) = answer.header("link").split_once(">; rel=\"next\"") else {
            break;
        };
        path = next.trim_start_matches('<').to_owned();
    }
    assert_eq!(pages, [r#"["a","b"]"#, r#"["c","d"]"#, r#"["e"]"#]);
    let answer = client.get("/v2/r/tags/list").await;
    assert_eq!(answer.json()["tags"], json!(["a", "b", "c"]));
    assert_eq!(
        answer.header("link"),
        "</v2/r/tags/list?n=3&last=c>; rel=\"next\""
    );
}

#[tokio::test]
async fn referrers_are_found_by_subject_and_kind() {
    let registry = Registry::plain().await;
    let subject = Image::new("linux/amd64").load(&registry, "r", "t");
    let sbom = image::referrer(&registry, "r", &subject, "application/spdx+json");
    image::referrer(&registry, "r", &subject, "application/x");
    let mut client = Client::of(&registry);
    let path = format!("/v2/r/referrers/{}", subject.digest);
    let all = client.get(&path).await;
    assert_eq!(all.header("content-type"), media::OCI_INDEX);
    assert_eq!(all.json()["manifests"].as_array().map(Vec::len), Some(2));
    let some = client
        .get(&format!("{path}?artifactType=application/spdx%2Bjson"))
        .await;
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    assert_eq!(some.json()["manifests"][0]["digest"], sbom.digest.as_str());
    let put = format!("/v2/r/manifests/{}", sbom.digest);
    let put = client
        .put(&put, media::OCI_MANIFEST, sbom.bytes.clone())
        .await;
    assert_eq!(put.header("oci-subject"), subject.digest);

    let without = Registry::builder().without_referrers().lax().start().await;
    let mut client = Client::of(&without);
    assert_eq!(client.get(&path).await.status, StatusCode::NOT_FOUND);
    let put = client
        .put("/v2/r/manifests/t", media::OCI_MANIFEST, sbom.bytes)
        .await;
    assert_eq!((put.status.as_u16(), put.header("oci-subject")), (201, ""));
}
