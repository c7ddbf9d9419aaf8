//! Drafts: the lists that `create` creates, `annotate` edits and `push` publishes, and their files.

mod file;
mod store;

use std::path::PathBuf;

pub use file::{Flaw, read, write};
pub use store::{Drafts, Listing};

use crate::disk::DiskError;
use crate::hint::Hint;
use crate::spec::{Annotations, Descriptor, Digest, Index, Manifest, Platform, Reference};

/// A list before it is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The name, which is also the target.
    pub list: Reference,
    /// The annotations of `exact` or `base`, with the changes of the user.
    pub annotations: Annotations,
    /// In the order of the arguments.
    pub entries: Vec<Entry>,
    /// An index that is pushed byte for byte instead of a new one, so that it keeps its digest under another tag.
    pub exact: Option<Exact>,
    /// The index that all entries come from, if the user changed it. Its other fields are kept.
    pub base: Option<Exact>,
}

/// One image of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The image: `repository@digest` if it was an entry of an index.
    pub reference: Reference,
    /// The reference that the user gave.
    pub source: Reference,
    /// The platform that the image declares. If the platform in `descriptor` differs, the user set it.
    pub resolved: Option<Platform>,
    /// The entry of the list, with platform and annotations.
    pub descriptor: Descriptor,
    pub manifest: Manifest,
}

/// An index that was the only source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    /// The reference that the user gave.
    pub source: Reference,
    pub manifest: Manifest,
}

impl Draft {
    /// Creates an empty list.
    pub fn new(list: Reference) -> Self {
        Self {
            list,
            annotations: Annotations::new(),
            entries: Vec::new(),
            exact: None,
            base: None,
        }
    }

    /// Returns the index that all entries come from, changed or not.
    pub fn origin(&self) -> Option<&Exact> {
        self.exact.as_ref().or(self.base.as_ref())
    }

    /// Marks the draft as changed: the index that all entries come from is no longer pushed byte for byte.
    pub fn mark_changed(&mut self) {
        self.base = self.exact.take().or_else(|| self.base.take());
    }

    /// Applies the user's changes to the annotations of `earlier` to this new draft.
    pub fn keep_annotations_of(&mut self, earlier: &Self) {
        let unedited = Annotations::new();
        let base = earlier.origin().and_then(|origin| origin.index());
        let base = base.map_or(&unedited, |index| &index.annotations);
        keep_annotations(base, &earlier.annotations, &mut self.annotations);
    }

    /// Sorts the entries like `docker manifest push`: by the names of Docker's files. The sort is stable.
    pub fn docker_order(&mut self) {
        self.entries
            .sort_by_cached_key(|entry| docker_file_name(&entry.reference));
    }
}

impl Exact {
    pub fn index(&self) -> Option<&Index> {
        self.manifest.index()
    }

    /// Returns the entry of the index with `digest`.
    pub fn entry(&self, digest: &Digest) -> Option<&Descriptor> {
        let mut entries = self.index()?.manifests.iter();
        entries.find(|entry| entry.digest == *digest)
    }
}

impl Entry {
    /// Applies the user's changes to `earlier` to this new entry. `original` is the entry of the index that `earlier`
    /// came from.
    pub fn keep_edits_of(&mut self, earlier: &Self, original: Option<&Descriptor>) {
        let unedited = Platform::default();
        let base = earlier.resolved.as_ref().unwrap_or(&unedited);
        if let Some(edited) = &earlier.descriptor.platform
            && edited != base
        {
            let platform = self.descriptor.platform.get_or_insert_default();
            keep(&base.os, &edited.os, &mut platform.os);
            keep(
                &base.architecture,
                &edited.architecture,
                &mut platform.architecture,
            );
            keep(&base.variant, &edited.variant, &mut platform.variant);
            keep(
                &base.os_version,
                &edited.os_version,
                &mut platform.os_version,
            );
            for feature in &edited.os_features {
                if !base.os_features.contains(feature) && !platform.os_features.contains(feature) {
                    platform.os_features.push(feature.clone());
                }
            }
        }
        let annotations = &mut self.descriptor.annotations;
        if let Some(original) = original {
            let edited = &earlier.descriptor.annotations;
            return keep_annotations(&original.annotations, edited, annotations);
        }
        for (key, value) in &earlier.descriptor.annotations {
            annotations
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
    }
}

/// Sets `now` to `edited` if the user changed it from `base`.
fn keep(base: &str, edited: &str, now: &mut String) {
    if edited != base {
        edited.clone_into(now);
    }
}

/// Sets the annotations that the user changed, and removes the annotations that the user removed.
fn keep_annotations(base: &Annotations, edited: &Annotations, now: &mut Annotations) {
    now.retain(|key, _| !base.contains_key(key) || edited.contains_key(key));
    for (key, value) in edited {
        if base.get(key) != Some(value) {
            now.insert(key.clone(), value.clone());
        }
    }
}

/// Returns Docker's file name of a reference (`makeFilesafeName` in docker/cli).
fn docker_file_name(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}

/// An error of an operation on drafts.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    #[error("no directory for drafts: the user has no home directory")]
    NoHome,
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the draft in {path} is damaged: {flaw}")]
    Damaged {
        path: PathBuf,
        /// The list, if it is known.
        list: Option<String>,
        #[source]
        flaw: Box<Flaw>,
    },
    #[error("the draft in {path} was written by a newer polyarch (format {version})")]
    Newer { path: PathBuf, version: u64 },
    /// A draft that is not written, because it could not be read again.
    #[error("the draft of {list} cannot be saved: {flaw}")]
    Unsound {
        list: String,
        #[source]
        flaw: Box<Flaw>,
    },
}

impl DraftError {
    /// Returns the hint of the error.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoHome => Some(Hint::SetPersistentHome),
            Self::Damaged {
                list: Some(list), ..
            } => Some(Hint::ReplaceDraft { list: list.clone() }),
            Self::Damaged {
                path, list: None, ..
            } => Some(format!("remove the file with `rm {}`", path.display()).into()),
            Self::Newer { .. } => Some("upgrade polyarch".into()),
            Self::Disk(_) => Some(Hint::SetWritableHome),
            Self::Unsound { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::spec::MediaType;

    #[test]
    fn entries_are_sorted_by_dockers_file_names() {
        let json = r#"{"schemaVersion":2,"manifests":[]}"#;
        let manifest = Manifest::parse(Bytes::from(json), &MediaType::default()).unwrap();
        let digest = &manifest.digest;
        let mut draft = Draft::new("l.io/o/list:1".parse().unwrap());
        for text in [
            &format!("l.io/o/app@{digest}"),
            "l.io/o/app:a",
            "l.io/o/app/sub:1",
            &format!("l.io/o/app-arm64@{digest}"),
            "l.io/o/app.x:1",
            "l.io/a:1",
        ] {
            let reference: Reference = text.parse().unwrap();
            draft.entries.push(Entry {
                resolved: None,
                source: reference.clone(),
                reference,
                descriptor: manifest.descriptor(),
                manifest: manifest.clone(),
            });
        }
        draft.docker_order();
        let order = draft
            .entries
            .iter()
            .map(|entry| entry.reference.to_string());
        let order: Vec<_> = order
            .map(|text| text.split('@').next().unwrap().to_owned())
            .collect();
        // `-` 2d, `.` 2e, `@` 40, `_` 5f
        assert_eq!(
            order,
            [
                "l.io/a:1",
                "l.io/o/app:a",
                "l.io/o/app-arm64",
                "l.io/o/app.x:1",
                "l.io/o/app",
                "l.io/o/app/sub:1"
            ]
        );
    }
}
