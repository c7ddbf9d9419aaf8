//! The input of the planner: resolved sources, targets, and options.

use std::sync::Arc;

use crate::spec::{AnnotationRule, Descriptor, Digest, Index, Location, Manifest, Platform, Tag};

/// A resolved source.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name for messages, as the user wrote it.
    pub name: String,
    pub location: SourceLocation,
    pub root: Node,
    /// Overrides every other platform.
    pub set_platform: Option<Platform>,
}

/// Where the content of a source is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceLocation {
    At(Location),
    /// In every target already. This is where bare digests and descriptors are expected.
    EveryTarget,
}

impl SourceLocation {
    /// Returns whether the content is already at `target`.
    pub fn includes(&self, target: &Location) -> bool {
        match self {
            Self::At(location) => location == target,
            Self::EveryTarget => true,
        }
    }
}

impl<T: Into<Location>> From<T> for SourceLocation {
    fn from(location: T) -> Self {
        Self::At(location.into())
    }
}

/// A manifest or index of a source, with its children.
#[derive(Clone, Debug)]
pub struct Node {
    /// From the parent index, from the user, or from the manifest.
    pub descriptor: Descriptor,
    /// `None` if it was not read.
    pub manifest: Option<Arc<Manifest>>,
    /// Whether this run has read the manifest or its headers, so that it exists and the descriptor matches.
    pub seen: bool,
    /// `None` if the config was not read.
    pub config_platform: Option<Box<Platform>>,
    /// All entries of an index, in their order; empty for an image.
    pub children: Vec<Node>,
}

impl Node {
    /// Creates a node for an image or artifact that is not in an index.
    pub fn image(manifest: Manifest, config_platform: Option<Platform>) -> Self {
        Self {
            descriptor: manifest.descriptor(),
            manifest: Some(Arc::new(manifest)),
            seen: true,
            config_platform: config_platform.map(Box::new),
            children: Vec::new(),
        }
    }

    /// Creates a node for an index; `children` correspond to its entries.
    pub fn index(manifest: Manifest, children: Vec<Self>) -> Self {
        Self {
            descriptor: manifest.descriptor(),
            manifest: Some(Arc::new(manifest)),
            seen: true,
            config_platform: None,
            children,
        }
    }

    /// Creates a node for content that need not be read.
    pub fn described(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            manifest: None,
            seen: false,
            config_platform: None,
            children: Vec::new(),
        }
    }

    /// Returns whether this is an index, by its content or, if it was not read, by its media type.
    pub fn is_index(&self) -> bool {
        match &self.manifest {
            Some(manifest) => manifest.index().is_some(),
            None => self.descriptor.media_type.is_index() || !self.children.is_empty(),
        }
    }

    /// Returns the platform of the descriptor, completed from the config.
    pub fn platform(&self) -> Option<Platform> {
        match (&self.descriptor.platform, &self.config_platform) {
            (Some(described), Some(config)) => Some(described.clone().completed_by(config)),
            (described, config) => described.as_ref().or(config.as_deref()).cloned(),
        }
    }

    pub fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }
}

#[derive(Clone, Debug)]
pub struct Target {
    pub location: Location,
    /// The tags of the index; if empty, it is pushed by digest only.
    pub tags: Vec<Tag>,
}

impl Target {
    /// Groups tags by location, in the order in which each location is named first.
    pub fn grouped(tags: impl IntoIterator<Item = (Location, Option<Tag>)>) -> Vec<Self> {
        let mut targets: Vec<Self> = Vec::new();
        for (location, tag) in tags {
            let position = targets.iter().position(|it| it.location == location);
            let position = position.unwrap_or_else(|| {
                let tags = Vec::new();
                targets.push(Self { location, tags });
                targets.len() - 1
            });
            let tags = &mut targets[position].tags;
            tags.extend(tag.filter(|tag| !tags.contains(tag)));
        }
        targets
    }
}

/// The options of the planner. The defaults are the defaults of `publish`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Exactly these platforms; if empty, all platforms of the sources.
    pub platforms: Vec<Platform>,
    /// Later annotations override earlier ones.
    pub annotations: Vec<AnnotationRule>,
    pub manifest_annotations: ManifestAnnotations,
    /// The index to append to: the current content of the first tag.
    pub append: Option<Source>,
    /// An index whose fields, except its entries, the new index keeps.
    pub base_index: Option<Index>,
    pub media_type: MediaTypeChoice,
    pub attestations: Attestations,
    pub on_duplicate: OnDuplicate,
    pub style: Style,
    /// Whether images may lack a platform, because the index is only displayed. They get an empty platform, as in
    /// Docker.
    pub may_lack_platform: bool,
}

/// The treatment of annotations of the level `manifest`, since a pushed image cannot be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestAnnotations {
    /// Sets them on the index or, if they name a platform, on the entries of that platform.
    #[default]
    Index,
    /// Omits them.
    Ignore,
    /// Refuses them.
    Error,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaTypeChoice {
    /// A Docker list if all entries have Docker's types, otherwise an OCI index. An edited OCI index keeps its type.
    #[default]
    Auto,
    Oci,
    Docker,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attestations {
    #[default]
    Keep,
    Drop,
}

/// The policy for two images of one platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    #[default]
    Error,
    /// The later image replaces the earlier one.
    Replace,
    /// Keeps both.
    Keep,
    /// Keeps both, with a warning, as in the drop-in commands.
    Warn,
}

/// The tool whose output is reproduced byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// `docker buildx imagetools create`: platforms from configs are normalised.
    #[default]
    Buildx,
    /// `docker manifest push`: platforms from configs are unchanged, and each source image is an entry, even if two have
    /// one digest.
    Docker,
}
