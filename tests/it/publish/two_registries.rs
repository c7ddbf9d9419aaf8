//! Two registries in one run, one of them with a password: sources in one, tags in both.

use http::Method;

use crate::support::{
    Scene,
    image::{Image, Loaded},
    registry::{Accounts, Bearer, Builder, Class, Registry},
    scene::platforms,
};

/// Returns a scene in which HOST has the images and requires no credentials, and OTHER requires a password.
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
fn each_blob_is_copied_once_and_then_mounted() {
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
fn second_run_copies_nothing() {
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

/// Returns a scene with images in HOST, for a user who may push to HOST but not to OTHER.
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
                output.stderr.contains("note: no tag was changed"),
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
    // A dry run, or a run with one target, does not check the credentials with an upload.
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
fn refusal_for_one_image_of_a_file_ends_the_run_before_any_tag_moves() {
    let scene = readers(basic);
    write_four_images(&scene);
    insta::assert_snapshot!(scene.run("publish -f spec.yml"), @r#"
    exit code: 3
    ----- stderr -----
    error: failed to push to OTHER/c/app: not allowed: OTHER answered 403 Forbidden (DENIED: requested access to the resource is denied)
     hint: check the permissions of the account: the credentials of "ci" from POLYARCH_USERNAME and POLYARCH_PASSWORD are valid, but they lack push access to c/app
     note: no tag was changed
    "#);
    assert_eq!(scene.registry().count(Class::ManifestPut), 0);
}

#[test]
fn images_of_a_file_are_tried_once_for_each_registry() {
    let (scene, _) = scene();
    write_four_images(&scene);
    let trials = || {
        let registries = scene.registries.iter();
        registries
            .map(|it| it.count(Class::UploadDelete))
            .collect::<Vec<_>>()
    };
    scene.ok("publish -f spec.yml");
    assert_eq!(trials(), vec![1, 1]);
    // A run that changes nothing needs no push access.
    scene.registries.iter().for_each(Registry::clear);
    scene.ok("publish -f spec.yml");
    assert_eq!(trials(), vec![0, 0]);
}

/// Writes a spec file with two images in each registry.
fn write_four_images(scene: &Scene) {
    let targets = [
        "HOST/team/app:1",
        "HOST/b/app:1",
        "OTHER/c/app:1",
        "OTHER/d/app:1",
    ];
    let document = |image| format!("image: {image}\nmanifests:\n  - image: HOST/team/app:amd64\n");
    let documents: Vec<_> = targets.iter().map(document).collect();
    scene.write("spec.yml", documents.join("---\n"));
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

/// Publishes content of HOST in another repository of HOST and in two of OTHER. One tag is new, one moves, and one
/// stays.
#[test]
fn dry_run_lists_every_operation() {
    let (scene, _) = scene();
    scene.ok("publish -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64");
    scene.ok("publish -t OTHER/mirror/app:latest HOST/team/app:amd64");
    scene.ok("publish -t OTHER/mirror/app:stable HOST/team/app:1");
    let line = "publish --dry-run -t HOST/team/app:1 -t HOST/new/app:1 -t OTHER/mirror/app:stable,OTHER/mirror/app:latest \
                -t OTHER/second/app:1 HOST/team/app:1";
    let before: Vec<_> = scene.registries.iter().map(Registry::snapshot).collect();
    insta::assert_snapshot!(scene.run(line), @"
    exit code: 0
    ----- stdout -----
    OCI image index  05e9bb45a828  645 B
    ├── linux/amd64       b4aca284bcdc  304.1 kB
    │   └── from HOST/team/app:1
    └── linux/arm64       cf0edfa61d70  304.1 kB
        └── from HOST/team/app:1

    HOST/team/app:1         already exists
    HOST/new/app:1          would be pushed (new)
    OTHER/mirror/app:stable  already exists
    OTHER/mirror/app:latest  would be pushed (moved from 5b6f1fd54bf6)
    OTHER/second/app:1       would be pushed (new)

    operations at HOST/new/app
      mount blob     b651e8aa724a      432 B  from HOST/team/app
      mount blob     4dd8e80d82e1     2.0 kB  from HOST/team/app
      mount blob     9e235f638afc   301.6 kB  from HOST/team/app
      mount blob     e164b03929ea      432 B  from HOST/team/app
      mount blob     5e7e919dc4c2     2.0 kB  from HOST/team/app
      mount blob     84210b2f9cc5   301.6 kB  from HOST/team/app
      push manifest  b4aca284bcdc      668 B  from HOST/team/app
      push manifest  cf0edfa61d70      668 B  from HOST/team/app
      create tag     1

    operations at OTHER/mirror/app
      copy blob      b651e8aa724a      432 B  from HOST/team/app
      copy blob      4dd8e80d82e1     2.0 kB  from HOST/team/app
      copy blob      9e235f638afc   301.6 kB  from HOST/team/app
      copy blob      e164b03929ea      432 B  from HOST/team/app
      copy blob      5e7e919dc4c2     2.0 kB  from HOST/team/app
      copy blob      84210b2f9cc5   301.6 kB  from HOST/team/app
      push manifest  b4aca284bcdc      668 B  from HOST/team/app
      push manifest  cf0edfa61d70      668 B  from HOST/team/app
      move tag       latest

    operations at OTHER/second/app
      mount blob     b651e8aa724a      432 B  from OTHER/mirror/app
      mount blob     4dd8e80d82e1     2.0 kB  from OTHER/mirror/app
      mount blob     9e235f638afc   301.6 kB  from OTHER/mirror/app
      mount blob     e164b03929ea      432 B  from OTHER/mirror/app
      mount blob     5e7e919dc4c2     2.0 kB  from OTHER/mirror/app
      mount blob     84210b2f9cc5   301.6 kB  from OTHER/mirror/app
      push manifest  b4aca284bcdc      668 B  from HOST/team/app
      push manifest  cf0edfa61d70      668 B  from HOST/team/app
      create tag     1

    would change since 5b6f1fd54bf6
      = linux/amd64      unchanged
      + linux/arm64      added      +304.1 kB
      total size +304.1 kB
    to undo afterwards: polyarch copy OTHER/mirror/app@sha256:5b6f1fd54bf6e8aa2940a485c81e0cb6920497329eabc7ff2f6593b446105c8b OTHER/mirror/app:latest

    sha256:05e9bb45a828534e5f03eceb3ef3406b91440119e1e2d01e613b9d0eb01dbab6
    ");
    let output = scene.run(&format!("{line} --output json")).ok();
    let result: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let kinds = |target: usize| -> Vec<&str> {
        let operations = result["targets"][target]["operations"].as_array();
        let operations = operations.map_or(&[][..], Vec::as_slice).iter();
        operations
            .map(|it| it["operation"].as_str().unwrap())
            .collect()
    };
    assert_eq!(kinds(0), Vec::<&str>::new());
    assert_eq!(kinds(1).last(), Some(&"create-tag"));
    assert!(kinds(1).contains(&"mount-blob") && !kinds(1).contains(&"copy-blob"));
    assert_eq!(kinds(2).last(), Some(&"move-tag"));
    assert!(kinds(2).contains(&"copy-blob") && !kinds(2).contains(&"mount-blob"));
    // Each blob is copied to OTHER once.
    assert!(kinds(3).contains(&"mount-blob") && !kinds(3).contains(&"copy-blob"));
    let after: Vec<_> = scene.registries.iter().map(Registry::snapshot).collect();
    assert_eq!(after, before);
}
