//! What an index names must exist and match its descriptor, before any tag moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use super::{Home, registry};
use crate::support::{
    Registry,
    image::{Image, Index, Loaded, media},
    registry::{Class, Fault, Rule},
};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// An index of two images in `team/app`, and its reference.
fn scene(registry: &Registry) -> (Home, Loaded, String) {
    let index = Index::oci().of(PLATFORMS).load(registry, "team/app", "app");
    (Home::new(), index, registry.reference("team/app", "app"))
}

fn entries(registry: &Registry, tag: &str) -> Vec<Value> {
    let index = registry.document("team/app", tag).expect("an index");
    index["manifests"].as_array().expect("entries").clone()
}

fn platforms(registry: &Registry, tag: &str) -> Vec<String> {
    let platform = |entry: &Value| {
        let text = |key| entry["platform"][key].as_str().unwrap_or_default();
        format!("{}/{}", text("os"), text("architecture"))
    };
    entries(registry, tag).iter().map(platform).collect()
}

/// Replaces the index by one whose second descriptor was changed.
fn alter(registry: &Registry, change: impl Fn(&mut Value)) {
    let mut index = registry.document("team/app", "app").expect("an index");
    change(&mut index["manifests"][1]);
    registry.put_manifest("team/app", Some("app"), media::OCI_INDEX, index.to_string());
}

#[test]
fn missing_child_is_refused() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let arm = entries(&registry, "app")[1]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    registry.remove("team/app", &arm);
    registry.clear();
    let target = registry.reference("team/app", "latest");
    for words in [
        &["--dry-run"][..],
        &[],
        &["--annotation", "a=b"],
        &["--platform", "linux/arm64"],
    ] {
        let words = [words, &[source.as_str()]].concat();
        let said = home
            .publish(&target, &words)
            .refused(4, &[&arm, &source, "linux/arm64"]);
        assert_eq!(said.stdout, "");
    }
    assert!(registry.writes().is_empty());
    assert_eq!(registry.tag("team/app", "latest"), None);
}

#[test]
fn check_can_be_switched_off() {
    let registry = registry();
    let (home, index, source) = scene(&registry);
    let arm = entries(&registry, "app")[1]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    registry.remove("team/app", &arm);
    let target = registry.reference("team/app", "latest");
    // The test registry itself refuses an index without its images.
    let words = ["--check", "none", "--dry-run", &source];
    assert_eq!(home.publish(&target, &words).ok().digest(), index.digest);
}

#[test]
fn different_child_is_refused() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let target = registry.reference("team/app", "latest");
    let size = |entry: &mut Value| entry["size"] = json!(entry["size"].as_u64().unwrap() + 1);
    let media_type = |entry: &mut Value| entry["mediaType"] = json!(media::DOCKER_MANIFEST);
    let data = |entry: &mut Value| entry["data"] = json!("e30=");
    type Change<'a> = &'a dyn Fn(&mut Value);
    let changes: [(Change<'_>, &str); 3] = [
        (&size, "size"),
        (&media_type, "media type"),
        (&data, "data"),
    ];
    for (change, part) in changes {
        scene(&registry);
        alter(&registry, change);
        home.publish(&target, &[&source])
            .refused(5, &["linux/arm64", part]);
        assert_eq!(registry.tag("team/app", "latest"), None);
    }
}

#[test]
fn wrong_head_is_confirmed_by_get() {
    let registry = registry();
    let (home, index, source) = scene(&registry);
    let arm = entries(&registry, "app")[1]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let rule = Rule::on(Class::ManifestHead).path(&format!("*{arm}"));
    registry.rule(rule.forever().then(Fault::ContentLength(7)));
    let target = registry.reference("team/app", "latest");
    home.publish(&target, &[&source]).ok();
    assert_eq!(registry.tag("team/app", "latest"), Some(index.digest));
}

#[test]
fn missing_layer_is_refused_on_request() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let arm = entries(&registry, "app")[1]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let image = registry.document("team/app", &arm).expect("an image");
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    registry.remove("team/app", layer);
    let target = registry.reference("team/app", "latest");
    home.publish(&target, &["--check", "blobs", &source])
        .refused(4, &["linux/arm64", layer]);
    assert_eq!(registry.tag("team/app", "latest"), None);
    home.publish(&target, &[&source]).ok();
}

#[test]
fn push_checks_images_of_the_list() {
    let registry = registry();
    let home = Home::new();
    let image = Image::new("linux/amd64").load(&registry, "team/app", "amd64");
    let list = registry.reference("team/app", "list");
    home.run(&["create", &list, &registry.reference("team/app", "amd64")])
        .ok();
    registry.remove("team/app", &image.digest);
    home.run(&["push", &list]).refused(4, &[&image.digest]);
    assert_eq!(registry.tag("team/app", "list"), None);
}

#[test]
fn append_plans_again_if_the_base_moves_before_the_write() {
    let registry = registry();
    let (home, ..) = scene(&registry);
    Image::new("linux/s390x").load(&registry, "team/app", "s390x");
    let source = registry.reference("team/app", "s390x");
    let target = registry.reference("team/app", "app");
    let moved = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&moved);
    let held = Fault::until(move |_| seen.load(Ordering::SeqCst));
    registry.rule(Rule::on(Class::BlobGet).forever().then(held));
    thread::scope(|threads| {
        let run = threads.spawn(|| home.publish(&target, &["--append", &source]));
        registry.wait_until(|registry| registry.count(Class::BlobGet) > 0);
        let others = Index::oci().of(["linux/amd64", "linux/ppc64le"]);
        others.load(&registry, "team/app", "app");
        moved.store(true, Ordering::SeqCst);
        run.join().expect("a run").ok();
    });
    assert_eq!(
        platforms(&registry, "app"),
        ["linux/amd64", "linux/ppc64le", "linux/s390x"]
    );
}

#[test]
fn append_is_repeated_if_it_was_overwritten() {
    let registry = registry();
    let (home, base, _) = scene(&registry);
    Image::new("linux/s390x").load(&registry, "team/app", "s390x");
    let source = registry.reference("team/app", "s390x");
    let target = registry.reference("team/app", "app");
    thread::scope(|threads| {
        let run = threads.spawn(|| home.publish(&target, &["--append", &source]));
        registry
            .wait_until(|registry| registry.tag("team/app", "app") != Some(base.digest.clone()));
        let others = Index::oci().of(["linux/amd64", "linux/ppc64le"]);
        others.load(&registry, "team/app", "app");
        run.join().expect("a run").ok();
    });
    assert_eq!(
        platforms(&registry, "app"),
        ["linux/amd64", "linux/ppc64le", "linux/s390x"]
    );
}
