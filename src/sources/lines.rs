//! Lists with one item per line: annotations, labels, platforms of sources.

use super::error::{SourceError, shown};
use super::limits::{check_count, check_size};
use super::platforms::parse_set_platform;
use crate::spec::{AnnotationLevel, AnnotationRule, Platform};

/// Parses annotations, one `[LEVEL:]KEY=VALUE` per line. Commas belong to the value.
pub fn parse_annotations(text: &str) -> Result<Vec<AnnotationRule>, SourceError> {
    each_line(text, |line| Ok(line.parse()?))
}

/// Refuses rules that set one annotation at the same level to different values.
pub fn refuse_duplicates(rules: &[AnnotationRule]) -> Result<(), SourceError> {
    for (position, rule) in rules.iter().enumerate() {
        let mut earlier = rules[..position].iter();
        let contradicts = |it: &&AnnotationRule| {
            it.key == rule.key && it.value != rule.value && have_common_level(it, rule)
        };
        if let Some(first) = earlier.find(contradicts) {
            return Err(SourceError::DuplicateAnnotation {
                key: shown(&rule.key),
                first: shown(&first.value),
                second: shown(&rule.value),
            });
        }
    }
    Ok(())
}

fn have_common_level(one: &AnnotationRule, other: &AnnotationRule) -> bool {
    let levels = |rule: &AnnotationRule| match &rule.levels[..] {
        [] => vec![AnnotationLevel::Index],
        levels => levels.to_vec(),
    };
    let of_other = levels(other);
    levels(one).iter().any(|level| of_other.contains(level))
}

/// Parses labels, one `KEY=VALUE` per line, as annotations of the index. Colons belong to the key.
pub fn parse_labels(text: &str) -> Result<Vec<AnnotationRule>, SourceError> {
    each_line(text, |line| {
        let pair = line.split_once('=').map(|(key, value)| (key.trim(), value));
        match pair {
            Some((key, value)) if !key.is_empty() => Ok(AnnotationRule {
                levels: vec![AnnotationLevel::Index],
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(SourceError::Label { text: shown(line) }),
        }
    })
}

/// Parses platforms of sources, one `SOURCE=PLATFORM` per line.
pub fn parse_set_platforms(text: &str) -> Result<Vec<(String, Platform)>, SourceError> {
    each_line(text, parse_set_platform)
}

fn each_line<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, SourceError>,
) -> Result<Vec<T>, SourceError> {
    check_size(text)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut items = Vec::new();
    for line in lines {
        items.push(parse(line)?);
        check_count(items.len())?;
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_parsed_per_line() {
        let rules = parse_annotations("index:a=1, 2=3\r\n\n manifest-descriptor[linux/arm64]:b=\n")
            .unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].value, "1, 2=3");
        assert_eq!(rules[1].value, "");
        let error = parse_annotations("a=1\nb").unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid annotation \"b\": expected [LEVEL:]KEY=VALUE"
        );
    }

    #[test]
    fn contradictory_annotations_are_refused() {
        let check = |text: &str| refuse_duplicates(&parse_annotations(text).unwrap());
        assert!(check("a=1\nmanifest-descriptor:a=2\nb=1\na=1\nindex:a=1").is_ok());
        for text in ["a=1\nindex:a=2", "index,manifest:a=1\nmanifest:a=2"] {
            assert!(check(text).is_err(), "{text}");
        }
        assert_eq!(
            check("a=1\nb=1\na=2").unwrap_err().to_string(),
            "annotation \"a\" is set twice: to \"1\" and to \"2\""
        );
    }

    #[test]
    fn labels_have_no_levels() {
        let rules = parse_labels("io.k8s:name=a=b\nc=").unwrap();
        assert_eq!(rules[0].key, "io.k8s:name");
        assert_eq!(rules[0].value, "a=b");
        assert_eq!(rules[0].levels, [AnnotationLevel::Index]);
        assert!(parse_labels("=x").is_err());
        assert!(parse_labels("x").is_err());
    }

    #[test]
    fn platforms_of_sources_are_parsed_per_line() {
        let settings =
            parse_set_platforms("a=linux/arm\n\nb:1=windows(10.0.17763.1)/amd64\n").unwrap();
        let shown: Vec<_> = settings
            .iter()
            .map(|(name, it)| format!("{name} {it}"))
            .collect();
        assert_eq!(shown, ["a linux/arm/v7", "b:1 windows(10.0.17763.1)/amd64"]);
    }
}
