//! Manifests and indexes: the exact bytes, and what they say. Checks that no honest document
//! fails: one kind only (CVE-2021-41190), bounded depth and number of entries.

use std::fmt;

use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::descriptor::{is_taken_for_one_of, null_is_default};
use super::limits::MAX_INDEX_ENTRIES;
use super::{Annotations, Descriptor, Digest, JsonError, MediaType, json};

/// A manifest or index as somebody published it: its bytes are passed on as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The media type: from the body, or where it says none, from whoever served it.
    pub media_type: MediaType,
    /// The digest of `bytes`.
    pub digest: Digest,
    /// The exact bytes.
    pub bytes: Bytes,
    /// What they say.
    pub document: Document,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one a manifest, never in a list")]
pub enum Document {
    /// One image, or an artifact with the form of an image.
    Image(ImageManifest),
    /// Several.
    Index(Index),
}

/// An image manifest, OCI or Docker schema 2. Only read, never written: its bytes are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// The image config, or an artifact's.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default)]
    pub subject: Option<Descriptor>,
    /// What kind of artifact this is.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// What is said about the image.
    #[serde(default, deserialize_with = "null_is_default")]
    pub annotations: Annotations,
}

/// An image index or manifest list. Serialised in the order of the OCI struct.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of this document.
    #[serde(default, skip_serializing_if = "MediaType::is_empty")]
    pub media_type: MediaType,
    /// What kind of artifact this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The entries, in the order in which clients look for their platform.
    #[serde(deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What is said about the whole.
    #[serde(
        default,
        skip_serializing_if = "Annotations::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: Annotations,
    /// Fields unknown here, passed on as they came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Why bytes are not a manifest that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or a field has the wrong type.
    #[error("not a manifest: {0}")]
    Json(#[from] JsonError),
    /// Both an index and an image: two readers could see two different things (CVE-2021-41190).
    #[error(
        "refused: the document has both \"manifests\" and \"{0}\", so that two readers could see two different images (CVE-2021-41190)"
    )]
    Ambiguous(&'static str),
    /// A field in another letter case than the specification's. Go's readers take it for the field, others do
    /// not, so they would see two different things: the same hole by another way.
    #[error(
        "refused: the document has a field {0:?}, which some readers would take for another: field names are told apart by letter case"
    )]
    LetterCase(String),
    /// A byte order mark before the JSON.
    #[error(
        "refused: the document begins with a byte order mark, so that strict readers cannot read it"
    )]
    ByteOrderMark,
    /// Neither an index nor an image.
    #[error("neither an image manifest nor an index: no \"manifests\" and no \"config\"")]
    Neither,
    /// The body says another type than the registry or the descriptor.
    #[error("refused: the document says it is \"{inside}\", but it was served as \"{outside}\"")]
    TypeMismatch {
        /// `mediaType` in the body.
        inside: MediaType,
        /// The type announced.
        outside: MediaType,
    },
    /// Docker's schema 1.
    #[error(
        "Docker schema 1 images are not supported: rebuild or re-push the image with a current tool"
    )]
    Schema1,
    /// An index with too many entries.
    #[error("an index with {0} entries; at most {MAX_INDEX_ENTRIES} are read")]
    TooManyEntries(usize),
    /// `schemaVersion` is not 2.
    #[error("unsupported schemaVersion {0}")]
    SchemaVersion(u64),
}

/// The fields that tell what a document is.
#[derive(Default)]
struct Probe {
    schema_version: Option<u64>,
    media_type: MediaType,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
    /// A field that differs from a known one by letter case only.
    mistakable: Option<String>,
}

/// The fields of which no other reader may have another idea.
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
                        if is_taken_for_one_of(&FIELDS, &name) {
                            probe.mistakable = Some(name);
                        }
                        continue;
                    };
                    // Of two fields of one name, one reader takes the first, another the last.
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
    /// Everything that it points at.
    fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, list, subject) = match self {
            Self::Image(image) => (Some(&image.config), &image.layers, &image.subject),
            Self::Index(index) => (None, &index.manifests, &index.subject),
        };
        config.into_iter().chain(list).chain(subject)
    }
}

