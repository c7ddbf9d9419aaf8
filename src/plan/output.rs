//! The plan: the bytes of the index, and the transfers to each target.

use std::sync::Arc;

use crate::spec::{Annotations, Descriptor, Digest, Location, Manifest, Tag, attestation};

use super::input::SourceLocation;
use super::notice::Notice;

/// The index to publish, and the transfers to each target.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The index with its exact bytes.
    pub index: Manifest,
    /// Whether the index is a byte-exact copy of a source.
    pub exact: bool,
    /// Images, artifacts and attestations, in their order. Only an exact index has nested indexes; their entries take
    /// the position of the nested index.
    pub entries: Vec<PlannedEntry>,
    /// The annotations of this index in the `index.json` of a layout, besides its tag.
    pub index_descriptor: Annotations,
    /// Each location once.
    pub targets: Vec<TargetPlan>,
    pub notices: Vec<Notice>,
}

/// An entry of the index.
#[derive(Clone, Debug)]
pub struct PlannedEntry {
    /// As in the index.
    pub descriptor: Descriptor,
    /// The name of its source.
    pub source: String,
    pub location: SourceLocation,
    /// `None` if it was not read.
    pub manifest: Option<Arc<Manifest>>,
    /// Whether this run has read the manifest or its headers.
    pub seen: bool,
    /// The attested image, if this is an attestation.
    pub subject: Option<Digest>,
}

impl PlannedEntry {
    pub fn is_attestation(&self) -> bool {
        attestation::is_attestation(&self.descriptor)
    }

    /// Returns the size of the config and the layers in bytes, if the manifest was read.
    pub fn content_size(&self) -> Option<u64> {
        let image = self.manifest.as_ref()?.image()?;
        let sizes = image.blobs().into_iter().map(|blob| blob.size);
        Some(sizes.fold(0, u64::saturating_add))
    }
}

/// The transfers to one target before the index is pushed under its tags.
#[derive(Clone, Debug)]
pub struct TargetPlan {
    pub location: Location,
    /// Each tag once.
    pub tags: Vec<Tag>,
    /// Blobs that may be missing, each once.
    pub blobs: Vec<BlobTransfer>,
    /// Manifests that may be missing, each once, in the order of their stages. Manifests of the same stage do not
    /// depend on each other.
    pub manifests: Vec<ManifestTransfer>,
}

#[derive(Clone, Debug)]
pub struct BlobTransfer {
    pub blob: Descriptor,
    pub from: Location,
    /// Whether both locations are repositories of one registry.
    pub mountable: bool,
}

#[derive(Clone, Debug)]
pub struct ManifestTransfer {
    pub manifest: Arc<Manifest>,
    pub from: Location,
    pub stage: Stage,
}

/// The order of pushing manifests: each stage is complete before the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Images and artifacts without a subject.
    Image,
    /// Attestations, after their subjects.
    Attestation,
    /// Nested indexes, by the number of index levels in them.
    Index(usize),
}
