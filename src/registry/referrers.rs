//! What refers to a manifest: the referrers API, and the tag `sha256-<hex>` where a registry has none.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers>.

use std::collections::HashSet;

use http::{Method, StatusCode};
use serde::{Deserialize, Deserializer};
use url::{Position, Url};

use super::call::{Answer, Call, Outcome};
use super::link::next_targets;
use super::repository::RegistryRepository;
use crate::spec::{Descriptor, Digest, Index, JsonStyle, Manifest, MediaType, Tag, parse, write};
use crate::store::{FailureKind, MAX_REFERRERS, ManifestName, Operation, Store as _, StoreError};
use crate::text::clean;

/// The most pages of one list.
const MOST_PAGES: usize = 100;
/// The most bytes of all pages of one list, unless a single manifest may be larger.
const MAX_LIST: u64 = 8 << 20;

impl RegistryRepository {
    pub(super) async fn list_referrers(&self, subject: &Digest) -> Outcome<Vec<Descriptor>> {
        let operation = Operation::new(
            "list the referrers of",
            format!("{}@{subject}", self.repository),
        );
        let refused =
            |cause: String| StoreError::new(FailureKind::Refused, operation.clone(), cause);
        let max_list = MAX_LIST.max(self.max_manifest);
        let mut path = format!("referrers/{subject}");
        let mut asked = HashSet::new();
        let mut found = Vec::new();
        let mut bytes = 0;
        while asked.insert(path.clone()) {
            if asked.len() > MOST_PAGES {
                return Err(refused(format!("more than {MOST_PAGES} pages")));
            }
            let call = self
                .call(Method::GET, path, operation.clone())
                .accepting_manifests();
            let Some((answer, page)) = self.page(&call, asked.len()).await? else {
                return self.listed_by_tag(subject, &operation).await;
            };
            bytes += answer.body.len() as u64;
            collect(&mut found, page, &operation)?;
            if bytes > max_list {
                return Err(refused(format!("the list has more than {max_list} bytes")));
            }
            match next_page(&answer, &self.host.base(), self.repository.path()).map_err(refused)? {
                Some(next) => path = next,
                None => return Ok(found),
            }
        }
        Err(refused("its pages go in circles".to_owned()))
    }

    /// A page of a list; `None` if the first one shows that the registry has no such list. A page that is damaged, or
    /// missing behind another one, is asked for once more, as a manifest is.
    async fn page(
        &self,
        call: &Call,
        number: usize,
    ) -> Outcome<Option<(Answer, impl ExactSizeIterator<Item = Descriptor> + use<>)>> {
        let mut again = false;
        loop {
            let answer = self
                .exchange(call, "a list of referrers", self.max_manifest)
                .await?;
            if matches!(answer.status.as_u16(), 401 | 403) {
                return Err(self.refused(call, &answer));
            }
            if number == 1 && !is_page(&answer) {
                return Ok(None);
            }
            match page_of(&answer) {
                Ok(page) => return Ok(Some((answer, page))),
                Err(_) if !again => again = true,
                Err(cause) => {
                    let cause = format!("page {number} of the list {cause}");
                    return Err(StoreError::new(
                        FailureKind::Refused,
                        call.operation.clone(),
                        cause,
                    ));
                }
            }
        }
    }

    async fn listed_by_tag(
        &self,
        subject: &Digest,
        operation: &Operation,
    ) -> Outcome<Vec<Descriptor>> {
        let mut found = Vec::new();
        if let Some(index) = self.read_fallback(subject).await? {
            collect(&mut found, index.manifests.into_iter(), operation)?;
        }
        Ok(found)
    }

