//! Two registries in one run, one of them with a password: sources in one, tags in both.

use http::Method;

use crate::support::{
    Scene,
    image::{Image, Loaded},
    registry::{Accounts, Bearer, Builder, Class, Registry},
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

/// Images in HOST, for a user who may push there but not to OTHER.
fn readers(build: fn(Accounts) -> Builder) -> Scene {
    let reader = || Accounts::new("ci", "hunter2").grant("ci", "*", "pull");
    let mut scene = Scene::of([Registry::builder(), build(reader())]);
    scene.set("POLYARCH_PROGRESS", "none");
    scene.log_in_to("OTHER", "ci", "hunter2");
    for name in ["amd64", "arm64"] {
        let image = Image::new(&format!("linux/{name}"));
        image.load(scene.registry(), "team/app", name);
    }
    scene
}

fn basic(accounts: Accounts) -> Builder {
    Registry::builder().basic(accounts)
}

fn bearer(accounts: Accounts) -> Builder {
    Registry::builder().bearer(Bearer::new(accounts))
}

#[test]
fn missing_push_permission_ends_the_run_before_any_tag_moves() {
    for (build, status) in [
        (basic as fn(_) -> _, "403 Forbidden"),
        (bearer, "401 Unauthorized"),
    ] {
        for no_verify in ["", " --no-verify"] {
            let scene = readers(build);
            let line = format!(
                "publish{no_verify} -t HOST/team/app:1 -t OTHER/mirror/app:1 HOST/team/app:amd64 HOST/team/app:arm64"
            );
            let output = scene.run(&line).exits(3);
            let expected = format!(
                "error: failed to push to OTHER/mirror/app: not allowed: OTHER answered {status}"
            );
            assert!(output.stderr.contains(&expected), "{output}");
            assert!(
                output.stderr.contains("hint: no tag was changed"),
                "{output}"
            );
            assert_eq!(scene.registry().tag("team/app", "1"), None);
            assert_eq!(scene.registry().count(Class::ManifestPut), 0);
            let snapshot = scene.other().snapshot();
            assert_eq!(
                snapshot,
                Registry::builder().start_in_background().snapshot()
            );
        }
    }
}

#[test]
fn missing_login_ends_the_run_before_any_tag_moves() {
    let accounts = || Accounts::new("ci", "hunter2").anonymous("*", "pull");
    for build in [basic as fn(_) -> _, bearer] {
        let scene = Scene::of([Registry::builder(), build(accounts())]);
        let image = Image::new("linux/amd64").load(scene.registry(), "team/app", "amd64");
        let line = format!(
            "publish -t HOST/team/app:1 -t OTHER/mirror/app:1 HOST/team/app@{}",
            image.digest
        );
        let output = scene.run(&line).exits(3);
        assert!(
            output
                .stderr
                .contains("failed to push to OTHER/mirror/app: not logged in"),
            "{output}"
        );
        assert_eq!(scene.registry().tag("team/app", "1"), None);
    }
}

#[test]
fn trial_of_the_credentials_leaves_no_upload_open() {
    let (scene, _) = scene();
    scene.ok(PUBLISH);
    for (registry, repositories) in [(scene.registry(), 1), (scene.other(), 2)] {
        assert_eq!(registry.uploads(), 0);
        let trials = registry.count(Class::UploadDelete);
        assert_eq!(trials, repositories);
    }
    // Neither a dry run nor a run with one target tries.
    for line in [
        PUBLISH.replace("publish", "publish --dry-run --annotation a=b"),
        "publish --annotation a=b -t HOST/team/app:2 HOST/team/app:amd64".to_owned(),
    ] {
        scene.registries.iter().for_each(Registry::clear);
        scene.ok(&line);
        for registry in &scene.registries {
            assert_eq!(registry.count(Class::UploadPost), 0);
        }
    }
}

#[test]
fn push_of_a_list_tries_every_target_first() {
    let scene = readers(basic);
    scene.ok("create HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64");
    let output = scene
        .run("push HOST/team/app:1 -t OTHER/mirror/app:1")
        .exits(3);
    assert!(
        output
            .stderr
            .contains("failed to push to OTHER/mirror/app: not allowed"),
        "{output}"
    );
    assert_eq!(scene.registry().tag("team/app", "1"), None);
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
