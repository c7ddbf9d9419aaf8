//! Blobs in ranges and on other hosts, lists of tags and of referrers.

use http::{Method, StatusCode};
use serde_json::json;

use super::client::Client;
use crate::support::{
    digest,
    image::{self, Image, media},
    registry::{Class, Content, Registry, Role, Scheme, Site},
};

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
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
    ] {
        let answer = client
            .send(Method::GET, &path, &[("range", range)], "")
            .await;
        assert_eq!(answer.status.as_u16(), status, "{range}");
        assert_eq!(answer.header("content-range"), content_range);
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
async fn virtual_blob_is_served_with_its_digest() {
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
async fn blobs_are_redirected_to_a_host_without_credentials() {
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
