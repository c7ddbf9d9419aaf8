//! Manifests and indexes with their exact bytes. A document is refused if two readers could understand it differently
//! (CVE-2021-41190), or if it exceeds the limits on nesting and entries.

use std::fmt;

use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::descriptor::is_case_variant;
use super::json::null_is_default;
use super::limits::{MAX_DESCRIPTOR_TEXT, MAX_INDEX_ENTRIES};
use super::{Annotations, Descriptor, Digest, JsonError, MediaType, PlatformError, json};

/// A manifest or index with its exact bytes, which are passed on unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The type from the body, or else from the response or descriptor.
    pub media_type: MediaType,
    pub digest: Digest,
    pub bytes: Bytes,
    pub document: Document,
}

/// The parsed content of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per manifest, never in a list"
)]
pub enum Document {
    /// An image, or an artifact in the form of an image manifest.
    Image(ImageManifest),
    Index(Index),
}

/// An image manifest, OCI or Docker schema 2. Only read; its bytes are never rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// The config of the image or artifact.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default)]
    pub subject: Option<Descriptor>,
    #[serde(default)]
    pub artifact_type: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub annotations: Annotations,
}

/// An image index or manifest list. Serialised in the order of the OCI struct.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "MediaType::is_empty")]
    pub media_type: MediaType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The entries, in the order in which clients search for their platform.
    #[serde(deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        skip_serializing_if = "Annotations::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: Annotations,
    /// Unknown fields, passed on unchanged.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Why bytes are not a usable manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("not a manifest: {0}")]
    Json(#[from] JsonError),
    #[error(
        "refused: the document has both \"manifests\" and \"{0}\", so clients could read different images (CVE-2021-41190)"
    )]
    Ambiguous(&'static str),
    /// A field differs from a specified one only by letter case. Go's readers accept it as the specified field, others
    /// do not. This is as ambiguous as CVE-2021-41190.
    #[error(
        "refused: the field {0:?} differs from a specified one by letter case only, so clients could read different images"
    )]
    LetterCase(String),
    #[error(
        "refused: the document begins with a byte order mark, which strict JSON readers reject"
    )]
    ByteOrderMark,
    #[error("neither an image manifest nor an index: no \"manifests\" and no \"config\"")]
    Neither,
    #[error(
        "refused: the document declares the type \"{inside}\", but was served as \"{outside}\""
    )]
    TypeMismatch {
        inside: MediaType,
        outside: MediaType,
    },
    #[error(
        "Docker schema 1 images are not supported: rebuild or re-push the image with a current tool"
    )]
    Schema1,
    #[error("an index with {0} entries; at most {MAX_INDEX_ENTRIES} are read")]
    TooManyEntries(usize),
    #[error("unsupported schemaVersion {0}")]
    SchemaVersion(u64),
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("the annotations and URLs of {} exceed {MAX_DESCRIPTOR_TEXT} bytes", .0.short())]
    TooMuchText(Digest),
}

/// The fields that decide the kind of a document.
#[derive(Default)]
struct Probe {
    schema_version: Option<u64>,
    media_type: MediaType,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
    /// A field that differs from a specified one by letter case only.
    ambiguous: Option<String>,
}

/// The specified top-level fields.
const FIELDS: [&str; 9] = [
    "schemaVersion",
    "mediaType",
    "manifests",
    "config",
    "layers",
    "fsLayers",
    "subject",
    "annotations",
    "artifactType",
];

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Probe;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a manifest or index")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Probe, A::Error> {
                let mut probe = Probe::default();
                let mut seen = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let Some(field) = FIELDS.into_iter().find(|field| *field == name) else {
                        map.next_value::<IgnoredAny>()?;
                        if is_case_variant(&FIELDS, &name) {
                            probe.ambiguous = Some(name);
                        }
                        continue;
                    };
                    // Of two fields with one name, some readers use the first, others the last.
                    if seen.contains(&field) {
                        return Err(A::Error::duplicate_field(field));
                    }
                    seen.push(field);
                    match field {
                        "schemaVersion" => probe.schema_version = map.next_value()?,
                        "mediaType" => probe.media_type = map.next_value()?,
                        "manifests" => probe.manifests = map.next_value()?,
                        "config" => probe.config = map.next_value()?,
                        "layers" => probe.layers = map.next_value()?,
                        "fsLayers" => probe.fs_layers = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(probe)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl Document {
    /// Returns all descriptors of the document.
    fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, list, subject) = match self {
            Self::Image(image) => (Some(&image.config), &image.layers, &image.subject),
            Self::Index(index) => (None, &index.manifests, &index.subject),
        };
        config.into_iter().chain(list).chain(subject)
    }
}

impl Manifest {
    /// Parses a document that was served as `announced` (empty if unknown) and computes its SHA-256 digest.
    pub fn parse(bytes: Bytes, announced: &MediaType) -> Result<Self, ManifestError> {
        let digest = Digest::sha256(&bytes);
        Self::parse_as(bytes, announced, digest)
    }

