//! Slow, silent and unreachable registries: the run ends soon after its budget.

use std::time::Duration;

use crate::support::{
    Scene,
    image::Image,
    polyarch::Output,
    registry::{Accounts, Class, Fault, Registry, Rule, closed_address},
};

fn took(output: &Output, range: std::ops::Range<u64>) {
    let (least, most) = (
        Duration::from_secs(range.start),
        Duration::from_secs(range.end),
    );
    assert!((least..most).contains(&output.wall), "{:?}", output.wall);
}

/// Returns a scene with an image with one large layer at HOST, and the digest of this layer.
fn scene() -> (Scene, String) {
    let mut scene = Scene::two();
    scene.set("POLYARCH_PROGRESS", "none");
    let image = Image::new("linux/amd64").layers(&[200_000]);
    let layer = image.load(scene.registry(), "a", "1").blobs[1].clone();
    scene.name("LAYER", &layer["sha256:".len()..][..12]);
    (scene, layer)
}

#[test]
fn a_blob_that_drips_ends_the_run_after_the_budget() {
    let (scene, layer) = scene();
    scene.registry().rule(
        Rule::on(Class::BlobGet)
            .path(&format!("*{layer}"))
            .forever()
            .then(Fault::Drip(Duration::from_millis(500))),
    );
    let output = scene.run("copy --retry-for 5 HOST/a:1 OTHER/b:1").exits(6);
    took(&output, 30..40);
    insta::assert_snapshot!(output.error(), @"
    error: failed to read blob LAYER of HOST/a: HOST transferred less than 1 KiB/s for 30 s (gave up after waiting 5 s for retries)
     hint: allow more time for retries with --retry-for DURATION
     note: no tag was changed
    ");
    assert!(scene.other().tag("b", "1").is_none());
}

#[test]
fn an_upload_that_is_not_read_ends_the_run_after_the_budget() {
    let (scene, _) = scene();
    scene
        .other()
        .rule(Rule::on(Class::UploadPut).forever().then(Fault::Stall));
    let line = "copy --idle-timeout 2 --retry-for 5 HOST/a:1 OTHER/b:1";
    let output = scene.run(line).exits(6);
    took(&output, 2..12);
    // The config or the layer, whichever fails first.
    let error = output.error();
    let (before, after) = error.split_once(" to OTHER/b").unwrap();
    let (before, _) = before.split_once("blob ").unwrap();
    insta::assert_snapshot!(format!("{before}blob … to OTHER/b{after}"), @"
    error: failed to push blob … to OTHER/b: no answer from OTHER for 2 s (gave up after waiting 5 s for retries)
     hint: allow more time for retries with --retry-for DURATION
     note: no tag was changed
    ");
}

/// Copies an image with a layer of this size to a registry that reads one byte a second.
fn upload_byte_by_byte(size: usize) {
    let mut scene = Scene::two();
    scene.set("POLYARCH_PROGRESS", "none");
    let image = Image::new("linux/amd64").layers(&[size]);
    image.load(scene.registry(), "a", "1");
    for class in [Class::UploadPut, Class::UploadPatch] {
        let drip = Fault::DripUpload(Duration::from_secs(1));
        scene.other().rule(Rule::on(class).forever().then(drip));
    }
    let output = scene.run("copy --retry-for 5 HOST/a:1 OTHER/b:1").exits(6);
    took(&output, 30..60);
    let error = output.error();
    assert!(error.contains("failed to push blob "), "{error}");
    assert!(error.contains("note: no tag was changed"), "{error}");
    assert!(scene.other().tag("b", "1").is_none());
}

/// The layer fits in the buffers of the kernel.
#[test]
fn a_small_upload_that_is_read_byte_by_byte_ends_the_run() {
    upload_byte_by_byte(200_000);
}

#[test]
fn a_large_upload_that_is_read_byte_by_byte_ends_the_run() {
    upload_byte_by_byte(40_000_000);
}

#[test]
fn a_registry_that_refuses_connections_is_tried_for_5_s() {
    let (mut scene, _) = scene();
    scene.name("CLOSED", closed_address().to_string());
    let output = scene.run("inspect CLOSED/a:1").exits(6);
    took(&output, 4..7);
    insta::assert_snapshot!(output.error(), @"
    error: failed to read CLOSED/a:1: cannot connect to CLOSED: Connection refused (os error 111) (gave up after 5 s)
     hint: check that CLOSED is running and reachable from here
    ");
}

#[test]
fn a_token_server_that_refuses_connections_is_tried_for_5_s() {
    let (mut scene, _) = scene();
    let closed = closed_address().to_string();
    let realm = format!("http://{closed}/token");
    scene.name("CLOSED", closed);
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
    let accounts = Accounts::new("ci", "pw");
    scene.add(
        Registry::builder()
            .basic(accounts)
            .challenges([challenge.as_str()]),
    );
    let output = scene.run("inspect THIRD/a:1").exits(6);
    took(&output, 4..8);
    insta::assert_snapshot!(output.error(), @"error: failed to read THIRD/a:1 (getting a token from CLOSED): cannot connect to CLOSED: Connection refused (os error 111) (gave up after 5 s)");
}
