//! How runs fail: exit codes, what is said, and what is there afterwards.

use std::time::Duration;

use super::{Home, registry};
use crate::support::{
    Registry,
    image::{Image, Loaded},
    registry::{Accounts, Class, Fault, Role, Rule, Scheme, Site},
};

/// A home, and an image in a registry with its reference.
pub(super) fn scene(registry: &Registry) -> (Home, Loaded, String) {
    let image = Image::new("linux/amd64").load(registry, "team/app", "amd64");
    (Home::new(), image, registry.reference("team/app", "amd64"))
}

#[test]
fn a_copy_that_fails_leaves_no_upload_open() {
    let from = registry();
    let to = registry();
    let (home, _, source) = scene(&from);
    // Not before every upload is known here: one of which the registry has not yet told cannot be cancelled.
    let refused = Rule::on(Class::UploadPut).forever();
    let later = Fault::Delay(Duration::from_millis(200));
    to.rule(refused.then(later).then(Fault::status(403)));
    let target = to.reference("a/one", "1");
    home.run(&["copy", &source, &target]).refused(3, &["a/one"]);
    let list = from.reference("team/app", "list");
    home.run(&["create", &list, &source]).ok();
    home.run(&["push", &list, "--tag", &target])
        .refused(7, &["a/one"]);
    assert!(to.count(Class::UploadPut) > 1);
    assert_eq!(to.uploads(), 0);
}

#[test]
fn a_storage_host_that_refuses_its_link_is_named_and_no_credentials_are_blamed() {
    let registry = Registry::builder()
        .basic(Accounts::new("ci", "hunter2"))
        .blobs_at(Site::new(Scheme::Http).ip("127.0.0.3"))
        .start_in_background();
    let (mut home, _, source) = scene(&registry);
    home.set("POLYARCH_REGISTRY", registry.host());
    home.set("POLYARCH_USERNAME", "ci");
    home.set("POLYARCH_PASSWORD", "hunter2");
    registry.rule(
        Rule::when(|seen| seen.role == Role::Cdn)
            .forever()
            .then(Fault::status(403)),
    );
    let said = home
        .publish(&registry.reference("team/app", "1"), &[&source])
        .refused(
            3,
            &[
                "127.0.0.3 (redirected from ",
                "answered 403",
                "run the command again",
            ],
        );
    assert!(!said.stderr.contains("POLYARCH_"), "{}", said.stderr);
    assert_eq!(registry.tag("team/app", "1"), None);
}

#[test]
fn refused_credentials_are_exit_code_three() {
    let registry = Registry::builder()
        .basic(Accounts::new("ci", "hunter2"))
        .start_in_background();
    let (mut home, _, source) = scene(&registry);
    let target = registry.reference("team/app", "1");
    home.publish(&target, &[&source])
        .refused(3, &[registry.host()]);
    home.set("POLYARCH_REGISTRY", registry.host());
    home.set("POLYARCH_USERNAME", "ci");
    home.set("POLYARCH_PASSWORD", "swordfish");
    let said = home
        .publish(&target, &[&source])
        .refused(3, &[registry.host()]);
    assert!(!said.stderr.contains("swordfish"), "{}", said.stderr);
    assert!(registry.writes().iter().all(|it| it.status.unwrap() == 401));
}

#[test]
fn a_registry_that_keeps_failing_is_exit_code_six() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    registry.rule(
        Rule::on(Class::ManifestPut)
            .forever()
            .then(Fault::status(503)),
    );
    let target = registry.reference("team/app", "1");
    home.publish(&target, &["--retry-for", "0", &source])
        .refused(6, &[&target, "503", "no tag was changed"]);
}

#[test]
fn a_descriptor_of_something_that_is_not_there_is_refused_by_the_registry_and_told() {
    let elsewhere = registry();
    let registry = registry();
    let (home, image, _) = scene(&elsewhere);
    let target = registry.reference("team/app", "1");
    let cause = format!("it does not exist in {}/team/app", registry.host());
    home.publish(&target, &[&image.descriptor().to_string()])
        .refused(4, &[&image.digest, &cause, "no tag was changed"]);
    assert!(registry.writes().is_empty());
}

#[test]
fn digests_that_lie_in_another_repository() {
    let from = registry();
    let to = registry();
    let (home, image, _) = scene(&from);
    let target = to.reference("other/app", "1");
    let place = format!("{}/team/app", from.host());
    home.publish(&target, &[&image.digest])
        .refused(4, &[&image.digest]);
    home.publish(&target, &["--image", &place, &image.digest])
        .ok();
    assert_eq!(to.problems(), Vec::<String>::new());
    assert!(to.manifest("other/app", &image.digest).is_some());
    home.publish("oci:out:1", &[&image.digest])
        .refused(2, &["no repository for", "--image"]);
    home.publish("oci:out:1", &["--image", &place, &image.digest])
        .ok();
}

