//! Platforms that the user sets for sources.

use super::error::{SourceError, shown};
use super::source::{SourceForm, SourceSpec};
use crate::spec::{Digest, Platform, Reference};

/// Parses `SOURCE=PLATFORM`, split at the last `=`.
pub fn parse_set_platform(text: &str) -> Result<(String, Platform), SourceError> {
    let invalid = || SourceError::SetPlatform { text: shown(text) };
    let (source, platform) = text.rsplit_once('=').ok_or_else(invalid)?;
    let (source, platform) = (source.trim(), platform.trim());
    if source.is_empty() || platform.is_empty() {
        return Err(invalid());
    }
    let platform = platform
        .parse()
        .map_err(|error| SourceError::from(error).at(format!("platform of {source:?}")))?;
    Ok((source.to_owned(), platform))
}

/// Sets the platforms of the named sources. An unknown name and two platforms for one source are errors.
pub fn set_platforms(
    sources: &mut [SourceSpec],
    settings: &[(String, Platform)],
) -> Result<(), SourceError> {
    let mut set_by_name: Vec<Option<&Platform>> = vec![None; sources.len()];
    for (name, platform) in settings {
        let wanted = Name::new(name);
        let mut is_known = false;
        for (source, set) in sources.iter_mut().zip(&mut set_by_name) {
            if !wanted.matches(source) {
                continue;
            }
            is_known = true;
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
        if !is_known {
            return Err(SourceError::SetPlatformOfUnknown {
                text: shown(name),
                sources: sources.iter().map(|source| source.text.clone()).collect(),
            });
        }
    }
    Ok(())
}

/// The name of a source: its text, an equal reference, or its digest (with or without `sha256:` and repository).
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

    fn matches(&self, source: &SourceSpec) -> bool {
        let same_reference = match (&source.form, &self.reference) {
            (SourceForm::Reference(reference), Some(wanted)) => reference == wanted,
            _ => false,
        };
        source.text == self.text
            || same_reference
            || (self.digest.is_some() && source.digest() == self.digest.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::super::source_list::parse_sources;
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn settings_are_split_at_the_last_equals_sign() {
        let (source, platform) = parse_set_platform(" oci:a=b:1 = linux/arm/v7 ").unwrap();
        assert_eq!(
            (source.as_str(), platform.to_string().as_str()),
            ("oci:a=b:1", "linux/arm/v7")
        );
        for (text, message) in [
            ("app", "expected SOURCE=PLATFORM"),
            ("=linux/arm", "expected SOURCE=PLATFORM"),
            ("app=", "expected SOURCE=PLATFORM"),
            (
                "app=linux/amd46",
                "platform of \"app\": unknown architecture",
            ),
        ] {
            let error = parse_set_platform(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    fn set(settings: &[&str]) -> Result<Vec<Option<String>>, SourceError> {
        let pinned = format!("nginx:1,oci:build,{A},ghcr.io/o/app@{A}");
        let mut sources = parse_sources(&pinned).unwrap();
        let settings: Vec<_> = settings
            .iter()
            .map(|text| parse_set_platform(text).unwrap())
            .collect();
        set_platforms(&mut sources, &settings)?;
        let platforms = sources.into_iter().map(|source| source.set_platform);
        Ok(platforms
            .map(|platform| platform.map(|it| it.to_string()))
            .collect())
    }

    #[test]
    fn sources_are_found_by_text_reference_or_digest() {
        let arm = Some("linux/arm/v6".to_owned());
        let by_digest = [None, None, arm.clone(), arm.clone()];
        for (setting, expected) in [
            (
                "nginx:1=linux/arm/v6".to_owned(),
                [arm.clone(), None, None, None],
            ),
            (
                "docker.io/library/nginx:1=linux/arm/v6".to_owned(),
                [arm.clone(), None, None, None],
            ),
            (
                "oci:build=linux/arm/v6".to_owned(),
                [None, arm.clone(), None, None],
            ),
            (format!("{A}=linux/arm/v6"), by_digest.clone()),
            (format!("{}=linux/arm/v6", &A[7..]), by_digest.clone()),
            (
                format!("ghcr.io/o/app@{A}=linux/arm/v6"),
                [None, None, None, arm.clone()],
            ),
        ] {
            assert_eq!(set(&[&setting]).unwrap(), expected, "{setting}");
        }
    }

    #[test]
    fn unknown_and_contradictory_settings_are_errors() {
        let error = set(&["ngnix:1=linux/arm"]).unwrap_err().to_string();
        assert!(error.starts_with("cannot set the platform of \"ngnix:1\": no such source; the sources are nginx:1, oci:build"), "{error}");
        let error = set(&["nginx:1=linux/arm/v6", "library/nginx:1=linux/arm64"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "two platforms are set for \"nginx:1\": linux/arm/v6 and linux/arm64"
        );
        assert!(set(&["nginx:1=linux/arm64", "nginx:1=linux/aarch64"]).is_ok());
    }
}
