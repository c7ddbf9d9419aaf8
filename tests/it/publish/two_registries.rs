//! Two registries in one run, one of them with a password: sources in one, tags in both.

use http::Method;

use crate::support::{
    Scene,
    image::{Image, Loaded},
    registry::{Accounts, Class, Registry},
    scene::platforms,
};

/// HOST is open and has the images; OTHER requires a password.
fn scene() -> (Scene, [Loaded; 2]) {
    let closed = Registry::builder().basic(Accounts::new("ci", "hunter2"));
    let mut scene = Scene::of([Registry::builder(), closed]);
    scene.set("POLYARCH_PROGRESS", "none");
    scene.log_in_to("OTHER", "ci", "hunter2");
    let images = ["amd64", "arm64"].map(|name| {
        let image = Image::new(&format!("linux/{name}")).layers(&[10, 300_000]);
        image.load(scene.registry(), "team/app", name)
    });
    (scene, images)
}

const PUBLISH: &str = "publish -t HOST/team/app:1 -t OTHER/mirror/app:1 -t OTHER/mirror/app:latest \
                       -t OTHER/second/app:1 HOST/team/app:amd64 HOST/team/app:arm64";

#[test]
fn one_run_fills_both_registries() {
    let (scene, _) = scene();
    let (open, closed) = (scene.registry(), scene.other());
    let digest = scene.run(PUBLISH).ok().digest();
    assert_eq!(open.tag("team/app", "1").unwrap(), digest);
    for (repo, tag) in [
        ("mirror/app", "1"),
        ("mirror/app", "latest"),
        ("second/app", "1"),
    ] {
        assert_eq!(closed.tag(repo, tag).unwrap(), digest);
    }
    let expected = ["linux/amd64", "linux/arm64"];
    assert_eq!(platforms(closed, "second/app", "1"), expected);
    assert_eq!(open.problems(), Vec::<String>::new());
    assert_eq!(closed.problems(), Vec::<String>::new());
    // The password is sent to its registry only.
    assert_eq!(open.count_where(|it| it.carries("hunter2")), 0);
}

#[test]
fn each_blob_is_moved_once_and_mounted_from_there() {
    let (scene, images) = scene();
    let (open, closed) = (scene.registry(), scene.other());
    scene.ok(PUBLISH);
    let mut blobs: Vec<&String> = images.iter().flat_map(|image| &image.blobs).collect();
    blobs.sort();
    blobs.dedup();
    for blob in &blobs {
        let of_blob = |path: &str| path.ends_with(blob.as_str());
        // A config is read once more for its platform.
        let reads = open.count_where(|it| it.method == Method::GET && of_blob(&it.path));
        assert!((1..=2).contains(&reads), "{blob} was read {reads} times");
        let uploads = closed.count_where(|it| {
            matches!(it.class, Class::UploadPut | Class::UploadPost)
                && it.query.contains(&blob.replace(':', "%3A"))
                || it.class == Class::UploadPut && it.query.contains(blob.as_str())
        });
        assert!(uploads >= 1, "{blob} did not arrive");
    }
    let received: u64 = closed.requests().iter().map(|it| it.body).sum();
    let held: u64 = blobs
        .iter()
        .map(|blob| open.blob("team/app", blob).unwrap().len() as u64)
        .sum();
    assert!(received < held + 20_000, "{received} bytes for {held}");
}

#[test]
fn second_run_moves_nothing() {
    let (scene, _) = scene();
    let digest = scene.run(PUBLISH).ok().digest();
    let before: Vec<_> = scene.registries.iter().map(Registry::snapshot).collect();
    for registry in &scene.registries {
        registry.clear();
    }
    assert_eq!(scene.run(PUBLISH).ok().digest(), digest);
    for registry in &scene.registries {
        assert!(registry.writes().is_empty());
    }
    // The configs, for the platforms.
    assert_eq!(scene.registry().count(Class::BlobGet), 2);
    let after: Vec<_> = scene.registries.iter().map(Registry::snapshot).collect();
    assert_eq!(after, before);
}

#[test]
fn rejected_credentials_end_the_run_before_any_tag_moves() {
    let (mut scene, _) = scene();
    scene.set("POLYARCH_PASSWORD", "mistaken");
    let output = scene.run(PUBLISH).exits(3);
    for part in ["OTHER", "no tag was changed"] {
        assert!(output.stderr.contains(part), "{output}");
    }
    assert_eq!(scene.registry().tag("team/app", "1"), None);
    assert!(scene.other().tags("mirror/app").is_empty());
}

#[test]
fn bare_digests_are_found_in_the_target_that_has_them() {
    let (scene, [amd64, arm64]) = scene();
    let output = scene.run(&format!(
        "publish -t OTHER/mirror/app:1 -t HOST/team/app:1 {} {}",
        amd64.digest, arm64.digest
    ));
    let tag = scene.other().tag("mirror/app", "1");
    assert_eq!(tag.unwrap(), output.ok().digest());
    assert_eq!(scene.other().problems(), Vec::<String>::new());
}
