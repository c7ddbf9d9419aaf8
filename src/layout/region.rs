//! Some bytes of some file: a blob in a directory or in the middle of an archive, read whole and
//! verified, or piece by piece.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;

use super::failure::Failure;
use crate::disk;
use crate::spec::{Digest, Hasher};
use crate::store::FailureKind;

/// How much of a blob is held in memory at a time.
pub(super) const CHUNK: usize = 256 * 1024;

/// Some bytes of some file.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) path: PathBuf,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Region {
    pub(super) fn expect_size(&self, size: u64) -> Result<(), Failure> {
        if self.length == size {
            Ok(())
        } else {
            Err(Failure::wrong_size(self.length, size))
        }
    }

    pub(super) fn read(&self, limit: u64) -> Result<Vec<u8>, Failure> {
        let (mut file, _) = disk::open(&self.path)?;
        Ok(disk::read_region(
            &self.path,
            &mut file,
            self.start,
            self.length,
            limit,
        )?)
    }

    pub(super) fn read_verified(&self, digest: &Digest, limit: u64) -> Result<Bytes, Failure> {
        let bytes = self.read(limit)?;
        let found = digest.algorithm().digest(&bytes);
        if found == *digest {
            Ok(bytes.into())
        } else {
            Err(Failure::wrong_digest(&found, digest))
        }
    }

    /// The digest of the content, by the algorithm of `like`.
    pub(super) fn digest(&self, like: &Digest) -> Result<Digest, Failure> {
        let mut hasher = Hasher::new(like.algorithm());
        let mut content = self.content(0)?;
        while let Some(chunk) = content.next_chunk()? {
            hasher.update(&chunk);
        }
        Ok(hasher.finish())
    }

    /// The content from byte `offset` on, in pieces.
    pub(super) fn content(&self, offset: u64) -> Result<Content, Failure> {
        let Some(remaining) = self.length.checked_sub(offset) else {
            return Err(Failure::refused(format!(
                "there is no byte {offset} in {} bytes",
                self.length
            )));
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
    /// The next piece of at most [`CHUNK`] bytes; `None` at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let wanted = self.remaining.min(CHUNK as u64);
        let mut chunk = Vec::new();
        let read: io::Result<usize> = (&mut self.file).take(wanted).read_to_end(&mut chunk);
        let read = read.map_err(|error| disk::at("read", &self.path)(error))? as u64;
        if read < wanted {
            return Err(Failure::new(
                FailureKind::Refused,
                format!(
                    "{} ended {} bytes too early",
                    self.path.display(),
                    self.remaining - read
                ),
            ));
        }
        self.remaining -= read;
        Ok(Some(chunk.into()))
    }
}
