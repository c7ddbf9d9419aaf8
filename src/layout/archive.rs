//! A layout in a tar archive.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use super::error::LayoutError;
use super::format::{check_version, parse_index};
use super::region::Region;
use super::tar_index::{self, Members, Span};
use crate::disk;
use crate::spec::limits::MAX_MANIFEST;
use crate::spec::{Digest, Manifest};

/// The magic bytes of compressed files, the name of the format, and the program that decompresses it.
const COMPRESSIONS: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// An archive whose headers have been read.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    members: Members,
    pub(super) index: Manifest,
}

impl Archive {
    /// Reads the headers of an archive, `oci-layout` and `index.json`.
    pub(super) fn open(path: &Path) -> Result<Self, LayoutError> {
        let (mut file, metadata) = disk::open(path)?;
        refuse_compression(path, &mut file)?;
        let members = tar_index::index(file, metadata.len())?;
        let read = |span: Span| region(path, span).read(MAX_MANIFEST);
        let index = match (members.oci_layout, members.index_json) {
            (Some(version), Some(index)) => {
                check_version(&read(version)?)?;
                parse_index(read(index)?)?
            }
            _ if members.has_docker_manifest => return Err(LayoutError::OldDockerArchive),
            _ if !members.has_end => return Err(LayoutError::TruncatedArchive),
            _ => return Err(LayoutError::NoLayoutInArchive),
        };
        Ok(Self {
            path: path.to_owned(),
            members,
            index,
        })
    }

    /// Returns the position of a blob.
    pub(super) fn locate(&self, digest: &Digest) -> Option<Region> {
        let span = self.members.blobs.get(digest)?;
        Some(region(&self.path, *span))
    }
}

fn refuse_compression(path: &Path, file: &mut File) -> Result<(), LayoutError> {
    let mut start = Vec::new();
    let io_error = |error| disk::at("read", path)(error);
    file.take(8).read_to_end(&mut start).map_err(io_error)?;
    file.rewind()
        .map_err(|error| disk::at("read", path)(error))?;
    let compression = COMPRESSIONS
        .iter()
        .find(|(magic, ..)| start.starts_with(magic));
    match compression {
        None => Ok(()),
        Some((_, format, tool)) => Err(LayoutError::compressed(format, tool, path)),
    }
}

fn region(path: &Path, span: Span) -> Region {
    Region {
        path: path.to_owned(),
        start: span.start,
        length: span.length,
    }
}
