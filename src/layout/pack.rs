//! Packs a layout in a directory into a tar archive.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::error::LayoutError;
use crate::disk::{self, Access, Durability, NewFile};

const BLOCK: u64 = 512;

/// Packs a layout in a directory into a tar archive, which appears under its name when it is complete. The same content
/// gives the same bytes: members in a fixed order, no times, no owners.
pub(super) fn pack(root: &Path, archive: &Path) -> Result<(), LayoutError> {
    let mut file = NewFile::beside(archive, Access::Shared)?;
    let packed = write_tar(root, file.as_file_mut());
    packed.map_err(|error| disk::at("write", archive)(error))?;
    Ok(file.publish(archive, Durability::Synced)?)
}

fn write_tar(root: &Path, file: &mut File) -> io::Result<()> {
    let mut tar = tar::Builder::new(file);
    for name in ["oci-layout", "index.json"] {
        append_file(&mut tar, name, &root.join(name))?;
    }
    append_directory(&mut tar, "blobs/")?;
    for algorithm in ["sha256", "sha512"] {
        let names = sorted_names(&root.join("blobs").join(algorithm))?;
        if !names.is_empty() {
            append_directory(&mut tar, &format!("blobs/{algorithm}/"))?;
        }
        for name in names {
            let name = format!("blobs/{algorithm}/{name}");
            append_file(&mut tar, &name, &root.join(&name))?;
        }
    }
    tar.into_inner().map(|_| ())
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

/// Appends a file of a known size. Only the header is written by the builder, so that the kernel can copy the content
/// from file to file.
fn append_file(tar: &mut tar::Builder<&mut File>, name: &str, path: &Path) -> io::Result<()> {
    let mut content = File::open(path)?;
    let size = content.metadata()?.len();
    let mut header = header(tar::EntryType::Regular, 0o644, size);
    tar.append_data(&mut header, name, io::empty())?;
    let archive: &mut File = tar.get_mut();
    let copied = io::copy(&mut content, archive)?;
    if copied != size {
        return Err(io::Error::other(format!(
            "{name} changed while it was being packed"
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
