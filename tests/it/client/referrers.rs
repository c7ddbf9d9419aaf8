//! What refers to a manifest: by the API, by the fallback tag where there is none.

use polyarch::content::Store as _;

use super::room::{Client, manifest};
use crate::support::{
    image::{Image, Loaded, referrer},
    registry::{Class, Fault, Registry, Rule},
};

const KIND: &str = "application/spdx+json";

fn subject(registry: &Registry) -> Loaded {
    Image::new("linux/amd64").load(registry, "a", "t")
}

#[tokio::test]
async fn the_api_is_asked_first() {
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
    registry.rule(next("https://elsewhere.example/v2/a/referrers/x"));
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
    // A list without end has one here.
    registry.rule(next(&path).forever());
    assert!(
        store
            .referrers(&image.digest.parse().unwrap())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn without_the_api_the_fallback_tag_is_kept_and_read() {
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
async fn with_the_api_no_fallback_tag_is_made() {
    let registry = Registry::plain().await;
    let image = subject(&registry);
    let one = manifest(&referrer(&registry, "a", &image, KIND));
    let store = Client::of(&registry).push(&registry, "a").await;
    store.put_manifest(&one).await.unwrap();
    assert_eq!(registry.writes().len(), 1);
    // An answer that was lost is not taken for one without `OCI-Subject`.
    registry.rule(Rule::on(Class::ManifestPut).applied().then(Fault::Reset));
    store.put_manifest(&one).await.unwrap();
    assert_eq!(registry.tags("a").len(), 1);
}

#[tokio::test]
async fn a_redirect_to_another_site_is_no_answer() {
    let registry = Registry::plain().await;
    let elsewhere = Registry::builder().ip("127.0.0.2").start().await;
    let image = subject(&registry);
    let url = format!("{}/v2/a/referrers/{}", elsewhere.url(), image.digest);
    registry.rule(
        Rule::on(Class::Referrers)
            .forever()
            .then(Fault::Redirect(302, url)),
    );
    let store = Client::of(&registry).pull(&registry, "a").await;
    let digest = image.digest.parse().unwrap();
    assert!(store.referrers(&digest).await.unwrap().is_empty());
    // The fallback tag was asked for.
    assert_eq!(registry.count(Class::ManifestGet), 1);
}
