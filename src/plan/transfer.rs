//! The transfers to each target: the blobs and manifests that it may lack, each once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::spec::{Descriptor, Digest, Location, Manifest};

use super::entry::Entry;
use super::error::PlanError;
use super::input::{Node, Source, SourceLocation, Target};
use super::output::{BlobTransfer, ManifestTransfer, Stage, TargetPlan};

/// A manifest that every target needs.
pub(super) struct Content<'a> {
    pub(super) node: &'a Node,
    /// The position of its source.
    pub(super) source: usize,
    pub(super) stage: Stage,
}

impl<'a> Content<'a> {
    pub(super) fn of(entry: &Entry<'a>) -> Self {
        let manifest = entry.manifest;
        let refers = manifest.is_some_and(|manifest| manifest.subject().is_some());
        Self {
            node: entry.node,
            source: entry.sources[0],
            stage: if refers || entry.is_attestation() {
                Stage::Attestation
            } else {
                Stage::Image
            },
        }
    }
}

/// Collects the indexes that are nested in `index`, which is copied unchanged. Returns the number of nested levels.
pub(super) fn nested<'a>(index: &'a Node, source: usize, contents: &mut Vec<Content<'a>>) -> usize {
    let mut height = 0;
    for child in index.children.iter().filter(|child| child.is_index()) {
        let levels = nested(child, source, contents);
        contents.push(Content {
            node: child,
            source,
            stage: Stage::Index(levels + 1),
        });
        height = height.max(levels + 1);
    }
    height
}

/// Returns the transfers to each target. Targets with one location are merged.
pub(super) fn transfers(
    contents: &[Content<'_>],
    sources: &[&Source],
    targets: &[Target],
) -> Result<Vec<TargetPlan>, PlanError> {
    let inventory = Inventory::new(contents, sources);
    let mut plans: Vec<TargetPlan> = Vec::new();
    for target in targets {
        let known = plans
            .iter()
            .position(|plan| plan.location == target.location);
        let position = known.unwrap_or(plans.len());
        if known.is_none() {
            plans.push(inventory.to(&target.location)?);
        }
        for tag in &target.tags {
            let tags = &mut plans[position].tags;
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
    }
    Ok(plans)
}

/// The locations of all content. They are numbered, so that comparing them is cheap.
struct Inventory<'a> {
    contents: &'a [Content<'a>],
    sources: &'a [&'a Source],
    locations: Vec<&'a SourceLocation>,
    /// The locations that have a digest, in the order of the sources. Content that is not in the plan counts too: it
    /// may share blobs with the plan.
    holders: HashMap<(Kind, &'a Digest), Vec<usize>>,
    manifests: HashMap<&'a Digest, &'a Arc<Manifest>>,
}

/// Registries store manifests and blobs separately, so a digest may exist as one and not as the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Manifest,
    Blob,
}

impl Kind {
    /// Returns the kind of an entry of an index, which may be a blob.
    fn of(node: &Node) -> Self {
        if node.descriptor.media_type.is_blob() {
            Self::Blob
        } else {
            Self::Manifest
        }
    }
}

impl<'a> Inventory<'a> {
    fn new(contents: &'a [Content<'a>], sources: &'a [&'a Source]) -> Self {
        let mut numbers: HashMap<&SourceLocation, usize> = HashMap::new();
        let mut inventory = Self {
            contents,
            sources,
            locations: Vec::new(),
            holders: HashMap::new(),
            manifests: HashMap::new(),
        };
        for source in sources {
            let location = *numbers.entry(&source.location).or_insert_with(|| {
                inventory.locations.push(&source.location);
                inventory.locations.len() - 1
            });
            inventory.add(&source.root, location);
        }
        inventory
    }

    fn add(&mut self, node: &'a Node, location: usize) {
        self.record(location, Kind::of(node), node.digest());
        if let Some(manifest) = &node.manifest {
            self.manifests.entry(node.digest()).or_insert(manifest);
            for blob in blobs(manifest) {
                self.record(location, Kind::Blob, &blob.digest);
            }
        }
        for child in &node.children {
            self.add(child, location);
        }
    }

    fn record(&mut self, location: usize, kind: Kind, digest: &'a Digest) {
        let holders = self.holders.entry((kind, digest)).or_default();
        if !holders.contains(&location) {
            holders.push(location);
        }
    }

    fn to(&self, target: &Location) -> Result<TargetPlan, PlanError> {
        let distances: Vec<Distance> = self
            .locations
            .iter()
            .map(|location| distance(location, target))
            .collect();
        let mut plan = TargetPlan {
            location: target.clone(),
            tags: Vec::new(),
            blobs: Vec::new(),
            manifests: Vec::new(),
        };
        let mut seen: HashSet<(Kind, &Digest)> = HashSet::new();
        for content in self.contents {
            let (digest, kind) = (content.node.digest(), Kind::of(content.node));
            if !seen.insert((kind, digest)) {
                continue;
            }
            let Some((from, distance)) = self.nearest(kind, digest, &distances) else {
                continue;
            };
            if kind == Kind::Blob {
                plan.blobs.push(BlobTransfer {
                    blob: content.node.descriptor.clone(),
                    from: from.clone(),
                    mountable: distance == Distance::SameRegistry,
                });
                continue;
            }
            let read = self.manifests.get(digest);
            let manifest = *read.ok_or_else(|| PlanError::NotRead {
                source_name: self.sources[content.source].name.clone(),
                digest: digest.clone(),
            })?;
            plan.manifests.push(ManifestTransfer {
                manifest: Arc::clone(manifest),
                from: from.clone(),
                stage: content.stage,
            });
            for blob in blobs(manifest) {
                if !seen.insert((Kind::Blob, &blob.digest)) {
                    continue;
                }
                if let Some((from, distance)) = self.nearest(Kind::Blob, &blob.digest, &distances) {
                    plan.blobs.push(BlobTransfer {
                        blob: blob.clone(),
                        from: from.clone(),
                        mountable: distance == Distance::SameRegistry,
                    });
                }
            }
        }
        plan.manifests.sort_by_key(|transfer| transfer.stage);
        Ok(plan)
    }

    /// Returns the nearest location of a digest, or `None` if the target has it. If several locations are equally near,
    /// returns the first.
    fn nearest(
        &self,
        kind: Kind,
        digest: &Digest,
        distances: &[Distance],
    ) -> Option<(&Location, Distance)> {
        let holders = self.holders.get(&(kind, digest))?;
        let position = *holders
            .iter()
            .min_by_key(|position| distances[**position])?;
        match self.locations[position] {
            SourceLocation::At(location) if distances[position] != Distance::Here => {
                Some((location, distances[position]))
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    Here,
    SameRegistry,
    Elsewhere,
}

fn distance(source: &SourceLocation, target: &Location) -> Distance {
    let SourceLocation::At(location) = source else {
        return Distance::Here;
    };
    match (location, target) {
        _ if location == target => Distance::Here,
        (Location::Repository(a), Location::Repository(b)) if a.registry() == b.registry() => {
            Distance::SameRegistry
        }
        _ => Distance::Elsewhere,
    }
}

fn blobs(manifest: &Manifest) -> Vec<&Descriptor> {
    manifest
        .image()
        .map(crate::spec::ImageManifest::blobs)
        .unwrap_or_default()
}
