//! One manifest under many tags: in parallel, or in one request if the registry supports that.

use super::shown;
use polyarch::{spec::Tag, store::Store};

use super::fixture::{Client, manifest};
use crate::support::{
    image::{Image, Loaded},
    registry::{Class, Fault, Registry, Rule},
};

fn tags(count: usize) -> Vec<Tag> {
    (0..count)
        .map(|number| format!("t{number}").parse().unwrap())
        .collect()
}

/// Pushes an image under this number of tags, and expects success for all.
async fn put_tags(store: &dyn Store, image: &Loaded, count: usize) {
    let results = store.put_tags(&manifest(image), &tags(count)).await;
    assert!(results.iter().all(Result::is_ok));
}

fn image(registry: &Registry) -> Loaded {
    Image::new("linux/amd64").load(registry, "a", None)
}

#[tokio::test]
async fn a_few_tags_are_a_few_requests_at_once() {
    let registry = Registry::plain().await;
    let image = image(&registry);
    let store = Client::of(&registry).push(&registry, "a").await;
    let slow = std::time::Duration::from_millis(50);
    registry.rule(
        Rule::on(Class::ManifestPut)
            .forever()
            .then(Fault::Delay(slow)),
    );
    put_tags(store.as_ref(), &image, 5).await;
    assert_eq!(registry.tags("a").len(), 5);
    assert_eq!(registry.requests().len(), 5);
    assert_eq!(registry.most_at_once(), 5);
}

#[tokio::test]
async fn many_tags_are_one_request_if_supported() {
    let registry = Registry::builder().tag_parameters().start().await;
    let image = image(&registry);
    let client = Client::of(&registry);
    let store = client.push(&registry, "a").await;
    put_tags(store.as_ref(), &image, 100).await;
    assert_eq!(registry.requests().len(), 1);
    assert_eq!(registry.tags("a").len(), 100);
    // The support is known for later requests.
    put_tags(store.as_ref(), &image, 2).await;
    assert_eq!(registry.requests().len(), 2);
}

#[tokio::test]
async fn each_tag_is_put_once_if_lists_are_unsupported() {
    let registry = Registry::plain().await;
    let image = image(&registry);
    let store = Client::of(&registry).push(&registry, "a").await;
    put_tags(store.as_ref(), &image, 10).await;
    assert_eq!(registry.requests().len(), 11);
    put_tags(store.as_ref(), &image, 10).await;
    assert_eq!(registry.requests().len(), 21);
}

#[tokio::test]
async fn some_tags_fail_and_the_others_are_pushed() {
    let registry = Registry::plain().await;
    let image = image(&registry);
    let store = Client::of(&registry).push(&registry, "a").await;
    let rule = Rule::on(Class::ManifestPut)
        .path("*/manifests/t1")
        .forever();
    registry.rule(rule.then(Fault::reply(409, &[], "taken")));
    let results = store.put_tags(&manifest(&image), &tags(3)).await;
    let succeeded: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(succeeded, [true, false, true]);
    let error = results[1].as_ref().unwrap_err();
    insta::assert_snapshot!(shown(error, &registry), @"failed to push HOST/a:t1: HOST answered 409 Conflict (taken)");
}

#[tokio::test]
async fn immutable_tag_with_the_right_content_is_a_success() {
    let registry = Registry::builder().immutable_tags().start().await;
    let ours = Image::new("linux/amd64").load(&registry, "a", "t0");
    let theirs = Image::new("linux/arm64").load(&registry, "a", "t1");
    let store = Client::of(&registry).push(&registry, "a").await;
    let results = store.put_tags(&manifest(&ours), &tags(2)).await;
    assert!(results[0].is_ok());
    let error = results[1].as_ref().unwrap_err();
    insta::assert_snapshot!(shown(error, &registry), @"
    failed to push HOST/a:t1: HOST answered 400 Bad Request (TAG_INVALID: The image tag 't1' already exists in the 'a' repository and cannot be overwritten because the tag is immutable.)
    the tag points to sha256:15adea18720094e615911cce41861b1723b3951332747a660bf7cf798c9194e1
    ");
    assert_eq!(registry.tag("a", "t1"), Some(theirs.digest));
}

#[tokio::test]
async fn refused_media_type_is_reported_with_a_hint() {
    let registry = Registry::builder()
        .media_types(["application/vnd.docker.distribution.manifest.list.v2+json"])
        .start()
        .await;
    let index = crate::support::image::Index::oci()
        .of(["linux/amd64"])
        .load(&registry, "a", None);
    let store = Client::of(&registry).push(&registry, "a").await;
    let results = store.put_tags(&manifest(&index), &tags(1)).await;
    let error = results[0].as_ref().unwrap_err();
    insta::assert_snapshot!(shown(error, &registry), @r#"
    failed to push HOST/a:t0: HOST answered 400 Bad Request (MANIFEST_INVALID: manifest media type "application/vnd.oci.image.index.v1+json" is not supported)
    try --media-type docker or --media-type oci: the registry may not accept the media type application/vnd.oci.image.index.v1+json
    "#);
}
