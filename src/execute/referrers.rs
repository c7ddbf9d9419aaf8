//! Copies the referrers of the images of a plan: those of the referrers API or its fallback tag, and cosign's
//! tags (`sha256-<hex>.sig`, `.att`, `.sbom`).

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use crate::plan::{Plan, SourceLocation};
use crate::progress::{Event, Observed};
use crate::registry::Access;
use crate::spec::limits::MAX_INDEX_DEPTH;
use crate::spec::{Descriptor, Digest, Location, Manifest, Tag};
use crate::store::{FailureKind, MAX_REFERRERS, ManifestName, Operation, Store, StoreError};
use crate::stores::Stores;

/// <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md#tag-based-discovery>.
const COSIGN_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// For how many images at once it is found out what refers to them.
const AT_ONCE: usize = 8;

/// Copies what refers to the index and to its entries into every target that is elsewhere. Runs after the
/// images are there, since registries refuse what refers to nothing.
pub async fn copy_referrers(
    plan: &Plan,
    sources: &[(SourceLocation, Digest)],
    stores: &Stores,
    observed: &Observed,
) -> Result<(), StoreError> {
    for target in &plan.targets {
        let store = stores.open(&target.location, Access::Push).await?;
        let subjects: HashSet<(&Location, &Digest)> = sources
            .iter()
            .map(|(location, digest)| (location, digest))
            .chain(
                plan.entries
                    .iter()
                    .map(|entry| (&entry.location, &entry.descriptor.digest)),
            )
            .filter_map(|(location, digest)| match location {
                SourceLocation::At(location) if *location != target.location => {
                    Some((location, digest))
                }
                _ => None,
            })
            .collect();
        let copies = subjects.into_iter().map(|(place, digest)| async {
            let from = stores.open(place, Access::Pull).await?;
            Copier {
                from,
                to: Arc::clone(&store),
                observed,
            }
            .copy_all(digest)
            .await
        });
        // Lists are held while they are worked on, and may be long.
        stream::iter(copies)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
    Ok(())
}

struct Copier<'a> {
    from: Arc<dyn Store>,
    to: Arc<dyn Store>,
    observed: &'a Observed,
}

impl Copier<'_> {
    /// What refers to `subject`, and what refers to that: an SBOM may be signed itself.
    async fn copy_all(&self, subject: &Digest) -> Result<(), StoreError> {
        let mut subjects = vec![subject.clone()];
        let mut seen = HashSet::from([subject.clone()]);
        while let Some(subject) = subjects.pop() {
            self.copy_tagged(&subject).await?;
            for referrer in self.copy_listed(&subject).await? {
                if seen.insert(referrer.clone()) {
                    subjects.push(referrer);
                }
            }
            if seen.len() > MAX_REFERRERS {
                return Err(StoreError::new(
                    FailureKind::Refused,
                    format!("copy what refers to {}@{subject}", self.from.name()),
                    format!("there are more than {MAX_REFERRERS}"),
                ));
            }
        }
        Ok(())
    }

    /// What the registry lists for `subject`: all digests of it, whether they had to be copied or not.
    async fn copy_listed(&self, subject: &Digest) -> Result<Vec<Digest>, StoreError> {
        let listed: Vec<Digest> = digests(self.from.referrers(subject).await?);
        if listed.is_empty() {
            return Ok(listed);
        }
        let there = digests(self.to.referrers(subject).await?);
        for digest in listed.iter().filter(|digest| !there.contains(digest)) {
            let name = ManifestName::Digest(digest.clone());
            let manifest = self.from.manifest(&name).await?;
            self.copy_content(&manifest, 0).await?;
            self.to.put_manifest(&manifest).await?;
            self.report(&manifest);
        }
        Ok(listed)
    }

    /// What cosign keeps under tags.
    async fn copy_tagged(&self, subject: &Digest) -> Result<(), StoreError> {
        let (algorithm, hex) = (subject.algorithm().as_str(), subject.hex());
        for suffix in COSIGN_SUFFIXES {
            let Ok(tag) = format!("{algorithm}-{hex}.{suffix}").parse::<Tag>() else {
                continue;
            };
            let name = ManifestName::Tag(tag.clone());
            let manifest = match self.from.manifest(&name).await {
                Ok(manifest) => manifest,
                Err(error) if error.kind == FailureKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let there = self.to.describe(&name).await;
            if there.is_ok_and(|there| there.digest == manifest.digest) {
                continue;
            }
            self.copy_content(&manifest, 0).await?;
            let results = self.to.put_tags(&manifest, &[tag]).await;
            results.into_iter().collect::<Result<(), _>>()?;
            self.report(&manifest);
        }
        Ok(())
    }

    /// Copies what a manifest names: the blobs of an image, and the entries of an index with their content.
    fn copy_content<'b>(
        &'b self,
        manifest: &'b Manifest,
        depth: usize,
    ) -> BoxFuture<'b, Result<(), StoreError>> {
        async move {
            for blob in manifest.image().iter().flat_map(|image| image.blobs()) {
                self.copy_blob(blob).await?;
            }
            let Some(index) = manifest.index() else {
                return Ok(());
            };
            if depth == MAX_INDEX_DEPTH {
                return Err(StoreError::new(
                    FailureKind::Refused,
                    Operation::new("copy", format!("{}@{}", self.from.name(), manifest.digest)),
                    format!("indexes are nested more than {MAX_INDEX_DEPTH} deep"),
                ));
            }
            for entry in &index.manifests {
                if entry.media_type.is_blob() {
                    self.copy_blob(entry).await?;
                    continue;
                }
                let name = ManifestName::Digest(entry.digest.clone());
                if self.to.describe(&name).await.is_ok() {
                    continue;
                }
                let child = self.from.manifest(&name).await?;
                self.copy_content(&child, depth + 1).await?;
                self.to.put_manifest(&child).await?;
                self.report(&child);
            }
            Ok(())
        }
        .boxed()
    }

    async fn copy_blob(&self, blob: &Descriptor) -> Result<(), StoreError> {
        if let Some(repository) = self.from.repository()
            && self.to.mount_blob(blob, repository).await?
        {
            return Ok(());
        }
        if !self.to.has_blob(blob).await? {
            let from = Arc::clone(&self.from);
            self.to.copy_blob(blob, from, &|_| ()).await?;
        }
        Ok(())
    }

    fn report(&self, manifest: &Manifest) {
        self.observed.observe(Event::ManifestDone {
            digest: &manifest.digest,
            target: &self.to.name(),
        });
    }
}

fn digests(descriptors: Vec<Descriptor>) -> Vec<Digest> {
    descriptors
        .into_iter()
        .map(|descriptor| descriptor.digest)
        .collect()
}
