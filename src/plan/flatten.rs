//! Flattens sources into entries with platforms, and merges entries with the same digest.

use std::collections::HashMap;

use crate::spec::limits::MAX_INDEX_DEPTH;
use crate::spec::{Digest, Platform};

use super::entry::{Entry, Origin, is_same_machine};
use super::error::PlanError;
use super::input::{Node, Options, Source, Style};

/// Returns the entries of all sources, in the order of the sources and of their indexes. A digest in several sources is
/// repeated.
pub(super) fn flatten<'a>(
    sources: &[&'a Source],
    options: &Options,
) -> Result<Vec<Entry<'a>>, PlanError> {
    let mut entries = Vec::new();
    for (position, source) in sources.iter().enumerate() {
        let mut walk = Walk {
            source,
            position,
            style: options.style,
            may_lack_platform: options.may_lack_platform,
            entries: Vec::new(),
        };
        walk.root()?;
        entries.append(&mut walk.entries);
    }
    Ok(entries)
}

struct Walk<'a> {
    source: &'a Source,
    position: usize,
    style: Style,
    may_lack_platform: bool,
    entries: Vec<Entry<'a>>,
}

impl<'a> Walk<'a> {
    fn root(&mut self) -> Result<(), PlanError> {
        let source = self.source;
        verify(source, &source.root)?;
        if !source.root.is_index() {
            return self.image_source();
        }
        self.children(&source.root, 1)?;
        match &source.set_platform {
            Some(platform) => self.set_platform_of_only_image(platform),
            None => Ok(()),
        }
    }

    /// Adds an image that is a source itself; it must have a platform.
    fn image_source(&mut self) -> Result<(), PlanError> {
        let source = self.source;
        let mut entry = self.entry(&source.root, Origin::Given);
        if let Some(platform) = &source.set_platform {
            entry.set_platform(platform.clone(), Origin::Given);
        }
        let platform = entry.descriptor.platform.as_ref();
        let refused = match self.style {
            Style::Buildx => {
                platform.is_none_or(|it| it.is_unknown() || !it.is_complete())
                    && !entry.is_attestation()
            }
            // Docker accepts `unknown/unknown`.
            Style::Docker => {
                platform.is_none_or(|it| it.os.is_empty() || it.architecture.is_empty())
            }
        };
        if refused && self.may_lack_platform {
            entry.descriptor.platform.get_or_insert_default();
        }
        let source_name = source.name.clone();
        match (refused && !self.may_lack_platform, self.style) {
            (false, _) => {
                self.push(entry);
                Ok(())
            }
            (true, Style::Docker) => Err(PlanError::NoPlatformForDocker { source_name }),
            (true, Style::Buildx) => Err(PlanError::NoPlatform {
                source_name,
                found: entry.descriptor.platform.map(Box::new),
            }),
        }
    }

    fn children(&mut self, index: &'a Node, depth: usize) -> Result<(), PlanError> {
        for child in &index.children {
            verify(self.source, child)?;
            if !child.is_index() {
                let entry = self.entry(child, Origin::Index);
                self.push(entry);
            } else if depth < MAX_INDEX_DEPTH {
                self.children(child, depth + 1)?;
            } else {
                return Err(PlanError::TooDeep {
                    source_name: self.source.name.clone(),
                    digest: child.digest().clone(),
                });
            }
        }
        Ok(())
    }

    /// Adds an entry. An incomplete platform is removed, except in the style of Docker.
    fn push(&mut self, mut entry: Entry<'a>) {
        if self.style == Style::Buildx {
            entry.descriptor.platform = entry.descriptor.platform.filter(Platform::is_complete);
            entry.normalise();
        }
        self.entries.push(entry);
    }

