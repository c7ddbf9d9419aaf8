//! Why what a person wrote cannot be understood, and what to try. All of it is wrong usage.

use std::path::PathBuf;

use super::{MAX_ITEMS, MAX_TEXT};
use crate::disk::DiskError;
use crate::hint::Hint;
use crate::spec::{
    AnnotationRuleError, DigestError, LayoutReferenceError, PlatformError, Reference,
    ReferenceError,
};

/// Why what a person wrote is not usable. Displayed as a fragment; what to try is in
/// [`SourceError::hints`].
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing was given.
    #[error("no source was given")]
    Empty,
    /// A text that was to be a source.
    #[error("{text:?} is not a source")]
    NotASource {
        /// The text, shortened.
        text: String,
    },
    /// A text that was to be a reference.
    #[error("invalid {what} {text:?}: {reason}")]
    Reference {
        /// What it was to name: a source, a target.
        what: &'static str,
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        reason: ReferenceError,
    },
    /// A broken digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A broken name of a layout.
    #[error(transparent)]
    Layout(#[from] LayoutReferenceError),
    /// A broken platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A broken annotation.
    #[error(transparent)]
    Annotation(#[from] AnnotationRuleError),
    /// A file or directory that cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// JSON that is cut off or broken.
    #[error("broken JSON {text:?}: {reason}")]
    Json {
        /// Its beginning.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An object with a media type and a digest that is no descriptor.
    #[error("not a descriptor: {reason}")]
    Descriptor {
        /// What is wrong with it.
        reason: String,
    },
    /// The JSON of a manifest or index.
    #[error("the content of a manifest, where its digest or descriptor is expected")]
    Manifest,
    /// JSON in strings of JSON in strings.
    #[error("JSON nested too deep in strings of JSON")]
    TooDeep,
    /// Outputs of a job, and no source among them.
    #[error("no source in the JSON: {}", list(.found))]
    NothingInOutputs {
        /// What is there instead.
        found: Vec<String>,
    },
    /// A digest that a job was to put out and did not.
    #[error("empty: the job that was to set it did not run, or did not push")]
    EmptyOutput,
    /// A repository with a separator, and neither a digest nor a tag behind it.
    #[error("{text:?} is cut off: the job that was to give the rest did not run, or did not push")]
    CutOff {
        /// What is there.
        text: String,
    },
    /// Too many of anything.
    #[error("more than {MAX_ITEMS} in one list")]
    TooMany,
    /// Too much text.
    #[error("{what} has more than {} MiB", MAX_TEXT >> 20)]
    TooLarge {
        /// What is too large.
        what: String,
    },
    /// A target by digest.
    #[error("a target cannot have a digest: {text:?}")]
    TargetDigest {
        /// The target.
        text: String,
    },
    /// An empty list of targets.
    #[error("no target was given")]
    NoTarget,
    /// No `SOURCE=PLATFORM`.
    #[error("invalid setting {text:?}: expected SOURCE=PLATFORM, for example app:arm=linux/arm/v7")]
    SetPlatform {
        /// The text.
        text: String,
    },
    /// A platform is set for something that is no source.
    #[error("no source is named {text:?}, for which a platform is set; the sources are {}", list(.sources))]
    SetPlatformOfNothing {
        /// What was named.
        text: String,
        /// What there is.
        sources: Vec<String>,
    },
    /// Two platforms for one source.
    #[error("two platforms are set for {text:?}: {first} and {second}")]
    SetPlatformTwice {
        /// The source.
        text: String,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// No `KEY=VALUE`.
    #[error("invalid label {text:?}: expected KEY=VALUE")]
    Label {
        /// The text.
        text: String,
    },
    /// A directory of digest files that has none.
    #[error("no digest file in {}", .path.display())]
    NoDigests {
        /// The directory.
        path: PathBuf,
    },
    /// A file in it that is none.
    #[error("{} is not a digest file: {found}", .path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
        /// Whether it is part of an OCI layout.
        of_layout: bool,
    },
    /// A spec file that is not what it should be.
    #[error("{message}")]
    Spec {
        /// What is wrong, and where.
        message: String,
    },
    /// Something wrong, and where it stands.
    #[error("{place}: {error}")]
    At {
        /// Where.
        place: String,
        /// What.
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

    pub(super) fn json(text: &str, reason: &serde_json::Error) -> Self {
        Self::Json {
            text: shown(text),
            reason: reason.to_string(),
        }
    }

    pub(super) fn spec(message: impl Into<String>) -> Self {
        Self::Spec {
            message: message.into(),
        }
    }

    pub(super) fn at(self, place: impl Into<String>) -> Self {
        Self::At {
            place: place.into(),
            error: Box::new(self),
        }
    }

    /// What to try, in the order of likelihood.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            Self::At { error, .. } => error.hints(),
            Self::Empty => vec![form_hint()],
            Self::NotASource { text } => of_text(text)
                .into_iter()
                .chain([form_hint()])
                .collect(),
            Self::Reference { text, reason, .. } => of_reference(text, reason),
            Self::Json { .. } => vec![
                "in a workflow, give JSON as toJSON(…) writes it, in an environment variable".into(),
            ],
            Self::Manifest => vec!["give the digest of the manifest, or its reference".into()],
            Self::NothingInOutputs { .. } => vec![
                "in the outputs of a job a source is a digest, a descriptor, a layout, or a reference with registry host and tag or digest".into(),
            ],
            Self::EmptyOutput | Self::CutOff { .. } => vec!["leave the output out if its platform is not meant to be published".into()],
            Self::TargetDigest { .. } => vec!["name the tag under which it is to be published".into()],
            Self::NoDigests { .. } => vec![format!("after the build: {TOUCH}").into()],
            Self::Disk(error) if error.is_not_found() => vec![
                "paths count from where the command runs; have the jobs before this one uploaded it, and this one downloaded it?".into(),
            ],
            Self::ForeignFile {
                path, of_layout, ..
            } => of_foreign_file(path, *of_layout),
            _ => Vec::new(),
        }
    }
}

fn form_hint() -> Hint {
    format!("a source is {FORMS}").into()
}

const FORMS: &str = "a reference, sha256:…, oci:PATH, oci-archive:FILE, a descriptor, or a JSON object or array of these";
const TOUCH: &str = "touch \"digests/${digest#sha256:}\", and nothing else in that directory";

/// Words in front of an image in other tools, and what they are called here.
const PREFIXES: [(&str, &str); 6] = [
    ("docker://", "leave out docker://"),
    ("https://", "leave out https://"),
    (
        "docker-archive:",
        "`docker save` of Docker 25 or later writes OCI archives: oci-archive:FILE",
    ),
    (
        "docker-daemon:",
        "no Docker engine is asked: `docker save -o FILE IMAGE`, then oci-archive:FILE",
    ),
    (
        "containers-storage:",
        "no local storage is read: `skopeo copy containers-storage:IMAGE oci:PATH`, then oci:PATH",
    ),
    ("dir:", "only OCI layouts are read: oci:PATH"),
];

fn of_text(text: &str) -> Option<Hint> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex {
        return Some(format!("a digest is written sha256:{text}").into());
    }
    if text.contains('$') || text.contains("{{") {
        return Some("a variable was not replaced".into());
    }
    if text.ends_with([':', '@']) {
        return Some("nothing stands behind the last character: is a variable empty?".into());
    }
    if text.starts_with("http://") {
        return Some(Hint::PlainHttpScheme);
    }
    if let Some((_, advice)) = PREFIXES.iter().find(|(word, _)| text.starts_with(word)) {
        return Some((*advice).into());
    }
    if text.contains(char::is_whitespace) {
        return Some("separate with line ends or commas".into());
    }
    let is_path = text.starts_with(['/', '.', '~']);
    let is_archive = std::path::Path::new(text)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"));
    match (is_path, is_archive) {
        (_, true) => Some(format!("an OCI archive is written oci-archive:{text}").into()),
        (true, false) => Some(format!("an OCI layout is written oci:{text}").into()),
        (false, false) => None,
    }
}

fn of_reference(text: &str, reason: &ReferenceError) -> Vec<Hint> {
    let lower = text.to_lowercase();
    match reason {
        ReferenceError::Uppercase(_) if lower.parse::<Reference>().is_ok() => {
            vec![format!("write {lower}").into()]
        }
        _ => of_text(text).into_iter().collect(),
    }
}

fn of_foreign_file(path: &std::path::Path, of_layout: bool) -> Vec<Hint> {
    if of_layout {
        let directory = path.parent().unwrap_or(path);
        return vec![
            format!(
                "this is an OCI layout: give it as oci:{}",
                directory.display()
            )
            .into(),
        ];
    }
    vec![format!("files are named by 64 hex digits, or hold one digest: {TOUCH}").into()]
}

/// A text as messages show it: not longer than a person reads.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        "it is empty".to_owned()
    } else {
        items.join(", ")
    }
}
