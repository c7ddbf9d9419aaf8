//! Runs that fail: exit codes, messages, and the stored content afterwards.

use std::time::Duration;

use serde_json::json;

use super::{outputs::check_schema, scene};
use crate::support::{
    Registry, Scene,
    image::{Image, Loaded},
    registry::{Accounts, Class, Fault, Recorded, Role, Rule, Scheme, Site, closed_address},
    scene::entries,
};

const PUBLISH: &str = "publish -t HOST/team/app:1 HOST/team/app:amd64";

/// Adds an image to a scene. Returns the scene and the image, whose digest is DIGEST.
fn one_image(mut scene: Scene) -> (Scene, Loaded) {
    scene.set("POLYARCH_PROGRESS", "none");
    let image = Image::new("linux/amd64").load(scene.registry(), "team/app", "amd64");
    scene.name("DIGEST", &image.digest);
    (scene, image)
}

/// Returns a rule for the PUT of a manifest under the tag 1.
fn put_of_tag() -> Rule {
    Rule::on(Class::ManifestPut).path("*/manifests/1")
}

#[test]
fn failed_copy_leaves_no_upload_open() {
    let (scene, image) = one_image(Scene::two());
    let to = scene.other();
    let refuse = |count| {
        // Only an upload that the registry has confirmed can be cancelled.
        let all_started = move |requests: &[Recorded]| {
            let started = requests.iter().filter(|it| it.class == Class::UploadPost);
            started.filter(|it| it.status.is_some()).count() == count
        };
        let wait = Fault::until(all_started);
        let refused = Rule::on(Class::UploadPut).forever();
        to.clear_rules();
        to.rule(refused.then(wait).then(Fault::status(403)));
    };
    refuse(image.blobs.len());
    scene.run("copy HOST/team/app:amd64 OTHER/a/one:1").exits(3);
    assert_eq!(to.uploads(), 0);
    scene.ok("create HOST/team/app:list HOST/team/app:amd64");
    // The uploads of the copy and of the push, which also checks its credentials with an upload.
    refuse(2 * image.blobs.len() + 1);
    scene
        .run("push HOST/team/app:list --tag OTHER/a/one:1")
        .exits(7);
    assert!(to.count(Class::UploadPut) > 1);
    assert_eq!(to.uploads(), 0);
}

