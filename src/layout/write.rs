//! Writing to a layout in a directory: blobs that are hashed on their way to the disk, `index.json`
//! under a lock, and packing a finished layout into a tar archive. Everything here blocks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

use super::catalog;
use super::failure::Failure;
use super::format::version_file;
use super::place::{Directory, Place};
use crate::disk::{self, Access, Durability, Lock, NewFile};
use crate::spec::limits::MAX_MANIFEST;
use crate::spec::{self, Descriptor, Digest, Hasher, Index, JsonStyle, Manifest, MediaType, Tag};

const LOCK: &str = ".polyarch.lock";
const BLOCK: u64 = 512;

/// A piece of a blob on its way to the disk.
pub(super) enum Part {
    /// The next bytes.
    Bytes(Bytes),
    /// There are no more. Without this a closed channel means that the copy was given up.
    End,
}

impl Directory {
    /// Makes a layout of an empty or missing directory; one that is a layout already is kept.
    pub(super) fn create(root: &Path, durability: Durability) -> Result<Self, Failure> {
        let directory = Self {
            root: root.to_owned(),
            durability,
        };
        disk::create_directory(root, Access::Shared)?;
        if !directory.version_path().exists() {
            refuse_other_files(root)?;
            disk::write(&directory.version_path(), &version_file(), Access::Shared)?;
        }
        directory.check()?;
        disk::create_directory(&root.join("blobs").join("sha256"), Access::Shared)?;
        disk::clean_leftovers(root);
        for algorithm in ["sha256", "sha512"] {
            disk::clean_leftovers(&root.join("blobs").join(algorithm));
        }
        directory.update(|_| {})?;
        Ok(directory)
    }

    /// Receives a blob, and gives it its name once size and digest are what `blob` says.
    pub(super) fn receive(
        &self,
        blob: &Descriptor,
        parts: &mut Receiver<Part>,
    ) -> Result<(), Failure> {
        let path = self.prepare(&blob.digest)?;
        let mut file = NewFile::beside(&path, Access::Shared)?;
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let mut length = 0;
        loop {
            match parts.blocking_recv() {
                Some(Part::Bytes(bytes)) => {
                    length += bytes.len() as u64;
                    if length > blob.size {
                        return Err(Failure::refused(format!(
                            "there are more bytes than the {} that the descriptor says",
                            blob.size
                        )));
                    }
                    hasher.update(&bytes);
                    file.write(&bytes)?;
                }
                Some(Part::End) => break,
                None => return Err(Failure::refused("the copy was given up")),
            }
        }
        if length != blob.size {
            return Err(Failure::wrong_size(length, blob.size));
        }
        let found = hasher.finish();
        if found != blob.digest {
            return Err(Failure::wrong_digest(&found, &blob.digest));
        }
        Ok(file.publish(&path, self.durability)?)
    }

    /// Stores a manifest among the blobs. One that refers to another is listed too, so that it
    /// can be found from there.
    pub(super) fn put_manifest(&self, manifest: &Manifest) -> Result<(), Failure> {
        self.store_manifest(manifest)?;
        if manifest.subject().is_some() {
            self.update(|index| catalog::insert_unnamed(index, manifest))?;
        }
        Ok(())
    }

    /// Stores a manifest and lists it under each tag, or without a name if there is none.
    pub(super) fn put_entries(&self, manifest: &Manifest, tags: &[Tag]) -> Result<(), Failure> {
        self.store_manifest(manifest)?;
        self.update(|index| {
            for tag in tags {
                catalog::insert_named(index, manifest, tag);
            }
            if tags.is_empty() {
                catalog::insert_unnamed(index, manifest);
            }
        })
    }

    fn store_manifest(&self, manifest: &Manifest) -> Result<(), Failure> {
        let found = manifest.digest.algorithm().digest(&manifest.bytes);
        if found != manifest.digest {
            return Err(Failure::wrong_digest(&found, &manifest.digest));
        }
        let size = manifest.bytes.len() as u64;
        if size > MAX_MANIFEST {
            return Err(Failure::refused(format!(
                "a manifest of {size} bytes; readers accept at most {MAX_MANIFEST}"
            )));
        }
        if Place::Directory(self.clone()).has_blob(&manifest.descriptor())? {
            return Ok(());
        }
        let path = self.prepare(&manifest.digest)?;
        let mut file = NewFile::beside(&path, Access::Shared)?;
        file.write(&manifest.bytes)?;
        Ok(file.publish(&path, self.durability)?)
    }

