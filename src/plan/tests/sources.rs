//! Tests of flattening, merging, exact copies, and refused sources.

use crate::plan::fixture::*;
use crate::plan::{Node, Options, PlanError, Source, SourceLocation, Style};
use crate::spec::limits::MAX_INDEX_ENTRIES;
use crate::spec::{Descriptor, MediaType};

#[test]
fn entries_keep_the_order_of_the_sources() {
    let (amd64, arm64, s390x) = (
        image("a", "linux/amd64"),
        image_entry("b", "linux/arm64"),
        image_entry("c", "linux/s390x"),
    );
    let proof = attestation_of(&arm64, "b");
    let nested = index(vec![s390x.clone()]);
    let list = index(vec![arm64.clone(), proof.clone(), nested]);
    let plan = planned(
        &[source("b", list), source("a", amd64.clone())],
        &Options::default(),
    )
    .unwrap();
    assert!(!plan.exact);
    assert_eq!(
        digests(&plan),
        [
            arm64.digest(),
            proof.digest(),
            s390x.digest(),
            amd64.digest()
        ]
    );
    let names: Vec<_> = plan
        .entries
        .iter()
        .map(|entry| entry.source.as_str())
        .collect();
    assert_eq!(
        names,
        ["ghcr.io/o/b", "ghcr.io/o/b", "ghcr.io/o/b", "ghcr.io/o/a"]
    );
    assert_eq!(plan.entries[1].subject.as_ref(), Some(arm64.digest()));
    assert_eq!(entries(&plan)[1].annotations, proof.descriptor.annotations);
}

#[test]
fn a_single_index_is_copied_unchanged() {
    let image = image_entry("a", "linux/amd64");
    let proof = attestation_of(&image, "a");
    let nested = index(vec![image_entry("b", "linux/arm64")]);
    let list = index_with(vec![proof, image, nested], |index| {
        index.artifact_type = Some("application/x".to_owned());
        index.extra.insert("more".to_owned(), 1.into());
    });
    let options = Options {
        platforms: vec![platform("linux/arm64"), platform("linux/amd64")],
        ..Options::default()
    };
    let plan = planned(&[source("a", list.clone())], &options).unwrap();
    assert!(plan.exact);
    assert_eq!(plan.index, *list.manifest.unwrap());
    assert_eq!(
        plan.entries.len(),
        3,
        "the nested image stands for its index"
    );
}

#[test]
fn a_single_image_becomes_an_index_of_one() {
    let plan = planned(
        &[source("a", image("a", "linux/amd64"))],
        &Options::default(),
    )
    .unwrap();
    assert!(!plan.exact);
    assert_eq!(platforms(&plan), ["linux/amd64"]);
}

#[test]
fn indexes_are_opened_to_depth_three() {
    let mut node = image_entry("a", "linux/amd64");
    for _ in 0..3 {
        node = index(vec![node]);
    }
    let other = source("b", image("b", "linux/arm64"));
    let three = [source("a", node.clone()), other.clone()];
    assert_eq!(
        planned(&three, &Options::default()).unwrap().entries.len(),
        2
    );
    let four = [source("a", index(vec![node])), other];
    let error = planned(&four, &Options::default()).unwrap_err();
    assert!(matches!(error, PlanError::TooDeep { .. }), "{error}");
}

#[test]
fn entries_of_one_digest_are_merged() {
    let image = image("a", "linux/arm64");
    let mut listed = entry(image.clone(), "linux/arm64");
    listed.descriptor.platform.as_mut().unwrap().variant = "v8".to_owned();
    listed
        .descriptor
        .annotations
        .insert("k".to_owned(), "v".to_owned());
    let list = index(vec![listed, image_entry("b", "linux/amd64")]);
    let plan = planned(
        &[source("l", list), source("a", image)],
        &Options::default(),
    )
    .unwrap();
    // As in buildx: the position of the first, the platform of the last, the annotations of both.
    assert_eq!(platforms(&plan), ["linux/arm64", "linux/amd64"]);
    assert_eq!(entries(&plan)[0].annotations["k"], "v");
}

#[test]
fn an_index_overrides_the_variant_of_a_config() {
    let image = image("a", "linux/arm");
    let list = index(vec![entry(image.clone(), "linux/arm/v5")]);
    for sources in [
        [source("l", list.clone()), source("a", image.clone())],
        [source("a", image.clone()), source("l", list.clone())],
    ] {
        let plan = planned(&sources, &Options::default()).unwrap();
        assert_eq!(platforms(&plan), ["linux/arm/v5"]);
    }
}

#[test]
fn a_version_in_one_source_is_kept() {
    let image = windows_image("w", "windows(10.0.17763)/amd64");
    let list = index(vec![entry(image.clone(), "windows/amd64")]);
    for sources in [
        [source("l", list.clone()), source("w", image.clone())],
        [source("w", image.clone()), source("l", list.clone())],
    ] {
        let plan = planned(&sources, &Options::default()).unwrap();
        assert_eq!(platforms(&plan), ["windows(10.0.17763)/amd64"]);
    }
}

#[test]
fn one_image_for_two_platforms_is_two_entries() {
    let image = image("noarch", "linux/amd64");
    let list = index(vec![
        entry(image.clone(), "linux/amd64"),
        entry(image.clone(), "linux/arm64"),
    ]);
    let other = source("b", image_entry("b", "linux/s390x"));
    let plan = planned(&[source("l", list), other], &Options::default()).unwrap();
    assert_eq!(
        platforms(&plan),
        ["linux/amd64", "linux/arm64", "linux/s390x"]
    );
}

