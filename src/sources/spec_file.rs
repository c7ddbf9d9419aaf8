//! Spec files: several images in YAML. Files of manifest-tool are accepted unchanged.
//! <https://github.com/estesp/manifest-tool#createpush>.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::{SourceError, shown};
use super::limits::{MAX_TEXT, check_count};
use super::source::{SourceSpec, parse_one, starts_json};
use super::source_list::parse_sources;
use super::spec_document::{Document, Entry, Pairs, PlatformParts, PlatformText, parse};
use super::targets::parse_tagged;
use crate::disk::{self, at};
use crate::spec::{AnnotationLevel, AnnotationRule, Platform, Reference, Tag};

/// One image of a spec file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    /// The target: a reference with a tag and without a digest.
    pub image: Reference,
    /// More tags in the same repository.
    pub tags: Vec<Tag>,
    pub sources: Vec<SourceSpec>,
    /// Annotations of the index, and of its entries by their platform.
    pub annotations: Vec<AnnotationRule>,
}

/// Reads a spec file of at most 4 MiB; `-` is the standard input.
///
/// `image`, `tags`, `annotations` and `manifests` (each with `image`, `platform`, `annotations`) are manifest-tool's
/// keys; `sources` is a list of sources in any form. A `platform` becomes the source's `set_platform`; variant, version
/// and features that it omits come from the image's config, as in manifest-tool.
///
/// Unknown keys, targets with a digest, documents without sources, and two documents for one tag are errors.
pub fn read_spec(path: &Path) -> Result<Vec<ImageSpec>, SourceError> {
    let name = path.display().to_string();
    let bytes = if path == Path::new("-") {
        read_bounded(std::io::stdin().lock()).map_err(at("read", path))?
    } else {
        disk::read(path, MAX_TEXT as u64)?
    };
    if bytes.len() > MAX_TEXT {
        return Err(SourceError::TooLarge {
            what: name,
            limit: MAX_TEXT,
        });
    }
    let text =
        String::from_utf8(bytes).map_err(|_| SourceError::spec("not UTF-8").at(name.clone()))?;
    let result = if is_descriptor(&text) {
        let path = path.to_owned();
        Err(SourceError::DescriptorAsSpec { path })
    } else {
        parse_spec(&text)
    };
    result.map_err(|error| error.at(name))
}

/// Returns whether the file is a descriptor, which `docker buildx imagetools create --file` expects.
fn is_descriptor(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text)
        .is_ok_and(|object| object.contains_key("mediaType") && object.contains_key("digest"))
}

