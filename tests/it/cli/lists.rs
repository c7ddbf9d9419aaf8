//! Local lists: create, amend, replace, annotate, and push under one or more tags to one or more registries.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use crate::support::{
    Scene,
    image::{Image, Index, media},
    registry::{Class, Fault, Registry, Rule},
};

fn scene() -> Scene {
    let scene = Scene::new();
    for (tag, platform) in [("a", "linux/amd64"), ("b", "linux/arm64/v8")] {
        Image::new(platform).load(scene.registry(), "app", tag);
    }
    scene
}

fn digests(scene: &Scene, tag: &str) -> Vec<Value> {
    let list = scene.registry().document("app", tag).expect("a list");
    let entries = list["manifests"].as_array().expect("entries");
    entries
        .iter()
        .map(|entry| entry["digest"].clone())
        .collect()
}

#[test]
fn flags_may_stand_anywhere() {
    let scene = scene();
    for line in [
        "create --amend HOST/app:1 HOST/app:a HOST/app:b",
        "create HOST/app:1 -a HOST/app:a HOST/app:b",
        "create HOST/app:1 HOST/app:a HOST/app:b --amend --insecure",
        "annotate --arch arm64 HOST/app:1 HOST/app:b",
        "annotate HOST/app:1 --arch arm64 HOST/app:b --variant v8",
        "annotate HOST/app:1 HOST/app:b --os-features=x,y --os linux",
        "push HOST/app:1 --insecure -p=false",
        "inspect HOST/app:1 -v HOST/app:a",
        "push -t 2 HOST/app:1 -p --insecure=true",
    ] {
        scene.ok(line);
    }
    assert_eq!(scene.ok("ls"), "");
}

#[test]
fn replace_discards_and_amend_keeps_annotations() {
    let scene = scene();
    scene.ok("create HOST/app:1 HOST/app:a");
    scene.ok("annotate HOST/app:1 HOST/app:a --os-version 7 --annotation k=v");
    let new = Image::new("linux/amd64")
        .seed(9)
        .load(scene.registry(), "app", "a");
    scene.ok("create --amend HOST/app:1 HOST/app:a HOST/app:b");
    scene.ok("push HOST/app:1");
    let list = scene.registry().document("app", "1").expect("a list");
    let mut entry = new.descriptor();
    entry["platform"]["os.version"] = "7".into();
    entry["annotations"] = json!({"k": "v"});
    assert_eq!(list["manifests"][0], entry);
    assert_eq!(list["manifests"].as_array().map(Vec::len), Some(2));

    scene.ok("create --replace HOST/app:1 HOST/app:a");
    scene.ok("push HOST/app:1");
    let list = scene.registry().document("app", "1").expect("a list");
    assert_eq!(list["manifests"], json!([new.descriptor()]));
}

