//! Tests of transfers: their sources and order.

use crate::plan::fixture::*;
use crate::plan::{
    Node, Options, Plan, PlanError, Source, SourceLocation, Stage, Target, TargetPlan, plan,
};
use crate::spec::{LayoutKind, LayoutPath, Location};

fn shown(target: &TargetPlan) -> Vec<String> {
    let blob = |blob: &crate::plan::BlobTransfer| {
        let how = if blob.mountable { "mount" } else { "copy" };
        format!("{how} {} {}", blob.blob.size, blob.from)
    };
    target.blobs.iter().map(blob).collect()
}

fn stages(target: &TargetPlan) -> Vec<Stage> {
    target
        .manifests
        .iter()
        .map(|manifest| manifest.stage)
        .collect()
}

fn to(sources: &[Source], targets: &[Target]) -> Plan {
    plan(sources, targets, &Options::default()).unwrap()
}

#[test]
fn content_at_the_target_is_not_transferred() {
    let described = {
        let mut node = Node::described(image("c", "").descriptor);
        node.descriptor.platform = Some(platform("linux/s390x"));
        Source {
            location: SourceLocation::EveryTarget,
            ..source("c", node)
        }
    };
    let sources = [
        source("app", image("a", "linux/amd64")),
        source("arm", image("bb", "linux/arm64")),
        described,
    ];
    let plan = to(&sources, &[target("ghcr.io/o/app", &["1", "latest", "1"])]);
    let [app] = plan.targets.as_slice() else {
        panic!("one target")
    };
    assert_eq!(app.tags.len(), 2);
    // The layer that both images share is there; "config of bb" and "layer of bb" are not.
    assert_eq!(
        shown(app),
        ["mount 12 ghcr.io/o/arm", "mount 11 ghcr.io/o/arm"]
    );
    assert_eq!(app.manifests.len(), 1);
    assert_eq!(app.manifests[0].from, location("ghcr.io/o/arm"));
}

#[test]
fn digests_are_transferred_once_from_the_nearest() {
    let sources = [
        source_at("docker.io/o/a", image("a", "linux/amd64")),
        source_at("quay.io/o/bb", image("bb", "linux/arm64")),
        source_at("docker.io/o/bb", image("bb", "linux/arm64")),
    ];
    let layout = Target {
        location: Location::Layout(LayoutPath {
            kind: LayoutKind::Directory,
            path: "out".into(),
        }),
        tags: vec![],
    };
    let plan = to(
        &sources,
        &[
            target("quay.io/o/app", &["1"]),
            layout,
            target("quay.io/o/app", &["2"]),
        ],
    );
    let [quay, layout] = plan.targets.as_slice() else {
        panic!("two targets")
    };
    assert_eq!(quay.tags.len(), 2);
    assert_eq!(
        shown(quay),
        [
            "copy 11 docker.io/o/a",
            "mount 4 quay.io/o/bb",
            "copy 10 docker.io/o/a",
            "mount 12 quay.io/o/bb",
            "mount 11 quay.io/o/bb",
        ]
    );
    assert_eq!(
        shown(layout),
        [
            "copy 11 docker.io/o/a",
            "copy 4 docker.io/o/a",
            "copy 10 docker.io/o/a",
            "copy 12 quay.io/o/bb",
            "copy 11 quay.io/o/bb",
        ]
    );
    assert_eq!(quay.manifests.len(), 2);
}

#[test]
fn attestations_come_after_their_images() {
    let image = image_entry("a", "linux/amd64");
    let proof = attestation_of(&image, "a");
    let list = index(vec![proof, image]);
    let sources = [
        source("a", list),
        source("b", image_entry("b", "linux/arm64")),
    ];
    let plan = to(&sources, &[target("ghcr.io/o/app", &["1"])]);
    assert_eq!(
        stages(&plan.targets[0]),
        [Stage::Image, Stage::Image, Stage::Attestation]
    );
}

#[test]
fn nested_indexes_of_an_exact_index_are_transferred() {
    let image = image_entry("a", "linux/amd64");
    let proof = attestation_of(&image, "a");
    let inner = index(vec![image, proof]);
    let middle = index(vec![inner, image_entry("b", "linux/arm64")]);
    let outer = index(vec![middle, image_entry("c", "linux/s390x")]);
    let sources = [source("a", outer)];
    let plan = to(
        &sources,
        &[
            target("ghcr.io/o/app", &["1"]),
            target("ghcr.io/o/a", &["2"]),
        ],
    );
    assert!(plan.exact);
    assert_eq!(
        stages(&plan.targets[0]),
        [
            Stage::Image,
            Stage::Image,
            Stage::Image,
            Stage::Attestation,
            Stage::Index(1),
            Stage::Index(2),
        ]
    );
    assert!(plan.targets[1].manifests.is_empty(), "retagged where it is");
    assert!(plan.targets[1].blobs.is_empty());
}

#[test]
fn unread_content_cannot_be_transferred() {
    let mut node = Node::described(image("a", "").descriptor);
    node.descriptor.platform = Some(platform("linux/amd64"));
    let sources = [source("a", node)];
    assert!(
        plan(
            &sources,
            &[target("ghcr.io/o/a", &["1"])],
            &Options::default()
        )
        .is_ok()
    );
    let error = plan(
        &sources,
        &[target("ghcr.io/o/b", &["1"])],
        &Options::default(),
    )
    .unwrap_err();
    assert!(matches!(error, PlanError::NotRead { .. }), "{error}");
    // It is enough that another source was read.
    let also = [sources[0].clone(), source("c", image("a", "linux/amd64"))];
    assert_eq!(
        to(&also, &[target("ghcr.io/o/b", &["1"])]).targets[0]
            .manifests
            .len(),
        1
    );
}

#[test]
fn content_of_omitted_entries_counts_as_present() {
    let sources = [
        source("app", image("a", "linux/amd64")),
        source("bb", image("bb", "linux/arm64")),
    ];
    let options = Options {
        platforms: vec![platform("linux/arm64")],
        ..Options::default()
    };
    let plan = plan(&sources, &[target("ghcr.io/o/app", &["1"])], &options).unwrap();
    assert_eq!(
        shown(&plan.targets[0]),
        ["mount 12 ghcr.io/o/bb", "mount 11 ghcr.io/o/bb"]
    );
}

#[test]
fn foreign_layers_are_reported_and_not_transferred() {
    let sources = [source("w", windows_image("w", "windows(10.0.17763)/amd64"))];
    let plan = to(&sources, &[target("ghcr.io/o/app", &["1"])]);
    assert_eq!(plan.targets[0].blobs.len(), 2);
    assert_eq!(
        texts(&plan),
        ["foreign layers (Windows base layers) are not copied: ghcr.io/o/w"]
    );
}
