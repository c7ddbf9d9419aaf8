//! Plans a draft, and finds its entries by name.

use std::sync::Arc;

use crate::draft::{Draft, Entry};
use crate::ops::OpsError;
use crate::plan::{self, Node, OnDuplicate, Options, Plan, PlanError, Source, Style, Target};
use crate::spec::{AnnotationLevel, AnnotationRule, Index, Reference, attestation};

/// Plans a draft as `docker manifest push` pushes it.
pub(super) fn plan_of(draft: &Draft, targets: &[Target]) -> Result<Plan, PlanError> {
    plan_with(draft, targets, Options::default())
}

/// Plans a draft for display only: platforms may be missing.
pub fn preview(draft: &Draft) -> Result<Plan, PlanError> {
    let options = Options {
        may_lack_platform: true,
        ..Options::default()
    };
    plan_with(draft, &[], options)
}

fn plan_with(draft: &Draft, targets: &[Target], options: Options) -> Result<Plan, PlanError> {
    let mut draft = draft.clone();
    draft.docker_order();
    let sources = match &draft.exact {
        Some(exact) => {
            let children = exact_children(&draft);
            vec![Source {
                name: exact.source.to_string(),
                location: exact.source.repository().clone().into(),
                root: Node::index(exact.manifest.clone(), children),
                set_platform: None,
            }]
        }
        None => draft.entries.iter().map(source_of).collect(),
    };
    let base_index = base_index(&draft);
    // Annotations of the source index need no rules, and a byte-exact push has no rules.
    let is_present = |key: &String, value: &String| {
        let present = base_index
            .as_ref()
            .and_then(|base| base.annotations.get(key));
        draft.exact.is_some() || present == Some(value)
    };
    let rules = draft.annotations.iter();
    let rules = rules.filter(|(key, value)| !is_present(key, value));
    let annotations = rules.map(|(key, value)| AnnotationRule {
        levels: vec![AnnotationLevel::Index],
        key: key.clone(),
        value: value.clone(),
    });
    let options = Options {
        annotations: annotations.collect(),
        on_duplicate: OnDuplicate::Warn,
        style: Style::Docker,
        base_index: base_index.clone(),
        ..options
    };
    plan::plan(&sources, targets, &options)
}

/// Returns the index that all entries came from, without entries and without the annotations that were edited.
fn base_index(draft: &Draft) -> Option<Index> {
    let base = &draft.base.as_ref()?.manifest;
    let mut index = base.index()?.clone();
    index.manifests.clear();
    index.media_type.clone_from(&base.media_type);
    index
        .annotations
        .retain(|key, value| draft.annotations.get(key) == Some(value));
    Some(index)
}

fn source_of(entry: &Entry) -> Source {
    Source {
        name: entry.reference.to_string(),
        location: entry.reference.repository().clone().into(),
        root: node_of(entry),
        set_platform: None,
    }
}

fn node_of(entry: &Entry) -> Node {
    Node {
        descriptor: entry.descriptor.clone(),
        manifest: Some(Arc::new(entry.manifest.clone())),
        // Another process has read it, possibly long ago.
        seen: false,
        config_platform: None,
        children: Vec::new(),
    }
}

/// Returns the entries in the order of the index whose exact bytes are pushed.
fn exact_children(draft: &Draft) -> Vec<Node> {
    let Some(index) = draft
        .exact
        .as_ref()
        .and_then(|exact| exact.manifest.index())
    else {
        return Vec::new();
    };
    let entries = index.manifests.iter();
    entries
        .map(|descriptor| {
            let entry = draft
                .entries
                .iter()
                .find(|entry| entry.manifest.digest == descriptor.digest);
            entry.map_or_else(
                || Node::described(descriptor.clone()),
                |entry| Node {
                    descriptor: descriptor.clone(),
                    ..node_of(entry)
                },
            )
        })
        .collect()
}

/// Returns the position of the named entry, or of the only image of the named index.
pub fn find(draft: &Draft, image: &Reference) -> Result<Option<usize>, OpsError> {
    let entries = &draft.entries;
    let direct = entries.iter().position(|entry| entry.reference == *image);
    if direct.is_some() {
        return Ok(direct);
    }
    let of_index: Vec<usize> = (0..entries.len())
        .filter(|position| {
            let entry = &entries[*position];
            entry.source == *image && !attestation::is_attestation(&entry.descriptor)
        })
        .collect();
    if of_index.len() > 1 {
        let images = of_index.iter().map(|position| &entries[*position]);
        return Err(OpsError::AmbiguousEntry {
            image: image.to_string(),
            count: of_index.len(),
            names: names(images),
        });
    }
    Ok(of_index.first().copied())
}

/// Lists the names of entries.
pub fn names<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    let names = entries.into_iter().map(|entry| entry.reference.to_string());
    names.collect::<Vec<_>>().join(", ")
}
