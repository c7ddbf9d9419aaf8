//! A directory of digests, as the merge job of a build matrix finds it.
//! <https://docs.docker.com/build/ci/github-actions/multi-platform/#distribute-build-across-multiple-runners>.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::text::check_count;
use super::{SourceError, SourceForm, SourceSpec};
use crate::disk::{self, at};
use crate::spec::Digest;

/// The most bytes of a file that may hold a digest.
const MAX_FILE: u64 = 1024;
/// What an OCI layout has in its directory, and no directory of digests.
const LAYOUT_NAMES: [&str; 3] = ["oci-layout", "index.json", "blobs"];

/// The digests in `directory`: files named by 64 hex digits (`touch "digests/${digest#sha256:}"`), directly
/// or in directories one level down, as download-artifact leaves them without `merge-multiple`. A file may
/// also hold one digest under any name, which many workflows write (`echo "$digest" > digests/amd64`).
///
/// Files of the directory itself come first, then those of each directory in it, all sorted by name, as a
/// shell sorts `digests/* digests/*/*`: the order does not depend on the file system. A digest that comes
/// twice is one source.
///
/// Errors: anything else in it, hidden files too; a directory without a digest file: a build of the matrix
/// that left nothing behind would go unnoticed.
pub fn read_digests(directory: &Path) -> Result<Vec<SourceSpec>, SourceError> {
    let mut reader = Reader {
        found: Vec::new(),
        seen: HashSet::new(),
    };
    let below = reader.files_of(directory)?;
    let mut count = reader.found.len();
    if count == 0 && below.is_empty() {
        return Err(SourceError::NoDigests {
            path: directory.to_owned(),
        });
    }
    for path in below {
        if let Some(deeper) = reader.files_of(&path)?.into_iter().next() {
            return Err(foreign(deeper, "it is a directory two levels down"));
        }
        if reader.found.len() == count {
            return Err(SourceError::NoDigests { path });
        }
        count = reader.found.len();
    }
    Ok(reader
        .found
        .into_iter()
        .filter(|digest| reader.seen.remove(digest))
        .map(|digest| SourceSpec::new(&digest.to_string(), SourceForm::Digest(digest)))
        .collect())
}

struct Reader {
    found: Vec<Digest>,
    seen: HashSet<Digest>,
}

impl Reader {
    /// Keeps the digests of the files in `directory`, and gives the directories in it.
    fn files_of(&mut self, directory: &Path) -> Result<Vec<PathBuf>, SourceError> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(at("read", directory))? {
            paths.push(entry.map_err(at("read", directory))?.path());
            check_count(paths.len())?;
        }
        paths.sort();
        let mut directories = Vec::new();
        for path in paths {
            let name = path.file_name().unwrap_or_default();
            if LAYOUT_NAMES.iter().any(|known| name == OsStr::new(known)) {
                return Err(foreign(path, "it belongs to an OCI layout"));
            }
            if fs::metadata(&path).map_err(at("read", &path))?.is_dir() {
                directories.push(path);
            } else {
                let digest = digest_of(path)?;
                self.seen.insert(digest.clone());
                self.found.push(digest);
                check_count(self.found.len())?;
            }
        }
        Ok(directories)
    }
}

/// What a file says by its name, by its content, or by both alike.
fn digest_of(path: PathBuf) -> Result<Digest, SourceError> {
    let (_, metadata) = disk::open(&path)?;
    if metadata.len() > MAX_FILE {
        return Err(foreign(path, "it is too large to be one"));
    }
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let named: Option<Digest> = format!("sha256:{name}").parse().ok();
    let bytes = disk::read(&path, MAX_FILE)?;
    let content = std::str::from_utf8(&bytes).map_or(Some("?"), |text| {
        Some(text.trim()).filter(|text| !text.is_empty())
    });
    match (named, content) {
        (Some(named), None) => Ok(named),
        (Some(named), Some(text)) if text == named.hex() || text == named.to_string() => Ok(named),
        (Some(_), Some(_)) => Err(foreign(
            path,
            "it holds something else than the digest of its name",
        )),
        (None, Some(text)) => text
            .parse()
            .map_err(|_| foreign(path, "neither its name nor its content is a digest")),
        (None, None) => Err(foreign(
            path,
            "it is empty, and its name is not 64 hex digits",
        )),
    }
}

fn foreign(path: PathBuf, found: &'static str) -> SourceError {
    let name = path.file_name().unwrap_or_default();
    let of_layout = LAYOUT_NAMES.iter().any(|known| name == OsStr::new(known));
    SourceError::ForeignFile {
        path,
        found,
        of_layout,
    }
}