#[test]
fn storage_host_that_refuses_its_link_is_named() {
    let registry = Registry::builder()
        .basic(Accounts::new("ci", "hunter2"))
        .blobs_at(Site::new(Scheme::Http).ip("127.0.0.3"));
    let (mut scene, _) = one_image(Scene::with(registry));
    scene.log_in("ci", "hunter2");
    let is_storage = Rule::when(|seen| seen.role == Role::Cdn).forever();
    scene.registry().rule(is_storage.then(Fault::status(403)));
    // The credentials are not the cause.
    insta::assert_snapshot!(scene.run(PUBLISH), @"
    exit code: 3
    ----- stderr -----
    error: failed to read blob 58eeb94c299a of HOST/team/app: 127.0.0.3 (redirected from HOST) answered 403 Forbidden
     hint: run the command again, or check the storage of the registry: it refused the URL that HOST returned
    ");
    assert_eq!(scene.registry().tag("team/app", "1"), None);
}

#[test]
fn refused_credentials_are_exit_code_three() {
    let registry = Registry::builder().basic(Accounts::new("ci", "hunter2"));
    let (mut scene, _) = one_image(Scene::with(registry));
    scene.run(PUBLISH).exits(3);
    scene.log_in("ci", "swordfish");
    scene.run(PUBLISH).exits(3);
    let writes = scene.registry().writes();
    assert!(writes.iter().all(|it| it.status.unwrap() == 401));
}

#[test]
fn registry_that_keeps_failing_is_exit_code_six() {
    let (scene, _) = one_image(Scene::new());
    let fails = Rule::on(Class::ManifestPut).forever();
    scene.registry().rule(fails.then(Fault::status(503)));
    insta::assert_snapshot!(scene.run(&format!("{PUBLISH} --retry-for 0")), @"
    exit code: 6
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/team/app:1  failed
    ----- stderr -----
    error: failed to push HOST/team/app:1: HOST answered 503 Service Unavailable (gave up after waiting 0 s for retries)
     hint: allow more time for retries with --retry-for DURATION
     note: no tag was changed
    ");
}

#[test]
fn described_image_that_is_missing_is_exit_code_four() {
    let (mut scene, image) = one_image(Scene::two());
    scene.name("DESCRIPTOR", image.descriptor().to_string());
    let descriptor = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": format!("sha256:{}", "1".repeat(64)),
        "size": 99,
        "platform": {"os": "linux", "architecture": "arm64"},
    });
    scene.name("ABSENT", descriptor.to_string());
    insta::assert_snapshot!(scene.transcript([
        "publish -t OTHER/team/app:1 DESCRIPTOR",
        "publish -t HOST/team/app:1 HOST/team/app:amd64 ABSENT",
    ]), @"
    $ polyarch publish -t OTHER/team/app:1 DESCRIPTOR
    exit code: 4
    ----- stderr -----
    error: failed to check linux/amd64 (DIGEST) of DIGEST: it does not exist in OTHER/team/app
     note: no tag was changed

    $ polyarch publish -t HOST/team/app:1 HOST/team/app:amd64 ABSENT
    exit code: 4
    ----- stderr -----
    error: failed to check linux/arm64 (sha256:1111111111111111111111111111111111111111111111111111111111111111) of sha256:1111111111111111111111111111111111111111111111111111111111111111: it does not exist in HOST/team/app
     note: no tag was changed
    ");
    assert!(scene.other().writes().is_empty());
    assert_eq!(scene.registry().tag("team/app", "1"), None);
}

#[test]
fn bare_digest_of_another_repository_needs_its_name() {
    let (scene, image) = one_image(Scene::two());
    insta::assert_snapshot!(scene.transcript([
        "publish -t HOST/other/app:1 DIGEST",
        "publish -t OTHER/other/app:1 DIGEST",
        "publish -t oci:out:1 DIGEST",
    ]), @"
    $ polyarch publish -t HOST/other/app:1 DIGEST
    exit code: 4
    ----- stderr -----
    error: failed to read HOST/other/app@DIGEST: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
     hint: check the name, or wait with --wait 5m if another job still pushes it
     hint: name the repository of bare digests with --image REPOSITORY (the default is the repository of each tag)

    $ polyarch publish -t OTHER/other/app:1 DIGEST
    exit code: 4
    ----- stderr -----
    error: failed to read OTHER/other/app@DIGEST: OTHER answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
     hint: check the name, or wait with --wait 5m if another job still pushes it
     hint: name the repository of bare digests with --image REPOSITORY (the default is the repository of each tag)

    $ polyarch publish -t oci:out:1 DIGEST
    exit code: 2
    ----- stderr -----
    error: no repository for DIGEST
     hint: add --image REPOSITORY
    ");
    scene.ok("publish -t OTHER/other/app:1 --image HOST/team/app DIGEST");
    assert_eq!(scene.other().problems(), Vec::<String>::new());
    assert!(scene.other().manifest("other/app", &image.digest).is_some());
    scene.ok("publish -t oci:out:1 --image HOST/team/app DIGEST");
}

#[test]
fn layout_can_be_source_and_target() {
    let (scene, amd64) = one_image(Scene::two());
    let arm64 = Image::new("linux/arm64").load(scene.registry(), "team/app", "arm64");
    scene.ok("copy HOST/team/app:amd64 oci:all:amd64");
    scene.ok("copy HOST/team/app:arm64 oci:all:arm64");
    scene.ok("publish -t oci:all:1 oci:all:amd64 oci:all:arm64");
    scene.ok("copy oci:all:1 OTHER/team/app:1");
    let entries = entries(scene.other(), "team/app", "1");
    assert_eq!(entries, [amd64.descriptor(), arm64.descriptor()]);
    assert_eq!(scene.other().problems(), Vec::<String>::new());
}

#[test]
fn registry_without_mounts_gets_the_blobs() {
    let registry = Registry::builder().without_mounts();
    let (scene, image) = one_image(Scene::with(registry));
    scene.ok("publish -t HOST/other/app:1 HOST/team/app:amd64");
    for blob in &image.blobs {
        assert!(scene.registry().has_blob("other/app", blob));
    }
    assert_eq!(scene.registry().problems(), Vec::<String>::new());
}

/// Some registries refuse any write to a tag that exists, even of the manifest that it points to.
#[test]
fn immutable_tag_that_is_correct_is_no_failure() {
    let (scene, _) = one_image(Scene::new());
    let digest = scene.run(PUBLISH).ok().digest();
    let body = r#"{"errors":[{"code":"TAG_INVALID","message":"the tag is immutable"}]}"#;
    let immutable = put_of_tag().forever();
    scene
        .registry()
        .rule(immutable.then(Fault::reply(400, &[], body)));
    let again = scene.run(&format!("{PUBLISH} --no-verify")).ok();
    assert_eq!(again.digest(), digest);
    let line = format!("{PUBLISH} --no-verify --annotation a=b");
    insta::assert_snapshot!(scene.run(&line), @"
    exit code: 1
    ----- stdout -----
    OCI image index  f7ca544c8fb0  411 B
    ├── linux/amd64       d744833917e1  2.3 kB
    │   └── from HOST/team/app:amd64
    └── annotations
        └── a=b

    HOST/team/app:1  failed
    ----- stderr -----
    error: failed to push HOST/team/app:1: HOST answered 400 Bad Request (TAG_INVALID: the tag is immutable)
     note: the tag points to sha256:07d771bca00f1765770156863eef994d02a11c1863bb7c30a3ad45ea1412a708
     note: no tag was changed
    ");
}

/// If a gateway answers a write, the answer does not show whether the registry applied it.
#[test]
fn write_that_was_carried_out_is_found_despite_its_answer() {
    let bad_gateway = || put_of_tag().forever().applied().then(Fault::status(502));
    let line = format!("{PUBLISH} --retry-for 0");
    let (scene, _) = one_image(Scene::new());
    scene.registry().rule(bad_gateway());
    let digest = scene.run(&line).ok().digest();
    assert_eq!(scene.registry().tag("team/app", "1"), Some(digest));

    let (scene, _) = one_image(Scene::new());
    scene.registry().rule(bad_gateway());
    let look = Rule::on(Class::ManifestHead).path("*/manifests/1");
    scene
        .registry()
        .rule(look.forever().then(Fault::status(502)));
    insta::assert_snapshot!(scene.run(&line), @"
    exit code: 6
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/team/app:1  failed
    ----- stderr -----
    error: failed to push HOST/team/app:1: HOST answered 502 Bad Gateway (gave up after waiting 0 s for retries)
     hint: allow more time for retries with --retry-for DURATION
     note: it is unknown whether HOST/team/app:1 was changed
    ");
}

/// Distribution 2.8 on a file system may read a manifest while another client is writing the same one.
#[test]
fn manifest_with_a_wrong_digest_is_sent_again() {
    let wrong = || {
        let body =
            r#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}"#;
        Rule::on(Class::ManifestPut).then(Fault::reply(400, &[], body))
    };
    let (mut scene, _) = one_image(Scene::new());
    scene.registry().rule(wrong());
    scene.unset("POLYARCH_PROGRESS");
    let output = scene.run(PUBLISH).ok();
    assert!(output.stderr.contains("DIGEST_INVALID"), "{output}");
    assert_eq!(scene.registry().tag("team/app", "1"), Some(output.digest()));

    scene.set("POLYARCH_PROGRESS", "none");
    scene.registry().rule(wrong().forever());
    let line = "publish -t HOST/team/app:2 --annotation a=b HOST/team/app:amd64";
    insta::assert_snapshot!(scene.run(line).exits(1).error(), @"
    error: failed to push HOST/team/app:2: HOST answered 400 Bad Request (DIGEST_INVALID: provided digest did not match)
     note: no tag was changed
    ");
    assert_eq!(scene.registry().tag("team/app", "2"), None);
}

#[test]
fn target_that_failed_early_is_reported_with_its_tags() {
    let mut scene = scene(&["amd64"]);
    scene.name("CLOSED", closed_address().to_string());
    scene.set("GITHUB_ACTIONS", "true");
    scene.set("GITHUB_STEP_SUMMARY", "HOME/summary");
    scene.write("summary", "");
    let line = "publish -t CLOSED/a/b:1 -t HOST/team/app:1 --retry-for 0s --output json --jobs 1 \
                HOST/team/app:amd64";
    let output = scene.run(line).exits(7);
    insta::assert_snapshot!(output.stderr, @"
    ::error title=polyarch%3A partly published::failed to look for blob 58eeb94c299a of CLOSED/a/b: cannot connect to CLOSED: Connection refused (os error 111) (gave up after waiting 0 s for retries)%0Ahint: check that CLOSED is running and reachable from here%0Ahint: allow more time for retries with --retry-for DURATION%0Anote: these tags were pushed: HOST/team/app:1
    error: failed to look for blob 58eeb94c299a of CLOSED/a/b: cannot connect to CLOSED: Connection refused (os error 111) (gave up after waiting 0 s for retries)
     hint: check that CLOSED is running and reachable from here
     hint: allow more time for retries with --retry-for DURATION
     note: these tags were pushed: HOST/team/app:1
    ");
    let result = output.json();
    check_schema(&result);
    assert_eq!(result["targets"][0]["tags"][0]["reference"], "CLOSED/a/b:1");
    assert_eq!(result["targets"][0]["tags"][0]["status"], "failed");
    let summary = scene.read("summary");
    assert!(summary.contains("❌ `CLOSED/a/b:1`"), "{summary}");
}

#[test]
fn unwritable_file_is_reported_before_the_publication() {
    let (scene, _) = one_image(Scene::new());
    let lines = [
        "--metadata-file",
        "--digest-file",
        "--index-file",
        "--dotenv",
    ]
    .map(|option| format!("{PUBLISH} {option} nowhere/file"));
    insta::assert_snapshot!(scene.transcript(lines.iter().map(String::as_str)), @"
    $ polyarch publish -t HOST/team/app:1 HOST/team/app:amd64 --metadata-file nowhere/file
    exit code: 2
    ----- stderr -----
    error: cannot write nowhere/file: its directory does not exist

    $ polyarch publish -t HOST/team/app:1 HOST/team/app:amd64 --digest-file nowhere/file
    exit code: 2
    ----- stderr -----
    error: cannot write nowhere/file: its directory does not exist

    $ polyarch publish -t HOST/team/app:1 HOST/team/app:amd64 --index-file nowhere/file
    exit code: 2
    ----- stderr -----
    error: cannot write nowhere/file: its directory does not exist

    $ polyarch publish -t HOST/team/app:1 HOST/team/app:amd64 --dotenv nowhere/file
    exit code: 2
    ----- stderr -----
    error: cannot write nowhere/file: its directory does not exist
    ");
    assert_eq!(scene.registry().tag("team/app", "1"), None);
}

#[test]
fn variables_of_a_dotenv_report_do_not_affect_the_next_run() {
    let (mut scene, _) = one_image(Scene::new());
    scene.ok(&format!("{PUBLISH} --dotenv d.env"));
    for line in scene.read("d.env").lines() {
        let (name, value) = line.split_once('=').expect("NAME=VALUE");
        scene.set(name, value);
    }
    scene.ok("publish -t HOST/team/app:2 DIGEST");
    assert!(scene.registry().tag("team/app", "2").is_some());
}

/// A tag that was written is not reported as unchanged, even if the registry stored other content.
#[test]
fn registry_that_stores_something_else_has_written_the_tag() {
    let (scene, _) = one_image(Scene::new());
    let other = format!("sha256:{}", "1".repeat(64));
    let wrong = Fault::reply(201, &[("docker-content-digest", &other)], "");
    scene.registry().rule(put_of_tag().applied().then(wrong));
    let line = "publish -t HOST/other/app:1 HOST/team/app:amd64";
    insta::assert_snapshot!(scene.run(line), @"
    exit code: 5
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/other/app:1  failed
    ----- stderr -----
    error: failed to push HOST/other/app:1: HOST stored it with the digest 111111111111 instead of 07d771bca00f
     hint: check the registry, or a proxy in front of it: it changes manifests
     note: these tags were pushed but not verified: HOST/other/app:1
    ");
}

/// A wait that would exceed the budget is not started, even if it would overlap other waits.
#[test]
fn no_run_waits_longer_than_its_budget() {
    let (scene, _) = one_image(Scene::new());
    let busy = Fault::reply(429, &[("retry-after", "15")], "");
    let tags = Rule::on(Class::ManifestPut).and(|seen| seen.path.contains("/manifests/t"));
    scene.registry().rule(tags.forever().then(busy));
    let targets: Vec<String> = (0..6).map(|it| format!("-t HOST/team/app:t{it}")).collect();
    let targets = targets.join(" ");
    for jobs in [1, 8] {
        let output = scene.run(&format!(
            "publish --retry-for 5s --jobs {jobs} --no-verify {targets} HOST/team/app:amd64"
        ));
        assert!(output.wall < Duration::from_secs(12), "{jobs}: {output}");
        let output = output.exits(6);
        assert!(output.stderr.contains("429 Too Many Requests"), "{output}");
    }
}

/// A body that arrives byte by byte ends the run in the same way as a body that does not arrive.
#[test]
fn slow_manifest_is_given_up() {
    let (scene, _) = one_image(Scene::new());
    let drip = Fault::Drip(Duration::from_millis(100));
    let read = Rule::on(Class::ManifestGet).forever();
    scene.registry().rule(read.then(drip));
    let output = scene.run(&format!("{PUBLISH} --retry-for 4s --idle-timeout 2s"));
    assert!(output.wall < Duration::from_secs(12), "{:?}", output.wall);
    insta::assert_snapshot!(output.exits(6).error(), @"
    error: failed to read HOST/team/app:amd64: no answer from HOST for 2 s (gave up after waiting 4 s for retries)
     hint: allow more time for retries with --retry-for DURATION
    ");
}

#[test]
fn publish_writes_nothing_to_disk() {
    let scene = scene(&["amd64"]);
    let files = || std::fs::read_dir(scene.home()).unwrap().count();
    scene.ok(&format!("{PUBLISH} --dry-run"));
    assert!(scene.registry().writes().is_empty());
    assert_eq!(files(), 0);
    scene.ok(PUBLISH);
    assert_eq!(files(), 0);
}
