//! `--set-platform SOURCE=PLATFORM`: what `docker manifest annotate` is for.

use super::error::shown;
use super::{SourceError, SourceForm, SourceSpec};
use crate::spec::{Digest, Platform, Reference};

/// One value of `--set-platform`: `SOURCE=linux/arm/v7`, cut at the last `=`.
pub fn parse_set_platform(text: &str) -> Result<(String, Platform), SourceError> {
    let wrong = || SourceError::SetPlatform { text: shown(text) };
    let (source, platform) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (source, platform) = (source.trim(), platform.trim());
    if source.is_empty() || platform.is_empty() {
        return Err(wrong());
    }
    let platform = platform
        .parse()
        .map_err(|error| SourceError::from(error).at(format!("platform of {source:?}")))?;
    Ok((source.to_owned(), platform))
}

/// Sets platforms of the sources that are named. A name that no source has, and two platforms for one
/// source, are errors.
pub fn set_platforms(
    sources: &mut [SourceSpec],
    settings: &[(String, Platform)],
) -> Result<(), SourceError> {
    let mut set_by_name: Vec<Option<&Platform>> = vec![None; sources.len()];
    for (name, platform) in settings {
        let wanted = Name::new(name);
        let mut is_there = false;
        for (source, set) in sources.iter_mut().zip(&mut set_by_name) {
            if !wanted.names(source) {
                continue;
            }
            is_there = true;
            if let Some(first) = set.filter(|first| *first != platform) {
                return Err(SourceError::SetPlatformTwice {
                    text: source.text.clone(),
                    first: first.to_string(),
                    second: platform.to_string(),
                });
            }
            *set = Some(platform);
            source.set_platform = Some(platform.clone());
        }
        if !is_there {
            return Err(SourceError::SetPlatformOfNothing {
                text: shown(name),
                sources: sources.iter().map(|source| source.text.clone()).collect(),
            });
        }
    }
    Ok(())
}

/// What a person may call a source: as it was written, as the same reference in other words, or by its
/// digest (with or without `sha256:` and repository).
struct Name<'a> {
    text: &'a str,
    reference: Option<Reference>,
    digest: Option<Digest>,
}

impl<'a> Name<'a> {
    fn new(text: &'a str) -> Self {
        let digest = text.parse().or_else(|_| format!("sha256:{text}").parse());
        Self {
            text,
            reference: Reference::parse_or_latest(text).ok(),
            digest: digest.ok(),
        }
    }

    fn names(&self, source: &SourceSpec) -> bool {
        let same_reference = match (&source.form, &self.reference) {
            (SourceForm::Reference(reference), Some(wanted)) => reference == wanted,
            _ => false,
        };
        source.text == self.text
            || same_reference
            || (self.digest.is_some() && source.digest() == self.digest.as_ref())
    }
}
