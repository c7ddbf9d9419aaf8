//! What goes into the index: platforms, duplicates, what was there before, annotations, the type, attestations.

use serde_json::json;

use super::{Home, Said, entries, platforms, registry};
use crate::support::{
    Registry,
    image::{Image, Index, media},
};

/// `team/app` with one image for each of three platforms, each under its architecture; `amd64-again` is another
/// image for the platform of the first.
struct Scene {
    registry: Registry,
    home: Home,
}

impl Scene {
    fn new() -> Self {
        let registry = registry();
        for architecture in ["amd64", "arm64", "s390x"] {
            Image::new(&format!("linux/{architecture}")).load(&registry, "team/app", architecture);
        }
        let again = Image::new("linux/amd64").seed(2);
        again.load(&registry, "team/app", "amd64-again");
        let home = Home::new();
        Self { registry, home }
    }

    fn source(&self, tag: &str) -> String {
        self.registry.reference("team/app", tag)
    }

    /// Publishes the images with these tags as `team/app:1`.
    fn publish(&self, tags: &[&str], options: &[&str]) -> Said {
        let sources: Vec<String> = tags.iter().map(|tag| self.source(tag)).collect();
        let mut words: Vec<&str> = options.to_vec();
        words.extend(sources.iter().map(String::as_str));
        self.home.publish(&self.source("1"), &words)
    }

    fn platforms(&self) -> Vec<String> {
        platforms(&self.registry, "team/app", "1")
    }

    fn digest(&self, tag: &str) -> String {
        self.registry.tag("team/app", tag).unwrap()
    }

    #[track_caller]
    fn nothing_was_pushed(&self) {
        assert!(self.registry.writes().is_empty());
    }
}

#[test]
fn a_missing_platform_is_refused_and_what_was_found_is_said() {
    let scene = Scene::new();
    scene
        .publish(
            &["amd64", "arm64"],
            &["--platform", "linux/amd64,linux/riscv64"],
        )
        .refused(
            5,
            &[
                "missing platform linux/riscv64",
                "found: linux/amd64, linux/arm64",
                "hint",
            ],
        );
    scene.nothing_was_pushed();
}

#[test]
fn a_refusal_leaves_no_layout_behind() {
    let scene = Scene::new();
    let source = scene.source("amd64");
    for target in ["oci:out:1", "oci-archive:out.tar:1"] {
        scene
            .home
            .publish(target, &["--platform", "linux/riscv64", &source])
            .refused(5, &["missing platform linux/riscv64"]);
    }
    assert!(!scene.home.path("out").exists());
    assert!(!scene.home.path("out.tar").exists());
}

#[test]
fn platforms_that_were_not_asked_for_are_left_out_with_a_notice() {
    let scene = Scene::new();
    let said = scene
        .publish(
            &["amd64", "arm64", "s390x"],
            &["--platform", "linux/arm64", "--platform", "linux/amd64"],
        )
        .ok();
    assert_eq!(scene.platforms(), ["linux/amd64", "linux/arm64"]);
    assert!(said.stderr.contains("linux/s390x"), "{}", said.stderr);
}

#[test]
fn two_images_for_one_platform_are_refused_and_both_are_named() {
    let scene = Scene::new();
    let (first, second) = (scene.source("amd64"), scene.source("amd64-again"));
    scene.publish(&["amd64", "amd64-again"], &[]).refused(
        5,
        &[
            "two images for linux/amd64",
            &format!("from {first}, "),
            &format!("from {second}"),
            "--on-duplicate",
        ],
    );
    scene.nothing_was_pushed();
}

