//! OCI image layouts in a directory or a tar archive, as source and as target.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>.

mod archive;
mod backend;
pub mod catalog;
mod directory;
mod error;
pub mod format;
mod pack;
mod region;
mod store;
pub mod tar_index;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tempfile::TempDir;

use crate::disk::{self, Durability};
use crate::spec::{Descriptor, LayoutKind, LayoutPath, LayoutReference, Manifest};
use crate::store::{ManifestName, Operation, StoreError};
use crate::sync::Mutex;
use archive::Archive;
use backend::Backend;
use directory::Directory;
use error::LayoutError;

/// A layout as a [`crate::store::Store`].
///
/// In a directory, writes are visible at once. A new archive is built in a temporary directory beside it and appears at
/// [`Layout::finish`]; until then, reads use that directory.
pub struct Layout {
    location: LayoutPath,
    backend: RwLock<Arc<Backend>>,
    /// The temporary directory in which an archive is built. It is removed when this is dropped.
    staging: Mutex<Option<TempDir>>,
}

impl Layout {
    /// Opens an existing layout. Reads only the headers and `index.json` of an archive.
    pub async fn open(location: &LayoutPath) -> Result<Self, StoreError> {
        let path = location.path.clone();
        let opened = match location.kind {
            LayoutKind::Directory => {
                blocking(move || Directory::open(&path).map(Backend::Directory)).await
            }
            LayoutKind::Archive => {
                blocking(move || {
                    Archive::open(&path).map(|archive| Backend::Archive(Box::new(archive)))
                })
                .await
            }
        };
        let backend = opened.map_err(|error| error.during(format!("open {location}")))?;
        Ok(Self::at(location, backend, None))
    }

    /// Opens a layout for writing. A directory is created unless it is a layout already; an archive is created, and
    /// replaces the file of that name when it is finished.
    pub async fn create(location: &LayoutPath) -> Result<Self, StoreError> {
        let (path, kind) = (location.path.clone(), location.kind);
        let created = blocking(move || match kind {
            LayoutKind::Directory => Ok((Directory::create(&path, Durability::Synced)?, None)),
            LayoutKind::Archive => stage(&path).map(|(staged, staging)| (staged, Some(staging))),
        });
        let (directory, staging) = created
            .await
            .map_err(|error| error.during(format!("create {location}")))?;
        Ok(Self::at(location, Backend::Directory(directory), staging))
    }

    fn at(location: &LayoutPath, backend: Backend, staging: Option<TempDir>) -> Self {
        Self {
            location: location.clone(),
            backend: RwLock::new(Arc::new(backend)),
            staging: Mutex::new(staging),
        }
    }

    /// Returns the image that is meant if neither tag nor digest is given:
    ///
    /// - the only image, also if it has several names (`docker buildx build -o type=oci`, Docker, skopeo and buildah
    ///   write an entry for each name);
    /// - `index.json` itself, if all entries have a platform and one name or none (go-containerregistry's
    ///   `layout.Write`);
    /// - otherwise an error that lists the names.
    ///
    /// Referrers (signatures, SBOMs) are not counted.
    pub async fn default_manifest(&self) -> Result<Descriptor, StoreError> {
        let operation = || Operation::new("find the image in", self.location.to_string());
        self.read(operation, Backend::default_manifest).await
    }

    /// Returns the manifest that `reference` names in this layout: by digest, or else by tag, or else the default one.
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

    /// Stores a manifest and lists it without a name, for a target without a tag.
    pub async fn put_unnamed(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let stored = manifest.clone();
        self.write(move |directory| directory.put_entries(&stored, &[]))
            .await
            .map_err(|error| error.during(format!("write {}", self.with(manifest))))
    }

    /// Publishes an archive under its name; does nothing for a directory. Afterwards the archive is read-only.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let staging = self.staging.lock().take();
        let Some(staging) = staging else {
            return Ok(());
        };
        let path = self.location.path.clone();
        let packed = self.write(move |directory| {
            pack::pack(&directory.root, &path)?;
            drop(staging);
            Archive::open(&path)
        });
        let archive = packed
            .await
            .map_err(|error| error.during(format!("write {}", self.location)))?;
        let mut backend = self.backend.write().unwrap_or_else(PoisonError::into_inner);
        *backend = Arc::new(Backend::Archive(Box::new(archive)));
        Ok(())
    }

    fn with(&self, manifest: &Manifest) -> String {
        format!("{}@{}", self.location, manifest.digest)
    }

    fn backend(&self) -> Arc<Backend> {
        let backend = self.backend.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&backend)
    }

    /// Reads on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> Operation,
        work: impl FnOnce(&Backend) -> Result<T, LayoutError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let backend = self.backend();
        let done = blocking(move || work(&backend)).await;
        done.map_err(|error| error.during(operation()))
    }

    /// Writes on a blocking thread, to a directory or to one that becomes an archive.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> Result<T, LayoutError> + Send + 'static,
    ) -> Result<T, LayoutError> {
        let backend = self.backend();
        blocking(move || match &*backend {
            Backend::Directory(directory) => work(directory),
            Backend::Archive(_) => Err(LayoutError::ReadOnly),
        })
        .await
    }
}

/// Creates an empty layout beside the archive that it will become.
fn stage(archive: &Path) -> Result<(Directory, TempDir), LayoutError> {
    if archive.is_dir() {
        return Err(LayoutError::IsDirectory {
            path: archive.to_owned(),
        });
    }
    let parent = disk::directory_of(archive);
    disk::create_directory(parent, disk::Access::Shared)?;
    disk::clean_leftovers(parent);
    let staging = disk::temporary_directory_beside(archive)?;
    let directory = Directory::create(staging.path(), Durability::Volatile)?;
    Ok((directory, staging))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LayoutError> + Send + 'static,
) -> Result<T, LayoutError> {
    tokio::task::spawn_blocking(work).await?
}
