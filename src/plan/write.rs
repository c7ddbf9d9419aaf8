//! Writes the index: decides its media type, and serialises it as buildx or Docker does.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::spec::limits::MAX_MANIFEST;
use crate::spec::{
    Annotations, Descriptor, Digest, Document, Family, Index, JsonStyle, Manifest, MediaType,
    Platform, write,
};

use super::entry::{Entry, Sources};
use super::error::PlanError;
use super::input::{MediaTypeChoice, Options, Style};
use super::notice::Notice;

/// The input of [`media_type`] besides entries and options.
pub(super) struct MediaTypeInput<'a> {
    /// Whether all entries of the sources have Docker's types. As in buildx, includes platforms that are not selected.
    pub(super) all_docker: bool,
    /// The edited index.
    pub(super) base: Option<&'a Index>,
    pub(super) base_family: Option<Family>,
    /// The key of the first requested annotation.
    pub(super) annotation: Option<&'a str>,
}

/// Returns whether all entries have Docker's types, by buildx's definition.
pub(super) fn all_docker(entries: &[Entry<'_>]) -> bool {
    entries.iter().all(is_docker)
}

fn is_docker(entry: &Entry<'_>) -> bool {
    entry
        .descriptor
        .media_type
        .as_str()
        .starts_with("application/vnd.docker.")
}

/// Decides the media type of the index.
pub(super) fn media_type(
    input: &MediaTypeInput<'_>,
    entries: &[Entry<'_>],
    options: &Options,
    sources: Sources<'_>,
    notices: &mut Vec<Notice>,
) -> Result<&'static str, PlanError> {
    let base_family = input.base_family;
    let is_list = match options.media_type {
        MediaTypeChoice::Oci => false,
        MediaTypeChoice::Docker => true,
        MediaTypeChoice::Auto => input.all_docker && base_family != Some(Family::Oci),
    };
    if !is_list {
        return Ok(MediaType::OCI_INDEX);
    }
    if let Some(entry) = entries.iter().find(|entry| !is_docker(entry)) {
        return Err(PlanError::NotDocker {
            source_name: sources.name(entry),
            digest: entry.descriptor.digest.clone(),
            media_type: entry.descriptor.media_type.clone(),
            attestation: entry.is_attestation(),
        });
    }
    let of_base = || {
        let base = input.base.filter(|_| base_family == Some(Family::Oci))?;
        base.annotations.keys().next().map(String::as_str)
    };
    let asked = input.annotation.or_else(of_base);
    let annotation = match options.style {
        Style::Buildx => asked,
        // The entries of a draft have their annotations already.
        Style::Docker => asked.or_else(|| {
            let mut keys = entries
                .iter()
                .flat_map(|entry| entry.descriptor.annotations.keys());
            keys.next().map(String::as_str)
        }),
    };
    match annotation {
        None => Ok(MediaType::DOCKER_LIST),
        Some(_)
            if options.style == Style::Docker && options.media_type == MediaTypeChoice::Auto =>
        {
            notices.push(Notice::new(
                "the result is an OCI index, because a Docker manifest list cannot have annotations",
            ));
            Ok(MediaType::OCI_INDEX)
        }
        Some(key) => Err(PlanError::AnnotationOnDockerList {
            key: key.to_owned(),
        }),
    }
}

/// Serialises the index in `style`.
pub(super) fn manifest(index: Index, style: Style) -> Result<Manifest, PlanError> {
    let bytes = match style {
        Style::Buildx => write(&index, JsonStyle::Oci),
        Style::Docker => docker_json(&index, &index.media_type),
    };
    check_size(bytes.len())?;
    Ok(Manifest {
        media_type: index.media_type.clone(),
        digest: Digest::sha256(&bytes),
        bytes: Bytes::from(bytes),
        document: Document::Index(index),
    })
}

/// Checks that registries accept an index of `size` bytes.
pub(super) fn check_size(size: usize) -> Result<(), PlanError> {
    if size as u64 > MAX_MANIFEST {
        return Err(PlanError::TooLarge(size));
    }
    Ok(())
}

/// Serialises an index like `docker manifest`: three spaces, and Docker's order of keys, followed by fields unknown to
/// Docker. `media_type` is used if the index has none.
pub fn docker_json(index: &Index, media_type: &MediaType) -> Vec<u8> {
    let mut shown = DockerIndex::from(index);
    if shown.media_type.is_empty() {
        shown.media_type = media_type;
    }
    write(&shown, JsonStyle::Docker)
}

/// An index with fields in the order of Docker's structs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DockerIndex<'a> {
    schema_version: u32,
    media_type: &'a MediaType,
    manifests: Vec<DockerEntry<'a>>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: &'a Annotations,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Descriptor>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DockerEntry<'a> {
    media_type: &'a MediaType,
    size: u64,
    digest: &'a Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a Platform>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: &'a Annotations,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    urls: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

impl<'a> From<&'a Index> for DockerIndex<'a> {
    fn from(index: &'a Index) -> Self {
        Self {
            schema_version: index.schema_version,
            media_type: &index.media_type,
            manifests: index.manifests.iter().map(DockerEntry::from).collect(),
            annotations: &index.annotations,
            artifact_type: index.artifact_type.as_deref(),
            subject: index.subject.as_ref(),
            extra: &index.extra,
        }
    }
}

impl<'a> From<&'a Descriptor> for DockerEntry<'a> {
    fn from(entry: &'a Descriptor) -> Self {
        Self {
            media_type: &entry.media_type,
            size: entry.size,
            digest: &entry.digest,
            platform: entry.platform.as_ref(),
            annotations: &entry.annotations,
            urls: &entry.urls,
            data: entry.data.as_deref(),
            artifact_type: entry.artifact_type.as_deref(),
            extra: &entry.extra,
        }
    }
}
