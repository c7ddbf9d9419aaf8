//! Notices about sources that become known while planning.

use crate::spec::{Descriptor, Digest, Manifest};
use crate::text::listed;

use super::annotate::Routed;
use super::entry::{Entry, Sources};
use super::input::Node;
use super::notice::Notice;
use super::transfer::Content;

/// Reports fields of source indexes that the new index does not keep.
pub(super) fn lost_fields_of_sources(
    sources: Sources<'_>,
    base: Option<&Manifest>,
    routed: &Routed<'_>,
) -> Vec<Notice> {
    let base = base.map(|base| &base.digest);
    let sets = |key: &str| routed.sets_on_index(key);
    let notices = sources.all.iter();
    notices
        .filter_map(|source| lost_fields(&source.name, &source.root, base, sets))
        .collect()
}

/// Reports fields of the index `root` and of its nested indexes that a new index of their entries does not keep. The
/// new index keeps the fields of `base`, and gets the annotations for which `sets` is true.
pub fn lost_fields(
    name: &str,
    root: &Node,
    base: Option<&Digest>,
    sets: impl Fn(&str) -> bool,
) -> Option<Notice> {
    let mut nodes = vec![root];
    let mut lost: Vec<&str> = Vec::new();
    while let Some(node) = nodes.pop() {
        nodes.extend(node.children.iter().filter(|child| child.is_index()));
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
            "these fields of {name} are not copied to the new index: {}",
            listed(lost)
        ))
    })
}

/// Reports images that have no platform in a source index: no engine selects them.
pub(super) fn without_platform(entries: &[Entry<'_>], sources: Sources<'_>) -> Option<Notice> {
    let is_image = |entry: &&Entry<'_>| {
        let image = entry.manifest.and_then(|manifest| manifest.image());
        !entry.has_platform
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
            "these images have no platform in the index, as in their source: {}",
            listed(images)
        ))
    })
}

/// Reports foreign layers, which are not copied.
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
            "foreign layers (Windows base layers) are not copied: {}",
            listed(names)
        ))
    })
}
