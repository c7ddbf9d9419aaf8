//! Targets: the values of `--tag`.

use super::error::{SourceError, shown};
use super::limits::{check_count, check_size};
use super::source::is_digest_like;
use crate::spec::{LayoutReference, Location, Reference, Repository, Tag};

/// A target as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// As written.
    pub text: String,
    pub form: TargetForm,
    /// Whether Docker Hub is used because no registry host was given.
    pub hostless: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// A tag in a repository.
    Repository(Repository, Tag),
    /// An OCI layout on disk. Without a tag, the index has no name in it.
    Layout(LayoutReference),
}

/// Parses the targets of one argument or variable: references (`latest` if there is no tag) and layouts, separated by
/// line breaks or commas. Duplicates are removed; a digest is an error.
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

/// Parses a reference with a tag, or `latest`, and without a digest.
pub(super) fn parse_tagged(text: &str) -> Result<(Repository, Tag), SourceError> {
    if is_digest_like(text) {
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
    pub fn into_location(self) -> (Location, Option<Tag>) {
        match self.form {
            TargetForm::Repository(repository, tag) => (repository.into(), Some(tag)),
            TargetForm::Layout(reference) => (reference.layout.into(), reference.tag),
        }
    }

    /// Returns the full name: `docker.io/library/app:latest`.
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
    fn targets_have_a_tag_and_no_duplicates() {
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
    fn invalid_targets_are_refused() {
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
                "invalid target \"a:b:c\": invalid tag \"b:c\"",
            ),
            ("oci:out:".to_owned(), "empty tag"),
        ] {
            let error = parse_targets(&text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let hints = parse_targets("ghcr.io/Org/App:1").unwrap_err().hints();
        assert_eq!(hints, [Hint::from("use ghcr.io/org/app:1")]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in ".{0,200}") {
            let _ = parse_targets(&text);
        }
    }
}
