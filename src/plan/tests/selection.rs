//! Tests of duplicates, of `--append` and of attestations.

use crate::plan::fixture::*;
use crate::plan::{Attestations, Node, OnDuplicate, Options, Severity, Source};

fn with_proof(name: &str, platform: &str) -> (Node, Node, Node) {
    let image = image_entry(name, platform);
    let proof = attestation_of(&image, name);
    (index(vec![image.clone(), proof.clone()]), image, proof)
}

fn on_duplicate(on_duplicate: OnDuplicate) -> Options {
    Options {
        on_duplicate,
        ..Options::default()
    }
}

#[test]
fn duplicates_follow_the_policy() {
    let (old, old_image, old_proof) = with_proof("old", "linux/arm64");
    let (new, new_image, new_proof) = with_proof("new", "linux/arm64");
    let other = image("other", "linux/amd64");
    let sources = [
        source("old", old),
        source("x", other.clone()),
        source("new", new),
    ];

    let error = planned(&sources, &on_duplicate(OnDuplicate::Error)).unwrap_err();
    let conflict = format!(
        "two images for linux/arm64: {} from ghcr.io/o/old, and {} from ghcr.io/o/new",
        old_image.digest(),
        new_image.digest()
    );
    assert_eq!(error.to_string(), conflict);

    let plan = planned(&sources, &on_duplicate(OnDuplicate::Replace)).unwrap();
    assert_eq!(
        digests(&plan),
        [new_image.digest(), other.digest(), new_proof.digest()]
    );
    assert_eq!(
        texts(&plan),
        [
            format!(
                "linux/arm64: {} from ghcr.io/o/new replaces {} from ghcr.io/o/old",
                new_image.digest(),
                old_image.digest()
            ),
            "1 attestation is omitted with its subject".to_owned(),
        ]
    );

    let all = [&old_image, &old_proof, &other, &new_image, &new_proof].map(Node::digest);
    let plan = planned(&sources, &on_duplicate(OnDuplicate::Keep)).unwrap();
    assert_eq!(digests(&plan), all);
    assert_eq!(texts(&plan), Vec::<&str>::new());
    let plan = planned(&sources, &on_duplicate(OnDuplicate::Warn)).unwrap();
    assert_eq!(digests(&plan), all);
    assert_eq!(texts(&plan), [conflict]);
    assert_eq!(plan.notices[0].severity, Severity::Warning);
}

#[test]
fn aliases_of_one_platform_conflict() {
    let mut x86_64 = image("a", "linux/amd64");
    x86_64.descriptor.platform = Some(crate::spec::Platform {
        os: "linux".to_owned(),
        architecture: "x86_64".to_owned(),
        ..Default::default()
    });
    let sources = [source("a", x86_64), source("b", image("b", "linux/amd64"))];
    assert!(planned(&sources, &Options::default()).is_err());
}

#[test]
fn versions_and_artifacts_do_not_conflict() {
    let mut artifact = image_entry("sbom", "linux/amd64");
    artifact.descriptor.artifact_type = Some("application/x".to_owned());
    let sources = [
        source("w1", image("w1", "windows(10.0.17763)/amd64")),
        source("w2", image("w2", "windows(10.0.20348)/amd64")),
        source("l", index(vec![image_entry("l", "linux/amd64"), artifact])),
    ];
    assert_eq!(
        planned(&sources, &Options::default())
            .unwrap()
            .entries
            .len(),
        4
    );
}

#[test]
fn duplicates_in_an_exact_index_are_notices() {
    let children = vec![
        image_entry("a", "linux/amd64"),
        image_entry("b", "linux/amd64"),
    ];
    let sources = [source("l", index(children))];
    let plan = planned(&sources, &Options::default()).unwrap();
    assert!(plan.exact);
    assert!(texts(&plan)[0].contains("two images for linux/amd64"));
    assert!(texts(&plan)[0].ends_with("both are kept, because the index is copied unchanged"));
}

#[test]
fn duplicates_among_omitted_entries_are_ignored() {
    let sources = [
        source("a", image("a", "linux/amd64")),
        source("b", image("b", "linux/arm64")),
        source("c", image("c", "linux/arm64")),
    ];
    let options = Options {
        platforms: vec![platform("linux/amd64")],
        ..Options::default()
    };
    assert_eq!(planned(&sources, &options).unwrap().entries.len(), 1);
}

