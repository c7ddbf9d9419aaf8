//! Hints for errors in user input.

use std::path::Path;

use super::error::SourceError;
use crate::hint::Hint;
use crate::spec::{Reference, ReferenceError};

const FORMS: &str = "use a reference, sha256:…, oci:PATH, oci-archive:FILE, a descriptor, or a JSON object or array of these";
const TOUCH: &str = "`touch \"digests/${digest#sha256:}\"`";

/// Prefixes of other tools, and their equivalents.
const PREFIXES: [(&str, &str); 6] = [
    ("docker://", "omit docker://"),
    ("https://", "omit https://"),
    (
        "docker-archive:",
        "use oci-archive:FILE: `docker save` of Docker 25 or later writes OCI archives",
    ),
    (
        "docker-daemon:",
        "save the image with `docker save -o FILE IMAGE`, then use oci-archive:FILE",
    ),
    (
        "containers-storage:",
        "copy the image with `skopeo copy containers-storage:IMAGE oci:PATH`, then use oci:PATH",
    ),
    ("dir:", "use an OCI layout: oci:PATH"),
];

impl SourceError {
    /// Returns the hints of the error, the most likely first.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            Self::At { error, .. } => error.hints(),
            Self::Empty => vec![FORMS.into()],
            Self::NotASource { text } => text_hint(text)
                .into_iter()
                .chain([FORMS.into()])
                .collect(),
            Self::Reference { text, reason, .. } => reference_hints(text, reason),
            Self::Json { .. } => vec![
                "pass the output of toJSON(…) unchanged, in an environment variable".into(),
            ],
            Self::Manifest => vec!["pass the digest of the manifest, or its reference".into()],
            Self::NoSourceInOutputs { .. } => vec![
                "set an output to a digest, a descriptor, a layout, or a reference with registry host and tag or digest".into(),
            ],
            Self::EmptyOutput | Self::CutOff { .. } => {
                vec!["omit the output if its platform should not be published".into()]
            }
            Self::DescriptorAsSpec { path } => {
                vec![format!("pass the descriptor as a source: \"$(cat {})\"", path.display()).into()]
            }
            Self::TargetDigest { .. } => vec!["use a tag instead of the digest".into()],
            Self::NoDigests { .. } => vec![format!("run {TOUCH} after the build").into()],
            Self::Disk(error) if error.is_not_found() => vec![
                "check the path, which is relative to the working directory, and whether an earlier job uploaded the files and this job downloaded them".into(),
            ],
            Self::ForeignFile {
                path, in_layout, ..
            } => vec![foreign_file_hint(path, *in_layout)],
            _ => Vec::new(),
        }
    }
}

/// Returns hints for `text`, which is not a reference.
pub fn reference_hints(text: &str, error: &ReferenceError) -> Vec<Hint> {
    let lower = text.to_lowercase();
    match error {
        ReferenceError::Uppercase(_) if lower.parse::<Reference>().is_ok() => {
            vec![format!("use {lower}").into()]
        }
        _ => text_hint(text).into_iter().collect(),
    }
}

fn text_hint(text: &str) -> Option<Hint> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex {
        return Some(format!("write the digest as sha256:{text}").into());
    }
    if text.contains('$') || text.contains("{{") {
        return Some(Hint::Note("a variable was not replaced".to_owned()));
    }
    if let Some(last) = text.chars().last().filter(|last| ":@".contains(*last)) {
        return Some(format!("check whether a variable is empty: nothing follows {last:?}").into());
    }
    if text.starts_with("http://") {
        return Some(Hint::PlainHttpScheme);
    }
    if let Some((_, advice)) = PREFIXES.iter().find(|(word, _)| text.starts_with(word)) {
        return Some((*advice).into());
    }
    if text.contains(char::is_whitespace) {
        return Some("separate sources with line breaks or commas".into());
    }
    let is_path = text.starts_with(['/', '.', '~']);
    let is_archive = Path::new(text)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"));
    match (is_path, is_archive) {
        (_, true) => Some(format!("use oci-archive:{text} for an OCI archive").into()),
        (true, false) => Some(format!("use oci:{text} for an OCI layout").into()),
        (false, false) => None,
    }
}

fn foreign_file_hint(path: &Path, in_layout: bool) -> Hint {
    if in_layout {
        let directory = path.parent().unwrap_or(path).display();
        format!("use oci:{directory} as a source, because the directory is an OCI layout").into()
    } else {
        format!(
            "name each file after the 64 hex digits of a digest ({TOUCH}), or write one digest to it"
        )
        .into()
    }
}