#[test]
fn docker_lists_each_named_image() {
    let image = docker_image("a", "linux/amd64");
    let sources = [source("a", image.clone()), source("b", image)];
    let options = |style| Options {
        style,
        ..Options::default()
    };
    assert_eq!(
        planned(&sources, &options(Style::Docker))
            .unwrap()
            .entries
            .len(),
        2
    );
    assert_eq!(
        planned(&sources, &options(Style::Buildx))
            .unwrap()
            .entries
            .len(),
        1
    );
}

#[test]
fn descriptors_are_completed_from_the_config() {
    let mut node = image("a", "linux/arm/v6");
    node.descriptor.platform = Some(crate::spec::Platform {
        os: "freebsd".to_owned(),
        ..Default::default()
    });
    let mut described = Node::described(image("b", "").descriptor);
    described.descriptor.platform = Some(platform("linux/amd64"));
    let sources = [
        source("a", node),
        Source {
            location: SourceLocation::EveryTarget,
            ..source("b", described)
        },
    ];
    let plan = planned(&sources, &Options::default()).unwrap();
    assert_eq!(platforms(&plan), ["freebsd/arm/v6", "linux/amd64"]);
}

#[test]
fn wrong_descriptors_are_refused() {
    let changes: [fn(&mut Descriptor); 3] = [
        |descriptor| descriptor.size += 1,
        |descriptor| descriptor.media_type = MediaType::new(MediaType::DOCKER_MANIFEST),
        |descriptor| descriptor.digest = crate::spec::Digest::sha256(b"other"),
    ];
    for change in changes {
        let mut node = image("a", "linux/amd64");
        change(&mut node.descriptor);
        let error = planned(&[source("a", node)], &Options::default()).unwrap_err();
        assert!(matches!(error, PlanError::Mismatch { .. }), "{error}");
    }
    let mut node = Node::described(image("a", "").descriptor);
    node.descriptor.media_type = MediaType::default();
    let error = planned(&[source("a", node)], &Options::default()).unwrap_err();
    assert!(matches!(error, PlanError::NoMediaType { .. }), "{error}");
}

#[test]
fn an_unread_index_is_an_error() {
    let mut list = index(vec![image_entry("a", "linux/amd64")]);
    list.children.clear();
    let unread = Node::described(list.descriptor.clone());
    for root in [list, unread] {
        let error = planned(&[source("a", root)], &Options::default()).unwrap_err();
        assert!(matches!(error, PlanError::NotRead { .. }), "{error}");
    }
}

#[test]
fn sources_without_an_image_are_refused() {
    assert_eq!(
        planned(&[], &Options::default()).unwrap_err(),
        PlanError::NoSources
    );
    let lost = attestation_of(&image("a", ""), "a");
    for root in [index(vec![]), index(vec![lost])] {
        let error = planned(&[source("a", root)], &Options::default()).unwrap_err();
        assert_eq!(error.to_string(), "no image in ghcr.io/o/a");
    }
}

#[test]
fn size_is_bounded() {
    let many = |count: usize, text: &str| {
        let child = |number: usize| {
            let mut node = Node::described(Descriptor::of(
                MediaType::new(MediaType::OCI_MANIFEST),
                &number.to_le_bytes(),
            ));
            node.descriptor.platform = Some(platform(&format!("linux({number})/amd64")));
            node.descriptor
                .annotations
                .insert("k".to_owned(), text.to_owned());
            node
        };
        index((0..count).map(child).collect())
    };
    let one_more = source("b", image("b", "linux/amd64"));
    let with_one_more =
        |list: Node| planned(&[source("a", list), one_more.clone()], &Options::default());
    assert!(with_one_more(many(1000, "")).is_ok());
    let error = with_one_more(many(1000, &"x".repeat(5000))).unwrap_err();
    assert!(matches!(error, PlanError::TooLarge(_)), "{error}");
    assert_eq!(
        with_one_more(many(MAX_INDEX_ENTRIES, "")).unwrap_err(),
        PlanError::TooManyEntries(MAX_INDEX_ENTRIES + 1)
    );
}

#[test]
fn lost_fields_of_merged_indexes_are_reported() {
    let list = |name, platform| {
        source(
            name,
            index_with(vec![image_entry(name, platform)], |index| {
                index.annotations.insert("a".to_owned(), "1".to_owned());
                index.annotations.insert("b".to_owned(), "2".to_owned());
            }),
        )
    };
    let options = Options {
        annotations: vec!["index:a=3".parse().unwrap()],
        ..Options::default()
    };
    let sources = [list("x", "linux/amd64"), list("y", "linux/arm64")];
    let plan = planned(&sources, &options).unwrap();
    assert_eq!(plan.index.index().unwrap().annotations.len(), 1);
    assert_eq!(
        texts(&plan),
        [
            "these fields of ghcr.io/o/x are not copied to the new index: b",
            "these fields of ghcr.io/o/y are not copied to the new index: b",
        ]
    );
    // An index that is only edited keeps its fields.
    let plan = planned(&sources[..1], &options).unwrap();
    assert_eq!(plan.index.index().unwrap().annotations["a"], "3");
    assert_eq!(plan.index.index().unwrap().annotations["b"], "2");
    assert_eq!(texts(&plan), Vec::<&str>::new());
}
