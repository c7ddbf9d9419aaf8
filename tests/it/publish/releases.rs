//! Sources that do not exist yet, tags that must not move, and reports of changes.

use std::thread;

use super::{load, scene};
use crate::support::{
    Scene,
    image::Image,
    registry::{Accounts, Class, Fault, Recorded, Registry, Rule},
};

/// Returns a scene with an old image under the tag 1, and a new one under `arm64`.
fn old_and_new() -> Scene {
    let scene = scene(&["arm64"]);
    Image::new("linux/amd64").load(scene.registry(), "team/app", "1");
    scene
}

#[test]
fn existing_tag_is_kept_on_request() {
    let scene = old_and_new();
    let registry = scene.registry();
    let before = registry.tag("team/app", "1");
    registry.clear();
    let keep = "publish -t HOST/team/app:1 --if-exists keep HOST/team/app:arm64";
    let result = scene.run(&format!("{keep} --output json")).ok().json();
    assert_eq!(result["status"], "kept");
    assert_eq!(registry.tag("team/app", "1"), before);
    assert!(registry.writes().is_empty());
    let line = format!("{keep} -t HOST/team/app:2 --output json");
    let result = scene.run(&line).ok().json();
    assert_eq!(result["targets"][0]["tags"][0]["status"], "kept");
    assert_eq!(result["targets"][0]["tags"][1]["status"], "published");
    assert_eq!(registry.tag("team/app", "1"), before);
    let output = scene.run(&format!("{keep} --append")).exits(2);
    assert!(output.stderr.contains("--if-exists keep"), "{output}");
}

#[test]
fn existing_tag_is_refused_on_request() {
    let scene = old_and_new();
    let line = "publish -t HOST/team/app:2 --if-exists refuse HOST/team/app:arm64";
    scene.ok(line);
    // The same digest is not a conflict.
    scene.ok(line);
    scene.registry().clear();
    let output = scene.run(&format!("{line} -t HOST/team/app:1")).exits(5);
    for part in [
        "HOST/team/app:1",
        "exists and points to",
        "no tag was changed",
    ] {
        assert!(output.stderr.contains(part), "{output}");
    }
    assert!(scene.registry().writes().is_empty());
}

