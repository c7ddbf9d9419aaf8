//! What refers to the images of a plan, copied along on request: what the referrers API (or its fallback tag)
//! lists, and what cosign keeps under tags of its own (`sha256-<hex>.sig`, `.att`, `.sbom`).

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::content::{FailureKind, ManifestName, Store, StoreError};
use crate::plan::{Place, Plan};
use crate::progress::{Event, Observed};
use crate::registry::Access;
use crate::spec::{Digest, Manifest, Tag};
use crate::stores::Stores;

/// <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md#tag-based-discovery>.
const COSIGN_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// Copies what refers to the index and to its entries into every target that is elsewhere. Runs after the
/// images are there, since registries refuse what refers to nothing.
pub async fn copy_referrers(
    plan: &Plan,
    sources: &[(Place, Digest)],
    stores: &Stores,
    observed: &Observed,
) -> Result<(), StoreError> {
    for target in &plan.targets {
        let store = stores.open(&target.place, Access::Push).await?;
        let subjects: HashSet<(&Place, &Digest)> = sources
            .iter()
            .map(|(place, digest)| (place, digest))
            .chain(
                plan.entries
                    .iter()
                    .map(|entry| (&entry.place, &entry.descriptor.digest)),
            )
            .filter(|(place, _)| **place != target.place && **place != Place::Targets)
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
        try_join_all(copies).await?;
    }
    Ok(())
}

struct Copier<'a> {
    from: Arc<dyn Store>,
    to: Arc<dyn Store>,
    observed: &'a Observed,
}

impl Copier<'_> {
    async fn copy_all(&self, subject: &Digest) -> Result<(), StoreError> {
        for referrer in self.from.referrers(subject).await? {
            let name = ManifestName::Digest(referrer.digest.clone());
            let manifest = self.from.manifest(&name).await?;
            self.copy_blobs(&manifest).await?;
            self.to.put_manifest(&manifest).await?;
            self.tell(&manifest);
        }
        for suffix in COSIGN_SUFFIXES {
            let text = format!(
                "{}-{}.{suffix}",
                subject.algorithm().as_str(),
                subject.hex()
            );
            let Ok(tag) = text.parse::<Tag>() else {
                continue;
            };
            match self.from.manifest(&ManifestName::Tag(tag.clone())).await {
                Ok(manifest) => {
                    self.copy_blobs(&manifest).await?;
                    let tags = std::slice::from_ref(&tag);
                    let results = self.to.put_tags(&manifest, tags).await;
                    results.into_iter().collect::<Result<(), _>>()?;
                    self.tell(&manifest);
                }
                Err(error) if error.kind == FailureKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn copy_blobs(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let Some(image) = manifest.image() else {
            return Ok(());
        };
        for blob in image.blobs() {
            if let Some(repository) = self.from.repository()
                && self.to.mount_blob(blob, repository).await?
            {
                continue;
            }
            if !self.to.has_blob(blob).await? {
                self.to
                    .copy_blob(blob, Arc::clone(&self.from), &|_| ())
                    .await?;
            }
        }
        Ok(())
    }

    fn tell(&self, manifest: &Manifest) {
        self.observed.observe(Event::ManifestDone {
            digest: &manifest.digest,
            target: &self.to.name(),
        });
    }
}
