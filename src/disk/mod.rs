//! Files that are never seen half written: bounded reads, atomic writes, locks that die with their
//! holder, private directories. Knows the file system only; what is in the files is its callers' affair.

mod home;
mod lock;

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

pub use home::data_directory;
pub use lock::Lock;

/// Temporary files older than this were left behind by a process that was killed.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a file is looked at anew because it was replaced: writers take much longer than a look.
const MOST_LOOKS: usize = 100;

const TEMPORARY_PREFIX: &str = ".polyarch-";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Who may read what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The user alone: mode 0600, directories 0700.
    Private,
    /// Whoever the umask lets: mode 0644, directories 0755.
    Shared,
}

/// What went wrong with a file. Every message names its path.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file system said no: no space, no permission, not a directory.
    /// The system's words are part of the message, not a cause of their own that would be told again.
    #[error("cannot {doing} {path}: {cause}")]
    Io {
        /// A verb: `read`, `write`, `lock`.
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// More bytes than any honest file of its kind has.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read or written.
        limit: u64,
    },
    /// A directory, a pipe, a device, or a symbolic link where none is followed.
    #[error("{path} is {found}, not a regular file")]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// Another process holds the lock and does not let go.
    #[error("gave up after {} s: another process holds {path}", lock::PATIENCE.as_secs())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
}

impl DiskError {
    /// Whether the file is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }
}

/// Turns an [`io::Error`] into an error that names the file: `.map_err(at("read", path))`.
pub fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |cause| DiskError::Io {
        doing,
        path: path.to_owned(),
        cause,
    }
}

/// Opens a regular file for reading, following symbolic links. Looks before it opens: opening a
/// pipe would wait for a writer that may never come.
pub fn open(path: &Path) -> Result<(File, Metadata), DiskError> {
    let seen = fs::metadata(path).map_err(at("read", path))?;
    open_regular(path, &seen)
}

/// As [`open`], for files that nobody but us writes: a symbolic link is not followed. A file that another
/// process replaces between the look and the opening is looked at again.
pub fn open_own(path: &Path) -> Result<(File, Metadata), DiskError> {
    for _ in 0..MOST_LOOKS {
        let seen = fs::symlink_metadata(path).map_err(at("read", path))?;
        let (file, metadata) = open_regular(path, &seen)?;
        if same_file(&seen, &metadata) {
            return Ok((file, metadata));
        }
    }
    let replaced = io::Error::other("it is replaced again and again");
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

/// Reads `length` bytes from byte `start` on; `limit` bounds what is held in memory.
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

/// A whole file of at most `limit` bytes, following symbolic links.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, DiskError> {
    let (mut file, metadata) = open(path)?;
    read_region(path, &mut file, 0, metadata.len(), limit)
}

/// As [`read`], for files that nobody but us writes; `None` if there is none.
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

/// Writes a file so that every reader, at any time, sees all of the old content or all of the new:
/// a temporary file beside it, synced, renamed over it, the directory synced. A symbolic link at
/// `path` is replaced, not followed.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), DiskError> {
    let mut file = NewFile::beside(path, access)?;
    file.write(bytes)?;
    file.publish(path, Durability::Synced)
}

/// Removes a file or symbolic link; `false` if there was none.
pub fn remove(path: &Path) -> Result<bool, DiskError> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(directory_of(path)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at("remove", path)(error)),
    }
}

/// What a file must survive once it has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: it is on the disk before it gets its name.
    Synced,
    /// Nothing: only this process needs it.
    Volatile,
}

/// A file under way, under a temporary name. Dropped before [`NewFile::publish`], it is gone.
pub struct NewFile {
    file: NamedTempFile,
}

impl NewFile {
    /// Starts an empty file in `directory`, with the mode that the finished file shall have.
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

    /// Starts a file in the directory in which `path` is.
    pub fn beside(path: &Path, access: Access) -> Result<Self, DiskError> {
        Self::inside(directory_of(path), access)
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let result = self.file.as_file_mut().write_all(bytes);
        result.map_err(at("write", self.file.path()))
    }

    /// The file itself, for what writes to a file.
    pub fn as_file_mut(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the file its name, replacing what had it.
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

/// A directory beside `path`, on the same file system, that is gone when it is dropped.
pub fn temporary_directory_beside(path: &Path) -> Result<TempDir, DiskError> {
    let directory = directory_of(path);
    temporary_name()
        .tempdir_in(directory)
        .map_err(|error| at("write in", directory)(strip_path(&error)))
}

/// How temporary files and directories are named, so that [`clean_leftovers`] knows them.
fn temporary_name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX).suffix(TEMPORARY_SUFFIX);
    builder
}

/// `tempfile` adds the path in a form of its own; our errors name the directory already.
fn strip_path(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    }
}

/// Whether a file name is one of our temporary ones.
pub fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX))
}

/// Removes temporary files and directories that a killed process left in `directory` more than a
/// day ago. As good as it can: what cannot be removed harms nobody.
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

/// Elsewhere an open file cannot be removed, and links need privileges.
#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// The directory that a path is in; `.` for a bare name.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a rename survive a power cut. File systems that cannot sync a directory say so with
/// `EINVAL`; there is nothing more to do then.
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
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_write_replaces_a_link_and_leaves_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(
            read_own(&link, 10),
            Err(DiskError::NotRegular { .. })
        ));
        write(&link, b"new", Access::Private).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(read_own(&link, 10).unwrap().unwrap(), b"new");
    }

    #[test]
    fn modes_are_as_asked() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        create_directory(&inner, Access::Private).unwrap();
        write(&inner.join("f"), b"", Access::Private).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("a")), 0o700);
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&inner.join("f")), 0o600);
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        for path in ["/dev/zero", "/"] {
            let error = read(Path::new(path), 10).unwrap_err();
            assert!(matches!(error, DiskError::NotRegular { .. }), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "12345").unwrap();
        assert!(matches!(
            read(&dir.path().join("f"), 4),
            Err(DiskError::TooLarge { limit: 4, .. })
        ));
        assert!(
            read(&dir.path().join("none"), 4)
                .unwrap_err()
                .is_not_found()
        );
    }

    #[test]
    fn only_old_leftovers_of_ours_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - LEFTOVER_AGE - Duration::from_secs(60);
        for (name, modified) in [
            (".polyarch-old.tmp", long_ago),
            (".polyarch-new.tmp", SystemTime::now()),
            ("mine.tmp", long_ago),
        ] {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
        clean_leftovers(dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, [".polyarch-new.tmp", "mine.tmp"]);
    }

    #[test]
    fn an_unpublished_file_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = NewFile::inside(dir.path(), Access::Shared).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
