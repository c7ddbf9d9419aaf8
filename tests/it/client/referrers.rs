//! Referrers of a manifest: from the referrers API, or from the fallback tag if there is no API.

use polyarch::store::{FailureKind, Store as _};

use super::fixture::{Client, manifest};
use super::shown;
use crate::support::{
    image::{Image, Loaded, referrer},
    registry::{Class, Fault, Registry, Rule},
};

const KIND: &str = "application/spdx+json";

fn subject(registry: &Registry) -> Loaded {
    Image::new("linux/amd64").load(registry, "a", "t")
}

#[tokio::test]
async fn referrers_api_is_used_first() {
    let registry = Registry::plain().await;
    let image = subject(&registry);
    let one = referrer(&registry, "a", &image, KIND);
    let store = Client::of(&registry).pull(&registry, "a").await;
    let found = store
        .referrers(&image.digest.parse().unwrap())
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].digest.to_string(), one.digest);
    assert_eq!(found[0].artifact_type.as_deref(), Some(KIND));
    assert_eq!(registry.requests().len(), 1);
}

#[tokio::test]
async fn pages_are_followed_within_the_repository() {
    let registry = Registry::plain().await;
    let image = subject(&registry);
    referrer(&registry, "a", &image, KIND);
    let path = format!("/v2/a/referrers/{}", image.digest);
    let next = |target: &str| {
        let link = format!("<{target}>; rel=\"next\"");
        Rule::on(Class::Referrers).then(Fault::header("link", &link))
    };
    registry.rule(next(&format!("{path}?last=x")));
    registry.rule(next(&format!("{}{path}?last=y", registry.url())));
    let store = Client::of(&registry).pull(&registry, "a").await;
    let found = store
        .referrers(&image.digest.parse().unwrap())
        .await
        .unwrap();
    assert_eq!(found.len(), 3);
    let queries: Vec<String> = registry
        .requests()
        .iter()
        .map(|r| r.query.clone())
        .collect();
    assert_eq!(queries, ["", "last=x", "last=y"]);
    // An endless list is cut off.
    registry.rule(next(&path).forever());
    let error = store.referrers(&image.digest.parse().unwrap()).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.ends_with("its pages refer to each other in a loop"),
        "{error}"
    );
}

/// Returns a page of a list with these `Link` headers.
fn page(entries: &[String], links: &[&str]) -> Fault {
    let body = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    );
    page_with(&body, links)
}

fn page_with(body: &str, links: &[&str]) -> Fault {
    let mut headers = vec![("content-type", "application/vnd.oci.image.index.v1+json")];
    headers.extend(links.iter().map(|link| ("link", *link)));
    Fault::reply(200, &headers, body.to_owned())
}

fn entry(number: usize) -> String {
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{number:064x}","size":9,"annotations":{{"a":"b"}}}}"#
    )
}

#[tokio::test]
async fn the_next_page_is_found_in_every_form() {
    for links in [
        &["<{path}?p=1>; rel=\"first\"", "<{path}?p=2>; rel=\"next\""][..],
        &["<{path}?p=1>; rel=\"first\", <{path}?p=2>; title=\"a,b\"; rel=next"],
    ] {
        let registry = Registry::plain().await;
        let image = subject(&registry);
        let path = format!("/v2/a/referrers/{}", image.digest);
        let links: Vec<String> = links.iter().map(|it| it.replace("{path}", &path)).collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        registry.rule(Rule::on(Class::Referrers).then(page(&[entry(1)], &links)));
        registry.rule(Rule::on(Class::Referrers).then(page(&[entry(2)], &[])));
        let store = Client::of(&registry).pull(&registry, "a").await;
        let found = store.referrers(&image.digest.parse().unwrap()).await;
        assert_eq!(found.unwrap().len(), 2, "{links:?}");
        assert_eq!(registry.requests()[1].query, "p=2");
    }
}