impl Manifest {
    /// Reads what was served as `announced` (empty: unknown). The digest is computed with SHA-256;
    /// a caller who asked by a digest has compared that already.
    pub fn parse(bytes: Bytes, announced: &MediaType) -> Result<Self, ManifestError> {
        let digest = Digest::sha256(&bytes);
        Self::parse_as(bytes, announced, digest)
    }

    /// As [`Manifest::parse`], under the digest by which the content was asked for and verified.
    pub fn parse_as(
        bytes: Bytes,
        announced: &MediaType,
        digest: Digest,
    ) -> Result<Self, ManifestError> {
        if bytes.starts_with(json::BYTE_ORDER_MARK) {
            return Err(ManifestError::ByteOrderMark);
        }
        let probe: Probe = json::parse(&bytes)?;
        if let Some(field) = probe.mistakable {
            return Err(ManifestError::LetterCase(field));
        }
        let is_index = probe.manifests.is_some();
        if probe.fs_layers.is_some() || announced.is_schema1() || probe.schema_version == Some(1) {
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
        if let Some(field) = document.descriptors().find_map(Descriptor::mistakable) {
            return Err(ManifestError::LetterCase(field.to_owned()));
        }
        Ok(Self {
            media_type,
            digest,
            bytes,
            document,
        })
    }

    /// A descriptor that points here.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            self.media_type.clone(),
            self.digest.clone(),
            self.bytes.len() as u64,
        )
    }

    /// The image manifest, if it is one.
    pub fn image(&self) -> Option<&ImageManifest> {
        match &self.document {
            Document::Image(image) => Some(image),
            Document::Index(_) => None,
        }
    }

    /// The index, if it is one.
    pub fn index(&self) -> Option<&Index> {
        match &self.document {
            Document::Index(index) => Some(index),
            Document::Image(_) => None,
        }
    }

    /// The manifest that this one refers to.
    pub fn subject(&self) -> Option<&Descriptor> {
        match &self.document {
            Document::Image(image) => image.subject.as_ref(),
            Document::Index(index) => index.subject.as_ref(),
        }
    }
}

/// The one type of a document. Generic answers (`application/json`, `text/plain`) say nothing.
fn agreed_type(
    inside: &MediaType,
    outside: &MediaType,
    is_index: bool,
) -> Result<MediaType, ManifestError> {
    let outside_says_something = outside.is_index()
        || outside.manifest_family().is_some()
        || outside.as_str().contains("/vnd.");
    let mismatch = || ManifestError::TypeMismatch {
        inside: inside.clone(),
        outside: outside.clone(),
    };
    let agreed = match (inside.is_empty(), outside_says_something) {
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
    /// Every blob that the manifest needs: the config first, then the layers, without foreign
    /// layers (their `urls` are never fetched) and without repetition.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut seen = std::collections::HashSet::new();
        std::iter::once(&self.config)
            .chain(&self.layers)
            .filter(|blob| !blob.is_foreign() && seen.insert(&blob.digest))
            .collect()
    }
}

impl Index {
    /// An index of `manifests` with nothing else.
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

/// The convention by which BuildKit puts attestations beside the images they are about.
/// <https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md>.
pub mod attestation {
    use super::{Descriptor, Digest};

    /// The annotation that marks an entry as an attestation.
    pub const TYPE: &str = "vnd.docker.reference.type";
    /// Its value.
    pub const ATTESTATION_MANIFEST: &str = "attestation-manifest";
    /// The annotation that names the image it is about.
    pub const DIGEST: &str = "vnd.docker.reference.digest";

    /// Whether this entry of an index is an attestation.
    pub fn is_attestation(entry: &Descriptor) -> bool {
        entry.annotations.get(TYPE).map(String::as_str) == Some(ATTESTATION_MANIFEST)
    }

    /// The image that an attestation is about, if the entry names one.
    pub fn subject(entry: &Descriptor) -> Option<Digest> {
        entry.annotations.get(DIGEST)?.parse().ok()
    }
}

#[cfg(test)]
mod tests;
