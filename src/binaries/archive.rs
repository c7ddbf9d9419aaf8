//! Reads the tar archive of a layer: the headers, and the first bytes of each file. Nothing is written to disk, so the
//! names of members can do no harm.

use std::io::{BufRead, ErrorKind, Read};
use std::ops::ControlFlow;

use tar::{EntryType, Header, PaxExtensions};

use super::error::{LayerError, Limit};
use super::executable::HEAD;
use crate::spec::limits::MAX_TAR_EXTENSION;

const BLOCK: usize = 512;

/// One member of a layer.
#[derive(Debug)]
pub(super) enum Member<'a> {
    Directory,
    File {
        /// The first bytes.
        head: &'a [u8],
        /// Whether any execute permission is set.
        is_executable: bool,
    },
    Symlink(&'a [u8]),
    HardLink(&'a [u8]),
    /// A device or a pipe.
    Special,
}

/// The values of extension headers for the next member.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Calls `visit` with the path and the content of each member, until it breaks or the archive ends. Returns whether it
/// broke.
pub(super) fn walk(
    mut archive: impl BufRead,
    mut visit: impl FnMut(&[u8], Member<'_>) -> Result<ControlFlow<()>, LayerError>,
) -> Result<ControlFlow<()>, LayerError> {
    let mut extension = Extension::default();
    let mut head = Vec::with_capacity(HEAD);
    while let Some(header) = next_header(&mut archive)? {
        let kind = header.entry_type();
        let own_size = || {
            header
                .entry_size()
                .map_err(|_| LayerError::Damaged("a member has an invalid size".to_owned()))
        };
        if extension.read(kind, &mut archive, own_size)? {
            continue;
        }
        let extended = std::mem::take(&mut extension);
        let size = match extended.size {
            _ if has_no_content(kind) => 0,
            Some(size) => size,
            None => own_size()?,
        };
        if kind.is_gnu_sparse() {
            skip_sparse_map(&mut archive, &header)?;
        }
        let path = extended
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extended
            .link
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        head.clear();
        let member = match kind {
            EntryType::Directory => Member::Directory,
            EntryType::Symlink => Member::Symlink(&link),
            EntryType::Link => Member::HardLink(&link),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let wanted = size.min(HEAD as u64);
                (&mut archive).take(wanted).read_to_end(&mut head)?;
                if (head.len() as u64) < wanted {
                    return Err(LayerError::Truncated);
                }
                Member::File {
                    head: &head,
                    is_executable: header.mode().is_ok_and(|mode| mode & 0o111 != 0),
                }
            }
            // Unknown types are regular files to POSIX; container engines refuse them.
            _ => Member::Special,
        };
        if visit(&path, member)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let padded = size.checked_next_multiple_of(BLOCK as u64);
        let padded =
            padded.ok_or_else(|| LayerError::Damaged("a member is too large".to_owned()))?;
        skip(&mut archive, padded - head.len() as u64)?;
    }
    Ok(ControlFlow::Continue(()))
}

/// Returns whether no bytes follow a header, whatever its size (POSIX `ustar`).
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

/// Reads the next header; `None` at the end of the archive. Some writers omit the blocks of zeros at the end.
fn next_header(archive: &mut impl BufRead) -> Result<Option<Header>, LayerError> {
    let mut header = Header::new_old();
    let bytes = header.as_mut_bytes();
    let mut filled = 0;
    while filled < BLOCK {
        match archive.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(LayerError::Truncated),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let sum: u32 = bytes
        .iter()
        .enumerate()
        // The field of the checksum counts as spaces.
        .map(|(at, byte)| {
            u32::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum();
    match header.cksum() {
        Ok(expected) if expected == sum => Ok(Some(header)),
        _ => Err(LayerError::NotTar),
    }
}

impl Extension {
    /// Reads an extension header. Returns `false` if the header belongs to a member.
    fn read(
        &mut self,
        kind: EntryType,
        archive: &mut impl BufRead,
        size: impl Fn() -> Result<u64, LayerError>,
    ) -> Result<bool, LayerError> {
        match kind {
            EntryType::XHeader => self.add_pax(&content(archive, size()?)?)?,
            EntryType::GNULongName => self.path = Some(until_zero(content(archive, size()?)?)),
            EntryType::GNULongLink => self.link = Some(until_zero(content(archive, size()?)?)),
            // None of its values is needed.
            EntryType::XGlobalHeader => {
                content(archive, size()?)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn add_pax(&mut self, records: &[u8]) -> Result<(), LayerError> {
        for record in PaxExtensions::new(records) {
            let record = record?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|value| value.parse().ok());
                    let invalid = || LayerError::Damaged("a member has an invalid size".to_owned());
                    self.size = Some(size.ok_or_else(invalid)?);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads the content of an extension header.
fn content(archive: &mut impl BufRead, size: u64) -> Result<Vec<u8>, LayerError> {
    if size > MAX_TAR_EXTENSION {
        return Err(Limit::Extension.into());
    }
    let mut bytes = Vec::new();
    archive.take(size).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < size {
        return Err(LayerError::Truncated);
    }
    skip(archive, size.next_multiple_of(BLOCK as u64) - size)?;
    Ok(bytes)
}

fn until_zero(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.iter().position(|byte| *byte == 0);
    name.truncate(end.unwrap_or(name.len()));
    name
}

/// Skips the further blocks of the map of a sparse file, which follow its header.
fn skip_sparse_map(archive: &mut impl BufRead, header: &Header) -> Result<(), LayerError> {
    /// The offset of the flag for another block, in a header and in a further block.
    const IN_HEADER: usize = 482;
    const IN_BLOCK: usize = 504;
    let mut continues = header.as_bytes()[IN_HEADER] == 1;
    while continues {
        let mut block = [0; BLOCK];
        archive.read_exact(&mut block)?;
        continues = block[IN_BLOCK] == 1;
    }
    Ok(())
}

fn skip(archive: &mut impl BufRead, mut count: u64) -> Result<(), LayerError> {
    while count > 0 {
        let available = match archive.fill_buf() {
            Ok([]) => return Err(LayerError::Truncated),
            Ok(bytes) => bytes.len(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let part = usize::try_from(count).map_or(available, |count| count.min(available));
        archive.consume(part);
        count -= part as u64;
    }
    Ok(())
}
