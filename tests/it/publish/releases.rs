//! Sources that do not exist yet, tags that must not move, and what changes.

use std::thread;

use super::{Home, registry};
use crate::support::{
    Registry,
    image::Image,
    registry::{Accounts, Class},
};

fn load(registry: &Registry, platform: &str, tag: &str) -> String {
    Image::new(platform).load(registry, "team/app", tag);
    registry.reference("team/app", tag)
}

#[test]
fn existing_tag_is_kept_on_request() {
    let registry = registry();
    let home = Home::new();
    let (old, new) = (
        load(&registry, "linux/amd64", "1"),
        load(&registry, "linux/arm64", "arm64"),
    );
    let before = registry.tag("team/app", "1");
    registry.clear();
    let words = ["--if-exists", "keep", "--output", "json", &new];
    let result = home.publish(&old, &words).ok().json();
    assert_eq!(result["status"], "kept");
    assert_eq!(registry.tag("team/app", "1"), before);
    assert!(registry.writes().is_empty());
    let second = registry.reference("team/app", "2");
    let words = [
        "--if-exists",
        "keep",
        "-t",
        &second,
        "--output",
        "json",
        &new,
    ];
    let result = home.publish(&old, &words).ok().json();
    assert_eq!(result["targets"][0]["tags"][0]["status"], "kept");
    assert_eq!(result["targets"][0]["tags"][1]["status"], "published");
    assert_eq!(registry.tag("team/app", "1"), before);
    home.publish(&old, &["--append", "--if-exists", "keep", &new])
        .refused(2, &["--append", "--if-exists keep"]);
}

#[test]
fn existing_tag_is_refused_on_request() {
    let registry = registry();
    let home = Home::new();
    let (old, new) = (
        load(&registry, "linux/amd64", "1"),
        load(&registry, "linux/arm64", "arm64"),
    );
    let second = registry.reference("team/app", "2");
    let words = ["--if-exists", "refuse", &new];
    home.publish(&second, &words).ok();
    // The same digest is no conflict.
    home.publish(&second, &words).ok();
    registry.clear();
    home.publish(&old, &["-t", &second, "--if-exists", "refuse", &new])
        .refused(5, &[&old, "exists and points at", "no tag was changed"]);
    assert!(registry.writes().is_empty());
}

#[test]
fn previous_digest_and_changes_are_reported() {
    let registry = registry();
    let home = Home::new();
    let (amd, arm) = (
        load(&registry, "linux/amd64", "amd64"),
        load(&registry, "linux/arm64", "arm64"),
    );
    let target = registry.reference("team/app", "1");
    let json = |words: &[&str]| {
        let words = [&["--output", "json"], words].concat();
        home.publish(&target, &words).ok().json()
    };
    let first = json(&[&amd]);
    assert!(first["targets"][0]["tags"][0]["previous"].is_null());
    let planned = json(&["--dry-run", &amd, &arm]);
    let second = json(&[&amd, &arm]);
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
fn missing_source_is_waited_for() {
    let registry = registry();
    let home = Home::new();
    let amd = load(&registry, "linux/amd64", "amd64");
    let arm = registry.reference("team/app", "arm64");
    let target = registry.reference("team/app", "1");
    home.publish(&target, &["--wait", "1s", &amd, &arm])
        .refused(4, &[&arm]);
    registry.clear();
    thread::scope(|threads| {
        let run = threads.spawn(|| home.publish(&target, &["--wait", "1m", &amd, &arm]));
        registry.wait_until(|registry| registry.count(Class::ManifestGet) >= 2);
        load(&registry, "linux/arm64", "arm64");
        run.join().expect("a run").ok();
    });
}

#[test]
fn dry_run_tries_the_credentials_of_targets() {
    let registry = Registry::builder()
        .basic(Accounts::new("ci", "hunter2"))
        .start_in_background();
    let mut home = Home::new();
    let layout = "oci:image:1";
    let source = super::registry();
    home.run(&["copy", &load(&source, "linux/amd64", "amd64"), layout])
        .ok();
    let target = registry.reference("team/app", "1");
    let said = home.publish(&target, &["--dry-run", layout]).ok();
    assert!(said.stderr.contains("warning: "), "{}", said.stderr);
    home.set("POLYARCH_REGISTRY", registry.host());
    home.set("POLYARCH_USERNAME", "ci");
    home.set("POLYARCH_PASSWORD", "wrong");
    home.publish(&target, &["--dry-run", layout])
        .refused(3, &[registry.host()]);
    home.set("POLYARCH_PASSWORD", "hunter2");
    home.publish(&target, &["--dry-run", layout]).ok();
    assert!(registry.writes().is_empty());
}

#[test]
fn check_reports_everything_below_a_reference() {
    let registry = registry();
    let home = Home::new();
    let (amd, arm) = (
        load(&registry, "linux/amd64", "amd64"),
        load(&registry, "linux/arm64", "arm64"),
    );
    let target = registry.reference("team/app", "1");
    home.publish(&target, &[&amd, &arm]).ok();
    let said = home.run(&["check", &target]).ok();
    for part in ["linux/amd64", "linux/arm64", "ok, 2 blobs"] {
        assert!(said.stdout.contains(part), "{}", said.stdout);
    }
    let digest = registry.tag("team/app", "arm64").unwrap();
    let image = registry.document("team/app", &digest).unwrap();
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    registry.remove("team/app", layer);
    home.run(&["check", "--level", "manifests", &target]).ok();
    let said = home
        .run(&["check", "--format", "json", &target])
        .refused(4, &["linux/arm64", layer]);
    let entries = &said.json()["references"][0]["entries"];
    assert_eq!(entries[0]["failures"].as_array().unwrap().len(), 0);
    assert_eq!(entries[1]["failures"].as_array().unwrap().len(), 1);
}
