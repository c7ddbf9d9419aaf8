//! Verified reads from a layout in a directory or in a tar archive. All functions block; [`super::Layout`] calls them
//! on blocking threads.

use bytes::Bytes;

use super::archive::Archive;
use super::catalog;
use super::directory::Directory;
use super::error::LayoutError;
use super::region::Region;
use crate::spec::limits::MAX_MANIFEST;
use crate::spec::{Descriptor, Digest, Index, Manifest, MediaType};
use crate::store::{FailureKind, ManifestName};

/// The form of a layout on disk.
#[derive(Debug)]
pub(super) enum Backend {
    /// A directory. `index.json` is read again each time, since other processes may write to it.
    Directory(Directory),
    /// An archive. It is indexed when it is opened.
    Archive(Box<Archive>),
}

impl Backend {
    /// Returns `index.json`.
    pub(super) fn index(&self) -> Result<Manifest, LayoutError> {
        match self {
            Self::Archive(archive) => Ok(archive.index.clone()),
            Self::Directory(directory) => directory.index(),
        }
    }

    /// Returns the descriptor of a tag or digest.
    pub(super) fn describe(&self, name: &ManifestName) -> Result<Descriptor, LayoutError> {
        if let ManifestName::Tag(tag) = name {
            let index = self.index()?;
            let entry = catalog::find(entries(&index), tag)?;
            if !entry.media_type.is_empty() {
                // The other fields describe the entry, not the image.
                let media_type = entry.media_type.clone();
                return Ok(Descriptor::new(
                    media_type,
                    entry.digest.clone(),
                    entry.size,
                ));
            }
        }
        Ok(self.manifest(name)?.descriptor())
    }

    /// Returns the verified manifest of a tag or digest. `index.json` itself has a digest too.
    pub(super) fn manifest(&self, name: &ManifestName) -> Result<Manifest, LayoutError> {
        match name {
            ManifestName::Tag(tag) => {
                let index = self.index()?;
                self.entry(catalog::find(entries(&index), tag)?)
            }
            ManifestName::Digest(digest) => match self.locate(digest)? {
                Some(region) => {
                    let bytes = region.read_verified(digest, MAX_MANIFEST)?;
                    let unknown = MediaType::default();
                    Ok(Manifest::parse_as(bytes, &unknown, digest.clone())?)
                }
                None => self.listed(digest),
            },
        }
    }

    /// Returns a manifest that is not stored as a blob: `index.json`, or a manifest that is embedded in an entry.
    fn listed(&self, digest: &Digest) -> Result<Manifest, LayoutError> {
        let index = self.index()?;
        if index.digest == *digest {
            return Ok(index);
        }
        let entry = entries(&index)
            .manifests
            .iter()
            .find(|entry| entry.digest == *digest);
        self.entry(entry.ok_or_else(|| LayoutError::Absent(digest.clone()))?)
    }

    /// Returns the manifest of an entry.
    pub(super) fn entry(&self, entry: &Descriptor) -> Result<Manifest, LayoutError> {
        let bytes = self.blob(entry, MAX_MANIFEST)?;
        Ok(Manifest::parse_as(
            bytes,
            &entry.media_type,
            entry.digest.clone(),
        )?)
    }

    /// Returns the image that is meant if neither tag nor digest is given: see [`super::Layout::default_manifest`].
    pub(super) fn default_manifest(&self) -> Result<Descriptor, LayoutError> {
        let index = self.index()?;
        let mut roots = catalog::roots(entries(&index));
        if roots.len() > 1 {
            roots.retain(|entry| !self.is_referrer(entry));
        }
        match roots.as_slice() {
            [] => Err(LayoutError::Empty),
            [only] => Ok(self.entry(only)?.descriptor()),
            several if catalog::are_one_image(several) => Ok(index.descriptor()),
            several => Err(LayoutError::SeveralImages {
                count: several.len(),
                names: catalog::list_names(entries(&index)),
            }),
        }
    }

    /// Returns whether an entry has a subject. An entry that cannot be read counts as one without a subject.
    fn is_referrer(&self, entry: &Descriptor) -> bool {
        self.entry(entry)
            .is_ok_and(|manifest| manifest.subject().is_some())
    }

    /// Returns the referrers of `subject`, including the entries of its fallback list.
    pub(super) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, LayoutError> {
        let index = self.index()?;
        let mut found: Vec<Descriptor> = Vec::new();
        if let Some(entry) = catalog::find_named(entries(&index), &subject.referrers_tag()) {
            let list = self.entry(entry)?;
            found.extend(
                list.index()
                    .into_iter()
                    .flat_map(|list| list.manifests.clone()),
            );
        }
        for entry in catalog::roots(entries(&index)) {
            let manifest = match self.entry(entry) {
                // An archive of one platform may list images that it does not contain.
                Err(error) if error.kind() == FailureKind::NotFound => continue,
                read => read?,
            };
            let refers = manifest.subject().is_some_and(|s| s.digest == *subject);
            if refers && !found.iter().any(|known| known.digest == manifest.digest) {
                found.push(manifest.referrer_descriptor());
            }
        }
        Ok(found)
    }

    /// Returns a whole verified blob of at most `limit` bytes.
    pub(super) fn blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, LayoutError> {
        if blob.size > limit {
            return Err(LayoutError::TooLarge {
                size: blob.size,
                limit,
            });
        }
        if let Some(bytes) = blob.embedded() {
            return Ok(bytes.into());
        }
        let region = self.locate(&blob.digest)?;
        let region = region.ok_or_else(|| LayoutError::Absent(blob.digest.clone()))?;
        region.expect_size(blob.size)?;
        region.read_verified(&blob.digest, limit)
    }

    /// Returns whether an undamaged blob exists. The blob is hashed: a damaged one must be replaced.
    pub(super) fn has_blob(&self, blob: &Descriptor) -> Result<bool, LayoutError> {
        match self.locate(&blob.digest)? {
            Some(region) => region.is_intact(blob),
            None => Ok(false),
        }
    }

    /// Returns the position of a blob.
    pub(super) fn locate(&self, digest: &Digest) -> Result<Option<Region>, LayoutError> {
        match self {
            Self::Archive(archive) => Ok(archive.locate(digest)),
            Self::Directory(directory) => directory.locate(digest),
        }
    }
}

fn entries(manifest: &Manifest) -> &Index {
    manifest.index().expect("parse_index accepts only an index")
}
