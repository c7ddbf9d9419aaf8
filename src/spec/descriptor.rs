//! Descriptors: what points at content. And the part of an image config that says its platform.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Digest, MediaType, Platform};

/// Annotations, sorted by key as every writer in Go sorts them.
pub type Annotations = BTreeMap<String, String>;

/// A pointer at content: its type, digest and size, and what is said about it. Serialised in the
/// order of the OCI structs (`mediaType, digest, size, urls, annotations, data, platform,
/// artifactType`), unknown fields after the known ones.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content.
    #[serde(default)]
    pub media_type: MediaType,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// Where else the content may be had. Never fetched from here.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub urls: Vec<String>,
    /// What is said about the content.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: Annotations,
    /// The content itself in base64, if it is small and was embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The platform that an entry of an index is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Fields unknown here, passed on as they came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor with nothing but type, digest and size.
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

    /// The descriptor of `bytes`.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// The embedded content, if there is some and it is what the descriptor says.
    pub fn embedded(&self) -> Option<Vec<u8>> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(self.data.as_ref()?)
            .ok()?;
        (bytes.len() as u64 == self.size && self.digest.matches(&bytes)).then_some(bytes)
    }

    /// A field here or in the platform that differs from a known one by letter case only.
    pub(super) fn mistakable(&self) -> Option<&str> {
        let platform = self
            .platform
            .iter()
            .flat_map(|platform| platform.extra.keys());
        let own = self
            .extra
            .keys()
            .find(|name| is_taken_for_one_of(&FIELDS, name));
        own.or_else(|| {
            platform
                .into_iter()
                .find(|name| is_taken_for_one_of(&PLATFORM_FIELDS, name))
        })
        .map(String::as_str)
    }

    /// Whether this layer's content is not in the registry: Windows base layers and others of the
    /// non-distributable types are fetched from `urls` by engines that may. Never fetched or copied here.
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

/// The fields of a descriptor.
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

/// The fields of a platform.
const PLATFORM_FIELDS: [&str; 5] = ["architecture", "os", "os.version", "os.features", "variant"];

/// Whether Go's `encoding/json` would take `name`, which is none of the fields, for one of them: it ignores letter
/// case, and two letters beyond ASCII fold to `s` and `k`.
pub(super) fn is_taken_for_one_of(fields: &[&str], name: &str) -> bool {
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

/// Go's writers leave `null` behind for empty lists and maps.
pub(super) fn null_is_default<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// What this project reads of an image config: its platform, which stands at its top level.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `GOARCH`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub architecture: String,
    /// `GOOS`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    /// The version of the operating system.
    #[serde(default, rename = "os.version", deserialize_with = "null_is_default")]
    pub os_version: String,
    /// Features of the operating system.
    #[serde(default, rename = "os.features", deserialize_with = "null_is_default")]
    pub os_features: Vec<String>,
    /// The variant of the processor.
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
