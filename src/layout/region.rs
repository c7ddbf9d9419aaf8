//! A range of bytes in a file: a blob in a directory or in an archive.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;

use super::error::LayoutError;
use crate::disk;
use crate::spec::{Descriptor, Digest, Hasher};

/// The size of the pieces in which a blob is read.
pub(super) const CHUNK: usize = 256 * 1024;

/// A range of bytes in a file.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) path: PathBuf,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Region {
    pub(super) fn expect_size(&self, size: u64) -> Result<(), LayoutError> {
        if self.length == size {
            Ok(())
        } else {
            Err(LayoutError::WrongSize {
                found: self.length,
                expected: size,
            })
        }
    }

    pub(super) fn read(&self, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let (mut file, _) = disk::open(&self.path)?;
        Ok(disk::read_region(
            &self.path,
            &mut file,
            self.start,
            self.length,
            limit,
        )?)
    }

    pub(super) fn read_verified(&self, digest: &Digest, limit: u64) -> Result<Bytes, LayoutError> {
        let bytes = self.read(limit)?;
        let found = digest.algorithm().digest(&bytes);
        if found == *digest {
            Ok(bytes.into())
        } else {
            Err(LayoutError::WrongDigest {
                found,
                expected: digest.clone(),
            })
        }
    }

    /// Returns whether the content has the size and digest of `blob`.
    pub(super) fn is_intact(&self, blob: &Descriptor) -> Result<bool, LayoutError> {
        Ok(self.length == blob.size && self.digest(&blob.digest)? == blob.digest)
    }

    /// Returns the digest of the content, by the algorithm of `like`.
    fn digest(&self, like: &Digest) -> Result<Digest, LayoutError> {
        let mut hasher = Hasher::new(like.algorithm());
        let mut content = self.content(0)?;
        while let Some(chunk) = content.next_chunk()? {
            hasher.update(&chunk);
        }
        Ok(hasher.finish())
    }

    /// Opens the content from byte `offset` on.
    pub(super) fn content(&self, offset: u64) -> Result<Content, LayoutError> {
        let Some(remaining) = self.length.checked_sub(offset) else {
            return Err(LayoutError::OutOfRange {
                offset,
                length: self.length,
            });
        };
        let (mut file, _) = disk::open(&self.path)?;
        file.seek(SeekFrom::Start(self.start + offset))
            .map_err(|error| disk::at("read", &self.path)(error))?;
        Ok(Content {
            path: self.path.clone(),
            file,
            remaining,
        })
    }
}

/// Content that is being read.
pub(super) struct Content {
    path: PathBuf,
    file: File,
    remaining: u64,
}

impl Content {
    /// Returns the next piece of at most [`CHUNK`] bytes; `None` at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Bytes>, LayoutError> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let wanted = self.remaining.min(CHUNK as u64);
        let mut chunk = Vec::new();
        let read: io::Result<usize> = (&mut self.file).take(wanted).read_to_end(&mut chunk);
        let read = read.map_err(|error| disk::at("read", &self.path)(error))? as u64;
        if read < wanted {
            return Err(LayoutError::EndedEarly {
                path: self.path.clone(),
                missing: self.remaining - read,
            });
        }
        self.remaining -= read;
        Ok(Some(chunk.into()))
    }
}
