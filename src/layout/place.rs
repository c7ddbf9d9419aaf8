//! Where the bytes of a layout lie, in a directory or in a tar archive, and reading them verified.
//! Everything here blocks; [`super::Layout`] calls it off the async threads.

use std::path::PathBuf;

use bytes::Bytes;

use super::archive::Archive;
use super::catalog;
use super::failure::Failure;
use super::format::{check_version, parse_index};
use super::region::Region;
use crate::disk::{self, Durability};
use crate::spec::limits::MAX_MANIFEST;
use crate::spec::{Descriptor, Digest, Index, Manifest, MediaType};
use crate::store::ManifestName;

/// A layout on disk.
#[derive(Debug)]
pub(super) enum Place {
    /// Read anew each time: other processes may write to it.
    Directory(Directory),
    /// Indexed once.
    Archive(Box<Archive>),
}

/// A layout in a directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) root: PathBuf,
    pub(super) durability: Durability,
}

impl Directory {
    pub(super) fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(super) fn version_path(&self) -> PathBuf {
        self.root.join("oci-layout")
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        let algorithm = digest.algorithm().as_str();
        self.root.join("blobs").join(algorithm).join(digest.hex())
    }

    /// Whether this is a layout, of a version that is known.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match disk::read(&self.version_path(), MAX_MANIFEST) {
            Ok(bytes) => check_version(&bytes),
            Err(error) if error.is_not_found() && self.root.exists() => Err(Failure::refused(
                "it is not an OCI image layout: there is no file oci-layout in it",
            )),
            Err(error) => Err(error.into()),
        }
    }
}

impl Place {
    /// `index.json`.
    pub(super) fn index(&self) -> Result<Manifest, Failure> {
        match self {
            Self::Archive(archive) => Ok(archive.index.clone()),
            Self::Directory(directory) => {
                let bytes = disk::read(&directory.index_path(), MAX_MANIFEST)?;
                parse_index(bytes)
            }
        }
    }

    /// The entry that a name means; for a digest, the first with that digest.
    pub(super) fn describe(&self, name: &ManifestName) -> Result<Descriptor, Failure> {
        if let ManifestName::Tag(tag) = name {
            let index = self.index()?;
            let entry = catalog::find(entries(&index), tag)?;
            if !entry.media_type.is_empty() {
                // What index.json says beside these is about the entry, not about the image.
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

    /// The manifest under a name, verified. `index.json` itself is found by its digest too.
    pub(super) fn manifest(&self, name: &ManifestName) -> Result<Manifest, Failure> {
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

    /// A manifest that is not among the blobs: `index.json`, or embedded in an entry of it.
    fn listed(&self, digest: &Digest) -> Result<Manifest, Failure> {
        let index = self.index()?;
        if index.digest == *digest {
            return Ok(index);
        }
        let entry = entries(&index)
            .manifests
            .iter()
            .find(|entry| entry.digest == *digest);
        self.entry(entry.ok_or_else(|| Failure::absent(digest))?)
    }

    /// The manifest that an entry points at.
    pub(super) fn entry(&self, entry: &Descriptor) -> Result<Manifest, Failure> {
        let bytes = self.blob(entry, MAX_MANIFEST)?;
        Ok(Manifest::parse_as(
            bytes,
            &entry.media_type,
            entry.digest.clone(),
        )?)
    }

    /// What is meant when no name is given: see [`super::Layout::default_manifest`].
    pub(super) fn default_manifest(&self) -> Result<Descriptor, Failure> {
        let index = self.index()?;
        let mut roots = catalog::roots(entries(&index));
        if roots.len() > 1 {
            roots.retain(|entry| !self.is_referrer(entry));
        }
        match roots.as_slice() {
            [] => Err(Failure::not_found("index.json has no entries")),
            [only] => Ok(self.entry(only)?.descriptor()),
            several if catalog::are_one_image(several) => Ok(index.descriptor()),
            several => Err(Failure::refused(format!(
                "it holds {} images, and neither tag nor digest was given: it has {}",
                several.len(),
                catalog::list_names(entries(&index))
            ))
            .hint("name the one you mean: PATH:TAG or PATH@DIGEST")),
        }
    }

    /// Whether an entry is listed only because it refers to another. What cannot be read is none.
    fn is_referrer(&self, entry: &Descriptor) -> bool {
        self.entry(entry)
            .is_ok_and(|manifest| manifest.subject().is_some())
    }

    /// The entries whose subject is `subject`, and those of its fallback list.
    pub(super) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Failure> {
        let index = self.index()?;
        let mut found: Vec<Descriptor> = Vec::new();
        if let Some(entry) = catalog::find_named(entries(&index), &catalog::fallback_name(subject))
        {
            let list = self.entry(entry)?;
            found.extend(
                list.index()
                    .into_iter()
                    .flat_map(|list| list.manifests.clone()),
            );
        }
        for entry in catalog::roots(entries(&index)) {
            let manifest = match self.entry(entry) {
                // An archive of one platform may list what it does not hold.
                Err(failure) if failure.is_not_found() => continue,
                read => read?,
            };
            let refers = manifest.subject().is_some_and(|s| s.digest == *subject);
            if refers && !found.iter().any(|known| known.digest == manifest.digest) {
                found.push(catalog::referrer_descriptor(&manifest));
            }
        }
        Ok(found)
    }

    /// A whole blob of at most `limit` bytes, verified.
    pub(super) fn blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, Failure> {
        if blob.size > limit {
            return Err(Failure::refused(format!(
                "it has {} bytes; at most {limit} are read",
                blob.size
            )));
        }
        if let Some(bytes) = blob.embedded() {
            return Ok(bytes.into());
        }
        let region = self.locate(&blob.digest)?;
        let region = region.ok_or_else(|| Failure::absent(&blob.digest))?;
        region.expect_size(blob.size)?;
        region.read_verified(&blob.digest, limit)
    }

    /// Whether a blob is here, whole and undamaged: it is hashed, since a damaged one that counted
    /// as present would never be replaced.
    pub(super) fn has_blob(&self, blob: &Descriptor) -> Result<bool, Failure> {
        match self.locate(&blob.digest)? {
            Some(region) if region.length == blob.size => {
                Ok(region.digest(&blob.digest)? == blob.digest)
            }
            _ => Ok(false),
        }
    }

    /// Where the content with this digest is.
    pub(super) fn locate(&self, digest: &Digest) -> Result<Option<Region>, Failure> {
        match self {
            Self::Archive(archive) => Ok(archive.locate(digest)),
            Self::Directory(directory) => {
                let path = directory.blob_path(digest);
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
        }
    }
}

fn entries(manifest: &Manifest) -> &Index {
    manifest
        .index()
        .expect("parse_index lets nothing else through")
}
