//! A list of sources in one text, and what one source looks like.

use super::outputs::Collector;
use super::{MAX_ITEMS, MAX_TEXT, SourceError, SourceForm, SourceSpec};
use crate::layout::LayoutReference;
use crate::spec::Reference;

/// The sources of one argument or variable, in the order in which they stand.
///
/// They are separated by line ends or commas; each is a reference, a digest, a layout, a descriptor, or a
/// JSON object or array of any of these. Outside of JSON, and in a JSON array, everything must be a source.
/// In a JSON object, which may be all the outputs of a job, a value counts if it can be nothing else: a
/// digest, a descriptor, a layout, a reference with registry host and tag, or with a digest. (`1.2.3` and
/// `success` are outputs, and valid references to Docker Hub, too.) A path of a layout that has a comma is
/// written in a JSON array.
///
/// Errors: something that is no source; nothing at all; an object in which nothing is a source.
pub fn parse_sources(text: &str) -> Result<Vec<SourceSpec>, SourceError> {
    check_size(text)?;
    let mut sources = Vec::new();
    let mut rest = skip_separators(text);
    while !rest.is_empty() {
        if starts_json(rest) {
            let (value, after) = first_json_value(rest)?;
            sources.append(&mut Collector::of_value(&value)?);
            let after = after.trim_start_matches([' ', '\t']);
            if !after.is_empty() && !after.starts_with(SEPARATORS) {
                return Err(SourceError::not_a_source(first_piece(after).0));
            }
            rest = skip_separators(after);
        } else {
            let (piece, after) = first_piece(rest);
            sources.push(parse_one(piece)?);
            rest = skip_separators(after);
        }
        check_count(sources.len())?;
    }
    if sources.is_empty() {
        return Err(SourceError::Empty);
    }
    Ok(sources)
}

/// One source that is meant to be one: a reference without tag means `latest`, as in every Docker command.
pub(super) fn parse_one(text: &str) -> Result<SourceSpec, SourceError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SourceError::Empty);
    }
    let form = if LayoutReference::is_meant_by(text) {
        SourceForm::Layout(text.parse()?)
    } else if is_digest_meant(text) {
        SourceForm::Digest(text.parse()?)
    } else {
        let reference = Reference::parse_or_latest(text)
            .map_err(|reason| SourceError::reference("source", text, reason))?;
        SourceForm::Reference(reference)
    };
    Ok(SourceSpec::new(text, form))
}

/// Whether a text starts as a digest does. `sha256:abc` would be a valid reference, and is never meant as one.
pub(super) fn is_digest_meant(text: &str) -> bool {
    text.split_once(':').is_some_and(|(name, _)| {
        name.strip_prefix("sha").is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// Whether a text is JSON rather than a reference: `[::1]:5000/app` is none.
pub(super) fn starts_json(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('[') else {
        return text.starts_with('{');
    };
    let is_address = inside.split_once(']').is_some_and(|(address, _)| {
        address.contains(':')
            && address
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
    });
    !is_address
}

const SEPARATORS: [char; 3] = ['\n', '\r', ','];

fn skip_separators(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || SEPARATORS.contains(&c))
}

/// The text up to the first separator, and what follows.
fn first_piece(text: &str) -> (&str, &str) {
    let end = text.find(SEPARATORS).unwrap_or(text.len());
    let (piece, rest) = text.split_at(end);
    (piece.trim_end(), rest)
}

fn first_json_value(text: &str) -> Result<(serde_json::Value, &str), SourceError> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values
        .next()
        .unwrap_or_else(|| Ok(serde_json::Value::Null))
        .map_err(|reason| SourceError::json(text, &reason))?;
    Ok((value, text.get(values.byte_offset()..).unwrap_or_default()))
}

pub(super) fn check_size(text: &str) -> Result<(), SourceError> {
    if text.len() > MAX_TEXT {
        return Err(SourceError::TooLarge {
            what: "a list".to_owned(),
        });
    }
    Ok(())
}

pub(super) fn check_count(count: usize) -> Result<(), SourceError> {
    if count > MAX_ITEMS {
        return Err(SourceError::TooMany);
    }
    Ok(())
}