#[test]
fn index_is_flattened_and_one_image_annotated() {
    let scene = scene();
    let index = Index::oci().of(["linux/amd64", "linux/s390x"]).attested();
    index.load(scene.registry(), "app", "index");
    scene.ok("create HOST/app:1 HOST/app:index HOST/app:b");
    assert_eq!(digests(&scene, "index").len(), 4);
    insta::assert_snapshot!(scene.run("annotate HOST/app:1 HOST/app:index --variant v2"), @"
    exit code: 2
    ----- stderr -----
    error: HOST/app:index is an index with 2 images; name one of them: HOST/app@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce, HOST/app@sha256:baf49a0f5b0b002c94c3af29bb7ffc97234922a8224fd1eaf671bd5968d6eec2
    ");
    let amd64 = digests(&scene, "index")[0]
        .as_str()
        .expect("a digest")
        .to_owned();
    scene.ok(&format!(
        "annotate HOST/app:1 HOST/app@{amd64} --variant v2"
    ));
    scene.ok("push HOST/app:1");
    let list = scene.registry().document("app", "1").expect("a list");
    let entries = list["manifests"].as_array().expect("entries");
    assert_eq!(entries.len(), 5);
    let entry = |digest: &str| {
        entries
            .iter()
            .find(|entry| entry["digest"] == digest)
            .expect("an entry")
    };
    assert_eq!(entry(&amd64)["platform"]["variant"], "v2");
    let attestations = entries.iter().filter(|entry| {
        entry["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
    });
    let subjects: Vec<&Value> = attestations
        .map(|entry| &entry["annotations"]["vnd.docker.reference.digest"])
        .collect();
    assert!(
        subjects.len() == 2 && subjects.contains(&&json!(amd64)),
        "{subjects:?}"
    );
}

#[test]
fn empty_index_makes_no_list() {
    let scene = scene();
    Index::oci().load(scene.registry(), "app", "empty");
    insta::assert_snapshot!(scene.transcript([
        "create HOST/app:1 HOST/app:empty",
        "create --replace HOST/app:1 HOST/app:empty",
    ]), @"
    $ polyarch create HOST/app:1 HOST/app:empty
    exit code: 5
    ----- stderr -----
    error: no image in HOST/app:empty

    $ polyarch create --replace HOST/app:1 HOST/app:empty
    exit code: 5
    ----- stderr -----
    error: no image in HOST/app:empty
    ");
    assert!(scene.drafts().is_empty());
    scene.ok("create HOST/app:1 HOST/app:empty HOST/app:a");
}

#[test]
fn retagged_index_keeps_its_digest_until_changed() {
    let scene = scene();
    let index = Index::docker()
        .of(["linux/amd64", "linux/arm/v7"])
        .annotations(json!({"odd": "here"}));
    let index = index.load(scene.registry(), "app", "old");
    let attested =
        Index::oci()
            .of(["linux/amd64"])
            .attested()
            .load(scene.registry(), "other", "old");
    scene.ok("create HOST/app:new HOST/app:old");
    assert_eq!(
        scene.ok("inspect --raw HOST/app:new").as_bytes(),
        index.bytes
    );
    assert_eq!(scene.ok("push HOST/app:new"), format!("{}\n", index.digest));
    scene.ok("create HOST/app:attested HOST/other:old");
    let pushed = scene.run("push HOST/app:attested").ok();
    assert_eq!(pushed.digest(), attested.digest);
    assert_eq!(scene.registry().problems(), Vec::<String>::new());
    scene.ok("annotate HOST/app:new --annotation new=1");
    scene.ok("push HOST/app:new");
    assert_ne!(scene.registry().tag("app", "new"), Some(index.digest));
}

#[test]
fn annotations_make_an_oci_index_and_can_be_removed() {
    let scene = Scene::new();
    Image::new("linux/amd64")
        .docker()
        .load(scene.registry(), "app", "a");
    scene.ok("create HOST/app:1 HOST/app:a");
    scene.ok("annotate HOST/app:1 --annotation a=b=c --annotation d=e");
    scene.ok("annotate HOST/app:1 --annotation d=");
    insta::assert_snapshot!(scene.run("push HOST/app:1"), @"
    exit code: 0
    ----- stdout -----
    sha256:65a21f1a9025b204f32e7cc7388cdd015a66d31e93de94397c7c31f6cb51d2a1
    ----- stderr -----
    notice: the result is an OCI index, because a Docker manifest list cannot have annotations
    ");
    let (media_type, _) = scene.registry().manifest("app", "1").expect("a list");
    assert_eq!(media_type, media::OCI_INDEX);
    assert_eq!(
        scene.registry().document("app", "1").expect("a list")["annotations"],
        json!({"a": "b=c"})
    );
    scene.ok("annotate HOST/app:1 --annotation a=");
    scene.ok("push HOST/app:1");
    let (media_type, _) = scene.registry().manifest("app", "1").expect("a list");
    assert_eq!(media_type, media::DOCKER_LIST);
}

#[test]
fn push_sets_many_tags_in_two_registries() {
    let mut scene = scene();
    let other = scene.add(Registry::builder());
    Image::new("linux/s390x").load(other, "parts", "z");
    scene.ok("create HOST/app:1 HOST/app:a OTHER/parts:z");
    let line = "push --verify HOST/app:1 -t 1.0,latest --tag HOST/other:x -t OTHER/team/app:1.0";
    let digest = scene.run(line).ok().digest();
    for (repo, tag) in [
        ("app", "1"),
        ("app", "1.0"),
        ("app", "latest"),
        ("other", "x"),
    ] {
        assert_eq!(
            scene.registry().tag(repo, tag),
            Some(digest.clone()),
            "{repo}:{tag}"
        );
    }
    assert_eq!(scene.other().tag("team/app", "1.0"), Some(digest));
    for registry in &scene.registries {
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[test]
fn blobs_are_copied_if_they_cannot_be_mounted() {
    for (builder, uploads) in [
        (Registry::builder(), false),
        (Registry::builder().without_mounts(), true),
    ] {
        let scene = Scene::with(builder);
        let image = Image::new("linux/amd64")
            .layers(&[5, 6])
            .load(scene.registry(), "parts", "a");
        scene.ok("create HOST/app:1 HOST/parts:a");
        scene.ok("push HOST/app:1");
        assert_eq!(scene.registry().count(Class::UploadPut) > 0, uploads);
        for blob in &image.blobs {
            assert!(scene.registry().has_blob("app", blob));
        }
        assert_eq!(scene.registry().problems(), Vec::<String>::new());
    }
}

#[test]
fn lists_are_listed_and_inspected() {
    let scene = scene();
    scene.ok("create HOST/app:1 HOST/app:b HOST/app:a");
    insta::assert_snapshot!(scene.run("ls"), @"
    exit code: 0
    ----- stdout -----
    MANIFEST LIST          PLATFORMS
    HOST/app:1  linux/arm64/v8, linux/amd64
    ");
    let listed = scene.run("ls --format json").ok().json();
    assert_eq!(
        listed[0]["entries"][1]["descriptor"]["platform"]["architecture"],
        "amd64"
    );

    let summary = scene.run("inspect --format json HOST/app:1").ok().json();
    assert_eq!(summary["mediaType"], media::OCI_INDEX);
    scene.ok("push -p HOST/app:1");
    assert_eq!(
        Some(summary["digest"].as_str().expect("text")),
        scene.registry().tag("app", "1").as_deref()
    );
    insta::assert_snapshot!(scene.ok("inspect --tree HOST/app:1"), @"
    HOST/app:1
    sha256:9b7c055e331ec4fd395881249291ed73dd192d005980f7a3d3655d7832febd80 application/vnd.oci.image.index.v1+json 732 B
    ├── linux/amd64      sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce  477 B
    └── linux/arm64/v8   sha256:995997648e351b7d5a06af8ffdeed2fd994ac73b65a713f0b895afacf4172c24  477 B
    ");
    let (_, bytes) = scene.registry().manifest("app", "1").expect("a list");
    assert_eq!(scene.ok("inspect --raw HOST/app:1").as_bytes(), bytes);
}

/// An entry that was added during a push was not pushed, so it must not be deleted.
#[test]
fn purge_keeps_a_list_that_changed_during_the_push() {
    let scene = scene();
    scene.ok("create HOST/app:1 HOST/app:a");
    let open = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    let is_open = Fault::until(move |_| is_open.load(Ordering::Acquire));
    let list = Rule::on(Class::ManifestPut).path("*/manifests/1");
    scene.registry().rule(list.then(is_open));
    std::thread::scope(|scope| {
        let pushed = scope.spawn(|| scene.run("push --purge HOST/app:1"));
        let is_pushed = |registry: &Registry| registry.count(Class::ManifestPut) > 0;
        scene.registry().wait_until(is_pushed);
        scene.ok("create --amend HOST/app:1 HOST/app:b");
        open.store(true, Ordering::Release);
        let pushed = pushed.join().expect("an end");
        insta::assert_snapshot!(pushed, @"
        exit code: 0
        ----- stdout -----
        sha256:e5024a1137475b78666086e4f55a19a528b0727554e1d53efb2dec2f63c5e40c
        ----- stderr -----
        warning: HOST/app:1 was changed during the push, so it is not removed
        ");
    });
    assert_eq!(digests(&scene, "1").len(), 1);
    scene.ok("push --purge HOST/app:1");
    assert_eq!(digests(&scene, "1").len(), 2);
    assert!(scene.drafts().is_empty());
}

/// Docker reads every config, whatever its media type.
#[test]
fn config_of_unknown_type_provides_a_platform() {
    let scene = scene();
    let image = Image::new("linux/arm64/v8").load(scene.registry(), "app", "x");
    let unknown = "application/vnd.example.config.v1+json";
    let text = String::from_utf8(image.bytes.to_vec()).expect("JSON");
    let other = text.replace("application/vnd.oci.image.config.v1+json", unknown);
    assert_ne!(text, other);
    scene
        .registry()
        .put_manifest("app", Some("x"), &image.media_type, other);
    scene.ok("create HOST/app:1 HOST/app:x");
    scene.ok("push HOST/app:1");
    let list = scene.registry().document("app", "1").expect("a list");
    let platform = json!({"architecture": "arm64", "os": "linux", "variant": "v8"});
    assert_eq!(list["manifests"][0]["platform"], platform);
    let shown = scene.ok("inspect -v HOST/app:x");
    assert!(shown.contains("\"variant\": \"v8\""), "{shown}");
}
