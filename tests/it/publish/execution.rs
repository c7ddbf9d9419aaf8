//! The order of writes, the content that is not changed, the report after a partial failure, dry runs, and the memory
//! for a large layer.

use std::time::Duration;

use super::{outputs::check_schema, scene};
use crate::support::{
    Scene,
    image::{self, Image, Index},
    registry::{Class, Fault, Registry, Rule},
    scene::{entries, manifest_puts},
};

const PUBLISH: &str = "publish -t HOST/team/app:1 HOST/team/app:amd64";

#[test]
fn images_are_put_before_attestations_and_the_index_last() {
    let scene = Scene::two();
    let to = scene.other();
    for architecture in ["amd64", "arm64"] {
        let image = Image::new(&format!("linux/{architecture}"));
        let index = Index::oci().image(image).attested();
        index.load(scene.registry(), "team/app", architecture);
    }
    let line = "publish -t OTHER/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64";
    let digest = scene.run(line).ok().digest();
    let puts = manifest_puts(to);
    let position = |name: &str| {
        puts.iter()
            .position(|put| put.path.ends_with(name))
            .unwrap_or_else(|| panic!("{name} was not put"))
    };
    let mut attestations = 0;
    for entry in entries(to, "team/app", "1") {
        let digest = entry["digest"].as_str().unwrap();
        if let Some(subject) = entry["annotations"]["vnd.docker.reference.digest"].as_str() {
            assert!(position(subject) < position(digest));
            attestations += 1;
        }
        assert!(position(digest) < position("/manifests/1"));
    }
    assert_eq!(attestations, 2);
    let writes = to.writes();
    let uploads = writes.iter().filter(|it| it.class == Class::UploadPut);
    let last_upload = uploads.map(|it| it.number).max().unwrap();
    assert!(last_upload < puts[0].number, "blobs come first");
    assert_eq!(to.tag("team/app", "1").unwrap(), digest);
    assert_eq!(to.problems(), Vec::<String>::new());
}

#[test]
fn referrers_are_copied_on_request() {
    for (line, referrers) in [
        (
            "publish -t OTHER/other/app:1 HOST/team/app:1 --referrers",
            true,
        ),
        ("copy HOST/team/app:1 OTHER/other/app:1 --referrers", true),
        ("publish -t OTHER/other/app:1 HOST/team/app:1", false),
    ] {
        let scene = Scene::two();
        let (from, to) = (scene.registry(), scene.other());
        let image = Image::new("linux/amd64").load(from, "team/app", "1");
        let (signature, _) = image::sign(from, "team/app", &image.digest);
        let document = image::referrer(from, "team/app", &image, "application/spdx+json");
        scene.ok(line);
        assert_eq!(to.tag("other/app", &signature).is_some(), referrers);
        let document = to.manifest("other/app", &document.digest);
        assert_eq!(document.is_some(), referrers);
        assert_eq!(to.problems(), Vec::<String>::new());
    }
}

