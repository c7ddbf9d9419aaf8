//! What a person should know about a plan that is carried out all the same.

use crate::spec::{Descriptor, Digest, Manifest};
use crate::text::Printable;

use super::annotate::Routed;
use super::error::listed;
use super::flatten::Entry;
use super::input::Node;
use super::select::Sources;
use super::transfer::Content;

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// One line.
    pub text: String,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is as asked, and worth saying.
    Notice,
    /// It may not be what was wanted.
    Warning,
}

impl Notice {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Notice,
            text: printable(text),
        }
    }

    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            text: printable(text),
        }
    }
}

/// Names of annotations and fields come from whoever wrote the sources.
fn printable(text: impl Into<String>) -> String {
    Printable(&text.into()).to_string()
}

/// What the indexes that were opened said about themselves, which the new index does not say.
pub(super) fn not_carried_over(
    sources: Sources<'_>,
    base: Option<&Manifest>,
    routed: &Routed<'_>,
) -> Vec<Notice> {
    let base = base.map(|base| &base.digest);
    let sets = |key: &str| routed.sets_on_index(key);
    let notices = sources.all.iter();
    notices
        .filter_map(|source| left_behind(&source.name, &source.root, base, sets))
        .collect()
}

/// What the index at `root` and those in it say about themselves, if a new index of their entries does not say
/// it. What `base` says is kept, and `sets` tells which annotations are set anyway.
pub fn left_behind(
    name: &str,
    root: &Node,
    base: Option<&Digest>,
    sets: impl Fn(&str) -> bool,
) -> Option<Notice> {
    let mut opened = vec![root];
    let mut lost: Vec<&str> = Vec::new();
    while let Some(node) = opened.pop() {
        opened.extend(node.children.iter().filter(|child| child.is_index()));
        let index = node.manifest.as_ref().and_then(|manifest| manifest.index());
        let Some(index) = index.filter(|_| Some(node.digest()) != base) else {
            continue;
        };
        let annotations = index.annotations.keys().map(String::as_str);
        lost.extend(annotations.filter(|key| !sets(key)));
        lost.extend(index.subject.iter().map(|_| "subject"));
        lost.extend(index.artifact_type.iter().map(|_| "artifactType"));
        lost.extend(index.extra.keys().map(String::as_str));
    }
    (!lost.is_empty()).then(|| {
        Notice::new(format!(
            "what the index {name} says about itself is not carried over to the new index: {}",
            listed(lost)
        ))
    })
}

/// Images in a source index that say no platform are passed on, but no engine will choose them.
pub(super) fn without_platform(entries: &[Entry<'_>], sources: Sources<'_>) -> Option<Notice> {
    let is_image = |entry: &&Entry<'_>| {
        let image = entry.manifest.and_then(|manifest| manifest.image());
        entry.normal.is_none()
            && !entry.is_attestation()
            && entry.descriptor.artifact_type.is_none()
            && image.is_some_and(|it| {
                it.artifact_type.is_none() && it.config.media_type.is_image_config()
            })
    };
    let images: Vec<_> = entries
        .iter()
        .filter(is_image)
        .map(|entry| format!("{} from {}", entry.descriptor.digest, sources.name(entry)))
        .collect();
    (!images.is_empty()).then(|| {
        Notice::warning(format!(
            "without a platform, as in their source: {}",
            listed(images)
        ))
    })
}

pub(super) fn foreign_layers(contents: &[Content<'_>], sources: Sources<'_>) -> Option<Notice> {
    let has_some = |content: &&Content<'_>| {
        let image = content
            .node
            .manifest
            .as_ref()
            .and_then(|manifest| manifest.image());
        image.is_some_and(|image| image.layers.iter().any(Descriptor::is_foreign))
    };
    let mut names: Vec<&str> = contents
        .iter()
        .filter(has_some)
        .map(|content| sources.all[content.source].name.as_str())
        .collect();
    names.dedup();
    (!names.is_empty()).then(|| {
        Notice::new(format!(
            "foreign layers (Windows base layers) are not copied, they stay where their URLs point: {}",
            listed(names)
        ))
    })
}
