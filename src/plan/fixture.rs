//! Builders of resolved sources for tests.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::spec::{
    Descriptor, Digest, Index, JsonStyle, Location, Manifest, MediaType, Platform, attestation,
    write,
};

use super::{Node, Options, Plan, PlanError, Source, Target, plan};

pub(super) fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn blob(media_type: &str, content: &str) -> Value {
    serde_json::to_value(Descriptor::of(media_type.into(), content.as_bytes())).unwrap()
}

fn parse(json: &Value) -> Manifest {
    Manifest::parse(Bytes::from(json.to_string()), &MediaType::default()).unwrap()
}

/// An OCI image whose content depends on `name`, with a platform unless `for_platform` is empty. All images share the
/// layer `base`.
pub(super) fn image(name: &str, for_platform: &str) -> Node {
    typed(
        name,
        for_platform,
        MediaType::OCI_MANIFEST,
        MediaType::OCI_CONFIG,
    )
}

/// The same with Docker's types.
pub(super) fn docker_image(name: &str, for_platform: &str) -> Node {
    typed(
        name,
        for_platform,
        MediaType::DOCKER_MANIFEST,
        MediaType::DOCKER_CONFIG,
    )
}

fn typed(name: &str, for_platform: &str, media_type: &str, config_type: &str) -> Node {
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let manifest = parse(&json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": blob(config_type, &format!("config of {name}")),
        "layers": [blob(layer, "base"), blob(layer, &format!("layer of {name}"))],
    }));
    let config = (!for_platform.is_empty()).then(|| platform(for_platform));
    Node::image(manifest, config)
}

/// A Windows image: its first layer is foreign.
pub(super) fn windows_image(name: &str, for_platform: &str) -> Node {
    let mut foreign = blob(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "windows",
    );
    foreign["urls"] = json!(["https://example.com/windows"]);
    let manifest = parse(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::DOCKER_MANIFEST,
        "config": blob(MediaType::DOCKER_CONFIG, &format!("config of {name}")),
        "layers": [foreign, blob("application/vnd.docker.image.rootfs.diff.tar.gzip", name)],
    }));
    Node::image(manifest, Some(platform(for_platform)))
}

/// Returns a node as an index describes it: with a platform unless `for_platform` is empty, and without the config.
pub(super) fn entry(mut node: Node, for_platform: &str) -> Node {
    node.descriptor.platform = (!for_platform.is_empty()).then(|| platform(for_platform));
    node.config_platform = None;
    node
}

/// An image as an index describes it.
pub(super) fn image_entry(name: &str, for_platform: &str) -> Node {
    entry(image(name, for_platform), for_platform)
}

/// BuildKit's attestation about `subject`, as an index describes it.
pub(super) fn attestation_of(subject: &Node, name: &str) -> Node {
    let manifest = parse(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": blob(MediaType::OCI_CONFIG, &format!("attestation {name}")),
        "layers": [blob("application/vnd.in-toto+json", &format!("statement {name} of {}", subject.digest()))],
    }));
    let mut node = Node::image(manifest, None);
    node.descriptor.platform = Some(unknown_platform());
    node.descriptor.annotations = [
        (
            attestation::TYPE.to_owned(),
            attestation::ATTESTATION_MANIFEST.to_owned(),
        ),
        (attestation::DIGEST.to_owned(), subject.digest().to_string()),
    ]
    .into();
    node
}

pub(super) fn unknown_platform() -> Platform {
    Platform {
        architecture: "unknown".to_owned(),
        os: "unknown".to_owned(),
        ..Platform::default()
    }
}

/// An OCI index of `children`, written as most tools do, without any space.
pub(super) fn index(children: Vec<Node>) -> Node {
    index_with(children, |_| {})
}

/// The same, changed before it is written.
pub(super) fn index_with(children: Vec<Node>, change: impl FnOnce(&mut Index)) -> Node {
    let descriptors = children
        .iter()
        .map(|child| child.descriptor.clone())
        .collect();
    let mut index = Index::new(MediaType::OCI_INDEX, descriptors);
    change(&mut index);
    let bytes = Bytes::from(serde_json::to_vec(&index).unwrap());
    let manifest = Manifest::parse(bytes, &MediaType::default()).unwrap();
    Node::index(manifest, children)
}

/// Returns the index of a plan as a source.
pub(super) fn published(plan: &Plan) -> Node {
    let child = |entry: &super::PlannedEntry| Node {
        descriptor: entry.descriptor.clone(),
        manifest: entry.manifest.clone(),
        seen: true,
        config_platform: None,
        children: Vec::new(),
    };
    Node::index(plan.index.clone(), plan.entries.iter().map(child).collect())
}

/// A source in `ghcr.io/o/<repository>`.
pub(super) fn source(repository: &str, root: Node) -> Source {
    source_at(&format!("ghcr.io/o/{repository}"), root)
}

pub(super) fn source_at(repository: &str, root: Node) -> Source {
    Source {
        name: repository.to_owned(),
        location: location(repository).into(),
        root,
        set_platform: None,
    }
}

pub(super) fn location(repository: &str) -> Location {
    Location::Repository(repository.parse().unwrap())
}

pub(super) fn target(repository: &str, tags: &[&str]) -> Target {
    Target {
        location: location(repository),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
    }
}

/// Plans `sources` without targets.
pub(super) fn planned(sources: &[Source], options: &Options) -> Result<Plan, PlanError> {
    plan(sources, &[], options)
}

/// Returns the entries of the index.
pub(super) fn entries(plan: &Plan) -> &[Descriptor] {
    &plan.index.index().unwrap().manifests
}

pub(super) fn digests(plan: &Plan) -> Vec<&Digest> {
    entries(plan).iter().map(|entry| &entry.digest).collect()
}

/// The platforms in the index, as text.
pub(super) fn platforms(plan: &Plan) -> Vec<String> {
    let shown = |entry: &Descriptor| entry.platform.as_ref().map(Platform::to_string);
    entries(plan)
        .iter()
        .map(|entry| shown(entry).unwrap_or_default())
        .collect()
}

pub(super) fn texts(plan: &Plan) -> Vec<&str> {
    plan.notices
        .iter()
        .map(|notice| notice.text.as_str())
        .collect()
}

/// The JSON of an index, indented by two spaces.
pub(super) fn oci_json(index: &Index) -> Vec<u8> {
    write(index, JsonStyle::Oci)
}
