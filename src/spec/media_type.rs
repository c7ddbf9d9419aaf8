//! Media types of manifests and indexes.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::text::Printable;

/// A media type without parameters, such as `application/vnd.oci.image.index.v1+json`.
/// Any text is accepted: unknown types of children are passed on, not refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(Arc<str>);

/// The vendor of a manifest type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `application/vnd.docker.distribution.…`
    Docker,
    /// `application/vnd.oci.image.…`
    Oci,
}

impl MediaType {
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The config of a cache that BuildKit exports: an entry of an index whose other entries are layers.
    pub const BUILDKIT_CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

    /// Creates a media type from a `Content-Type` header or a `mediaType` field, without its parameters.
    pub fn new(text: &str) -> Self {
        let essence = text.split(';').next().unwrap_or_default().trim();
        Self(essence.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the family of an image manifest.
    pub fn manifest_family(&self) -> Option<Family> {
        match self.as_str() {
            Self::DOCKER_MANIFEST => Some(Family::Docker),
            Self::OCI_MANIFEST => Some(Family::Oci),
            _ => None,
        }
    }

    /// Returns the family of an index or manifest list.
    pub fn index_family(&self) -> Option<Family> {
        match self.as_str() {
            Self::DOCKER_LIST => Some(Family::Docker),
            Self::OCI_INDEX => Some(Family::Oci),
            _ => None,
        }
    }

    pub fn is_index(&self) -> bool {
        self.index_family().is_some()
    }

    /// Returns whether this is a type of blobs. An index entry of such a type, as in a BuildKit cache, is stored as a
    /// blob.
    pub fn is_blob(&self) -> bool {
        let text = self.as_str();
        self.is_image_config()
            || text == Self::BUILDKIT_CACHE_CONFIG
            || text.starts_with("application/vnd.oci.image.layer.")
            || text.starts_with("application/vnd.docker.image.rootfs.")
    }

    /// Returns whether this is Docker's schema 1, signed or not, which has no stable digest and no config.
    pub fn is_schema1(&self) -> bool {
        matches!(
            self.as_str(),
            "application/vnd.docker.distribution.manifest.v1+json"
                | "application/vnd.docker.distribution.manifest.v1+prettyjws"
        )
    }

    /// Returns whether this is the config of an image, not of an artifact. Docker also accepts a platform in other
    /// configs.
    pub fn is_image_config(&self) -> bool {
        matches!(self.as_str(), Self::OCI_CONFIG | Self::DOCKER_CONFIG)
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl PartialEq<str> for MediaType {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

/// Displays the type with escapes. Requests and files contain [`MediaType::as_str`].
impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_ignored() {
        let media_type = MediaType::new(" application/vnd.oci.image.index.v1+json ; charset=utf-8");
        assert_eq!(media_type.as_str(), MediaType::OCI_INDEX);
        assert_eq!(media_type.index_family(), Some(Family::Oci));
        assert_eq!(media_type.manifest_family(), None);
    }
}