#[test]
fn previous_digest_and_changes_are_reported() {
    let scene = scene(&["amd64", "arm64"]);
    let json = |words: &str| {
        let line = format!("publish -t HOST/team/app:1 --output json {words}");
        scene.run(&line).ok().json()
    };
    let first = json("HOST/team/app:amd64");
    assert!(first["targets"][0]["tags"][0]["previous"].is_null());
    let both = "HOST/team/app:amd64 HOST/team/app:arm64";
    let planned = json(&format!("--dry-run {both}"));
    let second = json(both);
    for result in [&planned, &second] {
        assert_eq!(result["targets"][0]["tags"][0]["previous"], first["digest"]);
        let changes = result["changes"][0]["platforms"].as_array().unwrap();
        let kinds: Vec<_> = changes
            .iter()
            .map(|change| change["change"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["unchanged", "added"]);
    }
}

#[test]
fn changes_beside_the_images_are_reported() {
    let mut scene = scene(&["amd64"]);
    scene.set("GITHUB_ACTIONS", "true");
    scene.set("GITHUB_STEP_SUMMARY", "HOME/summary.md");
    let publish = |options: &str| {
        let line = format!("publish -t HOST/team/app:1 {options} HOST/team/app:amd64");
        scene.run(&line).ok().stdout
    };
    publish("--annotation index:org.example.key=value");
    let lost =
        "the images are the same; annotations, attestations or the order of the entries differ";
    let without = publish("");
    assert!(without.contains(lost), "{without}");
    assert!(!without.contains("total size"), "{without}");
    assert!(scene.read("summary.md").contains(&lost[4..]));
}

#[test]
fn missing_source_is_waited_for() {
    let scene = scene(&["amd64"]);
    let publish = |wait: &str| {
        scene.run(&format!(
            "publish -t HOST/team/app:1 --wait {wait} HOST/team/app:amd64 HOST/team/app:arm64"
        ))
    };
    let output = publish("1s").exits(4);
    assert!(output.stderr.contains("HOST/team/app:arm64"), "{output}");
    scene.registry().clear();
    thread::scope(|threads| {
        let run = threads.spawn(|| publish("1m"));
        let is_waiting = |registry: &Registry| registry.count(Class::ManifestGet) >= 2;
        scene.registry().wait_until(is_waiting);
        load(&scene, &["arm64"]);
        run.join().expect("a run").ok();
    });
}

#[test]
fn all_missing_sources_are_listed() {
    let scene = scene(&["amd64"]);
    let line = "publish -t HOST/team/app:1 --wait 1s --progress plain HOST/team/app:arm64 HOST/team/app:amd64 HOST/team/app:s390x";
    let output = scene.run(line).exits(4);
    let missing = "find 2 sources: they do not exist yet: HOST/team/app:arm64, HOST/team/app:s390x";
    assert!(output.stderr.contains(missing), "{output}");
    let (error, note) = output.stderr.split_once("note: ").expect("a note");
    assert!(
        error.contains("failed to read HOST/team/app:arm64"),
        "{output}"
    );
    assert!(
        note.contains("failed to read HOST/team/app:s390x"),
        "{output}"
    );
    // Existing content is read once.
    let is_read = |request: &Recorded| request.path.ends_with("/manifests/amd64");
    assert_eq!(scene.registry().count_where(is_read), 1);
}

#[test]
fn refusal_of_artifactory_is_waited_for() {
    let scene = scene(&["amd64"]);
    let refuse = |headers: &[(&str, &str)]| {
        let refusal = Fault::reply(403, headers, "");
        let rule = Rule::on(Class::ManifestGet).path("*/manifests/amd64");
        scene.registry().rule(rule.then(refusal));
    };
    let publish = "publish -t HOST/team/app:1 --wait 1m HOST/team/app:amd64";
    for header in ["x-jfrog-version", "x-artifactory-id"] {
        refuse(&[(header, "Artifactory/7")]);
        scene.ok(publish);
    }
    refuse(&[("server", "Artifactory/7.111")]);
    scene.ok(publish);
    // For other registries, the refusal is final.
    refuse(&[]);
    scene.run(publish).exits(3);
    refuse(&[("x-jfrog-version", "Artifactory/7")]);
    scene.run(&publish.replace("--wait 1m", "")).exits(3);
}

#[test]
fn dry_run_tries_the_credentials_of_targets() {
    let closed = Registry::builder().basic(Accounts::new("ci", "hunter2"));
    let mut scene = Scene::of([Registry::builder(), closed]);
    load(&scene, &["amd64"]);
    scene.ok("copy HOST/team/app:amd64 oci:image:1");
    let line = "publish -t OTHER/team/app:1 --dry-run oci:image:1";
    let output = scene.run(line).ok();
    assert!(output.stderr.contains("warning: "), "{output}");
    scene.log_in_to("OTHER", "ci", "mistaken");
    scene.run(line).exits(3);
    scene.log_in_to("OTHER", "ci", "hunter2");
    scene.ok(line);
    assert!(scene.other().writes().is_empty());
}

#[test]
fn check_reports_everything_below_a_reference() {
    let mut scene = scene(&["amd64", "arm64"]);
    scene.ok("publish -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64");
    let output = scene.run("check HOST/team/app:1").ok();
    for part in ["linux/amd64", "linux/arm64", "ok, 2 blobs"] {
        assert!(output.stdout.contains(part), "{output}");
    }
    let registry = scene.registry();
    let digest = registry.tag("team/app", "arm64").unwrap();
    let image = registry.document("team/app", &digest).unwrap();
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    registry.remove("team/app", layer);
    scene.name("LAYER", layer);
    scene.ok("check --level manifests HOST/team/app:1");
    let output = scene.run("check --format json HOST/team/app:1").exits(4);
    for part in ["linux/arm64", "LAYER"] {
        assert!(output.stderr.contains(part), "{output}");
    }
    let entries = &output.json()["references"][0]["entries"];
    assert_eq!(entries[0]["failures"].as_array().unwrap().len(), 0);
    assert_eq!(entries[1]["failures"].as_array().unwrap().len(), 1);
}
