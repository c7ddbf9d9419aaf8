//! How a plan becomes true: the order of writes, what is left alone, what is told when some of it fails, what a
//! dry run does not do, and what moving a large layer costs.

use std::{process::Stdio, time::Duration};

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Home, entries, puts, registry};
use crate::support::{
    Registry,
    image::{self, Image, Index},
    registry::{Class, Fault, Rule},
};

/// `team/app:amd64`, and a home.
fn scene(registry: &Registry) -> (Home, String) {
    Image::new("linux/amd64").load(registry, "team/app", "amd64");
    (Home::new(), registry.reference("team/app", "amd64"))
}

#[test]
fn images_are_put_before_their_attestations_and_the_index_last() {
    let from = registry();
    let to = registry();
    let home = Home::new();
    for architecture in ["amd64", "arm64"] {
        let image = Image::new(&format!("linux/{architecture}"));
        let index = Index::oci().image(image).attested();
        index.load(&from, "team/app", architecture);
    }
    let sources = ["amd64", "arm64"].map(|tag| from.reference("team/app", tag));
    let target = to.reference("team/app", "1");
    let said = home.publish(&target, &[&sources[0], &sources[1]]).ok();
    let puts = puts(&to);
    let position = |name: &str| {
        puts.iter()
            .position(|put| put.path.ends_with(name))
            .unwrap_or_else(|| panic!("{name} was not put"))
    };
    let mut attestations = 0;
    for entry in entries(&to, "team/app", "1") {
        let digest = entry["digest"].as_str().unwrap();
        if let Some(subject) = entry["annotations"]["vnd.docker.reference.digest"].as_str() {
            assert!(position(subject) < position(digest));
            attestations += 1;
        }
        assert!(position(digest) < position("/manifests/1"));
    }
    assert_eq!(attestations, 2);
    let last_upload = to
        .writes()
        .iter()
        .filter(|request| request.class == Class::UploadPut)
        .map(|request| request.number)
        .max()
        .unwrap();
    assert!(last_upload < puts[0].number, "blobs come first");
    assert_eq!(to.tag("team/app", "1").unwrap(), said.digest());
    assert_eq!(to.problems(), Vec::<String>::new());
}

#[test]
fn what_refers_to_the_images_comes_along_on_request() {
    let from = registry();
    let home = Home::new();
    let image = Image::new("linux/amd64").load(&from, "team/app", "1");
    let (signature, _) = image::sign(&from, "team/app", &image.digest);
    let document = image::referrer(&from, "team/app", &image, "application/spdx+json");
    let source = from.reference("team/app", "1");
    for (command, referrers) in [("publish", true), ("copy", true), ("publish", false)] {
        let to = registry();
        let target = to.reference("other/app", "1");
        let mut words = match command {
            "publish" => vec!["publish", "-t", &target, &source],
            _ => vec!["copy", &source, &target],
        };
        words.extend(referrers.then_some("--referrers"));
        home.run(&words).ok();
        assert_eq!(to.tag("other/app", &signature).is_some(), referrers);
        assert_eq!(
            to.manifest("other/app", &document.digest).is_some(),
            referrers
        );
        assert_eq!(to.problems(), Vec::<String>::new());
    }
}

#[test]
fn a_tag_that_is_right_already_is_left_alone() {
    let registry = registry();
    let (home, source) = scene(&registry);
    let [first, second] = ["1", "2"].map(|tag| registry.reference("team/app", tag));
    home.publish(&first, &[&source]).ok();
    registry.clear();
    let said = home.publish(&first, &["-t", &second, &source]).ok();
    let puts = puts(&registry);
    assert_eq!(puts.len(), 1);
    assert!(puts[0].path.ends_with("/manifests/2"));
    assert!(said.stdout.contains("already exists"), "{}", said.stdout);
    registry.clear();
    home.publish(&first, &["-t", &second, &source]).ok();
    assert!(registry.writes().is_empty());
}

