//! Indexes the members of a tar archive: reads the headers once, and no content. Members that are not part of an OCI
//! layout are skipped. Nothing is unpacked, so that names of members are harmless.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Seek};

use tar::{EntryType, Header, PaxExtensions};

use crate::spec::Digest;
use crate::spec::limits::MAX_TAR_EXTENSION;

const BLOCK: u64 = 512;

/// The maximum number of headers. It is larger than the number of blobs of any image, and limits the time for a hostile
/// archive.
const MAX_HEADERS: u32 = 100_000;

/// A range of bytes in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub length: u64,
}

/// The members of a layout.
#[derive(Debug, Default)]
pub struct Members {
    pub oci_layout: Option<Span>,
    pub index_json: Option<Span>,
    /// Whether Docker's own index is present, which identifies an archive without `index.json`.
    pub has_docker_manifest: bool,
    /// Whether the archive ends with blocks of zeros. Some writers omit them.
    pub has_end: bool,
    pub blobs: HashMap<Digest, Span>,
}

/// Why an archive cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("truncated: a member ends after the end of the file")]
    Truncated,
    #[error("not a tar archive, or damaged: the header at byte {0} has a wrong checksum")]
    Checksum(u64),
    #[error("the header at byte {0} has an invalid size")]
    Size(u64),
    #[error("more than {MAX_HEADERS} members")]
    TooManyHeaders,
    #[error("an extension header of {0} bytes exceeds the limit of {MAX_TAR_EXTENSION}")]
    ExtensionTooLarge(u64),
    #[error("two members named index.json, so clients could read different images")]
    TwoIndexes,
}

/// The values of an extension header for the next member.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

/// Indexes an archive of `length` bytes.
pub fn index(archive: impl Read + Seek, length: u64) -> Result<Members, TarError> {
    let mut walk = Walk {
        reader: BufReader::new(archive),
        position: 0,
        length,
        saw_end: false,
    };
    let mut members = Members::default();
    let mut extension = Extension::default();
    let mut headers = 0;
    while let Some(header) = walk.header()? {
        headers += 1;
        if headers > MAX_HEADERS {
            return Err(TarError::TooManyHeaders);
        }
        let kind = header.entry_type();
        let size = match extension.size {
            Some(size) if !is_extension(kind) => size,
            _ => header
                .entry_size()
                .map_err(|_| TarError::Size(walk.position))?,
        };
        match kind {
            EntryType::XHeader => extension.read_pax(&walk.extension(size)?, walk.position)?,
            EntryType::GNULongName => {
                let mut name = walk.extension(size)?;
                name.truncate(
                    name.iter()
                        .position(|byte| *byte == 0)
                        .unwrap_or(name.len()),
                );
                extension.path.get_or_insert(name);
            }
            _ => {
                if kind.is_gnu_sparse() {
                    walk.skip_sparse_map(&header)?;
                }
                let span = walk.content(if has_no_content(kind) { 0 } else { size })?;
                if is_extension(kind) {
                    continue;
                }
                let extended = std::mem::take(&mut extension);
                if is_regular(kind) && !extended.is_sparse {
                    let path = extended.path;
                    let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
                    members.add(&path, span)?;
                }
            }
        }
    }
    members.has_end = walk.saw_end;
    Ok(members)
}

fn is_regular(kind: EntryType) -> bool {
    kind.is_file() || kind.is_contiguous()
}

/// Returns whether a header describes the next member. The values of an extension header then stay valid.
fn is_extension(kind: EntryType) -> bool {
    kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
        || kind.is_gnu_longname()
        || kind.is_gnu_longlink()
}

/// Returns whether a header is not followed by content, whatever its size field is (POSIX `ustar`).
fn has_no_content(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}

impl Members {
    /// Adds a regular file. A later blob replaces an earlier one of the same name, as when the archive is unpacked. Its
    /// digest is verified when it is read.
    fn add(&mut self, path: &[u8], span: Span) -> Result<(), TarError> {
        let Ok(mut path) = std::str::from_utf8(path) else {
            return Ok(());
        };
        while let Some(rest) = path.strip_prefix("./") {
            path = rest;
        }
        match path {
            "oci-layout" => self.oci_layout = Some(span),
            "index.json" if self.index_json.is_some() => return Err(TarError::TwoIndexes),
            "index.json" => self.index_json = Some(span),
            "manifest.json" => self.has_docker_manifest = true,
            _ => {
                if let Some(digest) = blob_of(path) {
                    self.blobs.insert(digest, span);
                }
            }
        }
        Ok(())
    }
}

fn blob_of(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

impl Extension {
    fn read_pax(&mut self, records: &[u8], position: u64) -> Result<(), TarError> {
        for record in PaxExtensions::new(records) {
            let record = record?;
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|value| value.parse().ok());
                    self.size = Some(size.ok_or(TarError::Size(position))?);
                }
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A reader with its position.
struct Walk<R> {
    reader: BufReader<R>,
    position: u64,
    length: u64,
    saw_end: bool,
}

impl<R: Read + Seek> Walk<R> {
    /// Returns the next header; `None` at the end, with or without blocks of zeros.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        if self.position >= self.length {
            return Ok(None);
        }
        let at = self.position;
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&self.block()?);
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            self.saw_end = true;
            return Ok(None);
        }
        match header.cksum() {
            Ok(sum) if sum == checksum(&header) => Ok(Some(header)),
            _ => Err(TarError::Checksum(at)),
        }
    }

    fn block(&mut self) -> Result<[u8; 512], TarError> {
        let mut block = [0; 512];
        if self.length - self.position < BLOCK {
            return Err(TarError::Truncated);
        }
        self.reader.read_exact(&mut block)?;
        self.position += BLOCK;
        Ok(block)
    }

    /// Skips the content that starts here and returns its position.
    fn content(&mut self, length: u64) -> Result<Span, TarError> {
        let start = self.position;
        let end = start.checked_add(length).ok_or(TarError::Truncated)?;
        if end > self.length {
            return Err(TarError::Truncated);
        }
        self.skip_to(end)?;
        Ok(Span { start, length })
    }

    /// Moves to the block boundary at or after `end`. The last padding may be missing.
    fn skip_to(&mut self, end: u64) -> Result<(), TarError> {
        let next = end.next_multiple_of(BLOCK).min(self.length);
        let distance = i64::try_from(next - self.position).map_err(|_| TarError::Truncated)?;
        self.reader.seek_relative(distance)?;
        self.position = next;
        Ok(())
    }

    /// Returns the content of an extension header.
    fn extension(&mut self, length: u64) -> Result<Vec<u8>, TarError> {
        if length > MAX_TAR_EXTENSION {
            return Err(TarError::ExtensionTooLarge(length));
        }
        if length > self.length - self.position {
            return Err(TarError::Truncated);
        }
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut bytes)?;
        self.position += read as u64;
        self.skip_to(self.position)?;
        Ok(bytes)
    }

    /// Skips the additional blocks of the map of a sparse file, before its content.
    fn skip_sparse_map(&mut self, header: &Header) -> Result<(), TarError> {
        let mut continues = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while continues {
            continues = self.block()?[504] != 0;
        }
        Ok(())
    }
}

/// Returns the sum of all bytes, with the checksum itself counted as spaces.
fn checksum(header: &Header) -> u32 {
    let bytes = header.as_bytes().iter().enumerate();
    bytes
        .map(|(at, byte)| {
            u32::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum()
}

#[cfg(test)]
mod tests;
