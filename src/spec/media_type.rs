//! Media types of manifests and indexes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::Printable;

/// A media type without parameters, such as `application/vnd.oci.image.index.v1+json`.
/// Any text is kept as it came: unknown types of children are passed on, not refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(String);

/// Whose types a document uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `application/vnd.docker.distribution.…`
    Docker,
    /// `application/vnd.oci.image.…`
    Oci,
}

impl MediaType {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

    /// Takes the text of a `Content-Type` header or a `mediaType` field: parameters and
    /// surrounding space are cut off.
    pub fn new(text: &str) -> Self {
        let essence = text.split(';').next().unwrap_or_default().trim();
        Self(essence.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The family if this is an image manifest.
    pub fn manifest_family(&self) -> Option<Family> {
        match self.as_str() {
            Self::DOCKER_MANIFEST => Some(Family::Docker),
            Self::OCI_MANIFEST => Some(Family::Oci),
            _ => None,
        }
    }

    /// The family if this is an index or a manifest list.
    pub fn index_family(&self) -> Option<Family> {
        match self.as_str() {
            Self::DOCKER_LIST => Some(Family::Docker),
            Self::OCI_INDEX => Some(Family::Oci),
            _ => None,
        }
    }

    /// Whether this is an index or a manifest list.
    pub fn is_index(&self) -> bool {
        self.index_family().is_some()
    }

    /// Docker's schema 1, signed or not, which has no stable digest and no config.
    pub fn is_schema1(&self) -> bool {
        matches!(
            self.as_str(),
            "application/vnd.docker.distribution.manifest.v1+json"
                | "application/vnd.docker.distribution.manifest.v1+prettyjws"
        )
    }

    /// Whether this is the config of an image, and not that of an artifact. Others may say a platform, too, and
    /// Docker believes them.
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
        self.0 == other
    }
}

/// For people; what is sent or written is [`MediaType::as_str`].
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
