//! The directory of drafts: one file for each list, changed under a lock of that list, so that
//! several processes at once lose nothing and a reader never sees half a draft.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, Flaw};
use super::{Draft, DraftError};
use crate::disk::{self, Access, DiskError, Lock};
use crate::environment::Environment;
use crate::spec::{Digest, Reference};

/// The largest draft that is read or written: room for 10,000 entries.
const MAX_DRAFT: u64 = 64 * 1024 * 1024;

/// How much of a reference is kept readable in a file name.
const READABLE: usize = 100;

/// All drafts of a user.
#[derive(Clone, Debug)]
pub struct Drafts {
    directory: PathBuf,
}

/// What lies in the directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// The drafts, sorted by name.
    pub drafts: Vec<Draft>,
    /// Why the other files could not be read.
    pub broken: Vec<DraftError>,
}

impl Drafts {
    /// Finds the directory: `drafts` in `$POLYARCH_HOME` or in the user's data directory. Nothing is
    /// created before something is saved.
    pub fn locate(environment: &Environment) -> Result<Self, DraftError> {
        let data = disk::data_directory(environment).ok_or(DraftError::NoHome)?;
        Ok(Self::at(data.join("drafts")))
    }

    /// The drafts in a directory that need not exist yet.
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The draft of a list, if there is one.
    pub fn load(&self, list: &Reference) -> Result<Option<Draft>, DraftError> {
        read(&self.path(list), Some(list))
    }

    /// Why nobody can tell whether there is a draft of a list, if that is so: the way to it is closed, or is
    /// none. A draft that is there and cannot be read is an error of [`Drafts::load`] instead.
    pub fn out_of_reach(&self, list: &Reference) -> Option<DraftError> {
        let path = self.path(list);
        let cause = fs::symlink_metadata(&path).err()?;
        let is_closed = matches!(
            cause.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
        );
        is_closed.then(|| disk::at("read", &self.directory)(cause).into())
    }

    /// All drafts. A file that cannot be read does not hide the others.
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
                // Another process removed it since.
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

    /// Changes the draft of a list while no other process does: `change` gets what is there and
    /// returns what shall be there, `None` for nothing. If it fails, everything stays as it was. Others
    /// wait meanwhile, so it must not ask the network.
    pub fn update<E: From<DraftError>>(
        &self,
        list: &Reference,
        change: impl FnOnce(Option<Draft>) -> Result<Option<Draft>, E>,
    ) -> Result<Option<Draft>, E> {
        let _lock = self.lock(list)?;
        let old = self.load(list)?;
        let was_there = old.is_some();
        let new = change(old)?;
        match &new {
            Some(draft) => self.save(list, draft)?,
            None if was_there => {
                disk::remove(&self.path(list)).map_err(DraftError::from)?;
            }
            None => {}
        }
        Ok(new)
    }

    /// Saves a draft whatever was there before, be it damaged.
    pub fn replace(&self, draft: &Draft) -> Result<(), DraftError> {
        let _lock = self.lock(&draft.list)?;
        self.save(&draft.list, draft)
    }

    /// Removes the draft of a list, be it damaged; `false` if there was none.
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
        let unsound = |cause| DraftError::Unsound {
            list: list.to_string(),
            cause,
        };
        if draft.list != *list {
            return Err(unsound(format!("it is named {}", draft.list)));
        }
        let bytes = file::write(draft).map_err(unsound)?;
        if bytes.len() as u64 > MAX_DRAFT {
            return Err(unsound(format!("it has more than {MAX_DRAFT} bytes")));
        }
        disk::clean_leftovers(&self.directory);
        Ok(disk::write(&self.path(list), &bytes, Access::Private)?)
    }

    fn path(&self, list: &Reference) -> PathBuf {
        self.directory.join(format!("{}.json", file_stem(list)))
    }
}

/// Reads one file; `wanted` is the list that it should be of, if that is known.
fn read(path: &Path, wanted: Option<&Reference>) -> Result<Option<Draft>, DraftError> {
    let damaged = |cause: String| DraftError::Damaged {
        path: path.to_owned(),
        list: wanted.map(ToString::to_string),
        cause,
    };
    let bytes = match disk::read_own(path, MAX_DRAFT) {
        Err(error @ (DiskError::NotRegular { .. } | DiskError::TooLarge { .. })) => {
            return Err(damaged(error.to_string()));
        }
        read => read?,
    };
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let draft = file::read(&bytes).map_err(|flaw| match flaw {
        Flaw::Damage(cause) => damaged(cause),
        Flaw::Newer(version) => DraftError::Newer {
            path: path.to_owned(),
            version,
        },
    })?;
    if path.file_stem().and_then(|stem| stem.to_str()) == Some(&file_stem(&draft.list)) {
        Ok(Some(draft))
    } else {
        Err(damaged(format!("it is the draft of {}", draft.list)))
    }
}

fn is_draft(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| !name.starts_with('.')) && path.extension() == Some("json".as_ref())
}

/// A file name for a reference: readable in front, and its whole hash behind, since `a/b:c` and
/// `a_b-c` are two lists and some file systems do not tell `A` from `a`. At most 165 bytes, all of
/// them letters, digits, `.`, `_` and `-`.
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
        .take(READABLE)
        .collect();
    format!("{readable}-{}", Digest::sha256(text.as_bytes()).hex())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_lists_share_a_file_and_none_leaves_the_directory() {
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
