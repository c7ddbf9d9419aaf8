//! Sources in JSON: a descriptor, an array of sources, the outputs of a job, buildx's metadata.

mod keys;

use std::collections::HashMap;

use serde_json::{Map, Value};

use self::keys::is_similar;
use super::error::{SourceError, shown};
use super::limits::check_count;
use super::source::{SourceForm, SourceSpec, is_digest_like, parse_one, starts_json};
use crate::spec::{Descriptor, Digest, LayoutReference, Reference};

/// The maximum nesting of JSON in strings of JSON.
const MAX_STRINGS: usize = 4;
/// The maximum number of skipped values that an error lists.
const MAX_LISTED: usize = 12;

/// Outputs of well-known steps that look like sources but are not: the digest of an image's config from
/// docker/build-push-action, and the names from docker/metadata-action. (`containerimage.descriptor` repeats
/// `containerimage.digest`, with annotations of the builder.)
const NEVER_SOURCES: [&str; 8] = [
    "imageid",
    "containerimage.config.digest",
    "containerimage.descriptor",
    "tags",
    "tag-names",
    "labels",
    "annotations",
    "image.name",
];
/// Prefixes of such outputs: the provenance in buildx's metadata contains digests of other content.
const NEVER_PREFIXES: [&str; 2] = ["buildx.build.", "bake-file"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A list of sources: anything else is an error.
    List,
    /// Outputs of a job: anything else is skipped.
    Outputs,
}

/// Returns the sources in `value`. A repeated digest or descriptor is one source. It is an error if there is none.
pub(super) fn sources_in_json(value: &Value) -> Result<Vec<SourceSpec>, SourceError> {
    let mut collector = Collector::default();
    collector.value(value, Mode::List)?;
    if collector.found.is_empty() {
        let mut found = collector.skipped;
        let more = found.len().saturating_sub(MAX_LISTED);
        found.truncate(MAX_LISTED);
        if more > 0 {
            found.push(format!("{more} more"));
        }
        return Err(SourceError::NoSourceInOutputs { found });
    }
    Ok(collector.found)
}

/// Collects the sources in a JSON value.
#[derive(Default)]
struct Collector {
    found: Vec<SourceSpec>,
    /// Positions in `found` of bare digests and descriptors.
    by_digest: HashMap<Digest, usize>,
    /// The number of sources so far, repeated digests included.
    kept: usize,
    skipped: Vec<String>,
    path: Vec<String>,
    /// The current nesting of JSON in strings.
    strings: usize,
}

