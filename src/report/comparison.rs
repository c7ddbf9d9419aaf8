//! The comparison of a new index with a previous index of a tag, as data.

use serde::{Serialize, Serializer};

use crate::spec::Digest;

/// The digest of a tag before the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Previous {
    #[default]
    Unknown,
    /// The tag did not exist.
    New,
    At(Digest),
}

/// A comparison of the new index with one previous index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The digest of the previous index.
    pub previous: Digest,
    /// The references that move, or would move, from the previous index to the new one.
    pub tags: Vec<String>,
    pub platforms: Vec<PlatformChange>,
    /// The difference in the size of configs and layers in bytes, if all sizes are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_difference: Option<i64>,
    /// The commands that move the tags back, one for each repository.
    pub restore: Vec<String>,
}

/// What else differs if the images are the same.
pub(super) const OTHER_CHANGES: &str =
    "images are the same; annotations, attestations or the order of the entries differ";

impl Comparison {
    /// Returns whether both indexes have the same images.
    pub(super) fn has_same_images(&self) -> bool {
        let mut platforms = self.platforms.iter();
        platforms.all(|platform| platform.change == ChangeKind::Unchanged)
    }
}

/// The change for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    pub change: ChangeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_digest: Option<Digest>,
    /// The difference in the size of config and layers in bytes, if both sizes are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_difference: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    Added,
    Removed,
    Updated,
    Unchanged,
}

impl Previous {
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

/// Serialises a new tag as `null`. An unknown digest is not serialised: the field skips it.
impl Serialize for Previous {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(digest) => digest.serialize(serializer),
            Self::New | Self::Unknown => serializer.serialize_none(),
        }
    }
}
