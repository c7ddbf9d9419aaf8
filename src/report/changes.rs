//! Compares the new index with the previous index of a tag, platform by platform, and builds the commands that
//! restore the previous index.

use super::comparison::{ChangeKind, Comparison, PlatformChange, Previous};
use super::result::{EntryResult, IndexResult, Status, TagResult, TargetResult};
use crate::execute::Change;
use crate::spec::{Digest, Manifest, attestation};

/// An index that a tag pointed to before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousIndex {
    pub digest: Digest,
    pub entries: Vec<PreviousEntry>,
}

/// An image of a previous index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousEntry {
    pub platform: Option<String>,
    pub digest: Digest,
    /// The total size of config and layers in bytes, if known.
    pub content_size: Option<u64>,
}

impl PreviousIndex {
    /// Reads the entries of an index. Any other manifest is treated as the only entry. `content_size` returns the size
    /// of config and layers of an image whose manifest was read.
    pub fn new(manifest: &Manifest, content_size: impl Fn(&Digest) -> Option<u64>) -> Self {
        let entry = |platform, digest: &Digest| PreviousEntry {
            platform,
            digest: digest.clone(),
            content_size: content_size(digest),
        };
        let entries = match manifest.index() {
            Some(index) => index
                .manifests
                .iter()
                .filter(|descriptor| !attestation::is_attestation(descriptor))
                .map(|descriptor| {
                    let platform = descriptor.platform.as_ref().map(ToString::to_string);
                    entry(platform, &descriptor.digest)
                })
                .collect(),
            None => vec![entry(None, &manifest.digest)],
        };
        Self {
            digest: manifest.digest.clone(),
            entries,
        }
    }
}

/// Compares the images of a previous index with the images of a new index. Returns the new images in their order, then
/// the removed images.
pub fn compare(previous: &PreviousIndex, new: &[EntryResult]) -> Vec<PlatformChange> {
    let mut left: Vec<&PreviousEntry> = previous.entries.iter().collect();
    let mut take = |matches: &dyn Fn(&PreviousEntry) -> bool| {
        let position = left.iter().position(|entry| matches(entry))?;
        Some(left.remove(position))
    };
    // Matches identical images first: several images may have the same platform.
    let mut matched: Vec<Option<&PreviousEntry>> = new
        .iter()
        .map(|entry| take(&|old| old.digest == entry.digest && old.platform == entry.platform))
        .collect();
    for (entry, old) in new.iter().zip(&mut matched) {
        if old.is_none() {
            *old = take(&|old| old.platform == entry.platform);
        }
    }
    let current = new.iter().zip(&matched).map(|(entry, old)| {
        let change = match old {
            None => ChangeKind::Added,
            Some(old) if old.digest == entry.digest => ChangeKind::Unchanged,
            Some(_) => ChangeKind::Updated,
        };
        let size_difference = match (change, old) {
            (ChangeKind::Unchanged, _) => Some(0),
            (_, None) => difference(Some(0), entry.content_size),
            (_, Some(old)) => difference(old.content_size, entry.content_size),
        };
        PlatformChange {
            platform: entry.platform.clone(),
            change,
            digest: Some(entry.digest.clone()),
            previous_digest: old.map(|old| old.digest.clone()),
            size_difference,
        }
    });
    let mut changes: Vec<_> = current.collect();
    changes.extend(left.into_iter().map(|old| PlatformChange {
        platform: old.platform.clone(),
        change: ChangeKind::Removed,
        digest: None,
        previous_digest: Some(old.digest.clone()),
        size_difference: difference(old.content_size, Some(0)),
    }));
    changes
}

fn difference(old: Option<u64>, new: Option<u64>) -> Option<i64> {
    let (old, new) = (i64::try_from(old?).ok()?, i64::try_from(new?).ok()?);
    new.checked_sub(old)
}

impl IndexResult {
    /// Records the digests of the tags before the run, and compares the new index with each previous index. `previous`
    /// returns the digest for a full reference.
    pub fn record_previous(
        &mut self,
        previous: impl Fn(&str) -> Previous,
        indexes: &[PreviousIndex],
    ) {
        for tag in self.targets.iter_mut().flat_map(|target| &mut target.tags) {
            tag.previous = previous(&tag.reference);
        }
        self.changes = indexes
            .iter()
            .filter_map(|index| self.comparison(index))
            .collect();
    }

    fn comparison(&self, index: &PreviousIndex) -> Option<Comparison> {
        let moves = |tag: &&TagResult| {
            tag.previous == Previous::At(index.digest.clone()) && self.is_moved(tag)
        };
        let moved_tags = |target: &TargetResult| -> Vec<String> {
            let tags = target.tags.iter().filter(moves);
            tags.map(|tag| tag.reference.clone()).collect()
        };
        let mut restore = Vec::new();
        let mut tags = Vec::new();
        for target in &self.targets {
            let references = moved_tags(target);
            if !references.is_empty() {
                let source = quoted(&format!("{}@{}", target.name, index.digest));
                let targets: Vec<String> = references.iter().map(|tag| quoted(tag)).collect();
                restore.push(format!("polyarch copy {source} {}", targets.join(" ")));
                tags.extend(references);
            }
        }
        if tags.is_empty() {
            return None;
        }
        let platforms = compare(index, &self.entries);
        let size_difference = platforms.iter().try_fold(0_i64, |sum, change| {
            sum.checked_add(change.size_difference?)
        });
        Some(Comparison {
            previous: index.digest.clone(),
            tags,
            platforms,
            size_difference,
            restore,
        })
    }