    /// Adds `manifest` to the index under the tag of its subject, unless it is there.
    pub(super) async fn add_to_fallback_tag(
        &self,
        manifest: &Manifest,
        subject: &Descriptor,
    ) -> Outcome<()> {
        let _turn = self.state.fallback.lock().await;
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
                .unwrap_or_else(|| image.config.media_type.as_str().to_owned());
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

/// What is read of a page: no reader of the list needs more, and the rest may be large.
#[derive(Deserialize)]
struct Page {
    #[serde(deserialize_with = "null_or_list")]
    manifests: Option<Vec<PageEntry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageEntry {
    #[serde(default)]
    media_type: MediaType,
    digest: Digest,
    size: u64,
    #[serde(default)]
    artifact_type: Option<String>,
}

/// Go's writers leave `null` behind for an empty list; a page without the field is none.
fn null_or_list<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<PageEntry>>, D::Error> {
    Option::deserialize(value)
}

/// Adds what a page lists.
fn collect(
    found: &mut Vec<Descriptor>,
    page: impl ExactSizeIterator<Item = Descriptor>,
    operation: &Operation,
) -> Outcome<()> {
    if found.len() + page.len() > MAX_REFERRERS {
        return Err(StoreError::new(
            FailureKind::Refused,
            operation.clone(),
            format!("there are more than {MAX_REFERRERS}"),
        ));
    }
    found.extend(page);
    Ok(())
}

/// The path behind `/v2/<repository>/` of the page that an answer names as the next one. Another host gets neither
/// the request nor its credentials: that, and a link that leads to no list, is an error, since a list that ends early
/// would look like a whole one.
pub(super) fn next_page(
    answer: &Answer,
    base: &Url,
    repository: &str,
) -> Result<Option<String>, String> {
    let targets = next_targets(&answer.headers)
        .map_err(|_| "the registry names a next page in a Link header that is broken".to_owned())?;
    let [target] = targets.as_slice() else {
        return match targets.len() {
            0 => Ok(None),
            more => Err(format!("the registry names {more} next pages")),
        };
    };
    let none = || "the registry names a next page that is no list of referrers".to_owned();
    let next = answer.url.join(target).map_err(|_| none())?;
    // Behind a proxy, a registry may not know that it is reached by https: the request goes there all the same.
    if next.host() != base.host() || next.port() != base.port() {
        return Err(format!(
            "the registry names a next page at another host, {}, which is not asked",
            clean(&next[Position::BeforeHost..Position::AfterPort], 100)
        ));
    }
    let root = base.join(&format!("{repository}/")).map_err(|_| none())?;
    let path = next.path().strip_prefix(root.path()).ok_or_else(none)?;
    if !path.starts_with("referrers/") {
        return Err(none());
    }
    Ok(Some(match next.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }))
}

/// Whether an answer is one of the referrers API. GHCR redirects the request to a web page: an answer from another
/// site is none.
fn is_page(answer: &Answer) -> bool {
    answer.status == StatusCode::OK
        && !answer.elsewhere
        && answer.media_type().as_str() == MediaType::OCI_INDEX
}

/// The entries of a page; else what is wrong with it, said of the page.
pub(super) fn page_of(
    answer: &Answer,
) -> Result<impl ExactSizeIterator<Item = Descriptor> + use<>, String> {
    if answer.status != StatusCode::OK {
        return Err(format!("was answered with {}", answer.status));
    }
    if !is_page(answer) {
        let media_type = answer.media_type();
        return Err(format!(
            "is no index, but {:?}",
            clean(media_type.as_str(), 100)
        ));
    }
    // serde would take a list for the fields in their order.
    if answer.body.trim_ascii_start().first() != Some(&b'{') {
        return Err("is unusable: it is no JSON object".to_owned());
    }
    let page: Page = parse(&answer.body).map_err(|error| format!("is unusable: {error}"))?;
    let entries = page.manifests.unwrap_or_default().into_iter();
    Ok(entries.map(|entry| Descriptor {
        artifact_type: entry.artifact_type,
        ..Descriptor::new(entry.media_type, entry.digest, entry.size)
    }))
}

/// `sha256-<hex>`.
fn fallback_tag(subject: &Digest) -> Tag {
    let text = format!("{}-{}", subject.algorithm().as_str(), subject.hex());
    // Tags end at 128 characters, so a sha512 digest is cut as the specification says.
    let cut: String = text.chars().take(128).collect();
    cut.parse()
        .expect("an algorithm, a dash and hex digits are a tag")
}
