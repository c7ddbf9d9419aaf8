//! What refers to a manifest: the referrers API, and the tag `sha256-<hex>` where a registry has none.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers>.

use http::{Method, StatusCode};

use super::call::Outcome;
use super::repository::{RegistryRepository, index_type};
use crate::content::{FailureKind, ManifestName, Store as _, StoreError};
use crate::spec::{Descriptor, Digest, Index, JsonStyle, Manifest, MediaType, Tag, write};

impl RegistryRepository {
    pub(super) async fn list_referrers(&self, subject: &Digest) -> Outcome<Vec<Descriptor>> {
        let doing = format!("list what refers to {}@{subject}", self.repository);
        let call = self
            .call(Method::GET, format!("referrers/{subject}"), doing)
            .accepting_manifests();
        let answer = self
            .exchange(&call, "a list of referrers", self.max_manifest)
            .await?;
        // GHCR redirects this to a web page: an answer from another site is no answer.
        let usable = answer.status == StatusCode::OK
            && !answer.elsewhere
            && answer.media_type().as_str() == MediaType::OCI_INDEX;
        if usable
            && let Ok(manifest) = Manifest::parse(answer.body.clone(), &answer.media_type())
            && let Some(index) = manifest.index()
        {
            return Ok(index.manifests.clone());
        }
        if matches!(
            answer.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(self.refused(&call, &answer));
        }
        let fallback = self.read_fallback(subject).await?;
        Ok(fallback.map_or_else(Vec::new, |index| index.manifests))
    }

    /// Adds `manifest` to the index under the tag of its subject, unless it is there.
    pub(super) async fn add_to_fallback_tag(
        &self,
        manifest: &Manifest,
        subject: &Descriptor,
    ) -> Outcome<()> {
        let _turn = self.fallback.lock().await;
        let mut index = self
            .read_fallback(&subject.digest)
            .await?
            .unwrap_or_else(|| Index::new(MediaType::OCI_INDEX, Vec::new()));
        if index
            .manifests
            .iter()
            .any(|entry| entry.digest == manifest.digest)
        {
            return Ok(());
        }
        let mut entry = manifest.descriptor();
        if let Some(image) = manifest.image() {
            entry.annotations.clone_from(&image.annotations);
            let artifact_type = image
                .artifact_type
                .clone()
                .unwrap_or_else(|| image.config.media_type.to_string());
            entry.artifact_type = Some(artifact_type);
        }
        index.manifests.push(entry);
        let bytes = write(&index, JsonStyle::Oci);
        let fallback = Manifest::parse(bytes.into(), &index_type()).map_err(|error| {
            StoreError::new(
                FailureKind::Other,
                format!("write the referrers of {}", subject.digest),
                error.to_string(),
            )
        })?;
        let tag = fallback_tag(&subject.digest);
        self.put_tags(&fallback, std::slice::from_ref(&tag))
            .await
            .into_iter()
            .collect()
    }

    async fn read_fallback(&self, subject: &Digest) -> Outcome<Option<Index>> {
        let name = ManifestName::Tag(fallback_tag(subject));
        match self.manifest(&name).await {
            Ok(manifest) => Ok(manifest.index().cloned()),
            Err(error) if error.kind == FailureKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `sha256-<hex>`.
fn fallback_tag(subject: &Digest) -> Tag {
    let text = format!("{}-{}", subject.algorithm().as_str(), subject.hex());
    // Tags end at 128 characters, so a sha512 digest is cut as the specification says.
    let cut: String = text.chars().take(128).collect();
    cut.parse()
        .expect("an algorithm, a dash and hex digits are a tag")
}
