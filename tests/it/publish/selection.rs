//! The content of the index: platforms, duplicates, earlier entries, annotations, media type, attestations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Registry, Scene,
    image::{Image, Index, media},
    polyarch::Output,
    scene::{entries, platforms},
};

/// Returns a scene in which HOST/team/app has an image for each of three platforms, tagged with the architecture.
/// `amd64-again` is another image for the platform of the first one.
fn scene() -> Scene {
    let scene = super::scene(&["amd64", "arm64", "s390x"]);
    let again = Image::new("linux/amd64").seed(2);
    again.load(scene.registry(), "team/app", "amd64-again");
    scene
}

/// Publishes the images with these tags as `team/app:1`.
#[track_caller]
fn publish(scene: &Scene, tags: &[&str], options: &[&str]) -> Output {
    let sources = tags.iter().map(|tag| format!("HOST/team/app:{tag}"));
    let mut words = vec![
        "publish".to_owned(),
        "-t".to_owned(),
        "HOST/team/app:1".to_owned(),
    ];
    words.extend(options.iter().map(|option| (*option).to_owned()));
    words.extend(sources);
    scene.run_words(words)
}

fn published_platforms(scene: &Scene) -> Vec<String> {
    platforms(scene.registry(), "team/app", "1")
}

fn published_entries(scene: &Scene) -> Vec<Value> {
    entries(scene.registry(), "team/app", "1")
}

fn digest(scene: &Scene, tag: &str) -> String {
    scene.registry().tag("team/app", tag).unwrap()
}

#[track_caller]
fn nothing_was_pushed(scene: &Scene) {
    assert!(scene.registry().writes().is_empty());
}

