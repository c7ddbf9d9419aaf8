//! A layout in a directory: paths, lookups, and writes. Blobs are hashed while they are written, `index.json` is changed
//! under a lock. All functions block.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

use super::catalog;
use super::error::LayoutError;
use super::format::{check_version, parse_index, version_file};
use super::region::Region;
use crate::disk::{self, Access, Durability, Lock, NewFile};
use crate::spec::limits::MAX_MANIFEST;
use crate::spec::{self, Descriptor, Digest, Hasher, Index, JsonStyle, Manifest, MediaType, Tag};

const LOCK: &str = ".polyarch.lock";

/// A layout in a directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) root: PathBuf,
    pub(super) durability: Durability,
}

/// A piece of a blob that is being written.
pub(super) enum Part {
    Bytes(Bytes),
    /// The end of the blob. If the channel is closed without it, the copy was cancelled.
    End,
}

impl Directory {
    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    fn version_path(&self) -> PathBuf {
        self.root.join("oci-layout")
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let algorithm = digest.algorithm().as_str();
        self.root.join("blobs").join(algorithm).join(digest.hex())
    }

    /// Opens an existing layout of a known version.
    pub(super) fn open(root: &Path) -> Result<Self, LayoutError> {
        let directory = Self {
            root: root.to_owned(),
            durability: Durability::Synced,
        };
        directory.check()?;
        Ok(directory)
    }