#[test]
fn duplicates_are_replaced_or_kept_on_request() {
    let scene = Scene::new();
    let digests = || -> Vec<String> {
        let entries = entries(&scene.registry, "team/app", "1");
        let digests = entries
            .iter()
            .map(|entry| entry["digest"].as_str().unwrap());
        digests.map(str::to_owned).collect()
    };
    let (first, second) = (scene.digest("amd64"), scene.digest("amd64-again"));
    let tags = ["amd64", "amd64-again"];
    scene.publish(&tags, &["--on-duplicate", "replace"]).ok();
    assert_eq!(digests(), std::slice::from_ref(&second));
    scene.publish(&tags, &["--on-duplicate", "keep"]).ok();
    assert_eq!(digests(), [first, second]);
}

#[test]
fn one_digest_twice_is_no_conflict() {
    let scene = Scene::new();
    scene.publish(&["amd64", "arm64", "amd64"], &[]).ok();
    assert_eq!(scene.platforms(), ["linux/amd64", "linux/arm64"]);
}

/// An index of one image whose config says linux/arm/v6, described with this platform.
fn index_saying(scene: &Scene, platform: &serde_json::Value) -> String {
    let image = Image::new("linux/arm/v6").load(&scene.registry, "team/app", None);
    let mut entry = image.descriptor();
    entry["platform"] = platform.clone();
    Index::oci()
        .descriptor(entry)
        .load(&scene.registry, "team/app", "half")
        .digest
}

#[test]
fn half_a_platform_is_completed_from_the_config() {
    for half in [
        json!({"architecture": "arm"}),
        json!({"architecture": "arm", "os": ""}),
        json!({"os": "linux"}),
        json!({}),
    ] {
        let scene = Scene::new();
        let index = index_saying(&scene, &half);
        scene.publish(&["half", "s390x"], &[]).ok();
        assert_eq!(scene.platforms(), ["linux/arm/v6", "linux/s390x"], "{half}");
        scene
            .publish(&["half"], &["--platform", "linux/arm/v6"])
            .ok();
        assert_eq!(scene.platforms(), ["linux/arm/v6"], "{half}");
        // Alone, it is what it was.
        scene.publish(&["half"], &[]).ok();
        assert_eq!(scene.digest("1"), index);
    }
    // What the index says wins.
    let scene = Scene::new();
    index_saying(&scene, &json!({"architecture": "arm64"}));
    scene.publish(&["half", "s390x"], &[]).ok();
    assert_eq!(scene.platforms(), ["linux/arm64", "linux/s390x"]);
}

