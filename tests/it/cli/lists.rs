//! The life of a list: create, amend, replace, annotate, push, under one tag or many, here and elsewhere.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bench::Bench;
use crate::support::{
    image::{Image, Index, media},
    registry::{Class, Fault, Registry, Rule},
};

fn bench() -> Bench {
    let bench = Bench::new();
    for (tag, platform) in [("a", "linux/amd64"), ("b", "linux/arm64/v8")] {
        Image::new(platform).load(&bench.registry, "app", tag);
    }
    bench
}

fn digests(bench: &Bench, tag: &str) -> Vec<Value> {
    let list = bench.registry.document("app", tag).expect("a list");
    let entries = list["manifests"].as_array().expect("entries");
    entries
        .iter()
        .map(|entry| entry["digest"].clone())
        .collect()
}

#[test]
fn flags_stand_anywhere() {
    let bench = bench();
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
        bench.ok(line);
    }
    assert_eq!(bench.ok("ls"), "");
}

#[test]
fn replace_starts_over_and_amend_keeps_what_a_person_said() {
    let bench = bench();
    bench.ok("create HOST/app:1 HOST/app:a");
    bench.ok("annotate HOST/app:1 HOST/app:a --os-version 7 --annotation k=v");
    let new = Image::new("linux/amd64")
        .seed(9)
        .load(&bench.registry, "app", "a");
    bench.ok("create --amend HOST/app:1 HOST/app:a HOST/app:b");
    bench.ok("push HOST/app:1");
    let list = bench.registry.document("app", "1").expect("a list");
    let mut entry = new.descriptor();
    entry["platform"]["os.version"] = "7".into();
    entry["annotations"] = json!({"k": "v"});
    assert_eq!(list["manifests"][0], entry);
    assert_eq!(list["manifests"].as_array().map(Vec::len), Some(2));

    bench.ok("create --replace HOST/app:1 HOST/app:a");
    bench.ok("push HOST/app:1");
    let list = bench.registry.document("app", "1").expect("a list");
    assert_eq!(list["manifests"], json!([new.descriptor()]));
}

