//! Other jobs create or move a tag between its lookup and its write. A tag that must not move is not overwritten, and
//! the report shows the previous digest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{load, scene};
use crate::support::{
    Scene,
    image::{Image, Loaded},
    polyarch::Output,
    registry::{Class, Fault, Registry, Rule},
};

/// Stores the image of another job under the tag 1.
fn load_other(scene: &Scene) -> Loaded {
    Image::new("linux/386").load(scene.registry(), "team/app", "1")
}

fn has_looked_up_tag(registry: &Registry) -> bool {
    registry.count_where(|request| {
        request.class == Class::ManifestHead
            && request.path.ends_with("/manifests/1")
            && request.status.is_some()
    }) > 0
}

/// Publishes an image under the tag 1. Another job creates this tag after the run has looked it up, before the run
/// plans. Returns the output and the digest of the other job.
fn publish_after_lookup(scene: &mut Scene, options: &str) -> (Output, String) {
    let is_created = Arc::new(AtomicBool::new(false));
    let created = Arc::clone(&is_created);
    let held = Fault::until(move |_| created.load(Ordering::SeqCst));
    let config = Rule::on(Class::BlobGet).forever();
    scene.registry().rule(config.then(held));
    let line = format!("publish -t HOST/team/app:1 {options} HOST/team/app:amd64");
    let (output, other) = thread::scope(|threads| {
        let run = threads.spawn(|| scene.run(&line));
        let is_planning = |it: &Registry| it.count(Class::BlobGet) > 0 && has_looked_up_tag(it);
        scene.registry().wait_until(is_planning);
        let other = load_other(scene).digest;
        is_created.store(true, Ordering::SeqCst);
        (run.join().expect("a run"), other)
    });
    scene.name("OTHER_JOB", &other);
    (output, other)
}

#[test]
fn tag_that_was_created_after_the_lookup_is_refused() {
    let mut scene = scene(&["amd64"]);
    let (output, other) = publish_after_lookup(&mut scene, "--if-exists refuse");
    output.exits(5);
    assert_eq!(scene.registry().tag("team/app", "1"), Some(other));
}

#[test]
fn tag_that_was_created_after_the_lookup_is_kept() {
    let mut scene = scene(&["amd64"]);
    let (output, other) = publish_after_lookup(&mut scene, "--if-exists keep --output json");
    let tag = &output.ok().json()["targets"][0]["tags"][0];
    assert_eq!(
        (&tag["status"], &tag["previous"]),
        (&"kept".into(), &other.clone().into())
    );
    assert_eq!(scene.registry().tag("team/app", "1"), Some(other));
}

/// Publishes an image under the tag 1. Another job creates this tag while the run waits for its source. Returns the
/// output and the digest of the other job.
fn publish_after_wait(scene: &mut Scene, options: &str) -> (Output, String) {
    let line = format!("publish -t HOST/team/app:1 --wait 1m {options} HOST/team/app:arm64");
    let (output, other) = thread::scope(|threads| {
        let run = threads.spawn(|| scene.run(&line));
        let is_waiting = |it: &Registry| it.count(Class::ManifestGet) > 1 && has_looked_up_tag(it);
        scene.registry().wait_until(is_waiting);
        let other = load_other(scene).digest;
        scene.registry().clear();
        load(scene, &["arm64"]);
        (run.join().expect("a run"), other)
    });
    scene.name("OTHER_JOB", &other);
    (output, other)
}

#[test]
fn tag_that_was_created_during_a_wait_is_refused() {
    let mut scene = scene(&[]);
    let (output, other) = publish_after_wait(&mut scene, "--if-exists refuse");
    output.exits(5);
    assert!(scene.registry().writes().is_empty());
    assert_eq!(scene.registry().tag("team/app", "1"), Some(other));
}

#[test]
fn move_during_a_wait_is_reported() {
    let mut scene = scene(&[]);
    let (output, other) = publish_after_wait(&mut scene, "--output json");
    let result = output.ok().json();
    assert_eq!(result["targets"][0]["tags"][0]["previous"], other);
    assert_eq!(result["changes"][0]["previous"], other);
}