fn read_bounded(file: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Parses the documents of a spec file.
pub fn parse_spec(text: &str) -> Result<Vec<ImageSpec>, SourceError> {
    let documents = parse(text)?;
    if documents.is_empty() {
        return Err(SourceError::spec("no document"));
    }
    let mut targets = HashSet::new();
    let mut images = Vec::new();
    for (position, document) in documents.into_iter().enumerate() {
        let position = match &document.image {
            Some(image) => shown(image),
            None => format!("document {}", position + 1),
        };
        let image = image_of(document).map_err(|error| error.at(position.clone()))?;
        for reference in image.targets() {
            if !targets.insert(reference.clone()) {
                let message = format!("an earlier document has the target {reference} too");
                return Err(SourceError::spec(message).at(position));
            }
        }
        images.push(image);
    }
    Ok(images)
}

impl ImageSpec {
    /// Returns all targets, each once.
    pub fn targets(&self) -> Vec<Reference> {
        let repository = self.image.repository();
        let more = self.tags.iter().map(|tag| repository.with_tag(tag.clone()));
        let mut targets = vec![self.image.clone()];
        for target in more {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        targets
    }
}

fn image_of(document: Document) -> Result<ImageSpec, SourceError> {
    let image = document
        .image
        .filter(|image| !image.trim().is_empty())
        .ok_or_else(|| SourceError::spec("no image: the target is missing"))?;
    let (repository, tag) = parse_tagged(image.trim()).map_err(|error| error.at("image"))?;
    let tags = document.tags.unwrap_or_default();
    check_count(tags.len())?;
    let tags = tags
        .iter()
        .map(|tag| tag.trim().parse::<Tag>())
        .collect::<Result<_, _>>()
        .map_err(|reason| SourceError::Tag(reason).at("tags"))?;
    let mut annotations = rules(document.annotations, &AnnotationLevel::Index);
    let manifests = document.manifests.unwrap_or_default();
    let listed = document.sources.unwrap_or_default();
    let sources = match (manifests.is_empty(), listed.is_empty()) {
        (false, true) => entries(manifests, &mut annotations)?,
        (true, false) => sources_of(&listed)?,
        (true, true) => return Err(SourceError::spec("neither manifests nor sources")),
        (false, false) => {
            return Err(SourceError::spec(
                "both manifests and sources: use one of them",
            ));
        }
    };
    Ok(ImageSpec {
        image: repository.with_tag(tag),
        tags,
        sources,
        annotations,
    })
}

fn sources_of(listed: &[String]) -> Result<Vec<SourceSpec>, SourceError> {
    let mut sources = Vec::new();
    for (index, text) in listed.iter().enumerate() {
        let position = || format!("sources[{index}]");
        let found = if starts_json(text.trim()) {
            parse_sources(text)
        } else {
            parse_one(text).map(|source| vec![source])
        };
        sources.append(&mut found.map_err(|error| error.at(position()))?);
        check_count(sources.len())?;
    }
    Ok(sources)
}

fn entries(
    manifests: Vec<Entry>,
    annotations: &mut Vec<AnnotationRule>,
) -> Result<Vec<SourceSpec>, SourceError> {
    check_count(manifests.len())?;
    let mut sources = Vec::new();
    for (index, entry) in manifests.into_iter().enumerate() {
        let position = format!("manifests[{index}]");
        let source = source_of(entry, annotations).map_err(|error| error.at(position))?;
        sources.push(source);
    }
    Ok(sources)
}

fn source_of(
    entry: Entry,
    annotations: &mut Vec<AnnotationRule>,
) -> Result<SourceSpec, SourceError> {
    let image = entry
        .image
        .filter(|image| !image.trim().is_empty())
        .ok_or_else(|| SourceError::spec("no image"))?;
    let mut source = parse_one(&image)?;
    source.set_platform = match entry.platform {
        Some(platform) => platform_of(platform).map_err(|error| error.at("platform"))?,
        None => None,
    };
    match (entry.annotations, &source.set_platform) {
        (None, _) => {}
        (pairs, Some(platform)) => {
            let level = AnnotationLevel::ManifestDescriptor(Some(platform.clone()));
            annotations.append(&mut rules(pairs, &level));
        }
        (Some(_), None) => {
            return Err(SourceError::spec("annotations need a platform"));
        }
    }
    Ok(source)
}

fn rules(pairs: Option<Pairs>, level: &AnnotationLevel) -> Vec<AnnotationRule> {
    let pairs = pairs.unwrap_or_default().0.into_iter();
    let rule = |(key, value)| AnnotationRule {
        levels: vec![level.clone()],
        key,
        value,
    };
    pairs.map(rule).collect()
}

fn platform_of(platform: PlatformText) -> Result<Option<Platform>, SourceError> {
    match platform {
        PlatformText::Text(text) => Ok(Some(text.trim().parse()?)),
        PlatformText::Parts(parts) => platform_of_parts(*parts),
    }
}

/// Returns the platform as written: the variant `v8` of `arm64` is kept, as in manifest-tool. Returns `None` for an
/// empty platform. A platform without os or architecture is an error.
fn platform_of_parts(parts: PlatformParts) -> Result<Option<Platform>, SourceError> {
    let given = |text: Option<String>| text.unwrap_or_default().trim().to_owned();
    let mut platform = Platform {
        architecture: given(parts.architecture),
        os: given(parts.os),
        os_version: given(parts.os_version),
        os_features: parts.os_features.unwrap_or_default(),
        variant: given(parts.variant),
        extra: Map::new(),
    };
    match (platform.os.is_empty(), platform.architecture.is_empty()) {
        (true, true) if platform == Platform::default() => return Ok(None),
        (true, _) => return Err(SourceError::spec("no os")),
        (_, true) => return Err(SourceError::spec("no architecture")),
        _ => {}
    }
    platform.os = Platform::known_os(&platform.os)?;
    let (architecture, implied) = Platform::known_architecture(&platform.architecture)?;
    platform.architecture = architecture;
    if platform.variant.is_empty() {
        platform.variant = implied;
    }
    platform.check_limits()?;
    if let Some(features) = parts.features.filter(|features| !features.is_empty()) {
        let features = features.into_iter().map(Value::from).collect();
        let key = "features".to_owned();
        platform.extra.insert(key, Value::Array(features));
    }
    Ok(Some(platform))
}

#[cfg(test)]
mod tests;
