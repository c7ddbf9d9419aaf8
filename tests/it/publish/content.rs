//! Indexes whose entries are not only images: referrers with children, BuildKit caches.

use serde_json::{Value, json};

use crate::support::{
    Scene,
    image::{Image, Index, Loaded, media},
    registry::Registry,
};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

fn put(registry: &Registry, repo: &str, tag: Option<&str>, index: &Value) -> String {
    registry.put_manifest(repo, tag, media::OCI_INDEX, index.to_string())
}

/// Stores an index of one artifact that refers to `subject`. Returns the digests of the index, the artifact and its
/// blob.
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

/// Returns a scene with HOST, OTHER and THIRD. Progress is not shown.
fn three() -> Scene {
    let mut scene = Scene::of([
        Registry::builder(),
        Registry::builder(),
        Registry::builder(),
    ]);
    scene.set("POLYARCH_PROGRESS", "none");
    scene
}

#[test]
fn referrer_that_is_an_index_is_copied_with_its_children() {
    let scene = three();
    let image = Image::new("linux/amd64").load(scene.registry(), "a", "1");
    let [index, child, blob] = referring_index(scene.registry(), &image);
    scene.ok("copy --referrers HOST/a:1 OTHER/b:1");
    scene.ok("copy --referrers HOST/a:1 oci:layout:1");
    scene.ok("copy --referrers oci:layout:1 THIRD/b:1");
    for registry in &scene.registries[1..] {
        assert!(registry.manifest("b", &index).is_some());
        assert!(registry.manifest("b", &child).is_some());
        assert!(registry.blob("b", &blob).is_some());
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[test]
fn referrer_with_a_missing_child_is_an_error() {
    let mut scene = three();
    let image = Image::new("linux/amd64").load(scene.registry(), "a", "1");
    let [_, child, _] = referring_index(scene.registry(), &image);
    scene.registry().remove("a", &child);
    scene.name("CHILD", &child);
    let output = scene
        .run("copy --referrers --retry-for 0 HOST/a:1 OTHER/b:1")
        .exits(7);
    assert!(output.stderr.contains("CHILD"), "{output}");
    assert!(output.stderr.contains("404"), "{output}");
}

/// `--cache-to type=registry` of BuildKit with `image-manifest=false` pushes an index of layers and a config.
#[test]
fn cache_of_buildkit_is_copied() {
    let mut scene = three();
    let from = scene.registry();
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
    let digest = put(from, "cache", Some("main"), &index);
    for (registry, host, repository) in
        [(scene.other(), "OTHER", "copy"), (from, "HOST", "mounted")]
    {
        scene.ok(&format!("copy HOST/cache:main {host}/{repository}:main"));
        assert_eq!(registry.tag(repository, "main").as_ref(), Some(&digest));
        for entry in &entries {
            let blob = entry["digest"].as_str().expect("a digest");
            assert!(registry.blob(repository, blob).is_some(), "{repository}");
        }
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
    scene.ok("copy HOST/cache:main oci:layout:main");
    scene.ok("copy oci:layout:main THIRD/cache:main");
    assert_eq!(scene.registries[2].tag("cache", "main"), Some(digest));
    let layer = entries[1]["digest"].as_str().expect("a digest");
    from.remove("cache", layer);
    scene.name("LAYER", layer);
    let output = scene
        .run("copy --retry-for 0 HOST/cache:main THIRD/lost:main")
        .exits(4);
    assert!(output.stderr.contains("does not exist"), "{output}");
}

#[test]
fn index_of_images_and_a_layer_is_copied_whole() {
    let scene = three();
    let layer = scene.registry().put_blob("a", &b"a layer"[..]);
    let index = Index::oci()
        .of(["linux/amd64"])
        .descriptor(json!({"mediaType": LAYER, "digest": layer, "size": 7}))
        .load(scene.registry(), "a", "1");
    scene.ok("copy HOST/a:1 OTHER/b:1");
    assert_eq!(scene.other().tag("b", "1"), Some(index.digest));
    assert!(scene.other().blob("b", &layer).is_some());
}
