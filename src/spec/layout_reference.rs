//! How a layout is named on a command line: `oci:PATH[:TAG][@DIGEST]` and `oci-archive:FILE[:TAG][@DIGEST]`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Digest, Tag};

const DIRECTORY: &str = "oci:";
const ARCHIVE: &str = "oci-archive:";

/// An OCI image layout on disk: `oci:./build`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayoutPath {
    pub kind: LayoutKind,
    pub path: PathBuf,
}

/// An OCI image layout on disk, and a manifest in it.
///
/// The path ends at the **last** colon if a valid tag follows it; otherwise every colon is part of the path. skopeo and
/// buildah split at the first colon, so their paths contain no colon, and such a reference has the same meaning here.
/// They also support other image names, such as `oci:PATH:docker.io/o/app:1`. Here such an image is found by its tag:
/// `oci:PATH:1`. If the last part of a path looks like a tag, a tag or digest must be appended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayoutReference {
    pub layout: LayoutPath,
    /// The name in `index.json`.
    pub tag: Option<Tag>,
    /// The digest of a manifest in the layout.
    pub digest: Option<Digest>,
}

/// The two forms of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayoutKind {
    /// A directory with `oci-layout`, `index.json` and `blobs/`.
    Directory,
    /// The same files in a tar archive without compression.
    Archive,
}

/// Why a text does not name a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutReferenceError {
    #[error("not a layout: expected oci:PATH[:TAG][@DIGEST] or oci-archive:FILE[:TAG][@DIGEST]")]
    Prefix,
    #[error(
        "no path in {0:?}: expected oci:PATH[:TAG][@DIGEST] or oci-archive:FILE[:TAG][@DIGEST]"
    )]
    NoPath(String),
    /// There is a colon at the end, for example after an empty variable.
    #[error("empty tag in {0:?}: leave out the last colon if no tag is meant")]
    EmptyTag(String),
    /// The text begins with `oci://`, which means a registry in other programs.
    #[error(
        "{0:?} looks like a registry reference: oci: names a directory on disk; write {1:?} for the registry"
    )]
    Registry(String, String),
}

impl LayoutReference {
    /// Returns whether `text` has the prefix of a layout, so that it cannot be an image reference.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(DIRECTORY) || text.starts_with(ARCHIVE)
    }
}

impl FromStr for LayoutReference {
    type Err = LayoutReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(200).collect::<String>();
        let (kind, rest) = match (text.strip_prefix(DIRECTORY), text.strip_prefix(ARCHIVE)) {
            (Some(rest), _) => (LayoutKind::Directory, rest),
            (_, Some(rest)) => (LayoutKind::Archive, rest),
            _ => return Err(LayoutReferenceError::Prefix),
        };
        if let Some(registry) = rest.strip_prefix("//") {
            let registry = registry.chars().take(200).collect();
            return Err(LayoutReferenceError::Registry(shown(), registry));
        }
        let (rest, digest) = match split_parsed(rest, '@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        if rest.ends_with(':') {
            return Err(LayoutReferenceError::EmptyTag(shown()));
        }
        let (path, tag) = match split_parsed(rest, ':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if path.is_empty() {
            return Err(LayoutReferenceError::NoPath(shown()));
        }
        Ok(Self {
            layout: LayoutPath {
                kind,
                path: PathBuf::from(path),
            },
            tag,
            digest,
        })
    }
}

/// Removes and returns the text after the last `separator`, if it is a valid `T`.
fn split_parsed<T: FromStr>(text: &str, separator: char) -> Option<(&str, T)> {
    let (before, after) = text.rsplit_once(separator)?;
    Some((before, after.parse().ok()?))
}

impl fmt::Display for LayoutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.kind {
            LayoutKind::Directory => DIRECTORY,
            LayoutKind::Archive => ARCHIVE,
        };
        write!(f, "{prefix}{}", self.path.display())
    }
}

impl fmt::Display for LayoutReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layout.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn path_tag_and_digest_are_separated() {
        let whole = format!("oci:a/b:1@{DIGEST}");
        let by_digest = format!("oci-archive:a@b.tar@{DIGEST}");
        for (text, path, tag, has_digest) in [
            ("oci:build", "build", None, false),
            ("oci:./build:1.2-rc_1", "./build", Some("1.2-rc_1"), false),
            ("oci:/a:b/c", "/a:b/c", None, false),
            ("oci:/a:b/c:d", "/a:b/c", Some("d"), false),
            ("oci:a:-x", "a:-x", None, false),
            ("oci-archive:a@b.tar", "a@b.tar", None, false),
            (whole.as_str(), "a/b", Some("1"), true),
            (by_digest.as_str(), "a@b.tar", None, true),
        ] {
            let reference: LayoutReference = text.parse().unwrap();
            assert_eq!(reference.layout.path, PathBuf::from(path), "{text}");
            assert_eq!(reference.tag.as_ref().map(Tag::as_str), tag, "{text}");
            assert_eq!(reference.digest.is_some(), has_digest, "{text}");
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_not_layouts() {
        for (text, message) in [
            ("nginx", "not a layout"),
            ("oci:", "no path"),
            ("oci-archive::1", "no path"),
            ("oci:build:", "empty tag"),
            (
                "oci://ghcr.io/o/app:1",
                "write \"ghcr.io/o/app:1\" for the registry",
            ),
        ] {
            let error = text.parse::<LayoutReference>().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
