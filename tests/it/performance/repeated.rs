//! What a second run saves: configs that were read before, and what that must never change.

use super::binary;
use crate::support::{
    registry::{Class, Scheme},
    scene::{Login, Scene},
};

const JOB: &str = "publish --no-verify -t HOST/a:t0 HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3";

fn scene() -> Scene {
    let scene = Scene::new(Scheme::Http, Login::None);
    scene.load("a");
    scene
}

/// The digest that the job prints, and how many configs it read.
fn run(scene: &Scene, more: &str) -> (String, usize) {
    let mut all = scene.line(JOB);
    all.extend(scene.line(more));
    scene.registry().clear();
    let ran = scene.ok(binary(), &all);
    let digest = ran.stdout.lines().last().expect("a digest").to_owned();
    (digest, scene.registry().count(Class::BlobGet))
}

#[test]
fn configs_that_were_read_before_are_not_read_again() {
    let scene = scene();
    let first = run(&scene, "");
    assert_eq!(first.1, 4);
    assert_eq!(run(&scene, ""), (first.0, 0));
}

#[test]
fn create_reads_nothing_that_publish_has_read() {
    let scene = scene();
    run(&scene, "");
    let create = scene.line("create HOST/a:1 HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3");
    let cost = scene.cost_of(|scene| scene.ok(binary(), &create));
    assert_eq!(cost.requests, 4);
    let push = scene.line("push HOST/a:1");
    let cost = scene.cost_of(|scene| scene.ok(binary(), &push));
    assert_eq!(cost.requests, 1);
}

#[test]
fn without_the_cache_everything_is_read_and_nothing_is_kept() {
    let mut scene = scene();
    let first = run(&scene, "--no-cache");
    assert!(!scene.path(".cache").exists());
    assert_eq!(run(&scene, "--no-cache"), first);
    scene.set("POLYARCH_NO_CACHE", "true");
    assert_eq!(run(&scene, ""), first);
    assert_eq!(first.1, 4);
    assert!(!scene.path(".cache").exists());
}

#[test]
fn a_cache_that_somebody_has_changed_changes_nothing() {
    let scene = scene();
    let first = run(&scene, "");
    let directory = scene.path(".cache/polyarch/configs");
    let files = || std::fs::read_dir(&directory).expect("the kept configs");
    assert_eq!(files().count(), 4);
    for (number, file) in files().enumerate() {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a config");
        let same_size = text.replace("linux", "plan9");
        let wrong = ["", "{}", "not JSON", &same_size][number];
        std::fs::write(&path, wrong).expect("a file");
    }
    assert_eq!(run(&scene, ""), (first.0.clone(), 4));
    // What was wrong has been replaced.
    assert_eq!(run(&scene, ""), (first.0, 0));
}

#[test]
fn what_is_kept_is_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = scene();
    run(&scene, "");
    let directory = scene.path(".cache/polyarch/configs");
    let mode = |path: &std::path::Path| {
        let metadata = std::fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&directory), 0o700);
    for file in std::fs::read_dir(&directory).expect("a directory") {
        assert_eq!(mode(&file.expect("a file").path()), 0o600);
    }
}