    /// Parses a document whose bytes were verified to have `digest`.
    pub fn parse_as(
        bytes: Bytes,
        announced: &MediaType,
        digest: Digest,
    ) -> Result<Self, ManifestError> {
        if bytes.starts_with(json::BYTE_ORDER_MARK) {
            return Err(ManifestError::ByteOrderMark);
        }
        let probe: Probe = json::parse(&bytes)?;
        if let Some(field) = probe.ambiguous {
            return Err(ManifestError::LetterCase(field));
        }
        let is_index = probe.manifests.is_some();
        let is_schema1 = announced.is_schema1() || probe.media_type.is_schema1();
        if probe.fs_layers.is_some() || is_schema1 || probe.schema_version == Some(1) {
            return Err(ManifestError::Schema1);
        }
        if let Some(version) = probe.schema_version.filter(|version| *version != 2) {
            return Err(ManifestError::SchemaVersion(version));
        }
        match (is_index, probe.config.is_some(), probe.layers.is_some()) {
            (true, true, _) => return Err(ManifestError::Ambiguous("config")),
            (true, _, true) => return Err(ManifestError::Ambiguous("layers")),
            (false, false, _) => return Err(ManifestError::Neither),
            _ => {}
        }
        let media_type = agreed_type(&probe.media_type, announced, is_index)?;
        let document = if is_index {
            let index: Index = json::parse(&bytes)?;
            if index.manifests.len() > MAX_INDEX_ENTRIES {
                return Err(ManifestError::TooManyEntries(index.manifests.len()));
            }
            Document::Index(index)
        } else {
            Document::Image(json::parse(&bytes)?)
        };
        if let Some(field) = document.descriptors().find_map(Descriptor::ambiguous_field) {
            return Err(ManifestError::LetterCase(field.to_owned()));
        }
        document.descriptors().try_for_each(check_descriptor)?;
        Ok(Self {
            media_type,
            digest,
            bytes,
            document,
        })
    }

    /// Returns the descriptor of this document.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            self.media_type.clone(),
            self.digest.clone(),
            self.bytes.len() as u64,
        )
    }

    pub fn artifact_type(&self) -> Option<&String> {
        match &self.document {
            Document::Image(image) => image.artifact_type.as_ref(),
            Document::Index(index) => index.artifact_type.as_ref(),
        }
    }

    /// Returns the descriptor of this document in a list of referrers, with its annotations and its artifact type (else
    /// the media type of its config).
    /// <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers>.
    pub fn referrer_descriptor(&self) -> Descriptor {
        let config_type = || Some(self.image()?.config.media_type.as_str().to_owned());
        Descriptor {
            artifact_type: self.artifact_type().cloned().or_else(config_type),
            annotations: match &self.document {
                Document::Image(image) => image.annotations.clone(),
                Document::Index(index) => index.annotations.clone(),
            },
            ..self.descriptor()
        }
    }

    pub fn image(&self) -> Option<&ImageManifest> {
        match &self.document {
            Document::Image(image) => Some(image),
            Document::Index(_) => None,
        }
    }

    pub fn index(&self) -> Option<&Index> {
        match &self.document {
            Document::Index(index) => Some(index),
            Document::Image(_) => None,
        }
    }

    /// Returns the manifest that this one refers to.
    pub fn subject(&self) -> Option<&Descriptor> {
        match &self.document {
            Document::Image(image) => image.subject.as_ref(),
            Document::Index(index) => index.subject.as_ref(),
        }
    }
}

fn check_descriptor(descriptor: &Descriptor) -> Result<(), ManifestError> {
    if let Some(platform) = &descriptor.platform {
        platform.check_limits()?;
    }
    if descriptor.text_size() > MAX_DESCRIPTOR_TEXT {
        return Err(ManifestError::TooMuchText(descriptor.digest.clone()));
    }
    Ok(())
}

/// Returns the media type of a document from its body and from the response or descriptor. The two must not contradict
/// each other. Generic types (`application/json`, `text/plain`) are ignored.
fn agreed_type(
    inside: &MediaType,
    outside: &MediaType,
    is_index: bool,
) -> Result<MediaType, ManifestError> {
    let is_specific = outside.is_index()
        || outside.manifest_family().is_some()
        || outside.as_str().contains("/vnd.");
    let mismatch = || ManifestError::TypeMismatch {
        inside: inside.clone(),
        outside: outside.clone(),
    };
    let agreed = match (inside.is_empty(), is_specific) {
        (false, true) if inside != outside => return Err(mismatch()),
        (false, _) => inside.clone(),
        (true, true) => outside.clone(),
        (true, false) if is_index => MediaType::new(MediaType::OCI_INDEX),
        (true, false) => MediaType::new(MediaType::OCI_MANIFEST),
    };
    let type_is_index = agreed.is_index();
    let type_is_image = agreed.manifest_family().is_some();
    if (type_is_index && !is_index) || (type_is_image && is_index) {
        return Err(ManifestError::TypeMismatch {
            inside: MediaType::new(if is_index {
                MediaType::OCI_INDEX
            } else {
                MediaType::OCI_MANIFEST
            }),
            outside: agreed,
        });
    }
    Ok(agreed)
}

impl ImageManifest {
    /// Returns the config and the layers, each once, without foreign layers.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut seen = std::collections::HashSet::new();
        std::iter::once(&self.config)
            .chain(&self.layers)
            .filter(|blob| !blob.is_foreign() && seen.insert(&blob.digest))
            .collect()
    }
}

impl Index {
    /// Creates an index of `manifests` without further fields.
    pub fn new(media_type: &str, manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: MediaType::new(media_type),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
            extra: Map::new(),
        }
    }
}

/// BuildKit's convention for attestations in an index.
/// <https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md>.
pub mod attestation {
    use super::{Descriptor, Digest};

    /// The annotation that marks an entry as an attestation.
    pub const TYPE: &str = "vnd.docker.reference.type";
    pub const ATTESTATION_MANIFEST: &str = "attestation-manifest";
    /// The annotation with the digest of the attested image.
    pub const DIGEST: &str = "vnd.docker.reference.digest";

    pub fn is_attestation(entry: &Descriptor) -> bool {
        entry.annotations.get(TYPE).map(String::as_str) == Some(ATTESTATION_MANIFEST)
    }

    /// Returns the digest of the attested image, if the entry has one.
    pub fn subject(entry: &Descriptor) -> Option<Digest> {
        entry.annotations.get(DIGEST)?.parse().ok()
    }
}

#[cfg(test)]
mod tests;
