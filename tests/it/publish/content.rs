//! Indexes whose entries are more than images: referrers with children, caches of BuildKit.

use serde_json::{Value, json};

use super::{Home, registry};
use crate::support::{
    image::{Image, Index, Loaded, media},
    registry::Registry,
};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

fn put(registry: &Registry, repo: &str, tag: Option<&str>, index: &Value) -> String {
    registry.put_manifest(repo, tag, media::OCI_INDEX, index.to_string())
}

/// An index of one artifact that refers to `subject`. Returns its digest, and those of the artifact and its blob.
fn referring_index(registry: &Registry, subject: &Loaded) -> [String; 3] {
    let child = Image::new("linux/amd64").seed(99).load(registry, "a", None);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "artifactType": "application/vnd.example.bundle",
        "manifests": [child.descriptor()],
        "subject": {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": subject.bytes.len(),
        },
    });
    let digest = put(registry, "a", None, &index);
    [digest, child.digest.clone(), child.blobs[0].clone()]
}

#[test]
fn a_referrer_that_is_an_index_is_copied_with_its_children() {
    let (from, home) = (registry(), Home::new());
    let image = Image::new("linux/amd64").load(&from, "a", "1");
    let [index, child, blob] = referring_index(&from, &image);
    let source = from.reference("a", "1");
    let to = registry();
    let copy = |source: &str, target: &str| {
        home.run(&["copy", "--referrers", source, target]).ok();
    };
    copy(&source, &to.reference("b", "1"));
    copy(&source, "oci:layout:1");
    let third = registry();
    copy("oci:layout:1", &third.reference("b", "1"));
    for registry in [&to, &third] {
        assert!(registry.manifest("b", &index).is_some());
        assert!(registry.manifest("b", &child).is_some());
        assert!(registry.blob("b", &blob).is_some());
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[test]
fn a_referrer_whose_child_is_missing_is_an_error() {
    let (from, to, home) = (registry(), registry(), Home::new());
    let image = Image::new("linux/amd64").load(&from, "a", "1");
    let [_, child, _] = referring_index(&from, &image);
    from.remove("a", &child);
    let words = ["copy", "--referrers", "--retry-for", "0"];
    let (source, target) = (from.reference("a", "1"), to.reference("b", "1"));
    home.run(&[&words[..], &[&source, &target]].concat())
        .refused(7, &[&child, "404"]);
}

/// What `--cache-to type=registry` of BuildKit pushes with `image-manifest=false`: an index of layers and a config.
#[test]
fn a_cache_of_buildkit_is_copied() {
    let (from, to, home) = (registry(), registry(), Home::new());
    let entry = |media_type: &str, content: &'static str| {
        let digest = from.put_blob("cache", content.as_bytes());
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    };
    let entries = [
        entry(LAYER, "first layer"),
        entry(LAYER, "second layer"),
        entry(CACHE_CONFIG, "{\"layers\":[]}"),
    ];
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries});
    let digest = put(&from, "cache", Some("main"), &index);
    let source = from.reference("cache", "main");
    for (registry, repo) in [(&to, "copy"), (&from, "mounted")] {
        let target = registry.reference(repo, "main");
        home.run(&["copy", &source, &target]).ok();
        assert_eq!(registry.tag(repo, "main").as_ref(), Some(&digest));
        for entry in &entries {
            let blob = entry["digest"].as_str().expect("a digest");
            assert!(registry.blob(repo, blob).is_some(), "{repo}");
        }
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
    home.run(&["copy", &source, "oci:layout:main"]).ok();
    let again = registry();
    home.run(&["copy", "oci:layout:main", &again.reference("cache", "main")])
        .ok();
    assert_eq!(again.tag("cache", "main"), Some(digest));
    from.remove("cache", entries[1]["digest"].as_str().expect("a digest"));
    let third = registry();
    let lost = third.reference("cache", "main");
    home.run(&["copy", "--retry-for", "0", &source, &lost])
        .refused(4, &["does not exist"]);
}

#[test]
fn an_index_of_images_and_a_layer_is_copied_whole() {
    let (from, to, home) = (registry(), registry(), Home::new());
    let layer = from.put_blob("a", &b"a layer"[..]);
    let index = Index::oci()
        .of(["linux/amd64"])
        .descriptor(json!({"mediaType": LAYER, "digest": layer, "size": 7}))
        .load(&from, "a", "1");
    let target = to.reference("b", "1");
    home.run(&["copy", &from.reference("a", "1"), &target]).ok();
    assert_eq!(to.tag("b", "1"), Some(index.digest));
    assert!(to.blob("b", &layer).is_some());
}