#[tokio::test]
async fn truncated_list_is_refused() {
    let html = &[("content-type", "text/html")];
    let elsewhere = "<https://elsewhere.example/v2/a/referrers/x>; rel=next";
    let mut errors = Vec::new();
    for (first, second) in [
        (None, Some(Fault::status(404))),
        (None, Some(Fault::status(400))),
        (None, Some(Fault::reply(200, html, "<html>"))),
        (None, Some(page_with("{\"manifests\":", &[]))),
        (Some(page_with("{\"manifests\":[{\"size\":1}]}", &[])), None),
        (Some(page(&[entry(1)], &[elsewhere])), None),
        (
            Some(page(&[entry(1)], &["</v2/b/referrers/x>; rel=next"])),
            None,
        ),
        (
            Some(page(&[entry(1)], &["/v2/a/referrers/x; rel=next"])),
            None,
        ),
    ] {
        let registry = Registry::plain().await;
        let image = subject(&registry);
        let next = format!("</v2/a/referrers/{}?p=2>; rel=next", image.digest);
        let first = first.unwrap_or_else(|| page(&[entry(1)], &[&next]));
        if let Some(second) = second {
            registry.rule(Rule::on(Class::Referrers).then(first));
            registry.rule(Rule::on(Class::Referrers).forever().then(second));
        } else {
            registry.rule(Rule::on(Class::Referrers).forever().then(first));
        }
        let store = Client::of(&registry).pull(&registry, "a").await;
        let error = store.referrers(&image.digest.parse().unwrap()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        errors.push(shown(&error, &registry));
        // The fallback tag is for registries without the API.
        assert_eq!(registry.count(Class::ManifestGet), 0, "{error}");
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    failed to list the referrers of HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: page 2 of the list was answered with 404 Not Found
    failed to list the referrers of HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: page 2 of the list was answered with 400 Bad Request
    failed to list the referrers of HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: page 2 of the list has the media type "text/html"
    failed to list the referrers of HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: page 2 of the list is invalid: not valid JSON: EOF while parsing a value at line 1 column 13
    failed to list the referrers of HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: page 1 of the list is invalid: not valid JSON: missing field `digest` at line 1 column 24
    failed to list the referrers of HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: the registry names a next page on another host (elsewhere.example), which is not requested
    failed to list the referrers of HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: the registry names a next page that is not a list of referrers
    failed to list the referrers of HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: the Link header of the registry is malformed
    "#);
}

#[tokio::test]
async fn damaged_page_is_requested_again() {
    let registry = Registry::plain().await;
    let image = subject(&registry);
    registry.rule(Rule::on(Class::Referrers).then(page_with("{\"manifests\":", &[])));
    registry.rule(Rule::on(Class::Referrers).then(page(&[entry(1)], &[])));
    let store = Client::of(&registry).pull(&registry, "a").await;
    let found = store.referrers(&image.digest.parse().unwrap()).await;
    assert_eq!(found.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_that_is_too_long_is_refused_before_it_is_read() {
    let registry = Registry::plain().await;
    let image = subject(&registry);
    let path = format!("/v2/a/referrers/{}", image.digest);
    for number in 0..20 {
        let entries: Vec<String> = (0..4000).map(|it| entry(number * 4000 + it)).collect();
        let next = format!("<{path}?p={number}>; rel=next");
        registry.rule(Rule::on(Class::Referrers).then(page(&entries, &[&next])));
    }
    let store = Client::of(&registry).pull(&registry, "a").await;
    let digest = image.digest.parse().unwrap();
    let error = store.referrers(&digest).await.unwrap_err();
    assert_eq!(error.cause(), "the list has more than 10000 entries");
    assert_eq!(registry.count(Class::Referrers), 3);
    // Few entries in large pages.
    let registry = Registry::plain().await;
    let padding = " ".repeat(3 << 20);
    for number in 0..20 {
        let next = format!("<{path}?p={number}>; rel=next");
        let body = format!("{{\"schemaVersion\":2,\"manifests\":[]{padding}}}");
        registry.rule(Rule::on(Class::Referrers).then(page_with(&body, &[&next])));
    }
    let store = Client::of(&registry).pull(&registry, "a").await;
    let error = store.referrers(&digest).await.unwrap_err();
    assert_eq!(error.cause(), "the list has more than 8388608 bytes");
    assert_eq!(registry.count(Class::Referrers), 3);
}

#[tokio::test]
async fn without_referrers_api_the_fallback_tag_is_used() {
    let registry = Registry::builder().without_referrers().start().await;
    let image = subject(&registry);
    let (one, two) = (
        referrer(&registry, "a", &image, KIND),
        referrer(&registry, "a", &image, "application/vnd.example"),
    );
    let store = Client::of(&registry).push(&registry, "a").await;
    let digest = image.digest.parse().unwrap();
    assert!(store.referrers(&digest).await.unwrap().is_empty());
    let (one, two) = (manifest(&one), manifest(&two));
    let (first, second) = tokio::join!(store.put_manifest(&one), store.put_manifest(&two));
    first.and(second).unwrap();
    store.put_manifest(&one).await.unwrap();
    let tag = image.digest.replace(':', "-");
    let index = registry.document("a", &tag).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let mut found = store.referrers(&digest).await.unwrap();
    found.sort_by_key(|entry| entry.artifact_type.clone());
    assert_eq!(found[0].artifact_type.as_deref(), Some(KIND));
    assert_eq!(found[1].digest, two.digest);
    assert!(registry.problems().is_empty());
}

#[tokio::test]
async fn with_referrers_api_no_fallback_tag_is_made() {
    let registry = Registry::plain().await;
    let image = subject(&registry);
    let one = manifest(&referrer(&registry, "a", &image, KIND));
    let store = Client::of(&registry).push(&registry, "a").await;
    store.put_manifest(&one).await.unwrap();
    assert_eq!(registry.writes().len(), 1);
    // A lost answer is not treated as an answer without `OCI-Subject`.
    registry.rule(Rule::on(Class::ManifestPut).applied().then(Fault::Reset));
    store.put_manifest(&one).await.unwrap();
    assert_eq!(registry.tags("a").len(), 1);
}

#[tokio::test]
async fn redirect_to_another_site_is_not_an_answer() {
    let registry = Registry::plain().await;
    let other = Registry::builder().ip("127.0.0.2").start().await;
    let image = subject(&registry);
    let url = format!("{}/v2/a/referrers/{}", other.url(), image.digest);
    registry.rule(
        Rule::on(Class::Referrers)
            .forever()
            .then(Fault::Redirect(302, url)),
    );
    let store = Client::of(&registry).pull(&registry, "a").await;
    let digest = image.digest.parse().unwrap();
    assert!(store.referrers(&digest).await.unwrap().is_empty());
    // The fallback tag was requested.
    assert_eq!(registry.count(Class::ManifestGet), 1);
}
