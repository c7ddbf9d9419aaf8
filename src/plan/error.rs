//! Why there is no plan, and what to try.

use crate::hint::Hint;
use crate::spec::limits::{MAX_INDEX_DEPTH, MAX_INDEX_ENTRIES, MAX_MANIFEST};
use crate::spec::{Digest, MediaType, Platform};

/// Why nothing can be published. Displayed as a fragment; what to try is in [`PlanError::hints`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing was given.
    #[error("no sources")]
    NoSources,
    /// The sources hold no image.
    #[error("no image in {}", .sources.join(", "))]
    Empty {
        /// The sources, as the person wrote them.
        sources: Vec<String>,
    },
    /// An image of which nobody knows for which machine it is.
    #[error(
        "{source_name} has no platform: neither its descriptor nor its config says an operating system and an architecture{}",
        shown_platform(.found.as_deref())
    )]
    NoPlatform {
        /// The source.
        source_name: String,
        /// What was said, if anything.
        found: Option<Box<Platform>>,
    },
    /// The same in the drop-in commands, in Docker's words.
    #[error("manifest {source_name} must have an OS and Architecture to be pushed to a registry")]
    NoPlatformForDocker {
        /// The source.
        source_name: String,
    },
    /// A platform was set for an index that has several images, or none.
    #[error("cannot set one platform for {source_name}: it is an index of {images} images")]
    SetPlatformOnIndex {
        /// The source.
        source_name: String,
        /// How many images it has.
        images: usize,
    },
    /// Indexes in indexes in indexes.
    #[error("{source_name} has indexes nested deeper than {MAX_INDEX_DEPTH} levels, at {digest}")]
    TooDeep {
        /// The source.
        source_name: String,
        /// The index that is too deep.
        digest: Digest,
    },
    /// More entries than anyone reads.
    #[error("the index would have {0} entries; at most {MAX_INDEX_ENTRIES} are possible")]
    TooManyEntries(usize),
    /// More bytes than registries take.
    #[error("the index would have {0} bytes; registries take at most {MAX_MANIFEST}")]
    TooLarge(usize),
    /// Platforms that were asked for and are in no source.
    #[error(
        "missing platform {}; found: {}",
        names(missing),
        if found.is_empty() { "none".to_owned() } else { names(found) }
    )]
    MissingPlatforms {
        /// What was asked for and is not there.
        missing: Vec<Platform>,
        /// What is there.
        found: Vec<Platform>,
    },
    /// Two images for one platform.
    #[error(
        "two images for {platform}: {} from {}, and {} from {}",
        .images[0].digest, .images[0].source_name, .images[1].digest, .images[1].source_name
    )]
    Duplicate {
        /// The platform.
        platform: Box<Platform>,
        /// The two, in their order.
        images: Box<[Claim; 2]>,
    },
    /// A `manifest:` annotation where those are refused.
    #[error(
        "annotation {key:?} is for image manifests, which cannot be changed once they are pushed"
    )]
    ManifestAnnotation {
        /// The key of the annotation.
        key: String,
    },
    /// An annotation for a platform that no entry has.
    #[error(
        "annotation {key:?} is for {platform}, but no image is; found: {}",
        names(found)
    )]
    AnnotationWithoutEntry {
        /// The key of the annotation.
        key: String,
        /// The platform that it is for.
        platform: Box<Platform>,
        /// What is there.
        found: Vec<Platform>,
    },
    /// Annotations on a Docker list, which has none.
    #[error(
        "annotation {key:?} would be lost: the result is a Docker manifest list, which has no annotations"
    )]
    AnnotationOnDockerList {
        /// The key of the first annotation.
        key: String,
    },
    /// A Docker list was asked for, but not everything in it is Docker's.
    #[error("a Docker manifest list cannot hold {digest} from {source_name}: it is {media_type}")]
    NotDocker {
        /// The source.
        source_name: String,
        /// The entry.
        digest: Digest,
        /// Its type.
        media_type: MediaType,
        /// Whether it is an attestation.
        attestation: bool,
    },
    /// A descriptor that is not true.
    #[error(
        "the descriptor of {digest} in {source_name} is wrong: it says {said}, the content is {found}"
    )]
    Mismatch {
        /// The source.
        source_name: String,
        /// The digest in the descriptor.
        digest: Digest,
        /// What the descriptor says.
        said: String,
        /// What the content is.
        found: String,
    },
    /// A descriptor without `mediaType` whose content was not read.
    #[error("the descriptor of {digest} in {source_name} has no mediaType")]
    NoMediaType {
        /// The source.
        source_name: String,
        /// The digest in the descriptor.
        digest: Digest,
    },
    /// Content that has to be moved or looked into was not read: a mistake of `resolve`, not of the
    /// person.
    #[error("internal error: {digest} of {source_name} is needed but was not read")]
    NotRead {
        /// The source.
        source_name: String,
        /// The content.
        digest: Digest,
    },
}

/// An image that claims to be for some platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The source it comes from.
    pub source_name: String,
    /// Its digest.
    pub digest: Digest,
}

impl PlanError {
    /// What to try, each a line of its own.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            Self::NoPlatform { source_name, .. } => {
                vec![Hint::SetPlatform {
                    source: source_name.clone(),
                }]
            }
            Self::NoPlatformForDocker { source_name } => vec![Hint::AnnotatePlatform {
                source: source_name.clone(),
            }],
            Self::SetPlatformOnIndex { .. } => {
                vec!["set the platform of one of its images, by digest".into()]
            }
            Self::MissingPlatforms { .. } => {
                vec![Hint::AddMissingPlatform]
            }
            Self::Duplicate { .. } => vec![Hint::ChooseDuplicate, Hint::CorrectPlatform],
            Self::ManifestAnnotation { key } => {
                vec![Hint::ChooseAnnotationLevel { key: key.clone() }]
            }
            Self::AnnotationOnDockerList { .. } => {
                vec![Hint::UseOciIndex]
            }
            Self::NotDocker { attestation, .. } => {
                let attestation = attestation.then_some(Hint::DropAttestations);
                [Hint::UseOciIndex].into_iter().chain(attestation).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn shown_platform(found: Option<&Platform>) -> String {
    found.map_or_else(String::new, |platform| {
        format!(" (found: {:?})", platform.to_string())
    })
}

fn names(platforms: &[Platform]) -> String {
    listed(platforms)
}

/// Things for people, separated by commas, the first twenty of them.
pub(super) fn listed<T: ToString>(things: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 20;
    let mut things = things.into_iter();
    let mut text = things
        .by_ref()
        .take(SHOWN)
        .map(|thing| thing.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let more = things.count();
    if more > 0 {
        text.push_str(" and ");
        text.push_str(&more.to_string());
        text.push_str(" more");
    }
    text
}