#[test]
fn half_a_platform_that_nothing_completes_is_none() {
    for (config, half) in [
        ("{}", json!({"architecture": "arm"})),
        (r#"{"os":"linux"}"#, json!({})),
        (r#"{"os":"linux"}"#, json!(null)),
        (r#"{"architecture":"arm"}"#, json!({"architecture": "arm"})),
    ] {
        let scene = Scene::new();
        let registry = &scene.registry;
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
        let said = scene.publish(&["half", "s390x"], &[]).ok();
        let entries = entries(registry, "team/app", "1");
        assert_eq!(entries[0]["platform"], json!(null), "{config}");
        assert!(
            said.stderr.contains("without a platform"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_size_that_no_manifest_has_is_looked_at() {
    for size in [0_u64, 99_999_999_999] {
        let scene = Scene::new();
        let image = Image::new("linux/arm/v6").load(&scene.registry, "team/app", None);
        let mut entry = image.descriptor();
        entry["size"] = size.into();
        let index = Index::oci().descriptor(entry);
        index.load(&scene.registry, "team/app", "lie");
        let said = format!("its descriptor declares the size {size}");
        scene.publish(&["lie", "s390x"], &[]).refused(5, &[&said]);
        scene.nothing_was_pushed();
    }
}

#[test]
fn nothing_in_a_platform_reaches_a_terminal() {
    let scene = Scene::new();
    let evil = json!({"os": "li\n::error::x", "architecture": "amd64\u{1b}[2J"});
    index_saying(&scene, &evil);
    let shown = "li\\n::error::x/amd64\\u{1b}[2J";
    let quiet = |said: &Said| {
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(!all.contains('\u{1b}'), "{all}");
        assert!(!all.contains("\n::error"), "{all}");
        all
    };
    // Copied alone it stays what it was.
    let said = scene.publish(&["half"], &[]).ok();
    assert!(quiet(&said).contains(shown), "{}", said.stdout);
    let entries = entries(&scene.registry, "team/app", "1");
    assert_eq!(entries[0]["platform"], evil);
    let one = scene.source("1");
    let said = scene.home.run(&["inspect", "--tree", &one]).ok();
    assert!(quiet(&said).contains(shown), "{}", said.stdout);
    // In an index that is made, it is no platform.
    let said = scene.publish(&["half", "s390x"], &[]).ok();
    quiet(&said);
    assert_eq!(scene.platforms()[1], "linux/s390x");
    let registry = &scene.registry;
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
    let said = scene
        .publish(&["evil"], &[])
        .refused(5, &["has no platform"]);
    quiet(&said);
}

#[test]
fn a_platform_can_be_set() {
    let scene = Scene::new();
    let setting = format!("{}=linux/arm/v7", scene.source("amd64-again"));
    scene
        .publish(&["amd64", "amd64-again"], &["--set-platform", &setting])
        .ok();
    assert_eq!(scene.platforms(), ["linux/amd64", "linux/arm/v7"]);
    let nobody = ["--set-platform", "nobody:1=linux/arm/v7"];
    scene.publish(&["amd64"], &nobody).refused(
        2,
        &["cannot set the platform of \"nobody:1\": no such source"],
    );
}

#[test]
fn a_source_without_a_platform_is_refused_unless_one_is_set() {
    let scene = Scene::new();
    let registry = &scene.registry;
    let config = registry.put_blob("team/app", bytes::Bytes::from_static(b"{}"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "size": 2, "digest": config},
        "layers": [],
    });
    registry.put_manifest(
        "team/app",
        Some("nowhere"),
        media::OCI_MANIFEST,
        manifest.to_string(),
    );
    let name = scene.source("nowhere");
    scene
        .publish(&["nowhere"], &[])
        .refused(5, &[&name, "has no platform", "--set-platform"]);
    scene.nothing_was_pushed();
    let setting = format!("{name}=linux/amd64");
    scene
        .publish(&["nowhere"], &["--set-platform", &setting])
        .ok();
    assert_eq!(scene.platforms(), ["linux/amd64"]);
}

#[test]
fn append_starts_from_what_is_there() {
    let scene = Scene::new();
    let said = scene.publish(&["amd64"], &["--append"]).ok();
    assert!(
        said.stderr.contains("does not exist yet"),
        "{}",
        said.stderr
    );
    scene.publish(&["arm64"], &["--append"]).ok();
    assert_eq!(scene.platforms(), ["linux/amd64", "linux/arm64"]);
    scene.publish(&["amd64-again"], &["--append"]).ok();
    let entries = entries(&scene.registry, "team/app", "1");
    let mut digests: Vec<_> = entries
        .iter()
        .map(|entry| entry["digest"].as_str().unwrap())
        .collect();
    digests.sort_unstable();
    let mut expected = [scene.digest("amd64-again"), scene.digest("arm64")];
    expected.sort_unstable();
    assert_eq!(digests, expected);
}

#[test]
fn annotations_go_where_their_level_says() {
    let scene = Scene::new();
    let said = scene
        .publish(
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
    let index = scene.registry.document("team/app", "1").unwrap();
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
    assert!(said.stderr.contains("pushed"), "{}", said.stderr);
}

#[test]
fn annotations_for_manifests_can_be_ignored_or_refused() {
    let scene = Scene::new();
    let policy = |policy| {
        [
            "--annotation",
            "manifest:a=b",
            "--manifest-annotations",
            policy,
        ]
    };
    scene
        .publish(&["amd64"], &policy("error"))
        .refused(5, &["\"a\" is for image manifests"]);
    scene.nothing_was_pushed();
    scene.publish(&["amd64"], &policy("ignore")).ok();
    let index = scene.registry.document("team/app", "1").unwrap();
    assert!(index.get("annotations").is_none());
}

#[test]
fn an_annotation_for_a_platform_that_is_not_there_is_refused() {
    let scene = Scene::new();
    scene
        .publish(
            &["amd64"],
            &["--annotation", "manifest-descriptor[linux/arm64]:a=b"],
        )
        .refused(5, &["is for linux/arm64", "found: linux/amd64"]);
    scene.nothing_was_pushed();
}

#[test]
fn docker_images_become_a_docker_list_and_lose_no_annotation_silently() {
    let scene = Scene::new();
    for architecture in ["amd64", "arm64"] {
        let tag = format!("docker-{architecture}");
        let image = Image::new(&format!("linux/{architecture}")).docker();
        image.load(&scene.registry, "team/app", tag.as_str());
    }
    let tags = ["docker-amd64", "docker-arm64"];
    let media_type = || scene.registry.manifest("team/app", "1").unwrap().0;
    let annotation = ["--annotation", "a=b"];
    scene
        .publish(&tags, &annotation)
        .refused(5, &["\"a\" would be lost", "--media-type oci"]);
    scene.nothing_was_pushed();
    scene.publish(&tags, &[]).ok();
    assert_eq!(media_type(), media::DOCKER_LIST);
    scene
        .publish(&tags, &["--annotation", "a=b", "--media-type", "oci"])
        .ok();
    assert_eq!(media_type(), media::OCI_INDEX);
    scene
        .publish(&["amd64"], &["--media-type", "docker"])
        .refused(
            5,
            &["a Docker manifest list cannot contain", "--media-type oci"],
        );
}

#[test]
fn annotations_from_metadata_action_do_not_break_docker_images() {
    let mut scene = Scene::new();
    let image = Image::new("linux/amd64").docker();
    image.load(&scene.registry, "team/app", "docker");
    scene.home.set(
        "DOCKER_METADATA_OUTPUT_ANNOTATIONS",
        "manifest:a=b\nindex:c=d",
    );
    let [tag, source] = ["1", "docker"].map(|tag| scene.registry.reference("team/app", tag));
    scene.home.set("DOCKER_METADATA_OUTPUT_TAGS", tag);
    let said = scene.home.run(&["publish", &source]).ok();
    let index = scene.registry.document("team/app", "1").unwrap();
    assert_eq!(index["mediaType"], media::OCI_INDEX);
    assert_eq!(index["annotations"], json!({"a": "b", "c": "d"}));
    assert!(
        said.stderr.contains("an OCI index instead"),
        "{}",
        said.stderr
    );
}

/// What a matrix build leaves: an index with provenance for each platform.
fn attested(registry: &Registry) {
    for architecture in ["amd64", "arm64"] {
        let tag = format!("built-{architecture}");
        let image = Image::new(&format!("linux/{architecture}"));
        let index = Index::oci().image(image).attested();
        index.load(registry, "team/app", tag.as_str());
    }
}

#[test]
fn attestations_still_refer_to_their_images_after_a_merge() {
    let scene = Scene::new();
    attested(&scene.registry);
    scene.publish(&["built-amd64", "built-arm64"], &[]).ok();
    let entries = entries(&scene.registry, "team/app", "1");
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
    assert_eq!(scene.registry.problems(), Vec::<String>::new());
}

#[test]
fn attestations_are_dropped_on_request_and_with_their_images() {
    let scene = Scene::new();
    attested(&scene.registry);
    let tags = ["built-amd64", "built-arm64"];
    scene.publish(&tags, &["--attestations", "drop"]).ok();
    assert_eq!(scene.platforms(), ["linux/amd64", "linux/arm64"]);
    scene.publish(&tags, &["--platform", "linux/arm64"]).ok();
    assert_eq!(scene.platforms(), ["linux/arm64", "unknown/unknown"]);
}
