//! What must be moved for each target: the blobs and manifests that are not there yet, each once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::spec::{Descriptor, Digest, Location, Manifest, Tag};

use super::error::PlanError;
use super::flatten::Entry;
use super::input::{Node, Source, SourceLocation, Target};

/// What happens at one target, before the index is put there under its tags.
#[derive(Clone, Debug)]
pub struct TargetPlan {
    pub location: Location,
    /// The tags, each once.
    pub tags: Vec<Tag>,
    /// Blobs that may not be there, each once.
    pub blobs: Vec<BlobTransfer>,
    /// Manifests that may not be there, each once, in the order in which they must be put: stage by
    /// stage; inside a stage they do not depend on each other.
    pub manifests: Vec<ManifestTransfer>,
}

/// A blob to move.
#[derive(Clone, Debug)]
pub struct BlobTransfer {
    /// The blob.
    pub blob: Descriptor,
    /// A location that has it.
    pub from: Location,
    /// Whether both places are repositories of one registry, so that it can be mounted.
    pub mountable: bool,
}

/// A manifest to move.
#[derive(Clone, Debug)]
pub struct ManifestTransfer {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// A location that has it.
    pub from: Location,
    /// When it must be put.
    pub stage: Stage,
}

/// When a manifest is put: all of a stage before any of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Images and artifacts that stand for themselves.
    Image,
    /// Attestations, after what they are about.
    Attestation,
    /// Indexes inside the index; the number is how many indexes are nested in them, plus one.
    Index(usize),
}

/// Something that must be at every target.
pub(super) struct Content<'a> {
    pub(super) node: &'a Node,
    /// The source that names it.
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

/// The indexes below `index`, for an index that is passed on as it is. Returns how many levels there
/// are.
pub(super) fn nested<'a>(index: &'a Node, source: usize, contents: &mut Vec<Content<'a>>) -> usize {
    let mut height = 0;
    for child in index.children.iter().filter(|child| child.is_index()) {
        let below = nested(child, source, contents);
        contents.push(Content {
            node: child,
            source,
            stage: Stage::Index(below + 1),
        });
        height = height.max(below + 1);
    }
    height
}

/// What must be done at each target. Targets of one place become one.
pub(super) fn transfers(
    contents: &[Content<'_>],
    sources: &[&Source],
    targets: &[Target],
) -> Result<Vec<TargetPlan>, PlanError> {
    let whereabouts = Whereabouts::new(contents, sources);
    let mut plans: Vec<TargetPlan> = Vec::new();
    for target in targets {
        let known = plans
            .iter()
            .position(|plan| plan.location == target.location);
        let position = known.unwrap_or(plans.len());
        if known.is_none() {
            plans.push(whereabouts.to(&target.location)?);
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

/// What lies where. Places are numbered, so that comparing them is cheap.
struct Whereabouts<'a> {
    contents: &'a [Content<'a>],
    sources: &'a [&'a Source],
    places: Vec<&'a SourceLocation>,
    /// The places that have a digest, in the order of the sources. Also what is not in the plan lies
    /// somewhere, and what it shares with the plan need not be moved there.
    holders: HashMap<(Kind, &'a Digest), Vec<usize>>,
    /// What was read.
    manifests: HashMap<&'a Digest, &'a Arc<Manifest>>,
}

/// Registries keep manifests and blobs apart: to have the one is not to have the other.
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

impl<'a> Whereabouts<'a> {
    fn new(contents: &'a [Content<'a>], sources: &'a [&'a Source]) -> Self {
        let mut numbers: HashMap<&SourceLocation, usize> = HashMap::new();
        let mut whereabouts = Self {
            contents,
            sources,
            places: Vec::new(),
            holders: HashMap::new(),
            manifests: HashMap::new(),
        };
        for source in sources {
            let place = *numbers.entry(&source.location).or_insert_with(|| {
                whereabouts.places.push(&source.location);
                whereabouts.places.len() - 1
            });
            whereabouts.lies_at(&source.root, place);
        }
        whereabouts
    }

    fn lies_at(&mut self, node: &'a Node, place: usize) {
        self.holds(place, Kind::of(node), node.digest());
        if let Some(manifest) = &node.manifest {
            self.manifests.entry(node.digest()).or_insert(manifest);
            for blob in blobs(manifest) {
                self.holds(place, Kind::Blob, &blob.digest);
            }
        }
        for child in &node.children {
            self.lies_at(child, place);
        }
    }

    fn holds(&mut self, place: usize, kind: Kind, digest: &'a Digest) {
        let holders = self.holders.entry((kind, digest)).or_default();
        if !holders.contains(&place) {
            holders.push(place);
        }
    }

    fn to(&self, target: &Location) -> Result<TargetPlan, PlanError> {
        let near: Vec<Distance> = self
            .places
            .iter()
            .map(|place| distance(place, target))
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
            let Some((from, distance)) = self.nearest(kind, digest, &near) else {
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
                if let Some((from, distance)) = self.nearest(Kind::Blob, &blob.digest, &near) {
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

    /// The nearest place that has a digest, the first of equally near ones; none if the target has it.
    fn nearest(
        &self,
        kind: Kind,
        digest: &Digest,
        near: &[Distance],
    ) -> Option<(&Location, Distance)> {
        let holders = self.holders.get(&(kind, digest))?;
        let place = holders.iter().min_by_key(|place| near[**place])?;
        match self.places[*place] {
            SourceLocation::At(location) if near[*place] != Distance::Here => {
                Some((location, near[*place]))
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
