//! The directory of drafts: one file and one lock per list, so that concurrent processes lose no changes and readers
//! see complete drafts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, Flaw};
use super::{Draft, DraftError};
use crate::disk::{self, Access, DiskError, Lock};
use crate::environment::Environment;
use crate::spec::{Digest, Reference};

/// The maximum size of a draft in bytes: enough for 10,000 entries.
const MAX_DRAFT: u64 = 64 * 1024 * 1024;

/// The maximum number of characters of a reference in a file name.
const MAX_READABLE: usize = 100;

/// All drafts of a user.
#[derive(Clone, Debug)]
pub struct Drafts {
    directory: PathBuf,
}

/// The content of the directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// Sorted by name.
    pub drafts: Vec<Draft>,
    /// The errors of files that could not be read.
    pub broken: Vec<DraftError>,
}

impl Drafts {
    /// Locates the directory: `drafts` in `$POLYARCH_HOME` or in the user's data directory. It is created when a draft
    /// is saved.
    pub fn locate(environment: &Environment) -> Result<Self, DraftError> {
        let data = disk::data_directory(environment).ok_or(DraftError::NoHome)?;
        Ok(Self::at(data.join("drafts")))
    }

    /// Uses a directory that need not exist yet.
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Loads the draft of a list, if it exists.
    pub fn load(&self, list: &Reference) -> Result<Option<Draft>, DraftError> {
        read(&self.path(list), Some(list))
    }

    /// Returns the error if the directory is not accessible, so that it is unknown whether the list has a draft. If a
    /// draft exists and cannot be read, [`Drafts::load`] fails.
    pub fn inaccessible(&self, list: &Reference) -> Option<DraftError> {
        let path = self.path(list);
        let cause = fs::symlink_metadata(&path).err()?;
        let is_inaccessible = matches!(
            cause.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
        );
        is_inaccessible.then(|| disk::at("read", &self.directory)(cause).into())
    }

    /// Lists all drafts. Files that cannot be read are reported separately.
    pub fn list(&self) -> Result<Listing, DraftError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
            entries => entries.map_err(disk::at("read", &self.directory))?,
        };
        let mut listing = Listing::default();
        for entry in entries {
            let path = entry.map_err(disk::at("read", &self.directory))?.path();
            if !is_draft(&path) {
                continue;
            }
            match read(&path, None) {
                Ok(Some(draft)) => listing.drafts.push(draft),
                // Another process removed it.
                Ok(None) => {}
                Err(error) => listing.broken.push(error),
            }
        }
        listing
            .drafts
            .sort_by(|one, other| one.list.cmp(&other.list));
        listing.broken.sort_by_key(ToString::to_string);
        Ok(listing)
    }

    /// Changes the draft of a list under its lock: `change` receives the current draft and returns the new one, `None`
    /// to remove it. An error leaves the draft unchanged. Other processes wait, so `change` must not use the network.
    pub fn update<E: From<DraftError>>(
        &self,
        list: &Reference,
        change: impl FnOnce(Option<Draft>) -> Result<Option<Draft>, E>,
    ) -> Result<Option<Draft>, E> {
        let _lock = self.lock(list)?;
        let old = self.load(list)?;
        let existed = old.is_some();
        let new = change(old)?;
        match &new {
            Some(draft) => self.save(list, draft)?,
            None if existed => {
                disk::remove(&self.path(list)).map_err(DraftError::from)?;
            }
            None => {}
        }
        Ok(new)
    }

    /// Saves a draft and replaces the current one, even if that is damaged.
    pub fn replace(&self, draft: &Draft) -> Result<(), DraftError> {
        let _lock = self.lock(&draft.list)?;
        self.save(&draft.list, draft)
    }

    /// Removes the draft of a list, even if it is damaged. Returns whether it existed.
    pub fn remove(&self, list: &Reference) -> Result<bool, DraftError> {
        let path = self.path(list);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found.map_err(disk::at("read", &path))?,
        };
        let _lock = self.lock(list)?;
        Ok(disk::remove(&path)?)
    }

    fn lock(&self, list: &Reference) -> Result<Lock, DraftError> {
        disk::create_directory(&self.directory, Access::Private)?;
        let path = self.directory.join(format!("{}.lock", file_stem(list)));
        Ok(Lock::acquire(&path, Access::Private)?)
    }

    fn save(&self, list: &Reference, draft: &Draft) -> Result<(), DraftError> {
        let unsound = |flaw| DraftError::Unsound {
            list: list.to_string(),
            flaw: Box::new(flaw),
        };
        if draft.list != *list {
            return Err(unsound(Flaw::Name(draft.list.clone())));
        }
        let bytes = file::write(draft).map_err(unsound)?;
        if bytes.len() as u64 > MAX_DRAFT {
            return Err(unsound(Flaw::TooLarge(MAX_DRAFT)));
        }
        disk::clean_leftovers(&self.directory);
        Ok(disk::write(&self.path(list), &bytes, Access::Private)?)
    }

    fn path(&self, list: &Reference) -> PathBuf {
        self.directory.join(format!("{}.json", file_stem(list)))
    }
}

/// Reads one file; `wanted` is the expected list, if it is known.
fn read(path: &Path, wanted: Option<&Reference>) -> Result<Option<Draft>, DraftError> {
    let damaged = |flaw| match flaw {
        Flaw::Newer(version) => DraftError::Newer {
            path: path.to_owned(),
            version,
        },
        flaw => DraftError::Damaged {
            path: path.to_owned(),
            list: wanted.map(ToString::to_string),
            flaw: Box::new(flaw),
        },
    };
    let bytes = match disk::read_own(path, MAX_DRAFT) {
        Err(error @ (DiskError::NotRegular { .. } | DiskError::TooLarge { .. })) => {
            return Err(damaged(error.into()));
        }
        read => read?,
    };
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let draft = file::read(&bytes).map_err(damaged)?;
    if path.file_stem().and_then(|stem| stem.to_str()) == Some(&file_stem(&draft.list)) {
        Ok(Some(draft))
    } else {
        Err(damaged(Flaw::Name(draft.list)))
    }
}

fn is_draft(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| !name.starts_with('.')) && path.extension() == Some("json".as_ref())
}

/// Returns a file name for a reference: a readable prefix and the hash, because `a/b:c` and `a_b-c` are different
/// lists, and some file systems ignore letter case. At most 165 bytes of letters, digits, `.`, `_` and `-`.
fn file_stem(list: &Reference) -> String {
    let text = list.to_string();
    let readable: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || ".-".contains(c) {
                c
            } else {
                '_'
            }
        })
        .take(MAX_READABLE)
        .collect();
    format!("{readable}-{}", Digest::sha256(text.as_bytes()).hex())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn file_names_are_unique_and_safe() {
        let long = format!("ghcr.io/{}:{}", "a".repeat(240), "t".repeat(128));
        let digest = Digest::sha256(b"");
        let texts = [
            "a/b:c".to_owned(),
            "a_b-c".to_owned(),
            "a-b:c".to_owned(),
            "a:T".to_owned(),
            "a:t".to_owned(),
            "[::1]:5000/a:1".to_owned(),
            "localhost:5000/x:_..".to_owned(),
            format!("a@{digest}"),
            format!("a:1@{digest}"),
            long,
        ];
        let stems: HashSet<String> = texts
            .iter()
            .map(|text| file_stem(&text.parse().unwrap()).to_lowercase())
            .collect();
        assert_eq!(stems.len(), texts.len());
        for stem in stems {
            assert!(stem.len() <= 165 && !stem.starts_with('.'), "{stem}");
            assert!(
                stem.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            );
        }
    }
}
