//! A layout in a tar archive: opened, indexed once, and its blobs found in it.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::format::{check_version, parse_index};
use super::region::Region;
use super::tar_index::{self, Members, Span};
use crate::disk;
use crate::spec::limits::MAX_MANIFEST;
use crate::spec::{Digest, Manifest};

/// How a file starts that is not a plain tar archive, and what unpacks it.
const COMPRESSIONS: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// A layout in a tar archive.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    members: Members,
    pub(super) index: Manifest,
}

impl Archive {
    /// Indexes an archive. Reads its headers, `oci-layout` and `index.json`, nothing else.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let (mut file, metadata) = disk::open(path)?;
        refuse_compression(path, &mut file)?;
        let members = tar_index::index(file, metadata.len())
            .map_err(|error| Failure::refused(error.to_string()))?;
        let read = |span: Span| region(path, span).read(MAX_MANIFEST);
        let index = match (members.oci_layout, members.index_json) {
            (Some(version), Some(index)) => {
                check_version(&read(version)?)?;
                parse_index(read(index)?)?
            }
            _ if members.has_docker_manifest => {
                let cause = "it was saved by a Docker older than 25: there is no index.json in it";
                let hint = "save it with Docker 25 or later, or convert it: skopeo copy docker-archive:FILE oci:DIRECTORY:TAG";
                return Err(Failure::refused(cause).hint(hint));
            }
            _ if !members.has_end => {
                let cause = "it is cut off: oci-layout or index.json is missing, and so is its end";
                return Err(Failure::refused(cause));
            }
            _ => {
                let cause = "it is not an OCI image layout: oci-layout or index.json is not in it";
                return Err(Failure::refused(cause));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            members,
            index,
        })
    }

    /// Where the blob with this digest is.
    pub(super) fn locate(&self, digest: &Digest) -> Option<Region> {
        let span = self.members.blobs.get(digest)?;
        Some(region(&self.path, *span))
    }
}

fn refuse_compression(path: &Path, file: &mut File) -> Result<(), Failure> {
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
        Some((_, name, tool)) => Err(Failure::refused(format!(
            "it is compressed with {name}; an archive is read where it lies"
        ))
        .hint(format!("unpack it first: {tool} {}", path.display()))),
    }
}

fn region(path: &Path, span: Span) -> Region {
    Region {
        path: path.to_owned(),
        start: span.start,
        length: span.length,
    }
}
