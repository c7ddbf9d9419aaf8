//! Writes one manifest under many tags: with one request if the registry supports it, otherwise with one request for
//! each tag, all in parallel.

use futures_util::future::join_all;
use http::Method;

use super::call::Outcome;
use super::manifests::Written;
use super::repository::RegistryRepository;
use crate::hint::Hint;
use crate::spec::{Manifest, Tag};
use crate::store::{FailureKind, ManifestName, Operation};

/// The minimum number of tags for which one request for all of them is tried. The registry may not support it.
const MIN_TAGS_AT_ONCE: usize = 8;
/// The longest query that servers and proxies usually accept, in bytes.
const MAX_QUERY: usize = 4 << 10;

impl RegistryRepository {
    /// Stores a manifest under tags. Returns one result for each tag, in their order.
    pub(super) async fn put_under_tags(
        &self,
        manifest: &Manifest,
        tags: &[Tag],
    ) -> Vec<Outcome<Written>> {
        let tries_at_once = match self.client.takes_many_tags.get() {
            Some(takes_many) => *takes_many && tags.len() > 1,
            None => tags.len() >= MIN_TAGS_AT_ONCE,
        };
        if !tries_at_once {
            return self.put_under_each(manifest, tags).await;
        }
        let mut results = Vec::with_capacity(tags.len());
        for group in groups(tags) {
            if let Ok(Some(written)) = self.put_at_once(manifest, group).await {
                results.extend(group.iter().map(|_| Ok(written)));
            } else {
                // A separate request for each tag shows the error of this tag.
                let rest = &tags[results.len()..];
                results.extend(self.put_under_each(manifest, rest).await);
                break;
            }
        }
        results
    }

    async fn put_under_each(&self, manifest: &Manifest, tags: &[Tag]) -> Vec<Outcome<Written>> {
        join_all(tags.iter().map(|tag| self.put_under_tag(manifest, tag))).await
    }

    /// Stores a manifest under one tag.
    pub(super) async fn put_under_tag(&self, manifest: &Manifest, tag: &Tag) -> Outcome<Written> {
        let name = ManifestName::Tag(tag.clone());
        let error = match self.put_under_name(manifest, &name).await {
            Err(error) if matches!(error.kind, FailureKind::Denied | FailureKind::Other) => error,
            outcome => return outcome,
        };
        // Immutable tags refuse even the manifest that they have (ECR: ImageTagAlreadyExistsException).
        // https://github.com/aws/containers-roadmap/issues/878
        match self.describe_manifest(&name).await {
            Ok(current) if current.digest == manifest.digest => Ok(Written {
                // The registry listed the manifest as a referrer when the manifest was stored.
                is_listed_with_subject: true,
            }),
            Ok(current) => {
                Err(error.hint(Hint::Note(format!("the tag points to {}", current.digest))))
            }
            Err(_) => Err(error),
        }
    }

    /// Sets several tags with one request. Returns `None` if the registry does not support it:
    /// <https://github.com/opencontainers/distribution-spec/pull/600>.
    async fn put_at_once(&self, manifest: &Manifest, tags: &[Tag]) -> Outcome<Option<Written>> {
        let path = format!("manifests/{}?{}", manifest.digest, query(tags));
        let action = format!("push {} tags to", tags.len());
        let operation = Operation::new(action, self.repository.to_string());
        let call = self
            .call(Method::PUT, path, operation)
            .with_body(&manifest.media_type, manifest.bytes.clone());
        let Some(answer) = self.write_manifest(manifest, &call, None).await? else {
            return Ok(None);
        };
        let stored: Vec<&str> = answer
            .headers
            .get_all("oci-tag")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let all = tags.iter().all(|tag| stored.contains(&tag.as_str()));
        // The first answer decides for the run.
        let _ = self.client.takes_many_tags.set(all);
        if !all {
            return Ok(None);
        }
        self.state
            .record_push(format!("manifests/{}", manifest.digest));
        for tag in tags {
            self.state.record_push(format!("manifests/{tag}"));
        }
        Ok(Some(Written::of(&answer)))
    }
}

fn query(tags: &[Tag]) -> String {
    let all: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    all.join("&")
}

/// Splits tags into groups whose queries are not too long.
fn groups(tags: &[Tag]) -> Vec<&[Tag]> {
    let mut groups = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (position, tag) in tags.iter().enumerate() {
        let more = "&tag=".len() + tag.as_str().len();
        if length + more > MAX_QUERY && position > start {
            groups.push(&tags[start..position]);
            (start, length) = (position, 0);
        }
        length += more;
    }
    groups.push(&tags[start..]);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_query_is_too_long_and_no_tag_is_lost() {
        let tags: Vec<Tag> = (0..900)
            .map(|number| format!("{number:0>128}").parse().unwrap())
            .collect();
        let groups = groups(&tags);
        assert!(groups.iter().all(|group| query(group).len() <= MAX_QUERY));
        assert_eq!(groups.concat(), tags);
    }
}
