//! Access to files: bounded reads, atomic writes, locks between processes, private directories.

mod home;
mod lock;

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

pub use home::data_directory;
pub use lock::Lock;

/// The age after which a temporary file is removed. Such a file was left by a process that was killed.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum number of attempts to open a file that is replaced while it is being opened.
const MAX_REOPENS: usize = 100;

const TEMPORARY_PREFIX: &str = ".polyarch-";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// The permissions of new files and directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Access for the user only: mode 0600, directories 0700.
    Private,
    /// Access for all users, limited by the umask: mode 0644, directories 0755.
    Shared,
}

/// Why an operation on a file failed. Every message names the path.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("cannot {operation} {path}: {cause}")]
    Io {
        /// The operation as a verb: `read`, `write`, `lock`.
        operation: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
    /// The path is a directory, a pipe, a device, or a symbolic link that is not followed.
    #[error("{path} is {found}, not a regular file")]
    NotRegular { path: PathBuf, found: &'static str },
    #[error("cannot lock {path}: another process has held the lock for {} s", lock::LOCK_TIMEOUT.as_secs())]
    Busy { path: PathBuf },
}

impl DiskError {
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }
}

/// Adds operation and path to an [`io::Error`]: `.map_err(at("read", path))`.
pub fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |cause| DiskError::Io {
        operation,
        path: path.to_owned(),
        cause,
    }
}

/// Opens a regular file for reading, following symbolic links. The type is checked before opening, because opening a
/// pipe blocks until it has a writer.
pub fn open(path: &Path) -> Result<(File, Metadata), DiskError> {
    let seen = fs::metadata(path).map_err(at("read", path))?;
    open_regular(path, &seen)
}

/// Opens a regular file that polyarch wrote. A symbolic link is refused. If another process replaces the file in the
/// meantime, it is opened again.
pub fn open_own(path: &Path) -> Result<(File, Metadata), DiskError> {
    for _ in 0..MAX_REOPENS {
        let seen = fs::symlink_metadata(path).map_err(at("read", path))?;
        let (file, metadata) = open_regular(path, &seen)?;
        if same_file(&seen, &metadata) {
            return Ok((file, metadata));
        }
    }
    let replaced = io::Error::other("it is replaced repeatedly");
    Err(at("read", path)(replaced))
}

fn open_regular(path: &Path, seen: &Metadata) -> Result<(File, Metadata), DiskError> {
    if !seen.is_file() {
        return Err(DiskError::NotRegular {
            path: path.to_owned(),
            found: kind_of(seen),
        });
    }
    let file = File::open(path).map_err(at("read", path))?;
    let metadata = file.metadata().map_err(at("read", path))?;
    Ok((file, metadata))
}

fn kind_of(metadata: &Metadata) -> &'static str {
    if metadata.is_symlink() {
        "a symbolic link"
    } else if metadata.is_dir() {
        "a directory"
    } else {
        "a pipe, socket or device"
    }
}

/// Reads `length` bytes, at most `limit`, from byte `start` on.
pub fn read_region(
    path: &Path,
    file: &mut File,
    start: u64,
    length: u64,
    limit: u64,
) -> Result<Vec<u8>, DiskError> {
    if length > limit {
        return Err(DiskError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))
        .map_err(at("read", path))?;
    file.take(length)
        .read_to_end(&mut bytes)
        .map_err(at("read", path))?;
    Ok(bytes)
}

/// Reads a file of at most `limit` bytes, following symbolic links.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, DiskError> {
    let (mut file, metadata) = open(path)?;
    read_region(path, &mut file, 0, metadata.len(), limit)
}

/// Reads a file that polyarch wrote, as [`open_own`] opens it; `None` if it does not exist.
pub fn read_own(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, DiskError> {
    let (mut file, metadata) = match open_own(path) {
        Err(error) if error.is_not_found() => return Ok(None),
        opened => opened?,
    };
    read_region(path, &mut file, 0, metadata.len(), limit).map(Some)
}

/// Creates a directory and its parents. One that exists keeps its mode.
pub fn create_directory(path: &Path, access: Access) -> Result<(), DiskError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, access.directory_mode());
    #[cfg(not(unix))]
    let _ = access;
    builder.create(path).map_err(at("create", path))
}

