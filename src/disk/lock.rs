//! Locks between processes, which the system releases when their holder ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Access, DiskError, at, kind_of, same_file};

/// How long to wait for a lock that another process holds.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// An exclusive lock between processes. If its holder is killed, an empty file remains, which the next holder removes.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock of the file at `path`, which is created if needed and stays empty.
    pub fn acquire(path: &Path, access: Access) -> Result<Self, DiskError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let mut pause = Duration::from_millis(1);
        loop {
            let file = open_lock(path, access)?;
            match file.try_lock() {
                // The previous holder may have removed the file. Other processes then lock a new file.
                Ok(()) if is_still_at(&file, path) => {
                    return Ok(Self {
                        _file: file,
                        path: path.to_owned(),
                    });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(DiskError::Busy {
                        path: path.to_owned(),
                    });
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Err(TryLockError::Error(error)) => return Err(at("lock", path)(error)),
            }
        }
    }
}

/// Removes the lock file while it is still locked. Waiting processes notice that it is gone and create a new one.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn open_lock(path: &Path, access: Access) -> Result<File, DiskError> {
    if let Ok(seen) = fs::symlink_metadata(path)
        && !seen.is_file()
    {
        return Err(DiskError::NotRegular {
            path: path.to_owned(),
            found: kind_of(&seen),
        });
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, access.file_mode());
    #[cfg(not(unix))]
    let _ = access;
    options.open(path).map_err(at("lock", path))
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => same_file(&ours, &there),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_lock_file_never_has_two_holders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lock = Lock::acquire(&path, Access::Private).unwrap();
                        let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(before, 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