#[test]
fn an_index_is_flattened_and_one_of_its_images_annotated() {
    let bench = bench();
    let index = Index::oci().of(["linux/amd64", "linux/s390x"]).attested();
    index.load(&bench.registry, "app", "index");
    bench.ok("create HOST/app:1 HOST/app:index HOST/app:b");
    assert_eq!(digests(&bench, "index").len(), 4);
    let error = bench.fails(2, "annotate HOST/app:1 HOST/app:index --variant v2");
    assert!(
        error.contains(
            "HOST/app:index is an index with 2 images; name one of them: HOST/app@sha256:"
        ),
        "{error}"
    );
    let amd64 = digests(&bench, "index")[0]
        .as_str()
        .expect("a digest")
        .to_owned();
    bench.ok(&format!(
        "annotate HOST/app:1 HOST/app@{amd64} --variant v2"
    ));
    bench.ok("push HOST/app:1");
    let list = bench.registry.document("app", "1").expect("a list");
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
fn an_index_of_nothing_makes_no_list() {
    let bench = bench();
    Index::oci().load(&bench.registry, "app", "empty");
    for line in [
        "create HOST/app:1 HOST/app:empty",
        "create --replace HOST/app:1 HOST/app:empty",
    ] {
        let error = bench.fails(5, line);
        assert_eq!(error, "error: no image in HOST/app:empty\n");
    }
    assert!(bench.drafts().is_empty());
    bench.ok("create HOST/app:1 HOST/app:empty HOST/app:a");
}

#[test]
fn the_retag_of_an_index_keeps_its_digest_until_it_is_changed() {
    let bench = bench();
    let index = Index::docker()
        .of(["linux/amd64", "linux/arm/v7"])
        .annotations(json!({"odd": "here"}));
    let index = index.load(&bench.registry, "app", "old");
    let attested =
        Index::oci()
            .of(["linux/amd64"])
            .attested()
            .load(&bench.registry, "other", "old");
    bench.ok("create HOST/app:new HOST/app:old");
    assert_eq!(
        bench.ok("inspect --raw HOST/app:new").as_bytes(),
        index.bytes
    );
    assert_eq!(bench.ok("push HOST/app:new"), format!("{}\n", index.digest));
    bench.ok("create HOST/app:attested HOST/other:old");
    let said = bench.ok("push HOST/app:attested");
    assert_eq!(said.lines().last(), Some(attested.digest.as_str()));
    assert_eq!(bench.registry.problems(), Vec::<String>::new());
    bench.ok("annotate HOST/app:new --annotation new=1");
    bench.ok("push HOST/app:new");
    assert_ne!(bench.registry.tag("app", "new"), Some(index.digest));
}

#[test]
fn annotations_make_an_oci_index_and_an_empty_value_removes_them() {
    let bench = Bench::new();
    Image::new("linux/amd64")
        .docker()
        .load(&bench.registry, "app", "a");
    bench.ok("create HOST/app:1 HOST/app:a");
    bench.ok("annotate HOST/app:1 --annotation a=b=c --annotation d=e");
    bench.ok("annotate HOST/app:1 --annotation d=");
    let said = bench.run("push HOST/app:1");
    assert!(
        said.stderr
            .contains("an OCI index instead of a Docker manifest list"),
        "{}",
        said.stderr
    );
    let (media_type, _) = bench.registry.manifest("app", "1").expect("a list");
    assert_eq!(media_type, media::OCI_INDEX);
    assert_eq!(
        bench.registry.document("app", "1").expect("a list")["annotations"],
        json!({"a": "b=c"})
    );
    bench.ok("annotate HOST/app:1 --annotation a=");
    bench.ok("push HOST/app:1");
    let (media_type, _) = bench.registry.manifest("app", "1").expect("a list");
    assert_eq!(media_type, media::DOCKER_LIST);
}

#[test]
fn one_push_sets_many_tags_here_and_elsewhere() {
    let bench = bench();
    let elsewhere = Registry::builder().start_in_background();
    Image::new("linux/s390x").load(&elsewhere, "parts", "z");
    bench.ok(&format!(
        "create HOST/app:1 HOST/app:a {}",
        elsewhere.reference("parts", "z")
    ));
    let there = elsewhere.reference("team/app", "1.0");
    let said = bench.ok(&format!(
        "push --verify HOST/app:1 -t 1.0,latest --tag HOST/other:x -t {there}"
    ));
    let digest = said.lines().last().expect("a digest").to_owned();
    for (repo, tag) in [
        ("app", "1"),
        ("app", "1.0"),
        ("app", "latest"),
        ("other", "x"),
    ] {
        assert_eq!(
            bench.registry.tag(repo, tag),
            Some(digest.clone()),
            "{repo}:{tag}"
        );
    }
    assert_eq!(elsewhere.tag("team/app", "1.0"), Some(digest));
    for registry in [&bench.registry, &elsewhere] {
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[test]
fn where_nothing_can_be_mounted_blobs_are_copied() {
    for (builder, uploads) in [
        (Registry::builder(), false),
        (Registry::builder().without_mounts(), true),
    ] {
        let bench = Bench::with(builder);
        let image = Image::new("linux/amd64")
            .layers(&[5, 6])
            .load(&bench.registry, "parts", "a");
        bench.ok("create HOST/app:1 HOST/parts:a");
        bench.ok("push HOST/app:1");
        assert_eq!(bench.registry.count(Class::UploadPut) > 0, uploads);
        for blob in &image.blobs {
            assert!(bench.registry.has_blob("app", blob));
        }
        assert_eq!(bench.registry.problems(), Vec::<String>::new());
    }
}

#[test]
fn lists_are_listed_and_shown() {
    let bench = bench();
    bench.ok("create HOST/app:1 HOST/app:b HOST/app:a");
    let width = bench.registry.host().len() + "/app:1".len();
    let ls = bench.ok("ls").replace("HOST", bench.registry.host());
    let expected = format!(
        "{:width$}  PLATFORMS\n{}/app:1  linux/arm64/v8, linux/amd64\n",
        "MANIFEST LIST",
        bench.registry.host()
    );
    assert_eq!(ls, expected);
    let listed: Value = serde_json::from_str(&bench.ok("ls --format json")).expect("JSON");
    assert_eq!(
        listed[0]["entries"][1]["descriptor"]["platform"]["architecture"],
        "amd64"
    );

    let summary: Value =
        serde_json::from_str(&bench.ok("inspect --format json HOST/app:1")).expect("JSON");
    assert_eq!(summary["mediaType"], media::OCI_INDEX);
    bench.ok("push -p HOST/app:1");
    assert_eq!(
        Some(summary["digest"].as_str().expect("text")),
        bench.registry.tag("app", "1").as_deref()
    );
    let tree = bench.ok("inspect --tree HOST/app:1");
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines[0], "HOST/app:1");
    assert!(
        lines[2].starts_with("├── linux/amd64") && lines[3].starts_with("└── linux/arm64/v8"),
        "{tree}"
    );
    let (_, bytes) = bench.registry.manifest("app", "1").expect("a list");
    assert_eq!(bench.ok("inspect --raw HOST/app:1").as_bytes(), bytes);
}

/// What was put into a list while it was pushed was not pushed, and must not be forgotten.
#[test]
fn purge_keeps_what_came_meanwhile() {
    let bench = bench();
    bench.ok("create HOST/app:1 HOST/app:a");
    let slow = Fault::Delay(Duration::from_secs(2));
    let list = Rule::on(Class::ManifestPut).path("*/manifests/1");
    bench.registry.rule(list.then(slow));
    std::thread::scope(|scope| {
        let pushed = scope.spawn(|| bench.run("push --purge HOST/app:1"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while bench.registry.count(Class::ManifestPut) == 0 {
            assert!(Instant::now() < deadline, "nothing is pushed");
            std::thread::sleep(Duration::from_millis(5));
        }
        bench.ok("create --amend HOST/app:1 HOST/app:b");
        let pushed = pushed.join().expect("an end");
        assert_eq!(pushed.code, 0, "{pushed:?}");
        let told = pushed.stderr.contains("changed while it was pushed");
        assert!(told, "{pushed:?}");
    });
    assert_eq!(digests(&bench, "1").len(), 1);
    bench.ok("push --purge HOST/app:1");
    assert_eq!(digests(&bench, "1").len(), 2);
    assert!(bench.drafts().is_empty());
}

/// Docker reads every config, whatever it is called.
#[test]
fn a_config_of_another_type_says_a_platform_too() {
    let bench = bench();
    let image = Image::new("linux/arm64/v8").load(&bench.registry, "app", "x");
    let unknown = "application/vnd.example.config.v1+json";
    let text = String::from_utf8(image.bytes.to_vec()).expect("JSON");
    let other = text.replace("application/vnd.oci.image.config.v1+json", unknown);
    assert_ne!(text, other);
    bench
        .registry
        .put_manifest("app", Some("x"), &image.media_type, other);
    bench.ok("create HOST/app:1 HOST/app:x");
    bench.ok("push HOST/app:1");
    let list = bench.registry.document("app", "1").expect("a list");
    let platform = json!({"architecture": "arm64", "os": "linux", "variant": "v8"});
    assert_eq!(list["manifests"][0]["platform"], platform);
    let shown = bench.ok("inspect -v HOST/app:x");
    assert!(shown.contains("\"variant\": \"v8\""), "{shown}");
}
