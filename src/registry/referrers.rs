//! What refers to a manifest: the referrers API, and the tag `sha256-<hex>` where a registry has none.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers>.

use http::{Method, StatusCode, header};
use url::Url;

use super::call::{Answer, Outcome};
use super::repository::RegistryRepository;
use crate::content::{FailureKind, ManifestName, Store as _, StoreError};
use crate::spec::{Descriptor, Digest, Index, JsonStyle, Manifest, MediaType, Tag, write};

/// The most pages of one list.
const MOST_PAGES: usize = 100;

impl RegistryRepository {
    pub(super) async fn list_referrers(&self, subject: &Digest) -> Outcome<Vec<Descriptor>> {
        let doing = format!("list what refers to {}@{subject}", self.repository);
        let mut path = format!("referrers/{subject}");
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let call = self
                .call(Method::GET, path, doing.clone())
                .accepting_manifests();
            let answer = self
                .exchange(&call, "a list of referrers", self.max_manifest)
                .await?;
            if matches!(answer.status.as_u16(), 401 | 403) {
                return Err(self.refused(&call, &answer));
            }
            let Some(page) = page_of(&answer) else {
                let fallback = self.read_fallback(subject).await?;
                return Ok(fallback.map_or_else(Vec::new, |index| index.manifests));
            };
            found.extend(page);
            match next_page(&answer, &self.host.base(), self.repository.path()) {
                Some(next) => path = next,
                None => return Ok(found),
            }
        }
        Err(StoreError::new(
            FailureKind::Refused,
            doing,
            format!("more than {MOST_PAGES} pages"),
        ))
    }

    /// Adds `manifest` to the index under the tag of its subject, unless it is there.
    pub(super) async fn add_to_fallback_tag(
        &self,
        manifest: &Manifest,
        subject: &Descriptor,
    ) -> Outcome<()> {
        let _turn = self.memory.fallback.lock().await;
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
        } else if let Some(index) = manifest.index() {
            entry.annotations.clone_from(&index.annotations);
            entry.artifact_type.clone_from(&index.artifact_type);
        }
        index.manifests.push(entry);
        let bytes = write(&index, JsonStyle::Oci);
        let fallback = Manifest::parse(bytes.into(), &MediaType::new(MediaType::OCI_INDEX))
            .map_err(|error| {
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

/// The path behind `/v2/<repository>/` that `Link: <…>; rel="next"` names, if it is one of this repository's at this
/// registry: another host gets neither the request nor its credentials.
pub(super) fn next_page(answer: &Answer, base: &Url, repository: &str) -> Option<String> {
    let link = answer.header(header::LINK)?;
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    if !parameters.contains("next") {
        return None;
    }
    let next = answer.url.join(target).ok()?;
    let root = base.join(&format!("{repository}/")).ok()?;
    next.as_str()
        .strip_prefix(root.as_str())
        .filter(|path| path.starts_with("referrers/"))
        .map(str::to_owned)
}

/// The entries of a page; `None` if the answer is none of the referrers API. GHCR redirects the request to a web
/// page: an answer from another site is no answer.
pub(super) fn page_of(answer: &Answer) -> Option<Vec<Descriptor>> {
    let media_type = answer.media_type();
    let is_list = answer.status == StatusCode::OK
        && !answer.elsewhere
        && media_type.as_str() == MediaType::OCI_INDEX;
    if !is_list {
        return None;
    }
    let manifest = Manifest::parse(answer.body.clone(), &media_type).ok()?;
    Some(manifest.index()?.manifests.clone())
}

/// `sha256-<hex>`.
fn fallback_tag(subject: &Digest) -> Tag {
    let text = format!("{}-{}", subject.algorithm().as_str(), subject.hex());
    // Tags end at 128 characters, so a sha512 digest is cut as the specification says.
    let cut: String = text.chars().take(128).collect();
    cut.parse()
        .expect("an algorithm, a dash and hex digits are a tag")
}
