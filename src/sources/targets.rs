//! Where the result goes: the values of `-t`.

use super::SourceError;
use super::error::shown;
use super::text::{check_count, check_size};
use crate::spec::{LayoutReference, Reference, Repository, Tag};

/// A target as a person wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// As written, for messages.
    pub text: String,
    /// What it is.
    pub form: TargetForm,
    /// No registry host was named, so that Docker Hub is meant: worth a notice.
    pub hostless: bool,
}

/// The forms of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// A tag in a repository.
    Repository(Repository, Tag),
    /// An OCI layout on disk; without a tag, the index has no name in it.
    Layout(LayoutReference),
}

/// The targets of one argument or variable: references (without a tag: `latest`) and layouts, separated by
/// line ends or commas. One that comes twice is one target. A digest cannot be a target.
pub fn parse_targets(text: &str) -> Result<Vec<TargetSpec>, SourceError> {
    check_size(text)?;
    let mut targets: Vec<TargetSpec> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let pieces = text.split(['\n', '\r', ',']).map(str::trim);
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let target = parse_target(piece)?;
        if seen.insert(target.name()) {
            targets.push(target);
        }
        check_count(targets.len())?;
    }
    if targets.is_empty() {
        return Err(SourceError::NoTarget);
    }
    Ok(targets)
}

fn parse_target(text: &str) -> Result<TargetSpec, SourceError> {
    if LayoutReference::is_meant_by(text) {
        let layout: LayoutReference = text.parse()?;
        if layout.digest.is_some() {
            return Err(SourceError::TargetDigest { text: shown(text) });
        }
        return Ok(TargetSpec {
            text: text.to_owned(),
            form: TargetForm::Layout(layout),
            hostless: false,
        });
    }
    let (repository, tag) = parse_tagged(text)?;
    Ok(TargetSpec {
        text: text.to_owned(),
        form: TargetForm::Repository(repository, tag),
        hostless: Reference::is_hostless(text),
    })
}

/// A reference that can be pushed to.
pub(super) fn parse_tagged(text: &str) -> Result<(Repository, Tag), SourceError> {
    if super::text::is_digest_meant(text) {
        return Err(SourceError::TargetDigest { text: shown(text) });
    }
    let reference = Reference::parse_or_latest(text)
        .map_err(|reason| SourceError::reference("target", text, reason))?;
    match (reference.tag(), reference.digest()) {
        (Some(tag), None) => Ok((reference.repository().clone(), tag.clone())),
        _ => Err(SourceError::TargetDigest { text: shown(text) }),
    }
}

impl TargetSpec {
    /// What it means, in full: `docker.io/library/app:latest`.
    pub fn name(&self) -> String {
        match &self.form {
            TargetForm::Repository(repository, tag) => format!("{repository}:{tag}"),
            TargetForm::Layout(layout) => layout.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Hint;

    #[test]
    fn targets_have_a_tag_and_are_there_once() {
        let targets = parse_targets(
            "ghcr.io/o/app:1.2,docker.io/o/app\n\n o/app:latest ,oci:out:1\r\nlocalhost:5000/a, oci-archive:x.tar",
        )
        .unwrap();
        let shown: Vec<_> = targets
            .iter()
            .map(|target| (target.name(), target.hostless))
            .collect();
        let expected = [
            ("ghcr.io/o/app:1.2", false),
            ("docker.io/o/app:latest", false),
            ("oci:out:1", false),
            ("localhost:5000/a:latest", false),
            ("oci-archive:x.tar", false),
        ];
        assert_eq!(
            shown,
            expected.map(|(name, hostless)| (name.to_owned(), hostless))
        );
        assert!(parse_targets("app:1").unwrap()[0].hostless);
    }

    #[test]
    fn what_cannot_be_pushed_to_is_refused() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, message) in [
            (String::new(), "no target was given"),
            (",\n".to_owned(), "no target was given"),
            (
                format!("ghcr.io/o/app@{digest}"),
                "a target cannot have a digest",
            ),
            (
                format!("ghcr.io/o/app:1@{digest}"),
                "a target cannot have a digest",
            ),
            (format!("oci:out@{digest}"), "a target cannot have a digest"),
            (digest, "a target cannot have a digest"),
            (
                "a:b:c".to_owned(),
                "invalid target \"a:b:c\": invalid reference format",
            ),
            ("oci:out:".to_owned(), "empty tag"),
        ] {
            let error = parse_targets(&text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let hints = parse_targets("ghcr.io/Org/App:1").unwrap_err().hints();
        assert_eq!(hints, [Hint::from("write ghcr.io/org/app:1")]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            let _ = parse_targets(&text);
        }
    }
}
