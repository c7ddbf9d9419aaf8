//! Lists of lines: annotations, labels, platforms of sources.

use super::SourceError;
use super::error::shown;
use super::platforms::parse_set_platform;
use super::text::{check_count, check_size};
use crate::spec::{AnnotationLevel, AnnotationRule, Platform};

/// Annotations, one `[LEVEL:]KEY=VALUE` a line. Empty lines are skipped; a comma is part of a value.
pub fn parse_annotations(text: &str) -> Result<Vec<AnnotationRule>, SourceError> {
    each_line(text, |line| Ok(line.parse()?))
}

/// Labels, one `KEY=VALUE` a line, as annotations of the index. A colon is part of a key: labels have no
/// levels.
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

/// Platforms of sources, one `SOURCE=PLATFORM` a line.
pub fn parse_annotate_list(text: &str) -> Result<Vec<(String, Platform)>, SourceError> {
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