#[test]
fn correct_tag_is_not_written_again() {
    let scene = scene(&["amd64"]);
    let registry = scene.registry();
    scene.ok(PUBLISH);
    registry.clear();
    let both = format!("{PUBLISH} -t HOST/team/app:2");
    insta::assert_snapshot!(scene.ok(&both), @"
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/team/app:1  already exists
    HOST/team/app:2  pushed (new)

    sha256:07d771bca00f1765770156863eef994d02a11c1863bb7c30a3ad45ea1412a708
    ");
    let puts = manifest_puts(registry);
    assert_eq!(puts.len(), 1);
    assert!(puts[0].path.ends_with("/manifests/2"));
    registry.clear();
    scene.ok(&both);
    assert!(registry.writes().is_empty());
}

#[test]
fn immutable_tags_allow_the_same_run_only() {
    let scene = Scene::with(Registry::builder().immutable_tags());
    super::load(&scene, &["amd64"]);
    let digest = scene.run(PUBLISH).ok().digest();
    for option in ["", "--no-verify"] {
        let again = scene.run(&format!("{PUBLISH} {option}"));
        assert_eq!(again.ok().digest(), digest);
    }
    assert_ne!(scene.run(&format!("{PUBLISH} --annotation a=b")).code, 0);
    assert_eq!(scene.registry().tag("team/app", "1").unwrap(), digest);
}

/// Refuses every write to these tags.
fn protect(scene: &Scene, tags: &[&str]) {
    let body = r#"{"errors":[{"code":"DENIED","message":"protected"}]}"#;
    for tag in tags {
        let put = Rule::on(Class::ManifestPut).path(&format!("*/manifests/{tag}"));
        scene
            .registry()
            .rule(put.forever().then(Fault::reply(403, &[], body)));
    }
}

#[test]
fn partial_failure_reports_which_tags_were_pushed() {
    let scene = scene(&["amd64"]);
    protect(&scene, &["2", "3"]);
    let line = "publish -t HOST/team/app:1,HOST/team/app:2,HOST/team/app:3 HOST/team/app:amd64";
    let output = scene.run(&format!("{line} --dotenv env --digest-file digest"));
    let digest = scene.registry().tag("team/app", "1").unwrap();
    assert_eq!(output.digest(), digest);
    assert_eq!(scene.read("digest"), digest);
    assert!(scene.read("env").contains("POLYARCH_REF=HOST/team/app:1\n"));
    insta::assert_snapshot!(output, @"
    exit code: 7
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/team/app:1  pushed (new)
    HOST/team/app:2  failed
    HOST/team/app:3  failed

    sha256:07d771bca00f1765770156863eef994d02a11c1863bb7c30a3ad45ea1412a708
    ----- stderr -----
    error: failed to push HOST/team/app:2: not logged in: HOST answered 403 Forbidden (DENIED: protected)
     hint: log in (`docker login HOST`), or set POLYARCH_REGISTRY=HOST, POLYARCH_USERNAME and POLYARCH_PASSWORD
     hint: run `polyarch auth REF` to see where credentials are searched for
     note: no credentials for HOST were found
     note: this failed too: failed to push HOST/team/app:3: not logged in: HOST answered 403 Forbidden (DENIED: protected)
     note: these tags were pushed: HOST/team/app:1
    ");
    let result = scene.run(&format!("{line} --output json")).exits(7).json();
    check_schema(&result);
    assert_eq!(result["status"], "partial");
    let tags = result["targets"][0]["tags"].as_array().unwrap();
    let statuses: Vec<_> = tags
        .iter()
        .map(|tag| tag["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["already", "failed", "failed"]);
}

#[test]
fn failure_before_any_tag_is_not_partial() {
    let scene = scene(&["amd64"]);
    let put = Rule::on(Class::ManifestPut).forever();
    scene.registry().rule(put.then(Fault::status(403)));
    insta::assert_snapshot!(scene.run(&format!("{PUBLISH} --digest-file digest")), @"
    exit code: 3
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/team/app:1  failed
    ----- stderr -----
    error: failed to push HOST/team/app:1: not logged in: HOST answered 403 Forbidden
     hint: log in (`docker login HOST`), or set POLYARCH_REGISTRY=HOST, POLYARCH_USERNAME and POLYARCH_PASSWORD
     hint: run `polyarch auth REF` to see where credentials are searched for
     note: no credentials for HOST were found
     note: no tag was changed
    ");
    assert!(!scene.path("digest").exists());
}

#[test]
fn failure_is_reported_although_a_file_cannot_be_written() {
    let mut scene = scene(&["amd64"]);
    protect(&scene, &["2"]);
    // Only writing the file shows that its name is too long.
    scene.name("LONG", "x".repeat(300));
    let line = format!("{PUBLISH} -t HOST/team/app:2 --digest-file LONG");
    insta::assert_snapshot!(scene.run(&line), @"
    exit code: 7
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/team/app:1  pushed (new)
    HOST/team/app:2  failed

    sha256:07d771bca00f1765770156863eef994d02a11c1863bb7c30a3ad45ea1412a708
    ----- stderr -----
    error: failed to push HOST/team/app:2: not logged in: HOST answered 403 Forbidden (DENIED: protected)
     hint: log in (`docker login HOST`), or set POLYARCH_REGISTRY=HOST, POLYARCH_USERNAME and POLYARCH_PASSWORD
     hint: run `polyarch auth REF` to see where credentials are searched for
     note: no credentials for HOST were found
     note: these tags were pushed: HOST/team/app:1
     note: this failed too: cannot write LONG: File name too long (os error 36)
    ");
}

#[test]
fn dry_run_writes_nothing_and_prints_the_same_digest() {
    let scene = Scene::two();
    super::load(&scene, &["amd64"]);
    let line = "publish -t OTHER/team/app:1 -t oci:out:1 HOST/team/app:amd64";
    let planned = scene.run(&format!("{line} --dry-run")).ok();
    for registry in &scene.registries {
        assert!(registry.writes().is_empty());
    }
    assert!(!scene.path("out").exists());
    assert_eq!(scene.run(line).ok().digest(), planned.digest());
    insta::assert_snapshot!(planned, @"
    exit code: 0
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    OTHER/team/app:1  would be pushed (new)
    oci:out:1                   would be pushed (new)

    operations at OTHER/team/app
      copy blob      58eeb94c299a      299 B  from HOST/team/app
      copy blob      fd2d11818848     2.0 kB  from HOST/team/app
      push manifest  d744833917e1      477 B  from HOST/team/app
      create tag     1

    operations at oci:out
      copy blob      58eeb94c299a      299 B  from HOST/team/app
      copy blob      fd2d11818848     2.0 kB  from HOST/team/app
      push manifest  d744833917e1      477 B  from HOST/team/app
      create tag     1

    sha256:07d771bca00f1765770156863eef994d02a11c1863bb7c30a3ad45ea1412a708
    ");
}

#[test]
fn corrupt_content_is_refused_by_the_verification() {
    let scene = scene(&["amd64"]);
    let read = Rule::on(Class::ManifestGet).path("*/manifests/1");
    scene.registry().rule(read.forever().then(Fault::Corrupt));
    insta::assert_snapshot!(scene.run(PUBLISH), @"
    exit code: 5
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/team/app:1  failed
    ----- stderr -----
    error: failed to read HOST/team/app:1: the registry twice sent content with the digest 9756e0f8d458 instead of 07d771bca00f
     hint: check the registry, or a proxy in front of it: it serves wrong or damaged content
     note: these tags were pushed but not verified: HOST/team/app:1
    ");
    assert_eq!(scene.registry().pending_rules(), 0);
    scene.ok(&format!("{PUBLISH} --no-verify"));
}

#[test]
fn push_of_another_client_is_detected_by_the_verification() {
    let scene = scene(&["amd64"]);
    let other = Index::oci().of(["linux/386"]);
    let other = other.load(scene.registry(), "team/app", None);
    let read = Rule::on(Class::ManifestGet).path("*/manifests/1").forever();
    scene.registry().rule(
        read.then(Fault::Body(other.bytes.clone().into()))
            .then(Fault::header("docker-content-digest", &other.digest)),
    );
    insta::assert_snapshot!(scene.run(PUBLISH), @"
    exit code: 5
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/team/app:1  failed
    ----- stderr -----
    error: failed to verify HOST/team/app:1: it has the digest sha256:35a8b488aa356a462f57190dc5b4659354349d9a09fea935eaf9f9cb69152f2c (application/vnd.oci.image.index.v1+json) instead of sha256:07d771bca00f1765770156863eef994d02a11c1863bb7c30a3ad45ea1412a708 (application/vnd.oci.image.index.v1+json)
     hint: check whether another job pushes the same tag, or whether a cache in front of the registry is stale
     note: these tags were pushed but not verified: HOST/team/app:1
    ");
}

#[test]
fn without_verification_no_tag_is_read() {
    let scene = scene(&["amd64"]);
    let reads = || {
        let of_tag = |path: &str| path.ends_with("/manifests/1");
        scene
            .registry()
            .count_where(|it| of_tag(&it.path) && !it.writes())
    };
    scene.ok(&format!("{PUBLISH} --no-verify"));
    assert_eq!(reads(), 0);
    scene.ok(&format!("{PUBLISH} --annotation a=b"));
    assert_ne!(reads(), 0);
}

#[test]
fn large_layer_needs_little_memory_and_shows_progress() {
    const LAYER: u64 = 256 << 20;
    let scene = Scene::of([Registry::builder(), Registry::builder().discard_uploads()]);
    let (from, to) = (scene.registry(), scene.other());
    let image = Image::new("linux/amd64").virtual_layers(&[LAYER]);
    let layer = image.load(from, "team/big", "1").blobs[1].clone();
    let read = || Rule::on(Class::BlobGet).path(&format!("*/blobs/{layer}"));
    // The connection breaks, and the rest is sent after the next progress line.
    from.rule(read().then(Fault::ResetBody(LAYER / 4)));
    from.rule(read().then(Fault::Delay(Duration::from_millis(5500))));
    let words = [
        "publish",
        "-t",
        "OTHER/team/big:1",
        "--progress",
        "plain",
        "HOST/team/big:1",
    ];
    let output = scene
        .polyarch()
        .args(words)
        .unwatched()
        .measured()
        .run()
        .ok();
    assert_eq!(from.pending_rules(), 0);
    assert!(to.has_blob("team/big", &layer));
    let has = |part: &str| output.stderr.lines().any(|line| line.contains(part));
    assert!(
        has(" of 268.4 MB (") && has("Pushed (268.4 MB)"),
        "{output}"
    );
    assert!(output.memory < 32 << 10, "{} KiB", output.memory);
}
