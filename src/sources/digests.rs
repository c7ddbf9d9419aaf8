//! Directories of digests, which the build jobs of a matrix create for the merge job.
//! <https://docs.docker.com/build/ci/github-actions/multi-platform/#distribute-build-across-multiple-runners>.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::SourceError;
use super::limits::check_count;
use super::source::{SourceForm, SourceSpec};
use crate::disk::{self, at};
use crate::spec::Digest;

/// The maximum size of a digest file in bytes.
const MAX_FILE: u64 = 1024;
/// The names of the files in an OCI layout, which are never in a directory of digests.
const LAYOUT_NAMES: [&str; 3] = ["oci-layout", "index.json", "blobs"];

/// Reads the digests in `directory` and in its subdirectories, which download-artifact creates without
/// `merge-multiple`. The name of a file consists of the 64 hex digits (`touch "digests/${digest#sha256:}"`), or the
/// file contains the digest (`echo "$digest" > digests/amd64`).
///
/// Returns the files of the directory first, then the files of each subdirectory, sorted by name like
/// `digests/* digests/*/*` in a shell. A repeated digest is one source.
///
/// Any other file is an error, also a hidden one. A directory without a digest file is an error: the digest of a build
/// job would be missing.
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
            return Err(not_a_digest_file(
                deeper,
                "it is a directory two levels deep",
            ));
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
    /// Collects the digests of the files in `directory` and returns its subdirectories.
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
                return Err(not_a_digest_file(path, "it belongs to an OCI layout"));
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

/// Returns the digest in the name of a file, in its content, or in both if they agree.
fn digest_of(path: PathBuf) -> Result<Digest, SourceError> {
    let (_, metadata) = disk::open(&path)?;
    if metadata.len() > MAX_FILE {
        return Err(not_a_digest_file(path, "it is too large"));
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
        (Some(_), Some(_)) => Err(not_a_digest_file(
            path,
            "its content differs from the digest in its name",
        )),
        (None, Some(text)) => text
            .parse()
            .map_err(|_| not_a_digest_file(path, "neither its name nor its content is a digest")),
        (None, None) => Err(not_a_digest_file(
            path,
            "it is empty, and its name is not 64 hex digits",
        )),
    }
}

fn not_a_digest_file(path: PathBuf, found: &'static str) -> SourceError {
    let name = path.file_name().unwrap_or_default();
    let in_layout = LAYOUT_NAMES.iter().any(|known| name == OsStr::new(known));
    SourceError::ForeignFile {
        path,
        found,
        in_layout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    fn read(files: &[(&str, &str)]) -> Result<Vec<String>, SourceError> {
        let directory = directory(files);
        let sources = read_digests(directory.path())?;
        Ok(sources.into_iter().map(|source| source.text).collect())
    }

    #[test]
    fn files_precede_directories_sorted_by_name() {
        let (a, b, c, d) = (hex('a'), hex('b'), hex('c'), hex('d'));
        let found = read(&[
            (&d, ""),
            (&c, ""),
            (&format!("digests-linux-arm64/{a}"), ""),
            (&format!("digests-linux-amd64/{b}"), ""),
            (&format!("digests-linux-s390x/{b}"), ""),
        ])
        .unwrap();
        assert_eq!(found, [&c, &d, &b, &a].map(|hex| format!("sha256:{hex}")));
    }

    #[test]
    fn a_file_may_contain_its_digest() {
        let (a, b) = (hex('a'), hex('b'));
        let found = read(&[
            (&a, &format!("sha256:{a}\n")),
            ("arm64.txt", &format!("sha256:{b}\n")),
        ]);
        assert_eq!(found.unwrap(), [a, b].map(|hex| format!("sha256:{hex}")));
    }

    #[test]
    fn other_files_are_errors() {
        let a = hex('a');
        let nested = format!("x/y/{a}");
        let large = " ".repeat(2000);
        for (file, content, message) in [
            (
                ".DS_Store",
                "",
                ".DS_Store is not a digest file: it is empty",
            ),
            ("sha256", "", "sha256 is not a digest file: it is empty"),
            (
                "notes.txt",
                "hello",
                "neither its name nor its content is a digest",
            ),
            (
                "binary",
                "\u{1}\u{0}",
                "neither its name nor its content is a digest",
            ),
            (&a.to_uppercase(), "", "its name is not 64 hex digits"),
            (&a[1..], "", "its name is not 64 hex digits"),
            (
                &hex('b'),
                "sha256:abc",
                "its content differs from the digest in its name",
            ),
            (&hex('c'), &large, "it is too large"),
            (
                &nested,
                "",
                "x/y is not a digest file: it is a directory two levels deep",
            ),
            (
                "x/blobs/y",
                "",
                "x/blobs is not a digest file: it belongs to an OCI layout",
            ),
        ] {
            let error = read(&[(&a, ""), (file, content)]).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert_eq!(error.hints().len(), 1, "{error}");
        }
    }

    #[test]
    fn directories_without_digest_files_are_errors() {
        let error = read(&[]).unwrap_err();
        assert!(
            error.to_string().starts_with("no digest file in "),
            "{error}"
        );
        assert!(format!("{:?}", error.hints()).contains("touch"));
        let directory = directory(&[(&format!("a/{}", hex('a')), "")]);
        fs::create_dir(directory.path().join("b")).unwrap();
        let error = read_digests(directory.path()).unwrap_err().to_string();
        assert!(error.ends_with("/b"), "{error}");
        let missing = directory.path().join("missing");
        let error = read_digests(&missing).unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
    }
}
