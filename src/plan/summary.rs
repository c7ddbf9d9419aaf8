//! The plan as people want to see it: a row for each image, with what is attached to it.

use std::collections::HashMap;

use crate::spec::{Digest, Platform};

use super::{Plan, PlannedEntry};

/// One image or artifact of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRow {
    /// The platform; none for an artifact that says none.
    pub platform: Option<Platform>,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The size of the manifest in bytes.
    pub size: u64,
    /// The size of the config and the layers in bytes, compressed, if the manifest was read.
    pub content_size: Option<u64>,
    /// The source, as the person wrote it.
    pub source: String,
    /// How many attestations are about it.
    pub attestations: usize,
}

impl Plan {
    /// A row for each entry that is not an attestation, in their order.
    pub fn summary(&self) -> Vec<SummaryRow> {
        let mut attestations: HashMap<&Digest, usize> = HashMap::new();
        for subject in self
            .entries
            .iter()
            .filter_map(|entry| entry.subject.as_ref())
        {
            *attestations.entry(subject).or_default() += 1;
        }
        let row = |entry: &PlannedEntry| SummaryRow {
            platform: entry.descriptor.platform.clone(),
            digest: entry.descriptor.digest.clone(),
            size: entry.descriptor.size,
            content_size: entry.content_size(),
            source: entry.source.clone(),
            attestations: attestations
                .get(&entry.descriptor.digest)
                .copied()
                .unwrap_or_default(),
        };
        self.entries
            .iter()
            .filter(|entry| !entry.is_attestation())
            .map(row)
            .collect()
    }

    /// The platforms of the images, in their order.
    pub fn platforms(&self) -> Vec<&Platform> {
        self.entries
            .iter()
            .filter(|entry| !entry.is_attestation())
            .filter_map(|entry| entry.descriptor.platform.as_ref())
            .filter(|platform| !platform.is_unknown())
            .collect()
    }
}

impl PlannedEntry {
    fn content_size(&self) -> Option<u64> {
        let image = self.manifest.as_ref()?.image()?;
        let sizes = image.blobs().into_iter().map(|blob| blob.size);
        Some(sizes.fold(0, u64::saturating_add))
    }
}