#[test]
fn a_layout_can_be_source_and_target() {
    let registry = registry();
    let (home, image, source) = scene(&registry);
    let arm = Image::new("linux/arm64").load(&registry, "team/app", "arm64");
    home.run(&["copy", &source, "oci:all:amd64"]).ok();
    home.run(&[
        "copy",
        &registry.reference("team/app", "arm64"),
        "oci:all:arm64",
    ])
    .ok();
    home.publish("oci:all:1", &["oci:all:amd64", "oci:all:arm64"])
        .ok();
    let back = super::registry();
    let target = back.reference("team/app", "1");
    home.run(&["copy", "oci:all:1", &target]).ok();
    let entries = super::entries(&back, "team/app", "1");
    assert_eq!(entries, [image.descriptor(), arm.descriptor()]);
    assert_eq!(back.problems(), Vec::<String>::new());
}

#[test]
fn a_registry_that_does_not_mount_gets_the_blobs() {
    let registry = Registry::builder().without_mounts().start_in_background();
    let (home, image, source) = scene(&registry);
    let target = registry.reference("other/app", "1");
    home.publish(&target, &[&source]).ok();
    for blob in &image.blobs {
        assert!(registry.has_blob("other/app", blob));
    }
    assert_eq!(registry.problems(), Vec::<String>::new());
}

/// Some registries refuse any write to a tag that exists, even that of what it points at.
#[test]
fn a_tag_that_cannot_be_written_again_but_is_right_is_no_failure() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let target = registry.reference("team/app", "1");
    let digest = home.publish(&target, &[&source]).ok().digest();
    let body = r#"{"errors":[{"code":"TAG_INVALID","message":"the tag is immutable"}]}"#;
    registry.rule(
        Rule::on(Class::ManifestPut)
            .path("*/manifests/1")
            .forever()
            .then(Fault::reply(400, &[], body)),
    );
    let said = home.publish(&target, &["--no-verify", &source]).ok();
    assert_eq!(said.digest(), digest);
    home.publish(&target, &["--no-verify", "--annotation", "a=b", &source])
        .refused(1, &["the tag is immutable", "no tag was changed"]);
}

/// What an answer before the registry says of a write need not be what became of it.
#[test]
fn a_write_that_was_carried_out_all_the_same_is_found_out() {
    let only_tags = || {
        Rule::on(Class::ManifestPut)
            .path("*/manifests/1")
            .forever()
            .applied()
            .then(Fault::status(502))
    };
    let registry = registry();
    let (home, _, source) = scene(&registry);
    registry.rule(only_tags());
    let target = registry.reference("team/app", "1");
    let said = home.publish(&target, &["--retry-for", "0", &source]).ok();
    assert_eq!(registry.tag("team/app", "1"), Some(said.digest()));

    let registry = super::registry();
    let (home, _, source) = scene(&registry);
    registry.rule(only_tags());
    registry.rule(
        Rule::on(Class::ManifestHead)
            .path("*/manifests/1")
            .forever()
            .then(Fault::status(502)),
    );
    let target = registry.reference("team/app", "1");
    let unknown = format!("it is unknown whether {target} was changed");
    let said = home
        .publish(&target, &["--retry-for", "0", &source])
        .refused(6, &["502", &unknown]);
    for more_than_is_known in ["no tag was changed", "pushed, but not verified"] {
        assert!(!said.stderr.contains(more_than_is_known), "{}", said.stderr);
    }
}

/// Distribution 2.8 on a file system may look at a manifest while another client is writing the same one.
#[test]
fn a_registry_that_finds_the_digest_wrong_once_is_asked_again() {
    let wrong = || {
        let body =
            r#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}"#;
        Rule::on(Class::ManifestPut).then(Fault::reply(400, &[], body))
    };
    let registry = registry();
    let (home, _, source) = scene(&registry);
    registry.rule(wrong());
    let target = registry.reference("team/app", "1");
    let said = home.publish(&target, &[&source]).ok();
    assert!(said.stderr.contains("DIGEST_INVALID"), "{}", said.stderr);
    assert_eq!(registry.tag("team/app", "1"), Some(said.digest()));

    registry.rule(wrong().forever());
    let other = registry.reference("team/app", "2");
    let words = ["--annotation", "a=b", &source];
    home.publish(&other, &words)
        .refused(1, &["DIGEST_INVALID", "no tag was changed"]);
    assert_eq!(registry.tag("team/app", "2"), None);
}