impl Collector {
    fn value(&mut self, value: &Value, mode: Mode) -> Result<(), SourceError> {
        match value {
            Value::Object(object) => self.object(object, mode),
            Value::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    self.path.push(format!("[{position}]"));
                    self.value(item, mode)?;
                    self.path.pop();
                }
                Ok(())
            }
            Value::String(text) => self.string(text, mode),
            other if mode == Mode::List => {
                Err(self.at(SourceError::not_a_source(&other.to_string())))
            }
            Value::Null => self.empty_output(),
            other => {
                self.skip(&other.to_string());
                Ok(())
            }
        }
    }

    fn object(&mut self, object: &Map<String, Value>, mode: Mode) -> Result<(), SourceError> {
        if object.contains_key("schemaVersion") {
            return Err(self.at(SourceError::Manifest));
        }
        if object.contains_key("mediaType") && object.contains_key("digest") {
            let descriptor = self.descriptor(object)?;
            return self.keep(SourceSpec::described(descriptor));
        }
        let before = self.kept;
        let (mut sources, mut empty) = (Vec::new(), Vec::new());
        for (key, value) in object {
            if is_never_a_source(key) {
                self.skipped.push(key.clone());
                continue;
            }
            let before = self.kept;
            self.path.push(key.clone());
            self.value(value, Mode::Outputs)?;
            self.path.pop();
            if self.kept > before {
                sources.push(key);
            } else if is_empty(value) {
                empty.push(key);
            }
        }
        let is_lost = |key: &&&String| sources.iter().any(|source| is_similar(key, source));
        if let Some(key) = empty.iter().find(is_lost) {
            self.path.push((*key).clone());
            return Err(self.at(SourceError::EmptyOutput));
        }
        // Each object in a list must contain a source.
        if mode == Mode::List && !self.path.is_empty() && self.kept == before {
            let shown = Value::Object(object.clone()).to_string();
            return Err(self.at(SourceError::not_a_source(&shown)));
        }
        Ok(())
    }

    fn descriptor(&self, object: &Map<String, Value>) -> Result<Descriptor, SourceError> {
        let descriptor: Descriptor = serde_json::from_value(Value::Object(object.clone()))
            .map_err(|reason| self.at(SourceError::Descriptor(reason)))?;
        if let Some(platform) = &descriptor.platform {
            platform
                .check_limits()
                .map_err(|error| self.at(error.into()))?;
        }
        if descriptor.has_foreign_data() {
            return Err(self.at(SourceError::ForeignData(descriptor.digest)));
        }
        Ok(descriptor)
    }

    fn string(&mut self, text: &str, mode: Mode) -> Result<(), SourceError> {
        let trimmed = text.trim();
        if starts_json(trimmed) {
            return self.json_in_string(trimmed, mode);
        }
        if mode == Mode::List {
            let source = parse_one(trimmed).map_err(|error| self.at(error))?;
            return self.keep(source);
        }
        if trimmed.is_empty() {
            return self.empty_output();
        }
        if LayoutReference::is_meant_by(trimmed) && !trimmed.contains(['\n', '\r']) {
            let source = parse_one(trimmed).map_err(|error| self.at(error))?;
            return self.keep(source);
        }
        self.list_in_string(trimmed)
    }

    /// Parses a value such as `sha256:…\nsha256:…`: if one item is a source, all must be.
    fn list_in_string(&mut self, text: &str) -> Result<(), SourceError> {
        let pieces = text.split(['\n', '\r', ',']).map(str::trim);
        let (mut sources, mut other) = (Vec::new(), None);
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            match self.output(piece)? {
                Some(source) => sources.push(source),
                None => other = other.or(Some(piece)),
            }
        }
        match (sources.is_empty(), other) {
            (true, _) => {
                self.skip(text);
                Ok(())
            }
            (false, Some(other)) => Err(self.at(SourceError::not_a_source(other))),
            (false, None) => sources.into_iter().try_for_each(|source| self.keep(source)),
        }
    }

    fn json_in_string(&mut self, text: &str, mode: Mode) -> Result<(), SourceError> {
        match serde_json::from_str::<Value>(text) {
            Ok(value) if self.strings < MAX_STRINGS => {
                self.strings += 1;
                self.value(&value, mode)?;
                self.strings -= 1;
                Ok(())
            }
            Ok(_) => Err(self.at(SourceError::TooDeep)),
            // Truncated JSON would lose a platform.
            Err(reason) if mode == Mode::List || text.contains("sha256:") => {
                Err(self.at(SourceError::json(text, reason)))
            }
            Err(_) => {
                self.skip(text);
                Ok(())
            }
        }
    }

    /// Parses an output of a job if it can only be a source. It is an error if it begins like a source and is invalid:
    /// skipping it would silently lose a platform.
    fn output(&self, text: &str) -> Result<Option<SourceSpec>, SourceError> {
        let is_meant = LayoutReference::is_meant_by(text)
            || is_digest_like(text)
            || (text.contains("@sha256:") && !text.contains(char::is_whitespace));
        if is_meant {
            return parse_one(text).map(Some).map_err(|error| self.at(error));
        }
        if is_cut_off(text) {
            let text = shown(text);
            return Err(self.at(SourceError::CutOff { text }));
        }
        if Reference::is_hostless(text) {
            return Ok(None);
        }
        let reference = text.parse::<Reference>().ok();
        Ok(reference
            .filter(|reference| reference.tag().is_some())
            .map(|reference| SourceSpec::new(text, SourceForm::Reference(reference))))
    }

    /// Refuses an empty output whose name contains `digest`, and skips any other.
    fn empty_output(&mut self) -> Result<(), SourceError> {
        let mut keys = self.path.iter().rev();
        let key = keys
            .find(|step| !step.starts_with('['))
            .map(|key| key.to_ascii_lowercase());
        if key.is_some_and(|key| key.contains("digest")) {
            return Err(self.at(SourceError::EmptyOutput));
        }
        self.skip("");
        Ok(())
    }

    /// Adds a source. A repeated digest is one source, and a descriptor replaces the bare digest; two descriptors of
    /// one digest may have different platforms.
    fn keep(&mut self, source: SourceSpec) -> Result<(), SourceError> {
        self.kept += 1;
        let digest = match &source.form {
            SourceForm::Digest(digest) => digest,
            SourceForm::Descriptor(descriptor) => &descriptor.digest,
            SourceForm::Reference(_) | SourceForm::Layout(_) => {
                self.found.push(source);
                return check_count(self.found.len());
            }
        };
        let earlier = self.by_digest.get(digest);
        let earlier = earlier.and_then(|position| self.found.get_mut(*position));
        match (earlier, &source.form) {
            (Some(_), SourceForm::Digest(_)) => {}
            (Some(earlier), _) if matches!(earlier.form, SourceForm::Digest(_)) => {
                *earlier = source;
            }
            (Some(earlier), _) if *earlier == source => {}
            (_, _) => {
                self.by_digest.insert(digest.clone(), self.found.len());
                self.found.push(source);
            }
        }
        check_count(self.found.len())
    }

    fn skip(&mut self, text: &str) {
        let shown: String = text.chars().take(60).collect();
        self.skipped.push(format!("{}={shown:?}", self.position()));
    }

    fn position(&self) -> String {
        let mut position = String::new();
        for step in &self.path {
            if !position.is_empty() && !step.starts_with('[') {
                position.push('.');
            }
            position.push_str(step);
        }
        position
    }

    fn at(&self, error: SourceError) -> SourceError {
        if self.path.is_empty() {
            error
        } else {
            error.at(self.position())
        }
    }
}

/// Returns whether a text is `repository@` or `repository:`, the result of `repository@${{ … }}` without a digest.
fn is_cut_off(text: &str) -> bool {
    let is_reference = |name: &str| name.parse::<Reference>().is_ok();
    match (text.strip_suffix('@'), text.strip_suffix(':')) {
        (Some(name), _) => is_reference(name),
        // Other outputs may end with a colon.
        (None, Some(name)) => is_reference(name) && !Reference::is_hostless(name),
        (None, None) => false,
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn is_never_a_source(key: &str) -> bool {
    NEVER_SOURCES.contains(&key) || NEVER_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests;
