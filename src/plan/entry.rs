//! An entry of the planned index, and the list of sources.

use std::collections::HashSet;
use std::sync::Arc;

use crate::spec::{Descriptor, Digest, Manifest, Platform, attestation};

use super::error::Claim;
use super::input::{Node, Source};

/// An entry of the planned index.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    /// Boxed, because lists may have 10,000 entries, and moving large entries is slow.
    pub(super) descriptor: Box<Descriptor>,
    pub(super) node: &'a Node,
    pub(super) manifest: Option<&'a Arc<Manifest>>,
    /// The positions of its sources. Not empty; messages name the first.
    pub(super) sources: Vec<usize>,
    pub(super) origin: Origin,
    /// Whether the entry itself is a source, not an entry of a source index.
    pub(super) named: bool,
    /// Whether it has a known platform and is not an attestation.
    pub(super) has_platform: bool,
    /// The normalised platform, if it differs from the platform of the descriptor.
    pub(super) changed: Option<Box<Platform>>,
}

/// The origin of the platform of an entry, in ascending precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Config,
    Index,
    /// Set by the user.
    Given,
}

impl Entry<'_> {
    pub(super) fn is_attestation(&self) -> bool {
        attestation::is_attestation(&self.descriptor)
    }

    /// Returns the subject of an attestation, from its entry or otherwise from its manifest.
    pub(super) fn subject(&self) -> Option<Digest> {
        if !self.is_attestation() {
            return None;
        }
        attestation::subject(&self.descriptor)
            .or_else(|| Some(self.manifest?.subject()?.digest.clone()))
    }

    pub(super) fn set_platform(&mut self, platform: Platform, origin: Origin) {
        self.descriptor.platform = Some(platform);
        self.origin = origin;
        self.normalise();
    }

    /// Updates what [`Entry::normal`] returns, after a change of the platform.
    pub(super) fn normalise(&mut self) {
        let platform = self.descriptor.platform.as_ref();
        let platform = platform.filter(|it| !it.is_unknown() && !self.is_attestation());
        self.has_platform = platform.is_some();
        self.changed = platform
            .map(|it| (it, it.normalised()))
            .filter(|(platform, normal)| normal != *platform)
            .map(|(_, normal)| Box::new(normal));
    }

    /// Returns the normalised platform; `None` for attestations and for entries without a known platform.
    pub(super) fn normal(&self) -> Option<&Platform> {
        let normal = self.changed.as_deref();
        let normal = normal.or(self.descriptor.platform.as_ref());
        normal.filter(|_| self.has_platform)
    }
}

/// All sources, and whether the first is the index to append to.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) all: &'a [&'a Source],
    pub(super) has_base: bool,
}

impl Sources<'_> {
    pub(super) fn name(&self, entry: &Entry<'_>) -> String {
        self.all[entry.sources[0]].name.clone()
    }

    pub(super) fn is_base(&self, entry: &Entry<'_>) -> bool {
        self.has_base && entry.sources.iter().all(|source| *source == 0)
    }

    pub(super) fn claim(&self, entry: &Entry<'_>) -> Claim {
        Claim {
            source_name: self.name(entry),
            digest: entry.descriptor.digest.clone(),
        }
    }
}

/// Returns the platforms of the entries, each once, in their order.
pub(super) fn platforms_of(entries: &[Entry<'_>]) -> Vec<Platform> {
    let mut seen = HashSet::new();
    entries
        .iter()
        .filter(|entry| entry.has_platform)
        .filter_map(|entry| entry.descriptor.platform.clone())
        .filter(|platform| seen.insert(platform.to_string()))
        .collect()
}

/// Returns whether an entry satisfies a request for `wanted`, whose normalised form is `machine`.
pub(super) fn is_for(entry: &Entry<'_>, wanted: &Platform, machine: &Platform) -> bool {
    entry
        .normal()
        .is_some_and(|normal| is_same_machine(normal, machine) && normal.satisfies(wanted))
}

/// Returns whether two normalised platforms are equal except for version and features.
pub(super) fn is_same_machine(a: &Platform, b: &Platform) -> bool {
    a.os == b.os && a.architecture == b.architecture && a.variant == b.variant
}