#[test]
fn a_target_that_failed_early_names_its_tags() {
    let registry = registry();
    let (mut home, _, source) = scene(&registry);
    let nowhere = format!("{}/a/b:1", crate::support::registry::closed_address());
    let target = registry.reference("team/app", "1");
    home.set("GITHUB_ACTIONS", "true");
    home.set(
        "GITHUB_STEP_SUMMARY",
        home.path("summary").to_str().unwrap(),
    );
    home.write("summary", "");
    let said = home
        .run(&[
            "publish",
            "-t",
            &nowhere,
            "-t",
            &target,
            "--retry-for",
            "0s",
            "--output",
            "json",
            &source,
        ])
        .refused(7, &[&format!("these tags were pushed: {target}")]);
    let result = said.json();
    super::outputs::check_schema(&said.json());
    assert_eq!(result["targets"][0]["tags"][0]["reference"], nowhere);
    assert_eq!(result["targets"][0]["tags"][0]["status"], "failed");
    let summary = home.read("summary");
    assert!(
        summary.contains(&format!("Partly published: `{target}`")),
        "{summary}"
    );
    assert!(summary.contains(&format!("❌ `{nowhere}`")), "{summary}");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_published() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let target = registry.reference("team/app", "1");
    for option in [
        "--metadata-file",
        "--digest-file",
        "--index-file",
        "--dotenv",
    ] {
        home.publish(&target, &[option, "nowhere/file", &source])
            .refused(2, &["cannot write nowhere/file"]);
    }
    assert_eq!(registry.tag("team/app", "1"), None);
}

#[test]
fn what_a_dotenv_report_leaves_does_not_hinder_the_next_run() {
    let registry = registry();
    let (mut home, image, source) = scene(&registry);
    home.publish(
        &registry.reference("team/app", "1"),
        &["--dotenv", "d.env", &source],
    )
    .ok();
    for line in home.read("d.env").lines() {
        let (name, value) = line.split_once('=').expect("NAME=VALUE");
        home.set(name, value);
    }
    let digest = image.digest.clone();
    home.publish(&registry.reference("team/app", "2"), &[&digest])
        .ok();
    assert!(registry.tag("team/app", "2").is_some());
}

#[test]
fn bare_digests_that_lie_elsewhere_come_with_the_way_to_say_so() {
    let registry = registry();
    let (home, image, _) = scene(&registry);
    let digest = image.digest.clone();
    home.publish(&registry.reference("other/app", "1"), &[&digest])
        .refused(4, &["--image REPOSITORY"]);
}

/// What was taken is not told as untouched, whatever the registry made of it.
#[test]
fn a_registry_that_stores_something_else_has_written_the_tag() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let other = format!("sha256:{}", "1".repeat(64));
    let put = Rule::on(Class::ManifestPut).path("*/manifests/1").applied();
    let lie = Fault::reply(201, &[("docker-content-digest", &other)], "");
    registry.rule(put.then(lie));
    let said = home.publish(&registry.reference("other/app", "1"), &[&source]);
    let said = said.refused(5, &["stored it as", "pushed, but not verified: "]);
    assert!(
        !said.stderr.contains("no tag was changed"),
        "{}",
        said.stderr
    );
}

/// A pause that the budget does not allow is one that nobody waits, be it beside others.
#[test]
fn no_more_is_waited_than_the_budget_allows() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let busy = Fault::reply(429, &[("retry-after", "15")], "");
    let tags = Rule::on(Class::ManifestPut).and(|seen| seen.path.contains("/manifests/t"));
    registry.rule(tags.forever().then(busy));
    let tag = |number: usize| registry.reference("team/app", &format!("t{number}"));
    let targets: Vec<String> = (0..6).map(tag).collect();
    for jobs in ["1", "8"] {
        let mut words = vec![
            "publish",
            "--retry-for",
            "5s",
            "--jobs",
            jobs,
            "--no-verify",
        ];
        words.extend(targets.iter().flat_map(|target| ["-t", target]));
        words.push(&source);
        let began = std::time::Instant::now();
        let said = home.run(&words);
        said.refused(6, &["gave up after waiting 5 s for retries"]);
        assert!(began.elapsed() < Duration::from_secs(12), "{jobs}");
    }
}

/// Bodies that come a byte at a time are given up like those that do not come at all.
#[test]
fn a_manifest_that_drips_does_not_hold_the_run() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let drip = Fault::Drip(Duration::from_millis(100));
    let read = Rule::on(Class::ManifestGet).forever();
    registry.rule(read.then(drip));
    let target = registry.reference("other/app", "1");
    let began = std::time::Instant::now();
    let words = ["--retry-for", "4s", "--idle-timeout", "2s", &source];
    home.publish(&target, &words)
        .refused(6, &["no answer from", "for 2 s"]);
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_described_image_that_is_not_there_is_exit_code_four() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let absent = format!("sha256:{}", "1".repeat(64));
    let descriptor = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": absent,
        "size": 99,
        "platform": {"os": "linux", "architecture": "arm64"},
    });
    home.publish(
        &registry.reference("team/app", "1"),
        &[&source, &descriptor.to_string()],
    )
    .refused(4, &["does not exist in ", &absent, "linux/arm64"]);
    assert_eq!(registry.tag("team/app", "1"), None);
}

#[test]
fn publish_writes_nothing_to_disk() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let target = registry.reference("team/app", "1");
    let left = || std::fs::read_dir(home.path(".")).unwrap().count();
    home.publish(&target, &["--dry-run", &source]).ok();
    assert!(registry.writes().is_empty());
    assert_eq!(left(), 0);
    home.publish(&target, &[&source]).ok();
    assert_eq!(left(), 0);
}