fn appending(base: Node) -> Options {
    Options {
        append: Some(Source {
            name: "ghcr.io/o/app:1".to_owned(),
            ..source("app", base)
        }),
        ..Options::default()
    }
}

#[test]
fn append_replaces_the_images_of_the_same_platforms() {
    let (_, old, old_proof) = with_proof("old", "linux/arm64");
    let stays = image_entry("stays", "linux/amd64");
    let base = index_with(vec![old, stays.clone(), old_proof], |index| {
        index.annotations.insert("k".to_owned(), "v".to_owned());
        index.extra.insert("more".to_owned(), 1.into());
    });
    let (new, new_image, new_proof) = with_proof("new", "linux/arm64");
    let added = image("added", "linux/s390x");
    let sources = [source("new", new), source("added", added.clone())];
    let plan = planned(&sources, &appending(base)).unwrap();
    assert_eq!(
        digests(&plan),
        [&new_image, &stays, &new_proof, &added].map(Node::digest)
    );
    let index = plan.index.index().unwrap();
    assert_eq!(index.annotations["k"], "v");
    assert_eq!(index.extra["more"], 1);
    assert_eq!(plan.entries[1].source, "ghcr.io/o/app:1");
}

#[test]
fn append_again_changes_nothing() {
    let (new, ..) = with_proof("new", "linux/arm64");
    let sources = [source("new", new)];
    let first = planned(
        &sources,
        &appending(index(vec![image_entry("a", "linux/amd64")])),
    )
    .unwrap();
    let second = planned(&sources, &appending(published(&first))).unwrap();
    assert_eq!(first.index, second.index);
    assert_eq!(texts(&second), Vec::<&str>::new());
}

#[test]
fn earlier_duplicates_are_replaced_or_kept_together() {
    let base = index(vec![
        image_entry("a", "linux/amd64"),
        image_entry("b", "linux/amd64"),
    ]);
    let arm64 = [source("c", image("c", "linux/arm64"))];
    assert_eq!(
        planned(&arm64, &appending(base.clone()))
            .unwrap()
            .entries
            .len(),
        3
    );
    let amd64 = [source("c", image("c", "linux/amd64"))];
    assert_eq!(planned(&amd64, &appending(base)).unwrap().entries.len(), 1);
}

#[test]
fn attestations_can_be_dropped() {
    let (list, image, _) = with_proof("a", "linux/amd64");
    let options = Options {
        attestations: Attestations::Drop,
        ..Options::default()
    };
    let plan = planned(&[source("a", list)], &options).unwrap();
    assert!(!plan.exact);
    assert_eq!(digests(&plan), [image.digest()]);
    let bare = index(vec![image]);
    assert!(planned(&[source("a", bare)], &options).unwrap().exact);
}

#[test]
fn attestations_without_subject_are_omitted() {
    let absent = image("absent", "");
    let astray = attestation_of(&absent, "astray");
    let of_astray = attestation_of(&astray, "of astray");
    let here = image_entry("a", "linux/amd64");
    let proof = attestation_of(&here, "a");
    let of_proof = attestation_of(&proof, "of proof");
    let list = index(vec![
        of_proof.clone(),
        astray.clone(),
        of_astray,
        here.clone(),
        proof.clone(),
    ]);
    let sources = [source("l", list), source("b", image("b", "linux/arm64"))];
    let plan = planned(&sources, &Options::default()).unwrap();
    assert_eq!(
        digests(&plan)[..3],
        [&of_proof, &here, &proof].map(Node::digest)
    );
    assert_eq!(
        texts(&plan),
        [
            format!(
                "attestation {} from ghcr.io/o/l is omitted: its subject {} is in no source",
                astray.digest(),
                absent.digest()
            ),
            "1 attestation is omitted with its subject".to_owned(),
        ]
    );
}

#[test]
fn the_content_size_is_the_sum_of_config_and_layers() {
    let sources = [source("a", image("a", "linux/amd64"))];
    let plan = planned(&sources, &Options::default()).unwrap();
    // "config of a", "base", "layer of a"
    assert_eq!(plan.entries[0].content_size(), Some(11 + 4 + 10));
}
