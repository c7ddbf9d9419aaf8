//! The file format of a draft: a versioned JSON document. Files are not trusted: every manifest is compared with its
//! digest.

use std::cmp::Ordering;

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use serde::{Deserialize, Serialize};

use super::{Draft, Entry, Exact};
use crate::disk::DiskError;
use crate::spec::{
    self, Annotations, Descriptor, Digest, JsonError, JsonStyle, Manifest, ManifestError,
    MediaType, Platform, Reference,
};

/// The current version of the format.
const VERSION: u64 = 1;

/// A defect of a draft file.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    #[error("unknown format {0}")]
    Format(u64),
    #[error("written by a newer polyarch (format {0})")]
    Newer(u64),
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("the content of {digest}: {error}")]
    Base64 {
        digest: Digest,
        #[source]
        error: DecodeError,
    },
    #[error("the content does not match {0}")]
    Content(Digest),
    #[error("the descriptor declares {declared}, the manifest is {found}")]
    Descriptor { declared: String, found: String },
    #[error("{reference}: {flaw}")]
    Entry {
        reference: Reference,
        #[source]
        flaw: Box<Flaw>,
    },
    #[error("it is the draft of {0}")]
    Name(Reference),
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    #[error(transparent)]
    Disk(#[from] DiskError),
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

/// Serialises a draft. A draft that [`read`] would refuse is an error.
pub fn write(draft: &Draft) -> Result<Vec<u8>, Flaw> {
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
    let Version { version } = spec::parse_own(bytes)?;
    match version.cmp(&VERSION) {
        Ordering::Less => Err(Flaw::Format(version)),
        Ordering::Equal => spec::parse_own::<Document>(bytes)?.into_draft(),
        Ordering::Greater => Err(Flaw::Newer(version)),
    }
}

impl Document {
    fn into_draft(self) -> Result<Draft, Flaw> {
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
    fn into_entry(self) -> Result<Entry, Flaw> {
        let manifest = self.manifest.into_manifest();
        let manifest = manifest.and_then(|manifest| {
            check_entry(&self.descriptor, &manifest)?;
            Ok(manifest)
        });
        let manifest = manifest.map_err(|flaw| Flaw::Entry {
            reference: self.reference.clone(),
            flaw: Box::new(flaw),
        })?;
        Ok(Entry {
            resolved: self.resolved,
            reference: self.reference,
            source: self.source,
            descriptor: self.descriptor,
            manifest,
        })
    }
}

fn check_entry(descriptor: &Descriptor, manifest: &Manifest) -> Result<(), Flaw> {
    let found = manifest.descriptor();
    if descriptor.digest == found.digest && descriptor.size == found.size {
        return Ok(());
    }
    let shown = |it: &Descriptor| format!("{} with {} bytes", it.digest, it.size);
    Err(Flaw::Descriptor {
        declared: shown(descriptor),
        found: shown(&found),
    })
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
    fn into_exact(self) -> Result<Exact, Flaw> {
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
    fn into_manifest(self) -> Result<Manifest, Flaw> {
        let digest = self.digest;
        let bytes = match STANDARD.decode(&self.content) {
            Ok(bytes) if digest.matches(&bytes) => bytes,
            Ok(_) => return Err(Flaw::Content(digest)),
            Err(error) => return Err(Flaw::Base64 { digest, error }),
        };
        Ok(Manifest::parse_as(bytes.into(), &self.media_type, digest)?)
    }
}
