//! Errors of the planner.

use crate::hint::Hint;
use crate::spec::limits::{MAX_INDEX_DEPTH, MAX_INDEX_ENTRIES, MAX_MANIFEST};
use crate::spec::{Digest, MediaType, Platform};
use crate::text::listed;

/// An error of the planner. Hints are in [`PlanError::hints`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("no sources")]
    NoSources,
    #[error("no image in {}", .sources.join(", "))]
    Empty { sources: Vec<String> },
    #[error(
        "{source_name} has no platform: neither its descriptor nor its config has an operating system and an architecture{}",
        found_platform(.found.as_deref())
    )]
    NoPlatform {
        source_name: String,
        /// An incomplete platform.
        found: Option<Box<Platform>>,
    },
    /// The same error in Docker's words, for the drop-in commands.
    #[error("manifest {source_name} must have an OS and Architecture to be pushed to a registry")]
    NoPlatformForDocker { source_name: String },
    /// A platform was set for an index that has several images, or none.
    #[error("cannot set one platform for {source_name}: it is an index of {images} images")]
    SetPlatformOnIndex { source_name: String, images: usize },
    #[error("{source_name} has indexes nested deeper than {MAX_INDEX_DEPTH} levels, at {digest}")]
    TooDeep { source_name: String, digest: Digest },
    #[error("the index would have {0} entries, more than {MAX_INDEX_ENTRIES}")]
    TooManyEntries(usize),
    #[error("the index would have {0} bytes, more than the {MAX_MANIFEST} that registries accept")]
    TooLarge(usize),
    #[error(
        "missing platform {}; found: {}",
        listed(missing),
        if found.is_empty() { "none".to_owned() } else { listed(found) }
    )]
    MissingPlatforms {
        missing: Vec<Platform>,
        found: Vec<Platform>,
    },
    #[error(
        "two images for {platform}: {} from {}, and {} from {}",
        .images[0].digest, .images[0].source_name, .images[1].digest, .images[1].source_name
    )]
    Duplicate {
        platform: Box<Platform>,
        images: Box<[Claim; 2]>,
    },
    /// An annotation of the level `manifest`, which the options refuse.
    #[error(
        "annotation {key:?} is for image manifests, which cannot be changed after they were pushed"
    )]
    ManifestAnnotation { key: String },
    #[error(
        "annotation {key:?} is for {platform}, but no image has this platform; found: {}",
        listed(found)
    )]
    AnnotationWithoutEntry {
        key: String,
        platform: Box<Platform>,
        found: Vec<Platform>,
    },
    #[error(
        "annotation {key:?} would be lost: the result is a Docker manifest list, which cannot have annotations"
    )]
    AnnotationOnDockerList { key: String },
    #[error(
        "a Docker manifest list cannot contain {digest} from {source_name}: its type is {media_type}"
    )]
    NotDocker {
        source_name: String,
        digest: Digest,
        media_type: MediaType,
        /// Whether the entry is an attestation.
        attestation: bool,
    },
    /// A descriptor that does not match its content.
    #[error(
        "the descriptor of {digest} in {source_name} declares {declared}, but the content is {found}"
    )]
    Mismatch {
        source_name: String,
        digest: Digest,
        declared: String,
        found: String,
    },
    /// A descriptor without `mediaType` whose content was not read.
    #[error("the descriptor of {digest} in {source_name} has no mediaType")]
    NoMediaType { source_name: String, digest: Digest },
    /// Content that must be transferred was not read: a bug in `resolve`.
    #[error("internal error: {digest} of {source_name} is needed but was not read")]
    NotRead { source_name: String, digest: Digest },
}

/// One of two images for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub source_name: String,
    pub digest: Digest,
}

impl PlanError {
    /// Returns the hints of the error.
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

fn found_platform(found: Option<&Platform>) -> String {
    found.map_or_else(String::new, |platform| {
        format!(" (found: {:?})", platform.to_string())
    })
}
