//! The images that an index names must exist and match their descriptors before any tag moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::support::{
    Registry, Scene,
    image::{Image, Index, Loaded, media},
    registry::{Class, Fault, Recorded, Rule},
    scene::{entries, platforms},
};

const PUBLISH: &str = "publish -t HOST/team/app:latest HOST/team/app:app";

/// Returns a scene with an index of two images in `team/app:app`, and the index. ARM is the digest of the second image.
fn scene() -> (Scene, Loaded) {
    let mut scene = Scene::new();
    scene.set("POLYARCH_PROGRESS", "none");
    let index = load(&scene);
    let entries = entries(scene.registry(), "team/app", "app");
    scene.name("ARM", entries[1]["digest"].as_str().unwrap());
    (scene, index)
}

fn load(scene: &Scene) -> Loaded {
    let index = Index::oci().of(["linux/amd64", "linux/arm64"]);
    index.load(scene.registry(), "team/app", "app")
}

/// Replaces the index by one whose second descriptor was changed.
fn alter(registry: &Registry, change: impl Fn(&mut Value)) {
    let mut index = registry.document("team/app", "app").expect("an index");
    change(&mut index["manifests"][1]);
    registry.put_manifest("team/app", Some("app"), media::OCI_INDEX, index.to_string());
}

