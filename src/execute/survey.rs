//! Reads the digests of the target tags before anything is written. A tag that already has the planned digest is not
//! written again, so that a second run changes nothing, and immutable tags are accepted. The tags are read in parallel
//! with the sources, so that they add no round trip.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;

use crate::plan::Target;
use crate::registry::Access;
use crate::spec::{Digest, Location, Manifest, Tag};
use crate::store::{FailureKind, ManifestName, StoreError};
use crate::stores::Stores;

/// The digests of the tags of the targets.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    tags: HashMap<(Location, Tag), Option<Digest>>,
    /// The failures to read tags.
    pub failures: Vec<StoreError>,
    /// The tags that must not be moved.
    kept: HashSet<(Location, Tag)>,
}

impl Survey {
    /// Returns the digest of a tag, if it is known.
    pub fn points_at(&self, location: &Location, tag: &Tag) -> Option<&Digest> {
        self.state(location, tag).flatten()
    }

    /// Returns the state of a tag: `None` if it is unknown, `Some(None)` if the tag does not exist.
    pub fn state(&self, location: &Location, tag: &Tag) -> Option<Option<&Digest>> {
        let known = self.tags.get(&(location.clone(), tag.clone()))?;
        Some(known.as_ref())
    }

    /// Records a tag that was created after the survey and must not be moved.
    pub fn record_created(&mut self, location: &Location, tag: &Tag, digest: &Digest) {
        let key = (location.clone(), tag.clone());
        self.tags.insert(key, Some(digest.clone()));
        self.keep(location, tag);
    }

    /// Marks a tag that must not be moved.
    pub fn keep(&mut self, location: &Location, tag: &Tag) {
        self.kept.insert((location.clone(), tag.clone()));
    }

    /// Returns whether a tag must not be moved.
    pub fn is_kept(&self, location: &Location, tag: &Tag) -> bool {
        self.kept.contains(&(location.clone(), tag.clone()))
    }

    /// Returns whether no tag of a target has to be written for an index of this digest.
    pub fn is_complete(&self, target: &Target, digest: &Digest) -> bool {
        let location = &target.location;
        !target.tags.is_empty()
            && target.tags.iter().all(|tag| {
                self.points_at(location, tag) == Some(digest) || self.is_kept(location, tag)
            })
    }

    /// Reads each distinct manifest of the tags. Skips manifests that cannot be read: they are needed only for a
    /// comparison.
    pub async fn previous(&self, stores: &Stores) -> Vec<Manifest> {
        let mut seen = HashSet::new();
        let mut found: Vec<(&Location, &Digest)> = (self.tags.iter())
            .filter_map(|((location, _), digest)| Some((location, digest.as_ref()?)))
            .filter(|(_, digest)| seen.insert(*digest))
            .collect();
        found.sort();
        let reads = found.into_iter().map(|(location, digest)| async {
            let store = stores.open(location, Access::Pull).await.ok()?;
            let name = ManifestName::Digest(digest.clone());
            store.manifest(&name).await.ok()
        });
        join_all(reads).await.into_iter().flatten().collect()
    }
}

/// Reads every tag of every target. Repositories are opened for a push, so that the push credentials are tried. If
/// `read_only` is set, layouts are opened for reading.
pub async fn survey(stores: &Stores, targets: &[Target], read_only: bool) -> Survey {
    let reads = targets.iter().flat_map(|target| {
        target.tags.iter().map(|tag| async {
            let key = (target.location.clone(), tag.clone());
            if !Stores::may_exist(&target.location) {
                return (key, Ok(None));
            }
            let access = match target.location {
                Location::Layout(_) if read_only => Access::Pull,
                _ => Access::Push,
            };
            (key, read_tag(stores, &target.location, tag, access).await)
        })
    });
    let mut survey = Survey::default();
    for (key, found) in join_all(reads).await {
        match found {
            Ok(found) => {
                survey.tags.insert(key, found);
            }
            Err(error) => survey.failures.push(error),
        }
    }
    survey
}

async fn read_tag(
    stores: &Stores,
    location: &Location,
    tag: &Tag,
    access: Access,
) -> Result<Option<Digest>, StoreError> {
    let store = stores.open(location, access).await?;
    match store.describe(&ManifestName::Tag(tag.clone())).await {
        Ok(found) => Ok(Some(found.digest)),
        Err(error) if error.kind == FailureKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