    /// The path of a blob, in a directory that exists.
    fn prepare(&self, digest: &Digest) -> Result<PathBuf, Failure> {
        let path = self.blob_path(digest);
        disk::create_directory(disk::directory_of(&path), Access::Shared)?;
        Ok(path)
    }

    /// Rewrites `index.json` while no other process does. All its other entries and fields stay.
    fn update(&self, change: impl FnOnce(&mut Index)) -> Result<(), Failure> {
        let _lock = Lock::acquire(&self.root.join(LOCK), Access::Shared)?;
        let path = self.index_path();
        let old = match disk::read(&path, MAX_MANIFEST) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let mut index = match &old {
            // Through the same checks as every reader's.
            Some(_) => parsed(&Place::Directory(self.clone()).index()?),
            None => Index::new(MediaType::OCI_INDEX, Vec::new()),
        };
        change(&mut index);
        let new = spec::write(&index, JsonStyle::Oci);
        if new.len() as u64 > MAX_MANIFEST {
            return Err(Failure::refused(format!(
                "index.json would have more than {MAX_MANIFEST} bytes"
            )));
        }
        if old.as_deref() == Some(&new) {
            return Ok(());
        }
        let mut file = NewFile::beside(&path, Access::Shared)?;
        file.write(&new)?;
        Ok(file.publish(&path, self.durability)?)
    }

    /// Packs the layout into a tar archive that appears under its name when it is whole. The same
    /// content gives the same bytes: members in a fixed order, no times, no owners.
    pub(super) fn pack(&self, archive: &Path) -> Result<(), Failure> {
        let mut file = NewFile::beside(archive, Access::Shared)?;
        let packed = self.write_tar(file.as_file_mut());
        packed.map_err(|error| disk::at("write", archive)(error))?;
        Ok(file.publish(archive, Durability::Synced)?)
    }

    fn write_tar(&self, file: &mut File) -> io::Result<()> {
        let mut tar = tar::Builder::new(file);
        for name in ["oci-layout", "index.json"] {
            append_file(&mut tar, name, &self.root.join(name))?;
        }
        append_directory(&mut tar, "blobs/")?;
        for algorithm in ["sha256", "sha512"] {
            let names = sorted_names(&self.root.join("blobs").join(algorithm))?;
            if !names.is_empty() {
                append_directory(&mut tar, &format!("blobs/{algorithm}/"))?;
            }
            for name in names {
                let name = format!("blobs/{algorithm}/{name}");
                append_file(&mut tar, &name, &self.root.join(&name))?;
            }
        }
        tar.into_inner().map(|_| ())
    }
}

fn parsed(manifest: &Manifest) -> Index {
    let index = manifest.index();
    index
        .cloned()
        .expect("Place::index lets nothing else through")
}

/// A layout is not mixed into somebody's files: `oci:.` in a source tree is a mistake.
fn refuse_other_files(root: &Path) -> Result<(), Failure> {
    let entries = fs::read_dir(root).map_err(|error| disk::at("read", root)(error))?;
    let is_ours = |name: &std::ffi::OsStr| name == LOCK || disk::is_temporary(name);
    // Another process may have made a layout of it since we looked.
    let other = entries.flatten().find(|entry| !is_ours(&entry.file_name()));
    match other {
        Some(other) if !root.join("oci-layout").exists() => Err(Failure::refused(format!(
            "the directory is neither empty nor an OCI image layout: it holds {}",
            other.file_name().display()
        ))
        .hint("name a directory of its own; it is created if it does not exist")),
        _ => Ok(()),
    }
}

fn sorted_names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if !disk::is_temporary(&name) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn append_directory(tar: &mut tar::Builder<&mut File>, name: &str) -> io::Result<()> {
    let mut header = header(tar::EntryType::Directory, 0o755, 0);
    tar.append_data(&mut header, name, io::empty())
}

/// Appends a file of a known size. Only the header goes through the builder: between two files
/// the kernel moves the bytes itself.
fn append_file(tar: &mut tar::Builder<&mut File>, name: &str, path: &Path) -> io::Result<()> {
    let mut content = File::open(path)?;
    let size = content.metadata()?.len();
    let mut header = header(tar::EntryType::Regular, 0o644, size);
    tar.append_data(&mut header, name, io::empty())?;
    let archive: &mut File = tar.get_mut();
    let copied = io::copy(&mut content, archive)?;
    if copied != size {
        return Err(io::Error::other(format!(
            "{name} changed while it was packed"
        )));
    }
    let padding = size.next_multiple_of(BLOCK) - size;
    io::copy(&mut io::Read::take(io::repeat(0), padding), archive)?;
    archive.flush()
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}
