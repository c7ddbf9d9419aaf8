//! A summary of the plan: a row for each image.

use std::collections::HashMap;

use crate::spec::{Digest, Platform};

use super::output::{Plan, PlannedEntry};

/// One image or artifact of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRow {
    /// `None` for artifacts without a platform.
    pub platform: Option<Platform>,
    pub digest: Digest,
    /// The size of the manifest in bytes.
    pub size: u64,
    /// The size of the config and the layers in bytes, compressed, if the manifest was read.
    pub content_size: Option<u64>,
    /// The name of the source.
    pub source: String,
    /// The number of attestations of it.
    pub attestations: usize,
}

impl Plan {
    /// Returns a row for each entry that is not an attestation, in their order.
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

    /// Returns the platforms of the images, in their order.
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
