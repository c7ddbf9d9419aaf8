//! The referrers of a manifest: the referrers API, or the tag `sha256-<hex>` where a registry has no such API.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers>.

use std::collections::HashSet;

use http::{Method, StatusCode};
use serde::{Deserialize, Deserializer};
use url::{Position, Url};

use super::answer::Answer;
use super::call::{Call, Outcome};
use super::link::next_targets;
use super::manifests::Written;
use super::repository::RegistryRepository;
use crate::spec::{Descriptor, Digest, Index, JsonStyle, Manifest, MediaType, Tag, parse, write};
use crate::store::{FailureKind, MAX_REFERRERS, ManifestName, Operation, StoreError};
use crate::text::clean;

/// The maximum number of pages of one list.
const MAX_PAGES: usize = 100;
/// The maximum size of one list with all its pages, in bytes, unless the limit for a single manifest is larger.
const MAX_LIST: u64 = 8 << 20;

impl RegistryRepository {
    /// Lists the referrers of a manifest.
    pub(super) async fn list_referrers(&self, subject: &Digest) -> Outcome<Vec<Descriptor>> {
        let operation = Operation::new(
            "list the referrers of",
            format!("{}@{subject}", self.repository),
        );
        let refused =
            |cause: String| StoreError::new(FailureKind::Refused, operation.clone(), cause);
        let max_list = MAX_LIST.max(self.max_manifest);
        let meter = self.client.endpoint().transport().wait_meter();
        let mut path = format!("referrers/{subject}");
        let mut requested = HashSet::new();
        let mut found = Vec::new();
        let mut bytes = 0;
        while requested.insert(path.clone()) {
            if requested.len() > MAX_PAGES {
                return Err(refused(format!("more than {MAX_PAGES} pages")));
            }
            let mut call = self
                .call(Method::GET, path, operation.clone())
                .accepting_manifests();
            call.meter = Some(meter.clone());
            let Some((answer, page)) = self.page(&call, requested.len()).await? else {
                return self.list_by_fallback_tag(subject, &operation).await;
            };
            bytes += answer.body.len() as u64;
            collect(&mut found, page, &operation)?;
            if bytes > max_list {
                return Err(refused(format!("the list has more than {max_list} bytes")));
            }
            match next_page(
                &answer,
                &self.client.endpoint().base(),
                self.repository.path(),
            )
            .map_err(refused)?
            {
                Some(next) => path = next,
                None => return Ok(found),
            }
        }
        Err(refused(
            "its pages refer to each other in a loop".to_owned(),
        ))
    }

