//! OCI image layouts, in a directory or a tar archive, as source and as target: the same interface
//! as a registry. Knows `spec`, `content` and `disk`.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>.

mod archive;
pub mod catalog;
mod failure;
pub mod format;
mod place;
mod region;
mod store;
pub mod tar_index;
mod write;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tempfile::TempDir;

use crate::disk::{self, Durability};
use crate::spec::{Descriptor, LayoutKind, LayoutPath, LayoutReference, Manifest};
use crate::store::{FailureKind, ManifestName, Operation, StoreError};
use crate::sync::Mutex;
use archive::Archive;
use failure::Failure;
use place::{Directory, Place};

/// A layout as a [`crate::store::Store`].
///
/// In a directory, writes are seen at once. An archive as a target is put together in a directory
/// beside it and appears, whole, at [`Layout::finish`]; until then reads come from that directory.
pub struct Layout {
    location: LayoutPath,
    place: RwLock<Arc<Place>>,
    /// The directory in which an archive is put together. Gone when this is dropped.
    staging: Mutex<Option<TempDir>>,
}

impl Layout {
    /// Opens a layout that exists. Of an archive every header is read, and no content.
    pub async fn open(location: &LayoutPath) -> Result<Self, StoreError> {
        let path = location.path.clone();
        let opened = match location.kind {
            LayoutKind::Directory => blocking(move || open_directory(&path)).await,
            LayoutKind::Archive => {
                blocking(move || {
                    Archive::open(&path).map(|archive| Place::Archive(Box::new(archive)))
                })
                .await
            }
        };
        let place = opened.map_err(|failure| failure.during(format!("open {location}")))?;
        Ok(Self::at(location, place, None))
    }

    /// Opens a layout to write to it. A directory is created, or added to if it is a layout; an
    /// archive is started anew, and replaces the file of that name when it is finished.
    pub async fn create(location: &LayoutPath) -> Result<Self, StoreError> {
        let (path, kind) = (location.path.clone(), location.kind);
        let created = blocking(move || match kind {
            LayoutKind::Directory => Ok((Directory::create(&path, Durability::Synced)?, None)),
            LayoutKind::Archive => stage(&path).map(|(place, staging)| (place, Some(staging))),
        });
        let (directory, staging) = created
            .await
            .map_err(|failure| failure.during(format!("create {location}")))?;
        Ok(Self::at(location, Place::Directory(directory), staging))
    }

    fn at(location: &LayoutPath, place: Place, staging: Option<TempDir>) -> Self {
        Self {
            location: location.clone(),
            place: RwLock::new(Arc::new(place)),
            staging: Mutex::new(staging),
        }
    }

    /// What is meant when neither tag nor digest is given:
    ///
    /// - the only image, however many names it has (`docker buildx build -o type=oci` writes one
    ///   entry for each name, all with the digest of one index; so do Docker, skopeo and buildah);
    /// - several entries with a platform each, all without a name or all of one name, are one image:
    ///   then `index.json` itself is its index (go-containerregistry's `layout.Write`);
    /// - other entries are several images: an error that lists their names.
    ///
    /// Entries that only refer to others (signatures, SBOMs) are not counted.
    pub async fn default_manifest(&self) -> Result<Descriptor, StoreError> {
        let operation = || Operation::new("find the image in", self.location.to_string());
        self.read(operation, Place::default_manifest).await
    }

    /// What `reference` means in this layout: its digest, else its tag, else the default.
    pub async fn select(&self, reference: &LayoutReference) -> Result<ManifestName, StoreError> {
        match (&reference.digest, &reference.tag) {
            (Some(digest), _) => Ok(ManifestName::Digest(digest.clone())),
            (None, Some(tag)) => Ok(ManifestName::Tag(tag.clone())),
            (None, None) => {
                let descriptor = self.default_manifest().await?;
                Ok(ManifestName::Digest(descriptor.digest))
            }
        }
    }

    /// Stores a manifest and lists it without a name: what a target without a tag asks for.
    pub async fn put_unnamed(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let stored = manifest.clone();
        self.write(move |directory| directory.put_entries(&stored, &[]))
            .await
            .map_err(|failure| failure.during(format!("write {}", self.with(manifest))))
    }

    /// Makes an archive appear under its name; does nothing for a directory. Afterwards reads come
    /// from the archive, and it can no longer be written to.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let staging = self.staging.lock().take();
        let Some(staging) = staging else {
            return Ok(());
        };
        let path = self.location.path.clone();
        let packed = self.write(move |directory| {
            directory.pack(&path)?;
            drop(staging);
            Archive::open(&path)
        });
        let archive = packed
            .await
            .map_err(|failure| failure.during(format!("write {}", self.location)))?;
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        *place = Arc::new(Place::Archive(Box::new(archive)));
        Ok(())
    }

    fn with(&self, manifest: &Manifest) -> String {
        format!("{}@{}", self.location, manifest.digest)
    }

    fn place(&self) -> Arc<Place> {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&place)
    }

    /// Reads off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> Operation,
        work: impl FnOnce(&Place) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.place();
        let done = blocking(move || work(&place)).await;
        done.map_err(|failure| failure.during(operation()))
    }

    /// Writes off the async threads, to the directory that this is or that an archive starts as.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = self.place();
        blocking(move || match &*place {
            Place::Directory(directory) => work(directory),
            Place::Archive(_) => Err(Failure::refused(
                "an archive that exists is only read: a new one takes its place as a whole",
            )),
        })
        .await
    }
}

fn open_directory(path: &Path) -> Result<Place, Failure> {
    let directory = Directory {
        root: path.to_owned(),
        durability: Durability::Synced,
    };
    directory.check()?;
    Ok(Place::Directory(directory))
}

/// An empty layout beside the archive that it becomes.
fn stage(archive: &Path) -> Result<(Directory, TempDir), Failure> {
    if archive.is_dir() {
        let cause = "it is a directory; for a layout in a directory write oci:PATH";
        return Err(Failure::refused(cause));
    }
    let parent = disk::directory_of(archive);
    disk::create_directory(parent, disk::Access::Shared)?;
    disk::clean_leftovers(parent);
    let staging = disk::temporary_directory_beside(archive)?;
    let directory = Directory::create(staging.path(), Durability::Volatile)?;
    Ok((directory, staging))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(gone) => Err(Failure::new(FailureKind::Other, gone.to_string())),
    }
}
