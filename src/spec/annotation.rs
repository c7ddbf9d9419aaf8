//! Annotation rules in buildx's syntax: `[LEVEL[platform],…:]key=value`.
//! <https://docs.docker.com/build/metadata/annotations/#specify-annotation-level>

use std::str::FromStr;

use super::{Platform, PlatformError};

/// An annotation and the levels at which it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationRule {
    /// Empty if no level is named.
    pub levels: Vec<AnnotationLevel>,
    pub key: String,
    /// May be empty and may contain `=`.
    pub value: String,
}

/// The target of an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnotationLevel {
    Index,
    /// The entries of the index: all entries, or the entries of one platform.
    ManifestDescriptor(Option<Platform>),
    /// The image manifests, which cannot be changed after they were pushed.
    Manifest(Option<Platform>),
    /// The descriptor of the index in an OCI layout.
    IndexDescriptor,
}

/// Why a text is not a valid annotation rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationRuleError {
    #[error("invalid annotation {0:?}: expected [LEVEL:]KEY=VALUE")]
    Format(String),
    #[error(
        "unknown annotation level {0:?}: expected index, manifest-descriptor, manifest or index-descriptor"
    )]
    Level(String),
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl FromStr for AnnotationRule {
    type Err = AnnotationRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || AnnotationRuleError::Format(text.chars().take(200).collect());
        let (left, value) = text.split_once('=').ok_or_else(invalid)?;
        let (levels, key) = match left.split_once(':') {
            Some((levels, key)) => {
                let levels = levels
                    .split(',')
                    .map(parse_level)
                    .collect::<Result<_, _>>()?;
                (levels, key)
            }
            None => (Vec::new(), left),
        };
        if key.trim().is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            levels,
            key: key.trim().to_owned(),
            value: value.to_owned(),
        })
    }
}

fn parse_level(text: &str) -> Result<AnnotationLevel, AnnotationRuleError> {
    let unknown = || AnnotationRuleError::Level(text.chars().take(100).collect());
    let (name, platform) = match text.trim().split_once('[') {
        Some((name, rest)) => {
            let platform: Platform = rest.strip_suffix(']').ok_or_else(unknown)?.parse()?;
            (name, Some(platform))
        }
        None => (text.trim(), None),
    };
    match (name, platform) {
        // As in buildx, the platform of an index is ignored.
        ("index", _) => Ok(AnnotationLevel::Index),
        ("index-descriptor", None) => Ok(AnnotationLevel::IndexDescriptor),
        ("manifest-descriptor", platform) => Ok(AnnotationLevel::ManifestDescriptor(platform)),
        ("manifest", platform) => Ok(AnnotationLevel::Manifest(platform)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> AnnotationRule {
        text.parse().unwrap()
    }

    #[test]
    fn rules_have_any_number_of_levels() {
        assert_eq!(rule("a=b=c").levels, []);
        assert_eq!(rule("a=b=c").value, "b=c");
        assert_eq!(rule("a=").value, "");
        let amd64 = "linux/amd64".parse().unwrap();
        assert_eq!(
            rule("index,manifest-descriptor[linux/amd64]:a=b").levels,
            [
                AnnotationLevel::Index,
                AnnotationLevel::ManifestDescriptor(Some(amd64))
            ]
        );
        assert_eq!(
            rule("index[linux/amd64]:a=b").levels,
            [AnnotationLevel::Index]
        );
        assert_eq!(rule("url=https://a.b/c").value, "https://a.b/c");
    }

    #[test]
    fn invalid_rules_are_refused() {
        for text in [
            "",
            "a",
            "=b",
            "index:=b",
            "nope:a=b",
            "index-descriptor[linux/amd64]:a=b",
            "index[linux/amd64/v1/x]:a=b",
            "manifest[linux:a=b",
        ] {
            assert!(text.parse::<AnnotationRule>().is_err(), "{text}");
        }
    }
}
