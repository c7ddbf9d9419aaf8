//! Image configs that were read before, each in a file named by its digest, so that a second run over the same
//! images need not read them for their platforms. What comes from there is hashed like what comes from a
//! registry: a file that is wrong is as good as none.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use crate::disk::{self, Access, Durability, NewFile};
use crate::environment::Environment;
use crate::spec::Descriptor;
use crate::sync::Mutex;

/// The most bytes of a config that is kept; most have a few thousand.
const MAX_BYTES: u64 = 64 << 10;
/// The most configs that are kept: those that were read last.
const MAX_FILES: usize = 512;

/// The image configs of earlier runs, and where those of this one go.
#[derive(Debug, Default)]
pub struct Configs {
    directory: Option<PathBuf>,
    is_read_only: bool,
    /// How many there are; counted when the first one is kept.
    count: Mutex<Option<usize>>,
}

impl Configs {
    /// Knows nothing and keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those in the cache directory, if the environment names one.
    pub fn open(environment: &Environment) -> Self {
        Self {
            directory: disk::cache_directory(environment).map(|cache| cache.join("configs")),
            ..Self::default()
        }
    }

    /// The same, and nothing is added.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self {
            is_read_only: true,
            ..self
        }
    }

    /// The whole config, if it was kept and is what the descriptor says.
    pub fn get(&self, config: &Descriptor) -> Option<Bytes> {
        let path = self.path(config)?;
        let bytes = disk::read_own(&path, config.size).ok()??;
        let is_right = bytes.len() as u64 == config.size && config.digest.matches(&bytes);
        is_right.then(|| bytes.into())
    }

    /// Keeps a config. A place that cannot be written to costs nothing but the next run's round trip.
    pub fn keep(&self, config: &Descriptor, bytes: &[u8]) {
        let Some(path) = self.path(config).filter(|_| !self.is_read_only) else {
            return;
        };
        let directory = disk::directory_of(&path);
        if disk::create_directory(directory, Access::Private).is_err() {
            return;
        }
        let written = NewFile::inside(directory, Access::Private).and_then(|mut file| {
            file.write(bytes)?;
            file.publish(&path, Durability::Volatile)
        });
        if written.is_ok() {
            self.make_room(directory);
        }
    }

    fn path(&self, config: &Descriptor) -> Option<PathBuf> {
        let digest = &config.digest;
        let name = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        let directory = self.directory.as_ref()?;
        (config.size <= MAX_BYTES).then(|| directory.join(name))
    }

    /// Removes the oldest where there are too many, a quarter at once so that it is seldom done.
    fn make_room(&self, directory: &Path) {
        let mut count = self.count.lock();
        let now = count.map_or_else(|| aged(directory).len(), |count| count + 1);
        *count = Some(now);
        if now <= MAX_FILES {
            return;
        }
        disk::clean_leftovers(directory);
        let mut files = aged(directory);
        files.sort();
        let surplus = files.len().saturating_sub(MAX_FILES / 4 * 3);
        for (_, path) in &files[..surplus] {
            let _ = fs::remove_file(path);
        }
        *count = Some(files.len() - surplus);
    }
}

/// The files of a directory with the time at which each was written.
fn aged(directory: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter(|entry| !disk::is_temporary(&entry.file_name()));
    files
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Digest, MediaType};

    fn open(home: &Path) -> Configs {
        let home = home.to_str().unwrap();
        Configs::open(&[("POLYARCH_HOME", home)].into_iter().collect())
    }

    fn config(text: &str) -> Descriptor {
        let digest = Digest::sha256(text.as_bytes());
        let media_type = MediaType::new("application/vnd.oci.image.config.v1+json");
        Descriptor::new(media_type, digest, text.len() as u64)
    }

    fn files(home: &Path) -> Vec<PathBuf> {
        let files = aged(&home.join("cache/configs")).into_iter();
        files.map(|(_, path)| path).collect()
    }

    #[test]
    fn what_was_kept_is_there_for_the_next_run() {
        let home = tempfile::tempdir().unwrap();
        open(home.path()).keep(&config("{}"), b"{}");
        assert_eq!(open(home.path()).get(&config("{}")).unwrap(), "{}");
        assert_eq!(open(home.path()).get(&config("{ }")), None);
        assert_eq!(Configs::none().get(&config("{}")), None);
    }

    #[test]
    fn a_file_that_is_wrong_is_as_good_as_none() {
        let home = tempfile::tempdir().unwrap();
        open(home.path()).keep(&config("{}"), b"{}");
        let path = files(home.path()).remove(0);
        for wrong in ["", "[]", "{} "] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(open(home.path()).get(&config("{}")), None, "{wrong:?}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(open(home.path()).get(&config("{}")), None);
        open(home.path()).keep(&config("{}"), b"{}");
    }

    #[test]
    fn neither_their_size_nor_their_number_grows_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let large = "x".repeat(usize::try_from(MAX_BYTES).unwrap() + 1);
        open(home.path()).keep(&config(&large), large.as_bytes());
        assert_eq!(files(home.path()).len(), 0);
        let configs = open(home.path());
        for number in 0..MAX_FILES + 10 {
            let text = number.to_string();
            configs.keep(&config(&text), text.as_bytes());
            assert!(configs.get(&config(&text)).is_some(), "{number}");
        }
        let left = files(home.path()).len();
        assert!((MAX_FILES / 4 * 3..=MAX_FILES).contains(&left), "{left}");
    }
}
