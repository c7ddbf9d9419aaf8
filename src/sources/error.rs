//! Errors in user input.

use std::path::PathBuf;

use crate::disk::DiskError;
use crate::spec::{
    AnnotationRuleError, Digest, DigestError, JsonError, LayoutReferenceError, PlatformError,
    ReferenceError,
};
use crate::text::shortened;

/// An error in user input. Hints are in [`SourceError::hints`].
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("no source was given")]
    Empty,
    #[error("{text:?} is not a source")]
    NotASource { text: String },
    #[error("invalid {what} {text:?}: {}", .reason.explanation())]
    Reference {
        /// `source` or `target`.
        what: &'static str,
        text: String,
        reason: ReferenceError,
    },
    #[error(transparent)]
    Tag(ReferenceError),
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error(transparent)]
    Layout(#[from] LayoutReferenceError),
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error(transparent)]
    Annotation(#[from] AnnotationRuleError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("cannot parse {text:?}: {reason}")]
    Json { text: String, reason: JsonError },
    /// An object with a media type and a digest that is not a descriptor.
    #[error("invalid descriptor: {0}")]
    Descriptor(serde_json::Error),
    #[error("the embedded data of {0} does not match its size and digest")]
    ForeignData(Digest),
    /// A descriptor in place of a spec file.
    #[error("the file contains a descriptor, not a spec file")]
    DescriptorAsSpec { path: PathBuf },
    /// The JSON of a manifest or index.
    #[error("a manifest was given instead of its digest or descriptor")]
    Manifest,
    #[error("JSON in strings is nested too deeply")]
    TooDeep,
    #[error("no source in the JSON: {}", listed_or_empty(.found))]
    NoSourceInOutputs { found: Vec<String> },
    /// An output of a job that should contain a digest.
    #[error("empty: the job that sets this output did not run, or did not push")]
    EmptyOutput,
    /// A repository that ends with `@` or `:`, without a digest or tag.
    #[error("{text:?} is incomplete: the job that sets the rest did not run, or did not push")]
    CutOff { text: String },
    #[error("more than {limit} items in one list")]
    TooMany { limit: usize },
    #[error("{what} is larger than {} MiB", .limit >> 20)]
    TooLarge { what: String, limit: usize },
    #[error("a target cannot have a digest: {text:?}")]
    TargetDigest { text: String },
    #[error("no target was given")]
    NoTarget,
    #[error("invalid setting {text:?}: expected SOURCE=PLATFORM, for example app:arm=linux/arm/v7")]
    SetPlatform { text: String },
    #[error("cannot set the platform of {text:?}: no such source; the sources are {}", listed_or_empty(.sources))]
    SetPlatformOfUnknown { text: String, sources: Vec<String> },
    #[error("two platforms are set for {text:?}: {first} and {second}")]
    SetPlatformTwice {
        text: String,
        first: String,
        second: String,
    },
    #[error("annotation {key:?} is set twice: to {first:?} and to {second:?}")]
    DuplicateAnnotation {
        key: String,
        first: String,
        second: String,
    },
    #[error("invalid label {text:?}: expected KEY=VALUE")]
    Label { text: String },
    #[error("no digest file in {}", .path.display())]
    NoDigests { path: PathBuf },
    /// A file in a digest directory that is not a digest file.
    #[error("{} is not a digest file: {found}", .path.display())]
    ForeignFile {
        path: PathBuf,
        found: &'static str,
        /// Whether the file belongs to an OCI layout.
        in_layout: bool,
    },
    /// An invalid spec file.
    #[error("{message}")]
    Spec { message: String },
    /// An error with its position in the input.
    #[error("{position}: {error}")]
    At {
        position: String,
        error: Box<SourceError>,
    },
}

impl SourceError {
    pub(super) fn not_a_source(text: &str) -> Self {
        Self::NotASource { text: shown(text) }
    }

    pub(super) fn reference(what: &'static str, text: &str, reason: ReferenceError) -> Self {
        Self::Reference {
            what,
            text: shown(text),
            reason,
        }
    }

    pub(super) fn json(text: &str, reason: impl Into<JsonError>) -> Self {
        Self::Json {
            text: shown(text),
            reason: reason.into(),
        }
    }

    pub(super) fn spec(message: impl Into<String>) -> Self {
        Self::Spec {
            message: message.into(),
        }
    }

    pub(super) fn at(self, position: impl Into<String>) -> Self {
        Self::At {
            position: position.into(),
            error: Box::new(self),
        }
    }
}

/// Shortens user input for a message.
pub(super) fn shown(text: &str) -> String {
    shortened(text, 200)
}

fn listed_or_empty(items: &[String]) -> String {
    if items.is_empty() {
        "it is empty".to_owned()
    } else {
        items.join(", ")
    }
}
