//! One manifest under many tags: in one request where the registry takes that, else one for each, all at once.

use futures_util::future::join_all;
use http::Method;

use super::call::Outcome;
use super::repository::RegistryRepository;
use crate::spec::{Manifest, Tag};
use crate::store::{FailureKind, ManifestName};

/// From this many tags on it is worth a request to find out whether the registry takes them all in one.
const MANY_TAGS: usize = 8;
/// The longest query that servers and proxies take without fail.
const MAX_QUERY: usize = 4 << 10;

impl RegistryRepository {
    /// Stores a manifest under tags. One result a tag, in their order.
    pub(super) async fn put_each_tag(&self, manifest: &Manifest, tags: &[Tag]) -> Vec<Outcome<()>> {
        let known = self.host.takes_many_tags.get().copied();
        let is_worth_it = match known {
            Some(takes_many) => takes_many && tags.len() > 1,
            None => tags.len() >= MANY_TAGS,
        };
        if !is_worth_it {
            return self.put_under_tags(manifest, tags).await;
        }
        let mut groups = groups(tags).into_iter();
        let mut results = Vec::with_capacity(tags.len());
        for group in groups.by_ref() {
            if let Ok(true) = self.put_at_once(manifest, group).await {
                results.extend(group.iter().map(|_| Ok(())));
            } else {
                // Whatever was wrong, the plain way tells it of each tag.
                let rest = &tags[results.len()..];
                results.extend(self.put_under_tags(manifest, rest).await);
                break;
            }
        }
        results
    }

    async fn put_under_tags(&self, manifest: &Manifest, tags: &[Tag]) -> Vec<Outcome<()>> {
        join_all(tags.iter().map(|tag| self.put_under_tag(manifest, tag))).await
    }

    async fn put_under_tag(&self, manifest: &Manifest, tag: &Tag) -> Outcome<()> {
        let name = ManifestName::Tag(tag.clone());
        let error = match self.write_under(manifest, &name).await {
            Err(error) if matches!(error.kind, FailureKind::Denied | FailureKind::Other) => error,
            outcome => return outcome,
        };
        // Immutable tags refuse even what they already hold (ECR: ImageTagAlreadyExistsException).
        // https://github.com/aws/containers-roadmap/issues/878
        match self.describe_manifest(&name).await {
            Ok(now) if now.digest == manifest.digest => Ok(()),
            Ok(now) => Err(error.hint(format!("the tag points at {} now", now.digest))),
            Err(_) => Err(error),
        }
    }

    /// Several tags in one request. `false`: the registry does not know that.
    /// <https://github.com/opencontainers/distribution-spec/pull/600>.
    async fn put_at_once(&self, manifest: &Manifest, tags: &[Tag]) -> Outcome<bool> {
        let path = format!("manifests/{}?{}", manifest.digest, query(tags));
        let doing = format!("push {} tags to {}", tags.len(), self.repository);
        let call = self
            .call(Method::PUT, path, doing)
            .with_body(&manifest.media_type, manifest.bytes.clone());
        let Some(answer) = self.write_manifest(manifest, &call, None).await? else {
            return Ok(false);
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
        // A second answer that differs is the registry's affair: each is checked.
        let _ = self.host.takes_many_tags.set(all);
        if all {
            self.state.pushed(format!("manifests/{}", manifest.digest));
            for tag in tags {
                self.state.pushed(format!("manifests/{tag}"));
            }
            self.note_subject(manifest, &answer).await?;
        }
        Ok(all)
    }
}

fn query(tags: &[Tag]) -> String {
    let all: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    all.join("&")
}

/// The tags in groups whose queries are not too long.
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
