//! Checks that everything an index names exists and matches its descriptor, before any tag moves. Content that this run
//! has read is not checked again. The other checks run in parallel, in one round trip.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use crate::binaries::{Binaries, BinariesError, Executable};
use crate::hint::Hint;
use crate::plan::{PlannedEntry, SourceLocation};
use crate::registry::Access;
use crate::spec::{Descriptor, Digest, ImageManifest, Location, Manifest};
use crate::store::{FailureKind, ManifestName, Operation, Store, StoreError};
use crate::stores::Stores;

/// The maximum number of entries that are checked at the same time.
const MAX_PARALLEL_ENTRIES: usize = 128;
/// The maximum number of further failures that an error names.
const MAX_FURTHER: usize = 5;

/// The extent of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckLevel {
    /// Nothing.
    None,
    /// Every manifest of the index.
    #[default]
    Manifests,
    /// Every manifest, and every config and layer of the images.
    Blobs,
    /// The same as `Blobs`, and whether the executables match the platforms of their images.
    Binaries,
}

/// The result of one entry.
#[derive(Debug)]
pub struct CheckedEntry<'a> {
    pub entry: &'a PlannedEntry,
    /// The number of blobs that exist.
    pub blobs: usize,
    /// The executables that match the platform.
    pub executables: Vec<Executable>,
    /// Notices about the executables.
    pub notices: Vec<String>,
    /// Everything that is missing or different.
    pub failures: Vec<StoreError>,
}

/// Checks all entries. Returns the results, or the first failure with further failures as hints.
pub async fn check<'a>(
    entries: &'a [PlannedEntry],
    targets: &[Location],
    level: CheckLevel,
    stores: &Stores,
) -> Result<Vec<CheckedEntry<'a>>, StoreError> {
    let mut checked = check_all(entries, targets, level, stores).await?;
    let mut failures = (checked.iter_mut()).flat_map(|entry| std::mem::take(&mut entry.failures));
    let Some(mut first) = failures.next() else {
        drop(failures);
        return Ok(checked);
    };
    let others = failures.take(MAX_FURTHER);
    first
        .hints
        .extend(others.map(|error| Hint::AlsoFailed(error.to_string())));
    Err(first)
}

/// Checks all entries where they are stored. An entry in every target is checked at each of `targets`. Failures are
/// part of the results. Returns an error only if a location cannot be opened.
pub async fn check_all<'a>(
    entries: &'a [PlannedEntry],
    targets: &[Location],
    level: CheckLevel,
    stores: &Stores,
) -> Result<Vec<CheckedEntry<'a>>, StoreError> {
    if level == CheckLevel::None {
        return Ok(Vec::new());
    }
    let binaries = Arc::new(Binaries::default());
    let mut work = Vec::new();
    for entry in entries {
        for (position, location) in locations(entry, targets, level).into_iter().enumerate() {
            let store = stores.open(location, Access::Pull).await?;
            // Blobs of one digest have the same content everywhere.
            let reads_binaries = level >= CheckLevel::Binaries && position == 0;
            work.push(EntryCheck {
                entry,
                store,
                level,
                binaries: reads_binaries.then(|| Arc::clone(&binaries)),
            });
        }
    }
    let checks = work.into_iter().map(EntryCheck::run);
    Ok(stream::iter(checks)
        .buffered(MAX_PARALLEL_ENTRIES)
        .collect()
        .await)
}

/// Returns the locations where an entry is checked: none if only its manifest would be checked, which this run has read
/// and pushes.
fn locations<'a>(
    entry: &'a PlannedEntry,
    targets: &'a [Location],
    level: CheckLevel,
) -> Vec<&'a Location> {
    match &entry.location {
        SourceLocation::At(location) => {
            let is_pushed = !targets.is_empty() && !targets.contains(location);
            if is_pushed && entry.manifest.is_some() && level < CheckLevel::Blobs {
                Vec::new()
            } else {
                vec![location]
            }
        }
        SourceLocation::EveryTarget => targets.iter().collect(),
    }
}

struct EntryCheck<'a> {
    entry: &'a PlannedEntry,
    store: Arc<dyn Store>,
    level: CheckLevel,
    /// Set if this check includes the executables.
    binaries: Option<Arc<Binaries>>,
}