#[test]
fn missing_child_is_refused() {
    let (scene, _) = scene();
    let registry = scene.registry();
    registry.remove("team/app", &scene.expand("ARM"));
    registry.clear();
    insta::assert_snapshot!(scene.transcript([
        PUBLISH,
        &format!("{PUBLISH} --dry-run"),
        &format!("{PUBLISH} --annotation a=b"),
        &format!("{PUBLISH} --platform linux/arm64"),
    ]), @"
    $ polyarch publish -t HOST/team/app:latest HOST/team/app:app
    exit code: 4
    ----- stderr -----
    error: failed to check linux/arm64 (ARM) of HOST/team/app:app: it does not exist in HOST/team/app
     note: no tag was changed

    $ polyarch publish -t HOST/team/app:latest HOST/team/app:app --dry-run
    exit code: 4
    ----- stderr -----
    error: failed to check linux/arm64 (ARM) of HOST/team/app:app: it does not exist in HOST/team/app
     note: no tag was changed

    $ polyarch publish -t HOST/team/app:latest HOST/team/app:app --annotation a=b
    exit code: 4
    ----- stderr -----
    error: failed to check linux/arm64 (ARM) of HOST/team/app:app: it does not exist in HOST/team/app
     note: no tag was changed

    $ polyarch publish -t HOST/team/app:latest HOST/team/app:app --platform linux/arm64
    exit code: 4
    ----- stderr -----
    notice: omitted, because the platforms are limited to linux/arm64: linux/amd64 (HOST/team/app:app)
    error: failed to check linux/arm64 (ARM) of HOST/team/app:app: it does not exist in HOST/team/app
     note: no tag was changed
    ");
    assert!(registry.writes().is_empty());
    assert_eq!(registry.tag("team/app", "latest"), None);
}

#[test]
fn check_can_be_switched_off() {
    let (scene, index) = scene();
    scene.registry().remove("team/app", &scene.expand("ARM"));
    // The test registry itself refuses an index without its images.
    let output = scene.run(&format!("{PUBLISH} --check none --dry-run"));
    assert_eq!(output.ok().digest(), index.digest);
}

#[test]
fn different_child_is_refused() {
    let (scene, _) = scene();
    let size = |entry: &mut Value| entry["size"] = json!(entry["size"].as_u64().unwrap() + 1);
    let media_type = |entry: &mut Value| entry["mediaType"] = json!(media::DOCKER_MANIFEST);
    let data = |entry: &mut Value| entry["data"] = json!("e30=");
    let changes: [&dyn Fn(&mut Value); 3] = [&size, &media_type, &data];
    let mut outputs = String::new();
    for change in changes {
        load(&scene);
        alter(scene.registry(), change);
        outputs += &scene.run(PUBLISH).exits(5).to_string();
        assert_eq!(scene.registry().tag("team/app", "latest"), None);
    }
    insta::assert_snapshot!(outputs, @"
    exit code: 5
    ----- stderr -----
    error: failed to check linux/arm64 (ARM) of HOST/team/app:app: its descriptor has the size 478, the content has 477
     note: no tag was changed
    exit code: 5
    ----- stderr -----
    error: failed to check linux/arm64 (ARM) of HOST/team/app:app: its descriptor has the media type application/vnd.docker.distribution.manifest.v2+json, the content has application/vnd.oci.image.manifest.v1+json
     note: no tag was changed
    exit code: 5
    ----- stderr -----
    error: failed to check linux/arm64 (ARM) of HOST/team/app:app: the data in its descriptor does not match its digest
     note: no tag was changed
    ");
}

#[test]
fn wrong_head_is_confirmed_by_get() {
    let (scene, index) = scene();
    let head = Rule::on(Class::ManifestHead).path(&format!("*{}", scene.expand("ARM")));
    scene
        .registry()
        .rule(head.forever().then(Fault::ContentLength(7)));
    scene.ok(PUBLISH);
    assert_eq!(
        scene.registry().tag("team/app", "latest"),
        Some(index.digest)
    );
}

#[test]
fn missing_layer_is_refused_on_request() {
    let (mut scene, _) = scene();
    let image = scene.registry().document("team/app", &scene.expand("ARM"));
    let image = image.expect("an image");
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    scene.registry().remove("team/app", layer);
    scene.name("LAYER", layer);
    insta::assert_snapshot!(scene.run(&format!("{PUBLISH} --check blobs")), @"
    exit code: 4
    ----- stderr -----
    error: failed to check linux/arm64 (ARM) of HOST/team/app:app: its blob LAYER does not exist in HOST/team/app
     note: no tag was changed
    ");
    assert_eq!(scene.registry().tag("team/app", "latest"), None);
    scene.ok(PUBLISH);
}

#[test]
fn push_checks_images_of_the_list() {
    let mut scene = Scene::new();
    let image = Image::new("linux/amd64").load(scene.registry(), "team/app", "amd64");
    scene.name("DIGEST", &image.digest);
    scene.ok("create HOST/team/app:list HOST/team/app:amd64");
    scene.registry().remove("team/app", &image.digest);
    insta::assert_snapshot!(scene.run("push HOST/team/app:list"), @"
    exit code: 4
    ----- stderr -----
    error: failed to check linux/amd64 (DIGEST) of HOST/team/app:amd64: it does not exist in HOST/team/app
     note: no tag was changed
    ");
    assert_eq!(scene.registry().tag("team/app", "list"), None);
}

const APPEND: &str = "publish -t HOST/team/app:app --append HOST/team/app:s390x";

/// Appends to the index. Another client moves the tag as soon as `reached` is true; then `then` is called.
fn append(scene: &Scene, reached: impl Fn(&Registry) -> bool, then: impl Fn()) {
    Image::new("linux/s390x").load(scene.registry(), "team/app", "s390x");
    thread::scope(|threads| {
        let run = threads.spawn(|| scene.run(APPEND));
        scene.registry().wait_until(reached);
        let others = Index::oci().of(["linux/amd64", "linux/ppc64le"]);
        others.load(scene.registry(), "team/app", "app");
        then();
        run.join().expect("a run").ok();
    });
    let expected = ["linux/amd64", "linux/ppc64le", "linux/s390x"];
    assert_eq!(platforms(scene.registry(), "team/app", "app"), expected);
}

#[test]
fn append_plans_again_if_the_base_moves_before_the_write() {
    let (scene, _) = scene();
    let moved = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&moved);
    let held = Fault::until(move |_| seen.load(Ordering::SeqCst));
    scene
        .registry()
        .rule(Rule::on(Class::BlobGet).forever().then(held));
    let is_planning = |registry: &Registry| registry.count(Class::BlobGet) > 0;
    append(&scene, is_planning, || moved.store(true, Ordering::SeqCst));
}

#[test]
fn append_is_repeated_if_it_was_overwritten() {
    let (scene, base) = scene();
    let is_written =
        |registry: &Registry| registry.tag("team/app", "app") != Some(base.digest.clone());
    append(&scene, is_written, || ());
}

/// The other client reads the result of the job, and adds to it before the job verifies it.
#[test]
fn append_succeeds_if_another_job_appends_to_its_result() {
    const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/ppc64le", "linux/s390x"];
    let (scene, base) = scene();
    Image::new("linux/s390x").load(scene.registry(), "team/app", "s390x");
    let moved = Arc::new(AtomicBool::new(false));
    for class in [Class::ManifestGet, Class::ManifestHead] {
        let seen = Arc::clone(&moved);
        let held = Fault::until(move |requests| {
            let is_write = |request: &Recorded| request.class == Class::ManifestPut;
            seen.load(Ordering::SeqCst) || !requests.iter().any(is_write)
        });
        let verification = Rule::on(class).path("*/manifests/app");
        scene.registry().rule(verification.forever().then(held));
    }
    thread::scope(|threads| {
        let run = threads.spawn(|| scene.run(APPEND));
        let registry = scene.registry();
        registry.wait_until(|it| it.tag("team/app", "app") != Some(base.digest.clone()));
        let all = Index::oci().of(PLATFORMS);
        all.load(registry, "team/app", "app");
        moved.store(true, Ordering::SeqCst);
        run.join().expect("a run").ok();
    });
    assert_eq!(platforms(scene.registry(), "team/app", "app"), PLATFORMS);
}
