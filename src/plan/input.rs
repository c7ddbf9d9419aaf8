//! What goes into a plan: sources as `resolve` read them, targets, and the person's choices.

use std::sync::Arc;

use crate::spec::{AnnotationRule, Descriptor, Digest, Index, Location, Manifest, Platform, Tag};

/// One source, read.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the person wrote it: errors and notices name it so.
    pub name: String,
    /// Where its content is stored.
    pub location: SourceLocation,
    /// What it points at.
    pub root: Node,
    /// The platform that overrides every other: `--set-platform`, `docker manifest annotate`.
    pub set_platform: Option<Platform>,
}

/// Where the content of a source is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceLocation {
    At(Location),
    /// In every target already: the meaning of a bare digest and of a descriptor.
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

/// A manifest or index of a source, and what is below it.
#[derive(Clone, Debug)]
pub struct Node {
    /// As the parent index says it, as the person gave it, or made from the manifest.
    pub descriptor: Descriptor,
    /// The content, if it was read.
    pub manifest: Option<Arc<Manifest>>,
    /// Whether this run has seen it where it is stored, so that it exists and the descriptor matches.
    pub seen: bool,
    /// What the image config says, if it was read.
    pub config_platform: Option<Platform>,
    /// The entries of an index, all of them, in their order; none for an image.
    pub children: Vec<Node>,
}

impl Node {
    /// An image or artifact that was read and that no index describes.
    pub fn image(manifest: Manifest, config_platform: Option<Platform>) -> Self {
        Self {
            descriptor: manifest.descriptor(),
            manifest: Some(Arc::new(manifest)),
            seen: true,
            config_platform,
            children: Vec::new(),
        }
    }

    /// An index that was read. `children` stand for its entries, in their order.
    pub fn index(manifest: Manifest, children: Vec<Self>) -> Self {
        Self {
            descriptor: manifest.descriptor(),
            manifest: Some(Arc::new(manifest)),
            seen: true,
            config_platform: None,
            children,
        }
    }

    /// Something that was not read, because what is said of it is enough.
    pub fn described(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            manifest: None,
            seen: false,
            config_platform: None,
            children: Vec::new(),
        }
    }

    /// Whether this is an index: by its content, or where that was not read, by its type.
    pub fn is_index(&self) -> bool {
        match &self.manifest {
            Some(manifest) => manifest.index().is_some(),
            None => self.descriptor.media_type.is_index() || !self.children.is_empty(),
        }
    }

    /// For which machine it is: what its descriptor says, and what that leaves open from its config.
    pub fn platform(&self) -> Option<Platform> {
        match (&self.descriptor.platform, &self.config_platform) {
            (Some(described), Some(config)) => Some(described.clone().completed_by(config)),
            (described, config) => described.as_ref().or(config.as_ref()).cloned(),
        }
    }

    /// The digest of the content.
    pub fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }
}

/// Where the result goes.
#[derive(Clone, Debug)]
pub struct Target {
    pub location: Location,
    /// The tags that will point at the index there. None: it is there under its digest only.
    pub tags: Vec<Tag>,
}

/// The person's choices. The default is what `publish` does without options.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Exactly these platforms; empty: all that the sources have.
    pub platforms: Vec<Platform>,
    /// What is to be said about the index and its entries, in the order given: later ones win.
    pub annotations: Vec<AnnotationRule>,
    /// What becomes of annotations for image manifests.
    pub manifest_annotations: ManifestAnnotations,
    /// The index to start from: what is at the first tag now.
    pub append: Option<Source>,
    /// What the new index says about itself: an index whose entries the sources are. It takes the place of a
    /// single source that is an index.
    pub about: Option<Index>,
    /// The type of the index.
    pub media_type: MediaTypeChoice,
    /// Whether attestations come along.
    pub attestations: Attestations,
    /// Two images for one platform.
    pub on_duplicate: OnDuplicate,
    /// Whose bytes are written.
    pub style: Style,
    /// Whether an image may say no platform: in an index that is only looked at. Empty texts stand there
    /// then, as Docker shows it.
    pub may_lack_platform: bool,
}

/// What becomes of annotations of the level `manifest`: an image that is already pushed cannot
/// be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestAnnotations {
    /// They go on the index; those of one platform, on the entries of that platform.
    #[default]
    Index,
    /// They are left out.
    Ignore,
    /// They are an error.
    Error,
}

/// The type of the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaTypeChoice {
    /// A Docker list if everything in it has a Docker type, else an OCI index. An index that is
    /// only edited stays an OCI index if it is one.
    #[default]
    Auto,
    /// An OCI index.
    Oci,
    /// A Docker manifest list.
    Docker,
}

/// Whether attestations come along with their images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attestations {
    /// They do.
    #[default]
    Keep,
    /// None does.
    Drop,
}

/// What to do about two images for one platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Refuse.
    #[default]
    Error,
    /// The later one takes the place of the earlier one.
    Replace,
    /// Keep both.
    Keep,
    /// Keep both, with a warning: the drop-in commands.
    Warn,
}

/// Whose index is written, to the byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// `docker buildx imagetools create`: platforms of configs are normalised.
    #[default]
    Buildx,
    /// `docker manifest push`: platforms of configs are as they are; each source image is an entry
    /// of its own, even if two have one digest.
    Docker,
}
