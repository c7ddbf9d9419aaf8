//! Drafts: the lists that `create` makes, `annotate` edits and `push` publishes. What a draft is,
//! and where drafts lie; knows `spec` and `disk`, and no registry.

mod file;
mod store;

use std::path::PathBuf;

pub use file::{Flaw, read, write};
pub use store::{Drafts, Listing};

use crate::disk::DiskError;
use crate::hint::Hint;
use crate::spec::{Annotations, Descriptor, Digest, Index, Manifest, Platform, Reference};

/// A list that is not published yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its name, and where it is pushed to.
    pub list: Reference,
    /// The annotations of the index: those of `exact` or `base`, and what a person made of them.
    pub annotations: Annotations,
    /// What it lists, in the order of the arguments.
    pub entries: Vec<Entry>,
    /// What is pushed instead of a new index, byte for byte, so that a retag keeps the digest.
    pub exact: Option<Exact>,
    /// The index that all entries came from, where something was changed since: what else it says about
    /// itself stays.
    pub base: Option<Exact>,
}

/// One image of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The image itself: `repository@digest` if it came out of an index.
    pub reference: Reference,
    /// What the user named.
    pub source: Reference,
    /// The platform that the image itself has; where `descriptor` says another, a person did.
    pub resolved: Option<Platform>,
    /// The entry as it will be pushed, with platform and annotations.
    pub descriptor: Descriptor,
    /// The exact bytes that the descriptor points at.
    pub manifest: Manifest,
}

/// A single source that was an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    /// What the user named.
    pub source: Reference,
    /// Its exact bytes.
    pub manifest: Manifest,
}

impl Draft {
    /// A list of nothing.
    pub fn new(list: Reference) -> Self {
        Self {
            list,
            annotations: Annotations::new(),
            entries: Vec::new(),
            exact: None,
            base: None,
        }
    }

    /// The index that all entries came from, changed or not.
    pub fn origin(&self) -> Option<&Exact> {
        self.exact.as_ref().or(self.base.as_ref())
    }

    /// Something was changed: the index that all entries came from is no longer pushed as it is.
    pub fn touch(&mut self) {
        self.base = self.exact.take().or_else(|| self.base.take());
    }

    /// Repeats on this draft, which was made anew, what a person had changed in the annotations of `earlier`.
    pub fn keep_annotations_of(&mut self, earlier: &Self) {
        let unedited = Annotations::new();
        let base = earlier.origin().and_then(|origin| origin.index());
        let base = base.map_or(&unedited, |index| &index.annotations);
        keep_annotations(base, &earlier.annotations, &mut self.annotations);
    }

    /// Puts the entries in the order in which `docker manifest push` lists them: that of the file
    /// names under which Docker keeps them. Entries of one name stay as they are.
    pub fn docker_order(&mut self) {
        self.entries
            .sort_by_cached_key(|entry| docker_file_name(&entry.reference));
    }
}

impl Exact {
    /// The index.
    pub fn index(&self) -> Option<&Index> {
        self.manifest.index()
    }

    /// What the index says about one of its entries.
    pub fn entry(&self, digest: &Digest) -> Option<&Descriptor> {
        let mut entries = self.index()?.manifests.iter();
        entries.find(|entry| entry.digest == *digest)
    }
}

impl Entry {
    /// Repeats on this entry, which was read anew, what a person had changed on `earlier`. `said` is what the
    /// index that `earlier` came from said about it, if that is known.
    pub fn keep_edits_of(&mut self, earlier: &Self, said: Option<&Descriptor>) {
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
        if let Some(said) = said {
            let edited = &earlier.descriptor.annotations;
            return keep_annotations(&said.annotations, edited, annotations);
        }
        for (key, value) in &earlier.descriptor.annotations {
            annotations
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
    }
}

/// Where `edited` is not `base`, a person changed it, and the new value is what they want.
fn keep(base: &str, edited: &str, now: &mut String) {
    if edited != base {
        edited.clone_into(now);
    }
}

/// The same for annotations, which a person may also have removed.
fn keep_annotations(base: &Annotations, edited: &Annotations, now: &mut Annotations) {
    now.retain(|key, _| !base.contains_key(key) || edited.contains_key(key));
    for (key, value) in edited {
        if base.get(key) != Some(value) {
            now.insert(key.clone(), value.clone());
        }
    }
}

/// Docker's file name of a reference (`makeFilesafeName` in docker/cli).
fn docker_file_name(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}

/// What can go wrong with drafts.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// Nobody said where drafts live.
    #[error("no place for drafts: neither POLYARCH_HOME nor HOME is set")]
    NoHome,
    /// The file system said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file was cut off, edited or exchanged.
    #[error("the draft in {path} is damaged: {cause}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Whose draft it is, if that is known.
        list: Option<String>,
        /// What is wrong with it.
        cause: String,
    },
    /// Written by a later version of this program.
    #[error("the draft in {path} was written by a newer polyarch (format {version})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: u64,
    },
    /// A draft that could not be read back, so it is not written.
    #[error("the draft of {list} cannot be saved: {cause}")]
    Unsound {
        /// The name of the draft.
        list: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl DraftError {
    /// What to try.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoHome => Some(Hint::SetPersistentHome),
            Self::Damaged {
                list: Some(list), ..
            } => Some(Hint::ReplaceDraft { list: list.clone() }),
            Self::Damaged {
                path, list: None, ..
            } => Some(format!("remove the file: rm {}", path.display()).into()),
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
    fn docker_sorts_by_its_file_names() {
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
