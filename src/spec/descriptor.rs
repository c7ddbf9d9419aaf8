//! Descriptors, and the platform fields of image configs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bounded;
use super::json::null_is_default;
use super::{Digest, MediaType, Platform};

/// Annotations, sorted by key as Go's JSON writer sorts maps.
pub type Annotations = BTreeMap<String, String>;

/// A reference to content by type, digest and size. Serialised in the order of the OCI structs (`mediaType, digest,
/// size, urls, annotations, data, platform, artifactType`), unknown fields after the known ones.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: MediaType,
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
    /// Other locations of the content. They are never used.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded::urls"
    )]
    pub urls: Vec<String>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounded::annotations"
    )]
    pub annotations: Annotations,
    /// The embedded content in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Unknown fields, passed on unchanged.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Descriptor {
    /// Creates a descriptor with type, digest and size only.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
            extra: Map::new(),
        }
    }

    /// Describes `bytes`, with their SHA-256 digest.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// Returns the embedded content if it matches size and digest.
    pub fn embedded(&self) -> Option<Vec<u8>> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(self.data.as_ref()?)
            .ok()?;
        (bytes.len() as u64 == self.size && self.digest.matches(&bytes)).then_some(bytes)
    }

    /// Returns whether the embedded content does not match size and digest.
    pub fn has_foreign_data(&self) -> bool {
        self.data.is_some() && self.embedded().is_none()
    }

    /// Returns the total size of annotations and URLs in bytes.
    pub(super) fn text_size(&self) -> usize {
        let annotations = self.annotations.iter();
        let annotations = annotations.map(|(key, value)| key.len() + value.len());
        annotations.chain(self.urls.iter().map(String::len)).sum()
    }

    /// Returns a field of the descriptor or its platform that differs from a known one by letter case only.
    pub(super) fn ambiguous_field(&self) -> Option<&str> {
        let platform = self
            .platform
            .iter()
            .flat_map(|platform| platform.extra.keys());
        let own = self
            .extra
            .keys()
            .find(|name| is_case_variant(&FIELDS, name));
        own.or_else(|| {
            platform
                .into_iter()
                .find(|name| is_case_variant(&PLATFORM_FIELDS, name))
        })
        .map(String::as_str)
    }

    /// Returns whether this is a layer of a non-distributable type, such as a Windows base layer. Engines download its
    /// content from `urls`. polyarch never reads or copies it.
    pub fn is_foreign(&self) -> bool {
        !self.urls.is_empty()
            && (self.media_type.as_str()
                == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
                || self
                    .media_type
                    .as_str()
                    .starts_with("application/vnd.oci.image.layer.nondistributable."))
    }
}

const FIELDS: [&str; 8] = [
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "platform",
    "artifactType",
];

const PLATFORM_FIELDS: [&str; 5] = ["architecture", "os", "os.version", "os.features", "variant"];

/// Returns whether Go's `encoding/json` would read `name` as one of `fields` although it differs from all of them. Go
/// ignores letter case, and treats two non-ASCII letters as `s` and `k`.
pub(super) fn is_case_variant(fields: &[&str], name: &str) -> bool {
    let folded = || {
        name.chars().map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
    };
    fields
        .iter()
        .any(|field| folded().eq(field.chars().map(|c| c.to_ascii_lowercase())))
}

/// The platform fields of an image config.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    #[serde(default, deserialize_with = "null_is_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    #[serde(default, rename = "os.version", deserialize_with = "null_is_default")]
    pub os_version: String,
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "bounded::os_features"
    )]
    pub os_features: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub variant: String,
}

impl From<ImageConfig> for Platform {
    fn from(config: ImageConfig) -> Self {
        Self {
            architecture: config.architecture,
            os: config.os,
            os_version: config.os_version,
            os_features: config.os_features,
            variant: config.variant,
            extra: Map::new(),
        }
    }
}
