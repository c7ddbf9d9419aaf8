//! The file format of a draft: a versioned JSON document. Files are not trusted: every manifest is compared with its
//! digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Draft, Entry, Exact};
use crate::spec::{
    self, Annotations, Descriptor, Digest, JsonStyle, Manifest, MediaType, Platform, Reference,
};

/// The current version of the format.
const VERSION: u64 = 1;

/// Why a document is not a valid draft.
pub enum Flaw {
    Newer(u64),
    Damage(String),
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u64,
    list: Reference,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    annotations: Annotations,
    entries: Vec<EntryDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exact: Option<ExactDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<ExactDocument>,
}

#[derive(Serialize, Deserialize)]
struct EntryDocument {
    reference: Reference,
    source: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved: Option<Platform>,
    descriptor: Descriptor,
    manifest: ManifestDocument,
}

#[derive(Serialize, Deserialize)]
struct ExactDocument {
    source: Reference,
    manifest: ManifestDocument,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestDocument {
    media_type: MediaType,
    digest: Digest,
    /// The exact bytes in base64.
    content: String,
}

/// Serialises a draft. Drafts that [`read`] would refuse are errors.
pub fn write(draft: &Draft) -> Result<Vec<u8>, String> {
    for entry in &draft.entries {
        check_entry(&entry.descriptor, &entry.manifest)?;
    }
    let entries = draft.entries.iter().map(|entry| EntryDocument {
        reference: entry.reference.clone(),
        source: entry.source.clone(),
        resolved: entry.resolved.clone(),
        descriptor: entry.descriptor.clone(),
        manifest: ManifestDocument::from(&entry.manifest),
    });
    let document = Document {
        version: VERSION,
        list: draft.list.clone(),
        annotations: draft.annotations.clone(),
        entries: entries.collect(),
        exact: draft.exact.as_ref().map(ExactDocument::from),
        base: draft.base.as_ref().map(ExactDocument::from),
    };
    let mut bytes = spec::write(&document, JsonStyle::Oci);
    bytes.push(b'\n');
    Ok(bytes)
}

/// Parses the content of a draft file.
pub fn read(bytes: &[u8]) -> Result<Draft, Flaw> {
    let damage = |error: spec::JsonError| Flaw::Damage(error.to_string());
    let Version { version } = spec::parse_own(bytes).map_err(damage)?;
    if version > VERSION {
        return Err(Flaw::Newer(version));
    }
    if version != VERSION {
        return Err(Flaw::Damage(format!("unknown format {version}")));
    }
    let document: Document = spec::parse_own(bytes).map_err(damage)?;
    document.into_draft().map_err(Flaw::Damage)
}

impl Document {
    fn into_draft(self) -> Result<Draft, String> {
        let entries = self.entries.into_iter().map(EntryDocument::into_entry);
        let exact = self.exact.map(ExactDocument::into_exact);
        let base = self.base.map(ExactDocument::into_exact);
        Ok(Draft {
            list: self.list,
            annotations: self.annotations,
            entries: entries.collect::<Result<_, _>>()?,
            exact: exact.transpose()?,
            base: base.transpose()?,
        })
    }
}

impl EntryDocument {
    fn into_entry(self) -> Result<Entry, String> {
        let named = |cause: String| format!("{}: {cause}", self.reference);
        let manifest = self.manifest.into_manifest().map_err(named)?;
        check_entry(&self.descriptor, &manifest).map_err(named)?;
        Ok(Entry {
            resolved: self.resolved,
            reference: self.reference,
            source: self.source,
            descriptor: self.descriptor,
            manifest,
        })
    }
}

fn check_entry(descriptor: &Descriptor, manifest: &Manifest) -> Result<(), String> {
    if descriptor.digest == manifest.digest && descriptor.size == manifest.bytes.len() as u64 {
        return Ok(());
    }
    Err(format!(
        "the descriptor declares {} with {} bytes, the manifest is {} with {} bytes",
        descriptor.digest,
        descriptor.size,
        manifest.digest,
        manifest.bytes.len()
    ))
}

impl From<&Exact> for ExactDocument {
    fn from(exact: &Exact) -> Self {
        Self {
            source: exact.source.clone(),
            manifest: ManifestDocument::from(&exact.manifest),
        }
    }
}

impl ExactDocument {
    fn into_exact(self) -> Result<Exact, String> {
        Ok(Exact {
            source: self.source,
            manifest: self.manifest.into_manifest()?,
        })
    }
}

impl From<&Manifest> for ManifestDocument {
    fn from(manifest: &Manifest) -> Self {
        Self {
            media_type: manifest.media_type.clone(),
            digest: manifest.digest.clone(),
            content: STANDARD.encode(&manifest.bytes),
        }
    }
}

impl ManifestDocument {
    fn into_manifest(self) -> Result<Manifest, String> {
        let bytes = STANDARD.decode(&self.content);
        let bytes = bytes.map_err(|error| format!("the content of {}: {error}", self.digest))?;
        if !self.digest.matches(&bytes) {
            return Err(format!("the content does not match {}", self.digest));
        }
        Manifest::parse_as(bytes.into(), &self.media_type, self.digest)
            .map_err(|error| error.to_string())
    }
}
