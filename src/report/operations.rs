//! The operations that a dry run lists: the transfers to each target and the tags that a real run would write.

use std::collections::HashMap;

use serde::Serialize;

use crate::execute::Survey;
use crate::plan::{Plan, TargetPlan};
use crate::spec::{Digest, Location, RegistryHost, Tag};

/// One operation at a target.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationResult {
    pub operation: OperationKind,
    /// The digest of the blob or manifest. For a tag, the digest of the index.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
    /// The repository or layout that the content comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Mounts a blob from another repository of the registry, without a transfer.
    MountBlob,
    /// Transfers a blob, unless the target has it.
    CopyBlob,
    PutManifest,
    CreateTag,
    MoveTag,
    /// Writes a tag whose current digest is unknown.
    PutTag,
}

impl OperationKind {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::MountBlob => "mount blob",
            Self::CopyBlob => "copy blob",
            Self::PutManifest => "push manifest",
            Self::CreateTag => "create tag",
            Self::MoveTag => "move tag",
            Self::PutTag => "push tag",
        }
    }
}

/// Returns the operations of a plan at each of its targets, in the order of a run.
pub(super) fn operations(plan: &Plan, known: &Survey) -> Vec<Vec<OperationResult>> {
    let mut first_copies = HashMap::new();
    let targets = plan.targets.iter();
    targets
        .map(|target| of_target(plan, target, known, &mut first_copies))
        .collect()
}

/// The first repository of each registry that a blob is copied to: other repositories mount it from there.
type FirstCopies<'a> = HashMap<(&'a RegistryHost, &'a Digest), &'a Location>;

fn of_target<'a>(
    plan: &Plan,
    target: &'a TargetPlan,
    known: &Survey,
    first_copies: &mut FirstCopies<'a>,
) -> Vec<OperationResult> {
    let digest = &plan.index.digest;
    let location = &target.location;
    let is_missing = |tag: &&Tag| {
        known.points_at(location, tag) != Some(digest) && !known.is_kept(location, tag)
    };
    let missing: Vec<_> = target.tags.iter().filter(is_missing).collect();
    if missing.is_empty() && !target.tags.is_empty() {
        return Vec::new();
    }
    let mut operations = Vec::new();
    for transfer in &target.blobs {
        let blob = &transfer.blob;
        let mut from = &transfer.from;
        let mut is_mounted = transfer.mountable;
        if let (false, Some(repository)) = (is_mounted, location.repository()) {
            let key = (repository.registry(), &blob.digest);
            let first = *first_copies.entry(key).or_insert(location);
            if first != location {
                (from, is_mounted) = (first, true);
            }
        }
        operations.push(OperationResult {
            operation: if is_mounted {
                OperationKind::MountBlob
            } else {
                OperationKind::CopyBlob
            },
            digest: blob.digest.clone(),
            size: blob.size,
            from: Some(from.to_string()),
            tag: None,
        });
    }
    let put = |digest: &Digest, size: usize, from: Option<String>| OperationResult {
        operation: OperationKind::PutManifest,
        digest: digest.clone(),
        size: size as u64,
        from,
        tag: None,
    };
    operations.extend(target.manifests.iter().map(|transfer| {
        let manifest = &transfer.manifest;
        let from = transfer.from.to_string();
        put(&manifest.digest, manifest.bytes.len(), Some(from))
    }));
    let size = plan.index.bytes.len();
    if target.tags.is_empty() {
        operations.push(put(digest, size, None));
    }
    operations.extend(missing.into_iter().map(|tag| OperationResult {
        operation: match known.state(location, tag) {
            Some(None) => OperationKind::CreateTag,
            Some(Some(_)) => OperationKind::MoveTag,
            None => OperationKind::PutTag,
        },
        tag: Some(tag.to_string()),
        ..put(digest, size, None)
    }));
    operations
}