#[test]
fn missing_platform_is_refused_with_those_that_were_found() {
    let scene = scene();
    let platforms = ["--platform", "linux/amd64,linux/riscv64"];
    insta::assert_snapshot!(publish(&scene, &["amd64", "arm64"], &platforms), @"
    exit code: 5
    ----- stderr -----
    error: missing platform linux/riscv64; found: linux/amd64, linux/arm64
     hint: add the missing source, or remove the platform from --platform
    ");
    nothing_was_pushed(&scene);
}

#[test]
fn refused_run_leaves_no_layout() {
    let scene = scene();
    insta::assert_snapshot!(scene.transcript([
        "publish -t oci:out:1 --platform linux/riscv64 HOST/team/app:amd64",
        "publish -t oci-archive:out.tar:1 --platform linux/riscv64 HOST/team/app:amd64",
    ]), @"
    $ polyarch publish -t oci:out:1 --platform linux/riscv64 HOST/team/app:amd64
    exit code: 5
    ----- stderr -----
    error: missing platform linux/riscv64; found: linux/amd64
     hint: add the missing source, or remove the platform from --platform

    $ polyarch publish -t oci-archive:out.tar:1 --platform linux/riscv64 HOST/team/app:amd64
    exit code: 5
    ----- stderr -----
    error: missing platform linux/riscv64; found: linux/amd64
     hint: add the missing source, or remove the platform from --platform
    ");
    assert!(!scene.path("out").exists());
    assert!(!scene.path("out.tar").exists());
}

#[test]
fn other_platforms_are_left_out_with_a_notice() {
    let scene = scene();
    let options = ["--platform", "linux/arm64", "--platform", "linux/amd64"];
    let output = publish(&scene, &["amd64", "arm64", "s390x"], &options).ok();
    assert_eq!(published_platforms(&scene), ["linux/amd64", "linux/arm64"]);
    insta::assert_snapshot!(output.stderr, @"notice: omitted, because the platforms are limited to linux/arm64, linux/amd64: linux/s390x (HOST/team/app:s390x)");
}

#[test]
fn two_images_for_one_platform_are_refused() {
    let scene = scene();
    insta::assert_snapshot!(publish(&scene, &["amd64", "amd64-again"], &[]), @"
    exit code: 5
    ----- stderr -----
    error: two images for linux/amd64: sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce from HOST/team/app:amd64, and sha256:5c67e1ad55abacacd994ba4b6a5c19c88b09f674cb41130b025acde6be561844 from HOST/team/app:amd64-again
     hint: remove one of them, or set --on-duplicate replace to keep the later one, or `keep` to keep both
     hint: correct a wrong platform with --set-platform 'SOURCE=PLATFORM'
    ");
    nothing_was_pushed(&scene);
}

#[test]
fn duplicates_are_replaced_or_kept_on_request() {
    let scene = scene();
    let digests = || -> Vec<String> {
        let entries = published_entries(&scene);
        let digests = entries
            .iter()
            .map(|entry| entry["digest"].as_str().unwrap());
        digests.map(str::to_owned).collect()
    };
    let (first, second) = (digest(&scene, "amd64"), digest(&scene, "amd64-again"));
    let tags = ["amd64", "amd64-again"];
    publish(&scene, &tags, &["--on-duplicate", "replace"]).ok();
    assert_eq!(digests(), std::slice::from_ref(&second));
    publish(&scene, &tags, &["--on-duplicate", "keep"]).ok();
    assert_eq!(digests(), [first, second]);
}

#[test]
fn same_digest_twice_is_no_conflict() {
    let scene = scene();
    publish(&scene, &["amd64", "arm64", "amd64"], &[]).ok();
    assert_eq!(published_platforms(&scene), ["linux/amd64", "linux/arm64"]);
}

/// Stores an index of one image whose config is for linux/arm/v6. The descriptor of the image has this platform.
fn index_with_platform(scene: &Scene, platform: &serde_json::Value) -> String {
    let image = Image::new("linux/arm/v6").load(scene.registry(), "team/app", None);
    let mut entry = image.descriptor();
    entry["platform"] = platform.clone();
    Index::oci()
        .descriptor(entry)
        .load(scene.registry(), "team/app", "half")
        .digest
}

#[test]
fn partial_platform_is_completed_from_the_config() {
    for half in [
        json!({"architecture": "arm"}),
        json!({"architecture": "arm", "os": ""}),
        json!({"os": "linux"}),
        json!({}),
    ] {
        let scene = scene();
        let index = index_with_platform(&scene, &half);
        publish(&scene, &["half", "s390x"], &[]).ok();
        assert_eq!(
            published_platforms(&scene),
            ["linux/arm/v6", "linux/s390x"],
            "{half}"
        );
        publish(&scene, &["half"], &["--platform", "linux/arm/v6"]).ok();
        assert_eq!(published_platforms(&scene), ["linux/arm/v6"], "{half}");
        // If the index is the only source, it is not changed.
        publish(&scene, &["half"], &[]).ok();
        assert_eq!(digest(&scene, "1"), index);
    }
    // The descriptor has precedence over the config.
    let scene = scene();
    index_with_platform(&scene, &json!({"architecture": "arm64"}));
    publish(&scene, &["half", "s390x"], &[]).ok();
    assert_eq!(published_platforms(&scene), ["linux/arm64", "linux/s390x"]);
}

#[test]
fn partial_platform_that_cannot_be_completed_is_left_out() {
    let mut notices = BTreeSet::new();
    for (config, half) in [
        ("{}", json!({"architecture": "arm"})),
        (r#"{"os":"linux"}"#, json!({})),
        (r#"{"os":"linux"}"#, json!(null)),
        (r#"{"architecture":"arm"}"#, json!({"architecture": "arm"})),
    ] {
        let scene = scene();
        let registry = scene.registry();
        let blob = registry.put_blob("team/app", bytes::Bytes::from(config));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": {"mediaType": media::OCI_CONFIG, "size": config.len(), "digest": blob},
            "layers": [],
        })
        .to_string();
        let size = manifest.len();
        let digest = registry.put_manifest("team/app", None, media::OCI_MANIFEST, manifest);
        let mut entry = json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": size});
        if !half.is_null() {
            entry["platform"] = half;
        }
        Index::oci()
            .descriptor(entry)
            .load(registry, "team/app", "half");
        let output = publish(&scene, &["half", "s390x"], &[]).ok();
        let entries = published_entries(&scene);
        assert_eq!(entries[0]["platform"], json!(null), "{config}");
        notices.insert(output.stderr.replace(&digest, "DIGEST"));
    }
    let notices: Vec<String> = notices.into_iter().collect();
    insta::assert_snapshot!(notices.join("\n"), @"warning: these images have no platform in the index, as in their source: DIGEST from HOST/team/app:half");
}

#[test]
fn wrong_size_in_an_index_is_refused() {
    let mut outputs = String::new();
    for size in [0_u64, 99_999_999_999] {
        let scene = scene();
        let image = Image::new("linux/arm/v6").load(scene.registry(), "team/app", None);
        let mut entry = image.descriptor();
        entry["size"] = size.into();
        let index = Index::oci().descriptor(entry);
        index.load(scene.registry(), "team/app", "wrong");
        outputs += &publish(&scene, &["wrong", "s390x"], &[]).to_string();
        nothing_was_pushed(&scene);
    }
    insta::assert_snapshot!(outputs, @"
    exit code: 5
    ----- stderr -----
    error: failed to use HOST/team/app@sha256:544d67056f8a555d4c683ba87a97ee9b674a303bac1259d408cae7cad82a4460: its descriptor declares the size 0, the registry has 477
    exit code: 5
    ----- stderr -----
    error: failed to use HOST/team/app@sha256:544d67056f8a555d4c683ba87a97ee9b674a303bac1259d408cae7cad82a4460: its descriptor declares the size 99999999999, the registry has 477
    ");
}

#[test]
fn control_characters_in_a_platform_are_escaped() {
    let scene = scene();
    // White space is refused in these fields; other control characters are not.
    let evil = json!({"os": "li\u{9b}::error::x", "architecture": "amd64\u{1b}[2J"});
    index_with_platform(&scene, &evil);
    let quiet = |output: Output| {
        let all = output.to_string();
        assert!(!all.contains('\u{1b}'), "{all}");
        assert!(!all.contains("\n::error"), "{all}");
        all
    };
    // If the index is the only source, it is not changed.
    let mut outputs = quiet(publish(&scene, &["half"], &[]));
    let entries = published_entries(&scene);
    assert_eq!(entries[0]["platform"], evil);
    outputs += &quiet(scene.run("inspect --tree HOST/team/app:1"));
    // In a new index, such a platform is not valid.
    outputs += &quiet(publish(&scene, &["half", "s390x"], &[]));
    assert_eq!(published_platforms(&scene)[1], "linux/s390x");
    let registry = scene.registry();
    let config = evil.to_string();
    let size = config.len();
    let config = registry.put_blob("team/app", bytes::Bytes::from(config));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "size": size, "digest": config},
        "layers": [],
    });
    let manifest = manifest.to_string();
    registry.put_manifest("team/app", Some("evil"), media::OCI_MANIFEST, manifest);
    outputs += &quiet(publish(&scene, &["evil"], &[]));
    // White space in a platform is refused.
    let evil = json!({"os": "li\n::error::x", "architecture": "amd64"});
    index_with_platform(&scene, &evil);
    outputs += &quiet(publish(&scene, &["half"], &[]).exits(5));
    insta::assert_snapshot!(outputs, @r#"
    exit code: 0
    ----- stdout -----
    OCI image index  06790c5ee288  392 B
    └── li\u{9b}::error::x/amd64\u{1b}[2J  544d67056f8a  2.3 kB
        └── from HOST/team/app:half

    HOST/team/app:1  pushed (new)

    sha256:06790c5ee288451f3386259f90fc9e1162a3bfd6497267ec6934248fdb1a0b17
    exit code: 0
    ----- stdout -----
    HOST/team/app:1
    sha256:06790c5ee288451f3386259f90fc9e1162a3bfd6497267ec6934248fdb1a0b17 application/vnd.oci.image.index.v1+json 392 B
    └── li\u{9b}::error::x/amd64\u{1b}[2J sha256:544d67056f8a555d4c683ba87a97ee9b674a303bac1259d408cae7cad82a4460  477 B
    exit code: 0
    ----- stdout -----
    OCI image index  c78e39b87842  561 B
    ├── application/vnd.oci.image.manifest.v1+json  544d67056f8a  2.3 kB
    │   └── from HOST/team/app:half
    └── linux/s390x       baf49a0f5b0b  2.3 kB
        └── from HOST/team/app:s390x

    HOST/team/app:1  pushed (moved from 06790c5ee288)

    changed since 06790c5ee288
      + no platform      added      +2.3 kB
      + linux/s390x      added      +2.3 kB
      - li\u{9b}::error::x/amd64\u{1b}[2J removed    -2.3 kB
      total size +2.3 kB
    to undo: polyarch copy HOST/team/app@sha256:06790c5ee288451f3386259f90fc9e1162a3bfd6497267ec6934248fdb1a0b17 HOST/team/app:1

    sha256:c78e39b87842eb6508c213660f664d39d740b6b004399e600ad5f73be5602a7d
    ----- stderr -----
    warning: these images have no platform in the index, as in their source: sha256:544d67056f8a555d4c683ba87a97ee9b674a303bac1259d408cae7cad82a4460 from HOST/team/app:half
    exit code: 5
    ----- stderr -----
    error: HOST/team/app:evil has no platform: neither its descriptor nor its config has an operating system and an architecture (found: "li\\u{9b}::error::x/amd64\\u{1b}[2j")
     hint: set it with --set-platform 'HOST/team/app:evil=linux/amd64'
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/team/app:half: invalid platform: os "li\n::error::x" contains a comma or white space
    "#);
}

#[test]
fn platform_can_be_set() {
    let scene = scene();
    let setting = ["--set-platform", "HOST/team/app:amd64-again=linux/arm/v7"];
    publish(&scene, &["amd64", "amd64-again"], &setting).ok();
    assert_eq!(published_platforms(&scene), ["linux/amd64", "linux/arm/v7"]);
    let unknown = ["--set-platform", "unknown:1=linux/arm/v7"];
    insta::assert_snapshot!(publish(&scene, &["amd64"], &unknown), @r#"
    exit code: 2
    ----- stderr -----
    error: cannot set the platform of "unknown:1": no such source; the sources are HOST/team/app:amd64
    "#);
}

#[test]
fn source_without_a_platform_is_refused_unless_one_is_set() {
    let scene = scene();
    let registry = scene.registry();
    let config = registry.put_blob("team/app", bytes::Bytes::from_static(b"{}"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "size": 2, "digest": config},
        "layers": [],
    });
    registry.put_manifest(
        "team/app",
        Some("bare"),
        media::OCI_MANIFEST,
        manifest.to_string(),
    );
    insta::assert_snapshot!(publish(&scene, &["bare"], &[]), @r#"
    exit code: 5
    ----- stderr -----
    error: HOST/team/app:bare has no platform: neither its descriptor nor its config has an operating system and an architecture (found: "/")
     hint: set it with --set-platform 'HOST/team/app:bare=linux/amd64'
    "#);
    nothing_was_pushed(&scene);
    let setting = ["--set-platform", "HOST/team/app:bare=linux/amd64"];
    publish(&scene, &["bare"], &setting).ok();
    assert_eq!(published_platforms(&scene), ["linux/amd64"]);
}

#[test]
fn append_keeps_the_earlier_entries() {
    let scene = scene();
    let output = publish(&scene, &["amd64"], &["--append"]).ok();
    insta::assert_snapshot!(output.stderr, @"notice: HOST/team/app:1 does not exist yet: nothing to append to");
    publish(&scene, &["arm64"], &["--append"]).ok();
    assert_eq!(published_platforms(&scene), ["linux/amd64", "linux/arm64"]);
    publish(&scene, &["amd64-again"], &["--append"]).ok();
    let entries = published_entries(&scene);
    let mut digests: Vec<_> = entries
        .iter()
        .map(|entry| entry["digest"].as_str().unwrap())
        .collect();
    digests.sort_unstable();
    let mut expected = [digest(&scene, "amd64-again"), digest(&scene, "arm64")];
    expected.sort_unstable();
    assert_eq!(digests, expected);
}

#[test]
fn annotations_are_set_at_their_level() {
    let scene = scene();
    let output = publish(
        &scene,
        &["amd64", "arm64"],
        &[
            "--annotation",
            "plain=1",
            "--annotation",
            "index:named=2",
            "--annotation",
            "manifest-descriptor:every=3",
            "--annotation",
            "manifest-descriptor[linux/arm64]:arm=4",
            "--annotation",
            "index,manifest-descriptor:both=5",
            "--annotation",
            "manifest:pushed=6",
            "--labels-as-annotations",
            "label=7",
        ],
    )
    .ok();
    let index = scene.registry().document("team/app", "1").unwrap();
    assert_eq!(
        index["annotations"],
        json!({"plain": "1", "named": "2", "both": "5", "pushed": "6", "label": "7"})
    );
    assert_eq!(
        index["manifests"][0]["annotations"],
        json!({"every": "3", "both": "5"})
    );
    assert_eq!(
        index["manifests"][1]["annotations"],
        json!({"every": "3", "arm": "4", "both": "5"})
    );
    insta::assert_snapshot!(output.stderr, @"notice: annotations for image manifests are set on the index or, if they name a platform, on its entries (a pushed image cannot be changed): pushed");
}

#[test]
fn annotations_for_manifests_can_be_ignored_or_refused() {
    let scene = scene();
    let policy = |policy| {
        [
            "--annotation",
            "manifest:a=b",
            "--manifest-annotations",
            policy,
        ]
    };
    insta::assert_snapshot!(publish(&scene, &["amd64"], &policy("error")), @r#"
    exit code: 5
    ----- stderr -----
    error: annotation "a" is for image manifests, which cannot be changed after they were pushed
     hint: write index:a=… or manifest-descriptor:a=…, or use --manifest-annotations index
    "#);
    nothing_was_pushed(&scene);
    publish(&scene, &["amd64"], &policy("ignore")).ok();
    let index = scene.registry().document("team/app", "1").unwrap();
    assert!(index.get("annotations").is_none());
}

#[test]
fn annotation_for_a_missing_platform_is_refused() {
    let scene = scene();
    let annotation = ["--annotation", "manifest-descriptor[linux/arm64]:a=b"];
    insta::assert_snapshot!(publish(&scene, &["amd64"], &annotation), @r#"
    exit code: 5
    ----- stderr -----
    error: annotation "a" is for linux/arm64, but no image has this platform; found: linux/amd64
    "#);
    nothing_was_pushed(&scene);
}

#[test]
fn docker_images_become_a_docker_list_or_keep_annotations() {
    let scene = scene();
    for architecture in ["amd64", "arm64"] {
        let tag = format!("docker-{architecture}");
        let image = Image::new(&format!("linux/{architecture}")).docker();
        image.load(scene.registry(), "team/app", tag.as_str());
    }
    let tags = ["docker-amd64", "docker-arm64"];
    let media_type = || scene.registry().manifest("team/app", "1").unwrap().0;
    let annotation = ["--annotation", "a=b"];
    insta::assert_snapshot!(publish(&scene, &tags, &annotation), @r#"
    exit code: 5
    ----- stderr -----
    error: annotation "a" would be lost: the result is a Docker manifest list, which cannot have annotations
     hint: create an OCI index with --media-type oci
    "#);
    nothing_was_pushed(&scene);
    publish(&scene, &tags, &[]).ok();
    assert_eq!(media_type(), media::DOCKER_LIST);
    publish(
        &scene,
        &tags,
        &["--annotation", "a=b", "--media-type", "oci"],
    )
    .ok();
    assert_eq!(media_type(), media::OCI_INDEX);
    let docker = ["--media-type", "docker"];
    insta::assert_snapshot!(publish(&scene, &["amd64"], &docker), @"
    exit code: 5
    ----- stderr -----
    error: a Docker manifest list cannot contain sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce from HOST/team/app:amd64: its type is application/vnd.oci.image.manifest.v1+json
     hint: create an OCI index with --media-type oci
    ");
}

#[test]
fn annotations_of_metadata_action_make_an_oci_index() {
    let mut scene = scene();
    let image = Image::new("linux/amd64").docker();
    image.load(scene.registry(), "team/app", "docker");
    scene.set(
        "DOCKER_METADATA_OUTPUT_ANNOTATIONS",
        "manifest:a=b\nindex:c=d",
    );
    scene.set("DOCKER_METADATA_OUTPUT_TAGS", "HOST/team/app:1");
    let output = scene.run("publish HOST/team/app:docker").ok();
    let index = scene.registry().document("team/app", "1").unwrap();
    assert_eq!(index["mediaType"], media::OCI_INDEX);
    assert_eq!(index["annotations"], json!({"a": "b", "c": "d"}));
    insta::assert_snapshot!(output.stderr, @"notice: the result is an OCI index, because a Docker manifest list cannot have the annotations from the environment");
}

/// Stores the results of a matrix build: an index with provenance for each platform.
fn attested(registry: &Registry) {
    for architecture in ["amd64", "arm64"] {
        let tag = format!("built-{architecture}");
        let image = Image::new(&format!("linux/{architecture}"));
        let index = Index::oci().image(image).attested();
        index.load(registry, "team/app", tag.as_str());
    }
}

#[test]
fn attestations_refer_to_their_images_after_a_merge() {
    let scene = scene();
    attested(scene.registry());
    publish(&scene, &["built-amd64", "built-arm64"], &[]).ok();
    let entries = published_entries(&scene);
    let (attestations, images): (Vec<_>, Vec<_>) = entries
        .iter()
        .partition(|entry| entry["platform"]["os"] == "unknown");
    assert_eq!((attestations.len(), images.len()), (2, 2));
    let mut subjects: Vec<_> = attestations
        .iter()
        .map(|entry| &entry["annotations"]["vnd.docker.reference.digest"])
        .collect();
    for image in images {
        let position = subjects
            .iter()
            .position(|subject| **subject == image["digest"]);
        subjects.remove(position.expect("one attestation for each image"));
    }
    assert_eq!(scene.registry().problems(), Vec::<String>::new());
}

#[test]
fn attestations_are_dropped_on_request_or_with_images() {
    let scene = scene();
    attested(scene.registry());
    let tags = ["built-amd64", "built-arm64"];
    publish(&scene, &tags, &["--attestations", "drop"]).ok();
    assert_eq!(published_platforms(&scene), ["linux/amd64", "linux/arm64"]);
    publish(&scene, &tags, &["--platform", "linux/arm64"]).ok();
    assert_eq!(
        published_platforms(&scene),
        ["linux/arm64", "unknown/unknown"]
    );
}