#[test]
fn immutable_tags_allow_the_same_run_again_and_nothing_else() {
    let registry = Registry::builder().immutable_tags().start_in_background();
    let (home, source) = scene(&registry);
    let target = registry.reference("team/app", "1");
    let digest = home.publish(&target, &[&source]).ok().digest();
    for options in [&[&*source][..], &["--no-verify", &source]] {
        assert_eq!(home.publish(&target, options).ok().digest(), digest);
    }
    let said = home.publish(&target, &["--annotation", "a=b", &source]);
    assert_ne!(said.code, Some(0));
    assert_eq!(registry.tag("team/app", "1").unwrap(), digest);
}

#[test]
fn where_some_tags_fail_the_report_says_which_landed() {
    let registry = registry();
    let (home, source) = scene(&registry);
    let tags = ["1", "2", "3"].map(|tag| registry.reference("team/app", tag));
    for tag in ["2", "3"] {
        registry.rule(
            Rule::on(Class::ManifestPut)
                .path(&format!("*/manifests/{tag}"))
                .forever()
                .then(Fault::reply(
                    403,
                    &[],
                    r#"{"errors":[{"code":"DENIED","message":"protected"}]}"#,
                )),
        );
    }
    let list = tags.join(",");
    let words = ["--dotenv", "env", "--digest-file", "digest", &*source];
    let said = home
        .publish(&list, &words)
        .refused(7, &[&tags[1], &tags[2], "these tags were pushed", &tags[0]]);
    let digest = registry.tag("team/app", "1").unwrap();
    assert_eq!(said.digest(), digest);
    assert_eq!(home.read("digest"), digest);
    assert!(
        home.read("env")
            .contains(&format!("POLYARCH_REF={}\n", tags[0]))
    );
    let words = ["--output", "json", &source];
    let said = home.publish(&list, &words).refused(7, &[]);
    let result = said.json();
    assert_eq!(result["status"], "partial");
    let outcomes: Vec<_> = result["targets"][0]["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["status"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["already", "failed", "failed"]);
    super::outputs::check_schema(&result);
}

#[test]
fn a_failure_before_any_tag_is_not_partial() {
    let registry = registry();
    let (home, source) = scene(&registry);
    registry.rule(
        Rule::on(Class::ManifestPut)
            .forever()
            .then(Fault::status(403)),
    );
    let target = registry.reference("team/app", "1");
    let said = home
        .publish(&target, &["--digest-file", "digest", &source])
        .refused(3, &["no tag was changed"]);
    assert!(!home.path("digest").exists());
    assert!(
        said.stdout
            .lines()
            .all(|line| !line.starts_with("sha256:") || line.contains(' '))
    );
}

#[test]
fn a_failure_is_told_although_a_file_cannot_be_written() {
    let registry = registry();
    let (home, source) = scene(&registry);
    let tags = ["1", "2"].map(|tag| registry.reference("team/app", tag));
    registry.rule(
        Rule::on(Class::ManifestPut)
            .path("*/manifests/2")
            .forever()
            .then(Fault::status(403)),
    );
    // Only the attempt shows that a name is too long.
    let name = "x".repeat(300);
    let words = ["--digest-file", &*name, &*source];
    home.publish(&tags.join(","), &words)
        .refused(7, &[&tags[1], "these tags were pushed", &name]);
}

#[test]
fn a_dry_run_writes_nothing_and_says_the_digest_of_the_real_one() {
    let from = registry();
    let to = registry();
    let (home, source) = scene(&from);
    let target = to.reference("team/app", "1");
    let words = ["--dry-run", "-t", "oci:out:1", &*source];
    let planned = home.publish(&target, &words).ok();
    assert!(
        planned.stdout.contains("would be pushed"),
        "{}",
        planned.stdout
    );
    assert!(from.writes().is_empty() && to.writes().is_empty());
    assert!(!home.path("out").exists());
    let said = home.publish(&target, &["-t", "oci:out:1", &source]).ok();
    assert_eq!(said.digest(), planned.digest());
}

#[test]
fn what_reads_back_wrong_is_refused() {
    let registry = registry();
    let (home, source) = scene(&registry);
    let target = registry.reference("team/app", "1");
    registry.rule(
        Rule::on(Class::ManifestGet)
            .path("*/manifests/1")
            .forever()
            .then(Fault::Corrupt),
    );
    home.publish(&target, &[&source]).refused(5, &[&target]);
    assert_eq!(registry.pending_rules(), 0);
    home.publish(&target, &["--no-verify", &source]).ok();
}

#[test]
fn somebody_elses_push_is_seen_when_reading_back() {
    let registry = registry();
    let (home, source) = scene(&registry);
    let other = Index::oci()
        .of(["linux/386"])
        .load(&registry, "team/app", None);
    let target = registry.reference("team/app", "1");
    registry.rule(
        Rule::on(Class::ManifestGet)
            .path("*/manifests/1")
            .forever()
            .then(Fault::Body(other.bytes.clone().into()))
            .then(Fault::header("docker-content-digest", &other.digest)),
    );
    home.publish(&target, &[&source])
        .refused(5, &["verify", &target, "reads back as", &other.digest]);
}

#[test]
fn without_verification_no_tag_is_read() {
    let registry = registry();
    let (home, source) = scene(&registry);
    let target = registry.reference("team/app", "1");
    let reads = || registry.count_where(|it| it.path.ends_with("/manifests/1") && !it.writes());
    home.publish(&target, &["--no-verify", &source]).ok();
    assert_eq!(reads(), 0);
    home.publish(
        &registry.reference("team/app", "1"),
        &["--annotation", "a=b", &source],
    )
    .ok();
    assert_ne!(reads(), 0);
}

#[test]
fn a_large_layer_streams_through_little_memory_and_a_log_says_how_far_it_is() {
    const LAYER: u64 = 256 << 20;
    let from = registry();
    let to = Registry::builder().discard_uploads().start_in_background();
    let home = Home::new();
    let image = Image::new("linux/amd64").virtual_layers(&[LAYER]);
    let image = image.load(&from, "team/big", "1");
    let layer = image.blobs[1].clone();
    let of_layer = format!("*/blobs/{layer}");
    // The connection breaks, and what follows is longer in coming than the log is silent.
    from.rule(
        Rule::on(Class::BlobGet)
            .path(&of_layer)
            .then(Fault::ResetBody(LAYER / 4)),
    );
    from.rule(
        Rule::on(Class::BlobGet)
            .path(&of_layer)
            .then(Fault::Delay(Duration::from_millis(5500))),
    );
    // Keeps the process there to be looked at.
    to.rule(Rule::on(Class::ManifestPut).then(Fault::Delay(Duration::from_secs(1))));
    let source = from.reference("team/big", "1");
    let target = to.reference("team/big", "1");
    let words = ["publish", "-t", &target, "--progress", "plain", &source];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (lines, peak) = runtime.block_on(async {
        let mut command = home.command(&words);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let id = child.id().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut lines, mut peak) = (Vec::new(), None);
        let all = async {
            while let Some(line) = stderr.next_line().await.unwrap() {
                if line.contains("Pushed (268.4 MB)") {
                    peak = Some(peak_memory(id));
                }
                lines.push(line);
            }
            assert!(child.wait().await.unwrap().success(), "{lines:#?}");
        };
        tokio::time::timeout(super::LIMIT, all).await.unwrap();
        (lines, peak)
    });
    assert_eq!(from.pending_rules(), 0);
    assert!(to.has_blob("team/big", &layer));
    let is_progress = |line: &&String| line.contains(" of 268.4 MB (");
    assert!(lines.iter().any(|line| is_progress(&line)), "{lines:#?}");
    let peak = peak.unwrap_or_else(|| panic!("the layer was not told: {lines:#?}"));
    assert!(peak < 32 << 10, "{peak} KiB");
}

/// The most memory that a process had at once, in KiB.
fn peak_memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    size.expect("VmHWM in kB").parse().unwrap()
}
