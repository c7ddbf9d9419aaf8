//! Copies the referrers of the images of a plan: the manifests that the referrers API or its fallback tag lists, and
//! the manifests under cosign's tags (`sha256-<hex>.sig`, `.att`, `.sbom`).

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

/// The maximum number of images whose referrers are copied at the same time.
const MAX_PARALLEL_IMAGES: usize = 8;

/// Copies the referrers of the index and of its entries to every target that is not their location. The images must
/// exist there already, because registries refuse a referrer without its subject.
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
        let copies = subjects.into_iter().map(|(location, digest)| async {
            let from = stores.open(location, Access::Pull).await?;
            Copier {
                from,
                to: Arc::clone(&store),
                observed,
            }
            .copy_all(digest)
            .await
        });
        // Each copy keeps a list of referrers in memory, which may be long.
        stream::iter(copies)
            .buffer_unordered(MAX_PARALLEL_IMAGES)
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
    /// Copies the referrers of `subject`, and the referrers of each of these: an SBOM may be signed.
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
                    format!("copy the referrers of {}@{subject}", self.from.name()),
                    format!("there are more than {MAX_REFERRERS}"),
                ));
            }
        }
        Ok(())
    }

    /// Copies the referrers that the registry lists for `subject`. Returns all their digests, including referrers that
    /// the target already has.
    async fn copy_listed(&self, subject: &Digest) -> Result<Vec<Digest>, StoreError> {
        let listed: Vec<Digest> = digests(self.from.referrers(subject).await?);
        if listed.is_empty() {
            return Ok(listed);
        }
        let existing = digests(self.to.referrers(subject).await?);
        for digest in listed.iter().filter(|digest| !existing.contains(digest)) {
            let name = ManifestName::Digest(digest.clone());
            let manifest = self.from.manifest(&name).await?;
            self.copy_content(&manifest, 0).await?;
            self.to.put_manifest(&manifest).await?;
            self.report(&manifest);
        }
        Ok(listed)
    }

    /// Copies the manifests under cosign's tags.
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
            let existing = self.to.describe(&name).await;
            if existing.is_ok_and(|existing| existing.digest == manifest.digest) {
                continue;
            }
            self.copy_content(&manifest, 0).await?;
            let results = self.to.put_tags(&manifest, &[tag]).await;
            results.into_iter().collect::<Result<(), _>>()?;
            self.report(&manifest);
        }
        Ok(())
    }

    /// Copies the content that a manifest names: the blobs of an image, or the entries of an index with their content.
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
                    format!("indexes are nested deeper than {MAX_INDEX_DEPTH} levels"),
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