    fn check(&self) -> Result<(), LayoutError> {
        match disk::read(&self.version_path(), MAX_MANIFEST) {
            Ok(bytes) => check_version(&bytes),
            Err(error) if error.is_not_found() && self.root.exists() => Err(LayoutError::NoLayout),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns `index.json`.
    pub(super) fn index(&self) -> Result<Manifest, LayoutError> {
        parse_index(disk::read(&self.index_path(), MAX_MANIFEST)?)
    }

    /// Returns the position of a blob.
    pub(super) fn locate(&self, digest: &Digest) -> Result<Option<Region>, LayoutError> {
        let path = self.blob_path(digest);
        match disk::open(&path) {
            Ok((_, metadata)) => Ok(Some(Region {
                path,
                start: 0,
                length: metadata.len(),
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a layout in an empty or missing directory. An existing layout is kept.
    pub(super) fn create(root: &Path, durability: Durability) -> Result<Self, LayoutError> {
        let directory = Self {
            root: root.to_owned(),
            durability,
        };
        disk::create_directory(root, Access::Shared)?;
        if !directory.version_path().exists() {
            refuse_other_files(root)?;
            disk::write(&directory.version_path(), &version_file(), Access::Shared)?;
        }
        directory.check()?;
        disk::create_directory(&root.join("blobs").join("sha256"), Access::Shared)?;
        disk::clean_leftovers(root);
        for algorithm in ["sha256", "sha512"] {
            disk::clean_leftovers(&root.join("blobs").join(algorithm));
        }
        directory.update(|_| {})?;
        Ok(directory)
    }

    /// Receives a blob and publishes it after size and digest were verified.
    pub(super) fn receive(
        &self,
        blob: &Descriptor,
        parts: &mut Receiver<Part>,
    ) -> Result<(), LayoutError> {
        let path = self.prepare(&blob.digest)?;
        let mut file = NewFile::beside(&path, Access::Shared)?;
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let mut length = 0;
        loop {
            match parts.blocking_recv() {
                Some(Part::Bytes(bytes)) => {
                    length += bytes.len() as u64;
                    if length > blob.size {
                        return Err(LayoutError::TooManyBytes {
                            expected: blob.size,
                        });
                    }
                    hasher.update(&bytes);
                    file.write(&bytes)?;
                }
                Some(Part::End) => break,
                None => return Err(LayoutError::Cancelled),
            }
        }
        if length != blob.size {
            return Err(LayoutError::WrongSize {
                found: length,
                expected: blob.size,
            });
        }
        let found = hasher.finish();
        if found != blob.digest {
            return Err(LayoutError::WrongDigest {
                found,
                expected: blob.digest.clone(),
            });
        }
        Ok(file.publish(&path, self.durability)?)
    }

    /// Stores a manifest as a blob. A referrer is also listed in `index.json`, so that it can be found.
    pub(super) fn put_manifest(&self, manifest: &Manifest) -> Result<(), LayoutError> {
        self.store_manifest(manifest)?;
        if manifest.subject().is_some() {
            self.update(|index| catalog::insert_unnamed(index, manifest))?;
        }
        Ok(())
    }

    /// Stores a manifest and lists it under each tag, or without a name if there are no tags.
    pub(super) fn put_entries(&self, manifest: &Manifest, tags: &[Tag]) -> Result<(), LayoutError> {
        self.store_manifest(manifest)?;
        self.update(|index| {
            for tag in tags {
                catalog::insert_named(index, manifest, tag);
            }
            if tags.is_empty() {
                catalog::insert_unnamed(index, manifest);
            }
        })
    }

    fn store_manifest(&self, manifest: &Manifest) -> Result<(), LayoutError> {
        let found = manifest.digest.algorithm().digest(&manifest.bytes);
        if found != manifest.digest {
            return Err(LayoutError::WrongDigest {
                found,
                expected: manifest.digest.clone(),
            });
        }
        let size = manifest.bytes.len() as u64;
        if size > MAX_MANIFEST {
            return Err(LayoutError::TooLarge {
                size,
                limit: MAX_MANIFEST,
            });
        }
        if let Some(region) = self.locate(&manifest.digest)?
            && region.is_intact(&manifest.descriptor())?
        {
            return Ok(());
        }
        let path = self.prepare(&manifest.digest)?;
        let mut file = NewFile::beside(&path, Access::Shared)?;
        file.write(&manifest.bytes)?;
        Ok(file.publish(&path, self.durability)?)
    }

    /// Creates the directory of a blob and returns the path of the blob.
    fn prepare(&self, digest: &Digest) -> Result<PathBuf, LayoutError> {
        let path = self.blob_path(digest);
        disk::create_directory(disk::directory_of(&path), Access::Shared)?;
        Ok(path)
    }

    /// Changes `index.json` under a lock. All other entries and fields are kept.
    fn update(&self, change: impl FnOnce(&mut Index)) -> Result<(), LayoutError> {
        let _lock = Lock::acquire(&self.root.join(LOCK), Access::Shared)?;
        let path = self.index_path();
        let old = match disk::read(&path, MAX_MANIFEST) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let mut index = match &old {
            Some(bytes) => parse_index(bytes.clone())?
                .index()
                .cloned()
                .ok_or(LayoutError::NotAnIndex)?,
            None => Index::new(MediaType::OCI_INDEX, Vec::new()),
        };
        change(&mut index);
        let new = spec::write(&index, JsonStyle::Oci);
        if new.len() as u64 > MAX_MANIFEST {
            return Err(LayoutError::TooLarge {
                size: new.len() as u64,
                limit: MAX_MANIFEST,
            });
        }
        if old.as_deref() == Some(&new) {
            return Ok(());
        }
        let mut file = NewFile::beside(&path, Access::Shared)?;
        file.write(&new)?;
        Ok(file.publish(&path, self.durability)?)
    }
}

/// Refuses a directory with other files: `oci:.` in a source tree is a mistake.
fn refuse_other_files(root: &Path) -> Result<(), LayoutError> {
    let entries = fs::read_dir(root).map_err(|error| disk::at("read", root)(error))?;
    let is_ours = |name: &std::ffi::OsStr| name == LOCK || disk::is_temporary(name);
    // Another process may have created the layout in the meantime.
    let other = entries.flatten().find(|entry| !is_ours(&entry.file_name()));
    match other {
        Some(other) if !root.join("oci-layout").exists() => {
            let name = other.file_name().display().to_string();
            Err(LayoutError::OtherFiles(name))
        }
        _ => Ok(()),
    }
}
