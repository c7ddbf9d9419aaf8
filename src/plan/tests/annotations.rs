//! Tests of annotation rules, and of the media types that allow annotations.

use crate::hint::Hint;
use crate::plan::fixture::*;
use crate::plan::{
    ManifestAnnotations, MediaTypeChoice, Options, PlanError, Source, Style, Target, plan,
};
use crate::spec::{LayoutKind, LayoutPath, Location, MediaType};

fn rules(texts: &[&str]) -> Options {
    Options {
        annotations: texts.iter().map(|text| text.parse().unwrap()).collect(),
        ..Options::default()
    }
}

fn two() -> Vec<Source> {
    let child = image_entry("b", "linux/arm64");
    let proof = attestation_of(&child, "b");
    vec![
        source("a", image("a", "linux/amd64")),
        source("b", index(vec![child, proof])),
    ]
}

fn docker() -> Vec<Source> {
    vec![
        source("a", docker_image("a", "linux/amd64")),
        source("b", docker_image("b", "linux/arm64")),
    ]
}

fn annotations(plan: &crate::plan::Plan) -> (String, Vec<String>) {
    let shown = |map: &crate::spec::Annotations| {
        let own = map
            .iter()
            .filter(|(key, _)| !key.starts_with("vnd.docker."));
        own.map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let index = plan.index.index().unwrap();
    let entries = index
        .manifests
        .iter()
        .map(|entry| shown(&entry.annotations))
        .collect();
    (shown(&index.annotations), entries)
}

#[test]
fn annotations_are_set_at_their_level() {
    let options = rules(&[
        "none=1",
        "index:i=2",
        "manifest-descriptor:all=3",
        "index,manifest-descriptor[linux/arm64]:some=4",
        "i=5",
    ]);
    let plan = planned(&two(), &options).unwrap();
    let (index, entries) = annotations(&plan);
    assert_eq!(index, "i=5 none=1 some=4");
    // A rule for all entries includes attestations, as in buildx.
    assert_eq!(entries, ["all=3", "all=3 some=4", "all=3"]);
}

#[test]
fn platforms_of_annotations_are_normalised() {
    let mut child = image("b", "");
    child.descriptor.platform = Some(platform("linux/arm64"));
    child.descriptor.platform.as_mut().unwrap().variant = "v8".to_owned();
    let sources = [
        source("b", child),
        source("w", image("w", "windows(10.0.1)/amd64")),
    ];
    let options = rules(&[
        "manifest-descriptor[linux/arm64]:k=1",
        "manifest-descriptor[windows/amd64]:k=2",
    ]);
    let plan = planned(&sources, &options).unwrap();
    assert_eq!(annotations(&plan).1, ["k=1", "k=2"]);
    let error = planned(&sources, &rules(&["manifest-descriptor[linux/amd64]:k=1"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "annotation \"k\" is for linux/amd64, but no image has this platform; found: linux/arm64/v8, windows(10.0.1)/amd64"
    );
}

#[test]
fn annotations_for_manifests_follow_the_policy() {
    let of = |manifest_annotations| Options {
        manifest_annotations,
        ..rules(&[
            "manifest:a=1",
            "manifest[linux/amd64]:b=2",
            "index,manifest:c=3",
        ])
    };
    let plan = planned(&two(), &of(ManifestAnnotations::Index)).unwrap();
    let (index, entries) = annotations(&plan);
    assert_eq!((index.as_str(), entries[0].as_str()), ("a=1 c=3", "b=2"));
    assert_eq!(texts(&plan).len(), 1);
    let plan = planned(&two(), &of(ManifestAnnotations::Ignore)).unwrap();
    assert_eq!(annotations(&plan).0, "c=3");
    assert_eq!(
        texts(&plan),
        ["annotations for image manifests are omitted (a pushed image cannot be changed): a, b, c"]
    );
    let error = planned(&two(), &of(ManifestAnnotations::Error)).unwrap_err();
    assert_eq!(
        error,
        PlanError::ManifestAnnotation {
            key: "a".to_owned()
        }
    );
}

#[test]
fn ineffective_rules_keep_an_index_exact() {
    let options = Options {
        manifest_annotations: ManifestAnnotations::Ignore,
        ..rules(&["manifest:a=1", "index-descriptor:b=2"])
    };
    let sources = two();
    let layout = Target {
        location: Location::Layout(LayoutPath {
            kind: LayoutKind::Directory,
            path: "out".into(),
        }),
        tags: vec![],
    };
    let exact = plan(&sources[1..], &[layout], &options).unwrap();
    assert!(exact.exact);
    assert_eq!(exact.index_descriptor["b"], "2");
    assert_eq!(exact.notices.len(), 1);
    // Without a layout the annotation has no effect, which is reported.
    assert_eq!(planned(&sources[1..], &options).unwrap().notices.len(), 2);
    assert!(!planned(&sources[1..], &rules(&["a=1"])).unwrap().exact);
}

#[test]
fn annotations_on_a_docker_list_are_refused() {
    let error = planned(&docker(), &rules(&["k=v"])).unwrap_err();
    assert_eq!(
        error,
        PlanError::AnnotationOnDockerList {
            key: "k".to_owned()
        }
    );
    assert_eq!(error.hints(), [Hint::UseOciIndex]);
    let fixed = Options {
        media_type: MediaTypeChoice::Oci,
        ..rules(&["k=v"])
    };
    let plan = planned(&docker(), &fixed).unwrap();
    assert_eq!(plan.index.media_type.as_str(), MediaType::OCI_INDEX);
    assert_eq!(annotations(&plan).0, "k=v");
}

#[test]
fn annotations_in_a_draft_require_an_oci_index() {
    let mut sources = docker();
    let options = Options {
        style: Style::Docker,
        ..Options::default()
    };
    assert_eq!(
        planned(&sources, &options)
            .unwrap()
            .index
            .media_type
            .as_str(),
        MediaType::DOCKER_LIST
    );
    sources[1]
        .root
        .descriptor
        .annotations
        .insert("k".to_owned(), "v".to_owned());
    let of_entry = planned(&sources, &options).unwrap();
    let of_index = planned(
        &docker(),
        &Options {
            style: Style::Docker,
            ..rules(&["k=v"])
        },
    )
    .unwrap();
    for plan in [of_entry, of_index] {
        assert_eq!(plan.index.media_type.as_str(), MediaType::OCI_INDEX);
        assert_eq!(
            texts(&plan),
            ["the result is an OCI index, because a Docker manifest list cannot have annotations"]
        );
    }
}

#[test]
fn the_type_follows_the_children_or_the_choice() {
    let mixed = [docker()[0].clone(), source("o", image("o", "linux/s390x"))];
    let of = |sources: &[Source], media_type| {
        let options = Options {
            media_type,
            ..Options::default()
        };
        planned(sources, &options).map(|plan| plan.index.media_type.to_string())
    };
    let (oci, list) = (
        MediaType::OCI_INDEX.to_owned(),
        MediaType::DOCKER_LIST.to_owned(),
    );
    assert_eq!(of(&docker(), MediaTypeChoice::Auto).unwrap(), list);
    assert_eq!(of(&docker(), MediaTypeChoice::Oci).unwrap(), oci);
    assert_eq!(of(&docker(), MediaTypeChoice::Docker).unwrap(), list);
    assert_eq!(of(&mixed, MediaTypeChoice::Auto).unwrap(), oci);
    let error = of(&mixed, MediaTypeChoice::Docker).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("from ghcr.io/o/o: its type is application/vnd.oci.image.manifest.v1+json")
    );
    assert_eq!(error.hints().len(), 1);
    let error = of(&two()[1..], MediaTypeChoice::Docker).unwrap_err();
    assert!(matches!(error, PlanError::NotDocker { .. }));
}

#[test]
fn an_edited_oci_index_keeps_its_type() {
    let children = vec![
        entry(docker_image("a", "linux/amd64"), "linux/amd64"),
        entry(docker_image("b", "linux/arm64"), "linux/arm64"),
    ];
    let list = index_with(children, |index| {
        index.annotations.insert("k".to_owned(), "v".to_owned());
    });
    let sources = [source("l", list)];
    let only = Options {
        platforms: vec![platform("linux/amd64")],
        ..Options::default()
    };
    let plan = planned(&sources, &only).unwrap();
    assert_eq!(plan.index.media_type.as_str(), MediaType::OCI_INDEX);
    assert_eq!(annotations(&plan).0, "k=v");
    let docker = Options {
        media_type: MediaTypeChoice::Docker,
        ..only
    };
    let error = planned(&sources, &docker).unwrap_err();
    assert_eq!(
        error,
        PlanError::AnnotationOnDockerList {
            key: "k".to_owned()
        }
    );
}