    /// Returns whether a tag moved from another index to this one, or would move in a real run.
    fn is_moved(&self, tag: &TagResult) -> bool {
        let is_other = matches!(&tag.previous, Previous::At(digest) if *digest != self.digest);
        is_other
            && match tag.status {
                Status::Published | Status::Planned => true,
                Status::Failed => tag.change != Change::None,
                Status::Already | Status::Kept | Status::Partial => false,
            }
    }
}

/// Quotes an argument for a shell if necessary: the path of a layout may contain any character.
fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:/@+=,-".contains(c);
    if argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{entry, published, released};
    use super::*;
    use crate::spec::MediaType;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    fn old(platform: &str, content: &str, content_size: Option<u64>) -> PreviousEntry {
        PreviousEntry {
            platform: Some(platform.to_owned()),
            digest: digest(content),
            content_size,
        }
    }

    fn changes(entries: Vec<PreviousEntry>, new: &[EntryResult]) -> Vec<(ChangeKind, Option<i64>)> {
        let index = PreviousIndex {
            digest: digest("previous"),
            entries,
        };
        let changes = compare(&index, new);
        changes
            .iter()
            .map(|change| (change.change, change.size_difference))
            .collect()
    }

    #[test]
    fn platforms_are_added_updated_unchanged_and_removed() {
        let new = [
            entry("linux/amd64", 100),
            entry("linux/arm64", 200),
            entry("linux/riscv64", 300),
        ];
        let previous = vec![
            old("linux/s390x", "s390x", Some(50)),
            old("linux/arm64", "other", Some(250)),
            old("linux/amd64", "linux/amd64", None),
        ];
        assert_eq!(
            changes(previous, &new),
            [
                (ChangeKind::Unchanged, Some(0)),
                (ChangeKind::Updated, Some(-50)),
                (ChangeKind::Added, Some(300)),
                (ChangeKind::Removed, Some(-50)),
            ]
        );
    }

    #[test]
    fn unknown_sizes_give_no_difference() {
        let new = [entry("linux/amd64", 100)];
        let previous = vec![old("linux/amd64", "other", None)];
        assert_eq!(changes(previous, &new), [(ChangeKind::Updated, None)]);
    }

    #[test]
    fn identical_images_of_one_platform_match_first() {
        let (mut first, second) = (entry("linux/amd64", 1), entry("linux/amd64", 2));
        first.digest = digest("first");
        let previous = vec![
            old("linux/amd64", "linux/amd64", Some(2)),
            old("linux/amd64", "older", Some(3)),
        ];
        assert_eq!(
            changes(previous, &[first, second]),
            [
                (ChangeKind::Updated, Some(-2)),
                (ChangeKind::Unchanged, Some(0))
            ]
        );
    }

    #[test]
    fn attestations_of_a_previous_index_are_no_platforms() {
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[
                {{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{0}","size":1,"platform":{{"os":"linux","architecture":"amd64"}}}},
                {{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{1}","size":1,"platform":{{"os":"unknown","architecture":"unknown"}},"annotations":{{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"{0}"}}}}]}}"#,
            digest("a"),
            digest("b"),
        );
        let media_type = MediaType::new(MediaType::OCI_INDEX);
        let manifest = Manifest::parse(index.into(), &media_type).unwrap();
        let previous = PreviousIndex::new(&manifest, |_| Some(7));
        assert_eq!(previous.entries, [old("linux/amd64", "a", Some(7))]);
    }

    #[test]
    fn moved_tags_are_compared_and_can_be_restored() {
        let result = released();
        let [change] = &result.changes[..] else {
            panic!("{:?}", result.changes);
        };
        assert_eq!(change.tags, ["ghcr.io/o/app:latest"]);
        assert_eq!(
            change.restore,
            [format!(
                "polyarch copy ghcr.io/o/app@{} ghcr.io/o/app:latest",
                change.previous
            )]
        );
    }

    #[test]
    fn tags_that_do_not_move_are_not_compared() {
        let mut result = published();
        let same = result.digest.clone();
        let index = PreviousIndex {
            digest: same.clone(),
            entries: Vec::new(),
        };
        result.record_previous(|_| Previous::At(same.clone()), &[index]);
        assert_eq!(result.changes, []);
    }

    #[test]
    fn arguments_are_quoted_where_necessary() {
        assert_eq!(quoted("ghcr.io/o/app:1"), "ghcr.io/o/app:1");
        assert_eq!(quoted("oci:it's here"), r"'oci:it'\''s here'");
    }
}