impl<'a> EntryCheck<'a> {
    async fn run(self) -> CheckedEntry<'a> {
        let mut checked = CheckedEntry {
            entry: self.entry,
            blobs: 0,
            executables: Vec::new(),
            notices: Vec::new(),
            failures: Vec::new(),
        };
        checked.failures.extend(self.embedded_data().err());
        match self.manifest().await {
            Ok(manifest) => {
                let images = manifest.as_deref().and_then(Manifest::image);
                if let Some(image) = images.filter(|_| self.level >= CheckLevel::Blobs) {
                    self.blobs(image, &mut checked).await;
                    if checked.failures.is_empty() {
                        Box::pin(self.binaries(image, &mut checked)).await;
                    }
                }
            }
            Err(error) => checked.failures.push(error),
        }
        checked
    }

    /// Checks the data that is embedded in the descriptor: clients may use it instead of reading the content.
    fn embedded_data(&self) -> Result<(), StoreError> {
        let descriptor = &self.entry.descriptor;
        if descriptor.data.is_some() && descriptor.embedded().is_none() {
            return Err(self.refused("the data in its descriptor does not match its digest"));
        }
        Ok(())
    }

    /// Checks the manifest, unless this run has read it before. Returns the manifest if it was read.
    async fn manifest(&self) -> Result<Option<Arc<Manifest>>, StoreError> {
        let descriptor = &self.entry.descriptor;
        if self.entry.seen && (self.level < CheckLevel::Blobs || self.entry.manifest.is_some()) {
            return Ok(self.entry.manifest.clone());
        }
        if descriptor.media_type.is_blob() {
            return self.unless_blob(Vec::new()).await;
        }
        let name = ManifestName::Digest(descriptor.digest.clone());
        if self.level >= CheckLevel::Blobs && self.entry.manifest.is_none() {
            return self.read(&name).await;
        }
        match self.store.describe(&name).await {
            Ok(found) if is_same(descriptor, &found) => Ok(self.entry.manifest.clone()),
            // The response to HEAD may be wrong, so the content decides.
            Ok(_) => self.read(&name).await,
            Err(error) if error.kind == FailureKind::NotFound => {
                self.unless_blob(error.hints).await
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self, name: &ManifestName) -> Result<Option<Arc<Manifest>>, StoreError> {
        let descriptor = &self.entry.descriptor;
        let manifest = match self.store.manifest(name).await {
            Ok(manifest) => manifest,
            Err(error) if error.kind == FailureKind::NotFound => {
                return self.unless_blob(error.hints).await;
            }
            Err(error) => return Err(error),
        };
        let found = manifest.descriptor();
        if is_same(descriptor, &found) {
            return Ok(Some(Arc::new(manifest)));
        }
        let cause = if found.size == descriptor.size {
            format!(
                "its descriptor has the media type {}, the content has {}",
                descriptor.media_type, found.media_type
            )
        } else {
            format!(
                "its descriptor has the size {}, the content has {}",
                descriptor.size, found.size
            )
        };
        Err(self.refused(cause))
    }

    /// Returns the error of a missing manifest, unless the entry is a blob, as in the index of BuildKit's registry
    /// cache.
    async fn unless_blob(&self, hints: Vec<Hint>) -> Result<Option<Arc<Manifest>>, StoreError> {
        let descriptor = &self.entry.descriptor;
        let media_type = &descriptor.media_type;
        let may_be_blob = !media_type.is_index() && media_type.manifest_family().is_none();
        if may_be_blob && self.store.has_blob(descriptor).await? {
            return Ok(None);
        }
        let cause = format!("it does not exist in {}", self.store.name());
        let missing = StoreError::new(FailureKind::NotFound, self.operation(), cause);
        Err(StoreError { hints, ..missing })
    }

    async fn blobs(&self, image: &ImageManifest, checked: &mut CheckedEntry<'a>) {
        let mut seen: HashSet<&Digest> = HashSet::new();
        let blobs: Vec<&Descriptor> = image
            .blobs()
            .into_iter()
            .filter(|blob| blob.urls.is_empty() && seen.insert(&blob.digest))
            .collect();
        let looks = blobs.iter().map(|blob| self.store.has_blob(blob));
        let found = futures_util::future::join_all(looks).await;
        for (blob, found) in blobs.iter().zip(found) {
            match found {
                Ok(true) => checked.blobs += 1,
                Ok(false) => checked.failures.push(StoreError::new(
                    FailureKind::NotFound,
                    self.operation(),
                    format!(
                        "its blob {} does not exist in {}",
                        blob.digest,
                        self.store.name()
                    ),
                )),
                Err(error) => checked.failures.push(error),
            }
        }
    }

    async fn binaries(&self, image: &ImageManifest, checked: &mut CheckedEntry<'a>) {
        let binaries = self.binaries.as_ref();
        let Some(binaries) = binaries.filter(|_| !self.entry.is_attestation()) else {
            return;
        };
        let platform = self.entry.descriptor.platform.as_ref();
        match binaries.inspect(&self.store, image, platform).await {
            Ok(findings) => {
                let notices = findings.notices.iter();
                checked.notices = notices.map(|text| self.notice(text)).collect();
                checked.executables = findings.verified;
                let wrong = findings.wrong.map(|wrong| self.refused(wrong));
                let wrong = wrong.map(|error| match platform {
                    Some(platform) => error.hint(format!(
                        "build the image for {platform}, or correct the platform that it declares"
                    )),
                    None => error,
                });
                checked.failures.extend(wrong);
            }
            Err(BinariesError::Store(error)) => checked.failures.push(error),
            Err(error @ BinariesError::Damaged(_)) => checked.failures.push(self.refused(error)),
        }
    }

    fn notice(&self, text: &str) -> String {
        let source = &self.entry.source;
        match &self.entry.descriptor.platform {
            Some(platform) => format!("{platform} (from {source}): {text}"),
            None => format!("{source}: {text}"),
        }
    }

    fn refused(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::new(FailureKind::Refused, self.operation(), cause)
    }

    fn operation(&self) -> Operation {
        let entry = self.entry;
        let digest = &entry.descriptor.digest;
        let platform = entry.descriptor.platform.as_ref();
        let object = match platform.filter(|_| !entry.is_attestation()) {
            Some(platform) => format!("{platform} ({digest}) of {}", entry.source),
            None => format!("{digest} of {}", entry.source),
        };
        Operation::new("check", object)
    }
}

/// Returns the executables of each entry, in their order.
pub fn executables(
    entries: &[PlannedEntry],
    checked: Vec<CheckedEntry<'_>>,
) -> Vec<Vec<Executable>> {
    let mut all = vec![Vec::new(); entries.len()];
    let checked = checked.into_iter().filter(|it| !it.executables.is_empty());
    for checked in checked {
        let is_own = |entry: &PlannedEntry| std::ptr::eq(entry, checked.entry);
        if let Some(position) = entries.iter().position(is_own) {
            all[position] = checked.executables;
        }
    }
    all
}

/// Returns whether size and media type are equal. A descriptor without a media type allows any type.
fn is_same(descriptor: &Descriptor, found: &Descriptor) -> bool {
    let same_type = descriptor.media_type.is_empty() || descriptor.media_type == found.media_type;
    same_type && descriptor.size == found.size
}