    /// Creates the entry of a node. `described_by` is the origin of the platform in the descriptor.
    fn entry(&self, node: &'a Node, described_by: Origin) -> Entry<'a> {
        let mut descriptor = node.descriptor.clone();
        if let (true, Some(manifest)) = (descriptor.media_type.is_empty(), &node.manifest) {
            descriptor.media_type = manifest.media_type.clone();
        }
        let origin = if descriptor
            .platform
            .as_ref()
            .is_some_and(Platform::is_complete)
        {
            described_by
        } else {
            Origin::Config
        };
        descriptor.platform = self.completed(descriptor.platform.take(), node);
        let mut entry = Entry {
            descriptor: Box::new(descriptor),
            node,
            manifest: node.manifest.as_ref(),
            sources: vec![self.position],
            origin,
            named: described_by == Origin::Given,
            has_platform: false,
            changed: None,
        };
        entry.normalise();
        entry
    }

    /// Completes the platform of a descriptor from the config, as buildx does.
    fn completed(&self, described: Option<Platform>, node: &Node) -> Option<Platform> {
        let config = node.config_platform.as_deref();
        let config = config.map(|platform| match self.style {
            Style::Buildx => platform.normalised(),
            Style::Docker => platform.clone(),
        });
        match (described, config) {
            (Some(described), Some(config)) => Some(described.completed_by(&config)),
            (described, config) => described.or(config),
        }
    }

    /// Sets the platform of the only image of an index, which may have an attestation too.
    fn set_platform_of_only_image(&mut self, platform: &Platform) -> Result<(), PlanError> {
        let mut images = self
            .entries
            .iter_mut()
            .filter(|entry| !entry.is_attestation());
        match (images.next(), images.count()) {
            (Some(image), 0) => {
                image.set_platform(platform.clone(), Origin::Given);
                Ok(())
            }
            (first, more) => Err(PlanError::SetPlatformOnIndex {
                source_name: self.source.name.clone(),
                images: more + usize::from(first.is_some()),
            }),
        }
    }
}

/// Checks that a descriptor matches its content, and that an index was read completely.
fn verify(source: &Source, node: &Node) -> Result<(), PlanError> {
    let source_name = || source.name.clone();
    let digest = node.digest().clone();
    let descriptor = &node.descriptor;
    let Some(manifest) = &node.manifest else {
        return if node.is_index() && node.children.is_empty() {
            Err(PlanError::NotRead {
                source_name: source_name(),
                digest,
            })
        } else if descriptor.media_type.is_empty() {
            Err(PlanError::NoMediaType {
                source_name: source_name(),
                digest,
            })
        } else {
            Ok(())
        };
    };
    let mismatch = |declared: String, found: String| {
        Err(PlanError::Mismatch {
            source_name: source_name(),
            digest: digest.clone(),
            declared,
            found,
        })
    };
    let size = manifest.bytes.len() as u64;
    if manifest.digest != descriptor.digest {
        return mismatch(descriptor.digest.to_string(), manifest.digest.to_string());
    }
    if size != descriptor.size {
        return mismatch(
            format!("{} bytes", descriptor.size),
            format!("{size} bytes"),
        );
    }
    if !descriptor.media_type.is_empty() && descriptor.media_type != manifest.media_type {
        return mismatch(
            descriptor.media_type.to_string(),
            manifest.media_type.to_string(),
        );
    }
    match manifest.index() {
        Some(index) if index.manifests.len() != node.children.len() => Err(PlanError::NotRead {
            source_name: source_name(),
            digest,
        }),
        _ => Ok(()),
    }
}

/// Merges entries with the same digest, as buildx does. Unlike buildx, it keeps two different platforms of equal
/// precedence for one digest: the image runs on several platforms.
pub(super) fn merge(entries: Vec<Entry<'_>>, style: Style) -> Vec<Entry<'_>> {
    let mut positions: HashMap<&Digest, Vec<usize>> = HashMap::with_capacity(entries.len());
    let mut merged: Vec<Entry<'_>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let earlier = positions.entry(entry.node.digest()).or_default();
        let same = earlier
            .iter()
            .find(|position| is_same(&merged[**position], &entry, style));
        if let Some(position) = same {
            absorb(&mut merged[*position], entry);
        } else {
            earlier.push(merged.len());
            merged.push(entry);
        }
    }
    merged
}

fn is_same(earlier: &Entry<'_>, later: &Entry<'_>, style: Style) -> bool {
    if style == Style::Docker && earlier.named && later.named {
        return false;
    }
    match (earlier.normal(), later.normal()) {
        (Some(a), Some(b)) => earlier.origin != later.origin || is_compatible(a, b),
        _ => true,
    }
}

/// Returns whether two normalised platforms are equal, except for versions and features that one of them omits.
fn is_compatible(a: &Platform, b: &Platform) -> bool {
    is_same_machine(a, b)
        && (a.os_version == b.os_version || a.os_version.is_empty() || b.os_version.is_empty())
        && (a.os_features == b.os_features || a.os_features.is_empty() || b.os_features.is_empty())
}

fn absorb<'a>(entry: &mut Entry<'a>, again: Entry<'a>) {
    let same_machine = match (entry.normal(), again.normal()) {
        (Some(a), Some(b)) => is_same_machine(a, b),
        _ => false,
    };
    let known = &mut entry.descriptor;
    let later = *again.descriptor;
    known.platform = match (known.platform.take(), later.platform) {
        (Some(a), Some(b)) => {
            // As in buildx, the later platform wins if its precedence is not lower. It also wins if both are the same
            // machine, unless the user has set the earlier one.
            let later_wins =
                again.origin >= entry.origin || (same_machine && entry.origin != Origin::Given);
            let (mut winner, other) = if later_wins { (b, a) } else { (a, b) };
            if same_machine {
                complete_version(&mut winner, other);
            }
            Some(winner)
        }
        (a, b) => b.or(a),
    };
    known.annotations.extend(later.annotations);
    known.artifact_type = known.artifact_type.take().or(later.artifact_type);
    known.data = known.data.take().or(later.data);
    if known.media_type.is_empty() {
        known.media_type = later.media_type;
    }
    if known.urls.is_empty() {
        known.urls = later.urls;
    }
    for (key, value) in later.extra {
        known.extra.entry(key).or_insert(value);
    }
    entry.manifest = entry.manifest.or(again.manifest);
    entry.sources.extend(again.sources);
    entry.origin = entry.origin.max(again.origin);
    entry.named |= again.named;
    entry.normalise();
}

fn complete_version(platform: &mut Platform, other: Platform) {
    if platform.os_version.is_empty() {
        platform.os_version = other.os_version;
    }
    if platform.os_features.is_empty() {
        platform.os_features = other.os_features;
    }
    for (key, value) in other.extra {
        platform.extra.entry(key).or_insert(value);
    }
}