/// Writes a file atomically and durably: readers see either the old or the new content. A symbolic link at `path` is
/// replaced, not followed.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), DiskError> {
    let mut file = NewFile::beside(path, access)?;
    file.write(bytes)?;
    file.publish(path, Durability::Synced)
}

/// Removes a file or symbolic link; `false` if it does not exist.
pub fn remove(path: &Path) -> Result<bool, DiskError> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(directory_of(path)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at("remove", path)(error)),
    }
}

/// The events that a published file survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power failure: the content is synced before the file is renamed.
    Synced,
    /// None: only this process uses the file.
    Volatile,
}

/// A new file under a temporary name, removed on drop unless published.
pub struct NewFile {
    file: NamedTempFile,
}

impl NewFile {
    /// Creates an empty file in `directory`, with the mode of the finished file.
    pub fn inside(directory: &Path, access: Access) -> Result<Self, DiskError> {
        let mut builder = temporary_name();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(
            access.file_mode(),
        ));
        #[cfg(not(unix))]
        let _ = access;
        let file = builder
            .tempfile_in(directory)
            .map_err(|error| at("write in", directory)(strip_path(&error)))?;
        Ok(Self { file })
    }

    /// Creates a file in the directory of `path`.
    pub fn beside(path: &Path, access: Access) -> Result<Self, DiskError> {
        Self::inside(directory_of(path), access)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let result = self.file.as_file_mut().write_all(bytes);
        result.map_err(at("write", self.file.path()))
    }

    pub fn as_file_mut(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Renames the file to `path`, and replaces an existing file.
    pub fn publish(self, path: &Path, durability: Durability) -> Result<(), DiskError> {
        if durability == Durability::Synced {
            self.file.as_file().sync_all().map_err(at("write", path))?;
        }
        self.file
            .persist(path)
            .map_err(|error| at("write", path)(error.error))?;
        match durability {
            Durability::Synced => sync_directory(directory_of(path)),
            Durability::Volatile => Ok(()),
        }
    }
}

/// Creates a directory beside `path`, on the same file system, that is removed on drop.
pub fn temporary_directory_beside(path: &Path) -> Result<TempDir, DiskError> {
    let directory = directory_of(path);
    temporary_name()
        .tempdir_in(directory)
        .map_err(|error| at("write in", directory)(strip_path(&error)))
}

/// Names temporary files and directories as [`is_temporary`] recognises them.
fn temporary_name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX).suffix(TEMPORARY_SUFFIX);
    builder
}

/// Removes the path that `tempfile` adds to the error, since [`DiskError`] contains it. Must be called right after the
/// failed call: `tempfile` keeps only the kind of the error, and the last error of the system has its number.
fn strip_path(error: &io::Error) -> io::Error {
    let last = io::Error::last_os_error();
    if last.kind() == error.kind() {
        last
    } else {
        io::Error::from(error.kind())
    }
}

/// Returns whether a file name belongs to a temporary file of polyarch.
pub fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX))
}

/// Removes temporary files and directories that a killed process left in `directory` more than a day ago (best effort).
pub fn clean_leftovers(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_old = || {
            let age = entry.metadata().ok()?.modified().ok()?.elapsed().ok()?;
            Some(age > LEFTOVER_AGE)
        };
        if is_temporary(&name) && is_old() == Some(true) {
            let path = entry.path();
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }
}

#[cfg(unix)]
fn same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    one.dev() == other.dev() && one.ino() == other.ino()
}

/// Returns `true`: on Windows an open file cannot be removed, and symbolic links need privileges.
#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Returns the directory of a path; `.` for a bare name.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Syncs a directory so that a rename survives a power failure. Ignores file systems that cannot sync directories
/// (`EINVAL`).
#[cfg(unix)]
fn sync_directory(directory: &Path) -> Result<(), DiskError> {
    match File::open(directory).and_then(|opened| opened.sync_all()) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Err(at("write in", directory)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> Result<(), DiskError> {
    Ok(())
}

#[cfg(unix)]
impl Access {
    fn file_mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Shared => 0o644,
        }
    }

    fn directory_mode(self) -> u32 {
        match self {
            Self::Private => 0o700,
            Self::Shared => 0o755,
        }
    }
}

#[cfg(test)]
mod tests;