    /// Reads a page of a list. Returns `None` if the first page shows that the registry has no referrers API. A damaged
    /// page, or a page that is missing after the first one, is requested once more.
    async fn page(
        &self,
        call: &Call,
        number: usize,
    ) -> Outcome<Option<(Answer, impl ExactSizeIterator<Item = Descriptor> + use<>)>> {
        let mut is_repeated = false;
        loop {
            let answer = self
                .client
                .read(call, "a list of referrers", self.max_manifest)
                .await?;
            if matches!(answer.status.as_u16(), 401 | 403) {
                return Err(self.refused(call, &answer));
            }
            if number == 1 && !is_page(&answer) {
                return Ok(None);
            }
            match page_of(&answer) {
                Ok(page) => return Ok(Some((answer, page))),
                Err(_) if !is_repeated => is_repeated = true,
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

    async fn list_by_fallback_tag(
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

    /// Adds a manifest that was written to the fallback tag of its subject, unless the registry lists referrers itself.
    pub(super) async fn list_with_subject(
        &self,
        manifest: &Manifest,
        written: Written,
    ) -> Outcome<()> {
        match manifest.subject() {
            Some(subject) if !written.is_listed_with_subject => self
                .add_to_fallback_tag(manifest, subject)
                .await
                .map_err(StoreError::after_writing),
            _ => Ok(()),
        }
    }

    async fn add_to_fallback_tag(&self, manifest: &Manifest, subject: &Descriptor) -> Outcome<()> {
        let _guard = self.state.fallback.lock().await;
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
        index.manifests.push(manifest.referrer_descriptor());
        let bytes = write(&index, JsonStyle::Oci);
        let fallback = Manifest::parse(bytes.into(), &MediaType::new(MediaType::OCI_INDEX))
            .map_err(|error| {
                StoreError::new(
                    FailureKind::Other,
                    format!("write the referrers of {}", subject.digest),
                    error,
                )
            })?;
        let tag = fallback_tag(&subject.digest);
        self.put_under_tag(&fallback, &tag).await.map(drop)
    }

    async fn read_fallback(&self, subject: &Digest) -> Outcome<Option<Index>> {
        let name = ManifestName::Tag(fallback_tag(subject));
        match self.read_manifest(&name).await {
            Ok(manifest) => Ok(manifest.index().cloned()),
            Err(error) if error.kind == FailureKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The fields of a page that are read. Other fields are skipped, since they may be large.
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

/// Reads a list that may be `null`, as Go writes an empty one. The field itself is required.
fn null_or_list<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<PageEntry>>, D::Error> {
    Option::deserialize(value)
}

/// Adds the entries of a page.
fn collect(
    found: &mut Vec<Descriptor>,
    page: impl ExactSizeIterator<Item = Descriptor>,
    operation: &Operation,
) -> Outcome<()> {
    if found.len() + page.len() > MAX_REFERRERS {
        return Err(StoreError::new(
            FailureKind::Refused,
            operation.clone(),
            format!("the list has more than {MAX_REFERRERS} entries"),
        ));
    }
    found.extend(page);
    Ok(())
}

/// Returns the path of the next page, relative to the repository's name. A link to another host, or to something other
/// than a list of referrers, is an error: without the error, an incomplete list would look complete.
pub(super) fn next_page(
    answer: &Answer,
    base: &Url,
    repository: &str,
) -> Result<Option<String>, String> {
    let targets = next_targets(&answer.headers)
        .map_err(|_| "the Link header of the registry is malformed".to_owned())?;
    let [target] = targets.as_slice() else {
        return match targets.len() {
            0 => Ok(None),
            more => Err(format!(
                "the Link header of the registry names {more} next pages"
            )),
        };
    };
    let none = || "the registry names a next page that is not a list of referrers".to_owned();
    let next = answer.url.join(target).map_err(|_| none())?;
    // A registry behind a proxy may name the scheme http although clients use HTTPS. The request keeps the client's scheme.
    if next.host() != base.host() || next.port() != base.port() {
        return Err(format!(
            "the registry names a next page on another host ({}), which is not requested",
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

/// Returns whether an answer is from the referrers API. GHCR redirects the request to a web page, on another origin.
fn is_page(answer: &Answer) -> bool {
    answer.status == StatusCode::OK
        && !answer.from_other_origin
        && answer.media_type().as_str() == MediaType::OCI_INDEX
}

/// Returns the entries of a page, or the reason why it has none. The reason continues the text "page 2 of the list".
pub(super) fn page_of(
    answer: &Answer,
) -> Result<impl ExactSizeIterator<Item = Descriptor> + use<>, String> {
    if answer.status != StatusCode::OK {
        return Err(format!("was answered with {}", answer.status));
    }
    if !is_page(answer) {
        let media_type = answer.media_type();
        return Err(format!(
            "has the media type {:?}",
            clean(media_type.as_str(), 100)
        ));
    }
    // serde accepts an array instead of an object.
    if answer.body.trim_ascii_start().first() != Some(&b'{') {
        return Err("is not a JSON object".to_owned());
    }
    let page: Page = parse(&answer.body).map_err(|error| format!("is invalid: {error}"))?;
    let entries = page.manifests.unwrap_or_default().into_iter();
    Ok(entries.map(|entry| Descriptor {
        artifact_type: entry.artifact_type,
        ..Descriptor::new(entry.media_type, entry.digest, entry.size)
    }))
}

fn fallback_tag(subject: &Digest) -> Tag {
    let tag = subject.referrers_tag().parse();
    tag.expect("an algorithm, a dash and hex digits are a tag")
}
