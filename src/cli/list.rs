//! What the drop-in commands share: the plan of a draft, and Docker's words where scripts look for them.

use super::failure::{Failure, code_of};
use crate::content::{FailureKind, StoreError};
use crate::draft::{Draft, Entry};
use crate::plan::{
    self, Node, OnDuplicate, Options, Place, Plan, PlanError, Source, Style, Target,
};
use crate::spec::{AnnotationLevel, AnnotationRule};
use std::sync::Arc;

/// The plan of a draft as `docker manifest push` would carry it out.
pub(super) fn plan_of(draft: &Draft, targets: &[Target]) -> Result<Plan, PlanError> {
    let mut draft = draft.clone();
    draft.docker_order();
    let sources = match &draft.exact {
        Some(exact) => {
            let children = exact_children(&draft);
            vec![Source {
                name: exact.source.to_string(),
                place: Place::Repository(exact.source.repository().clone()),
                root: Node::index(exact.manifest.clone(), children),
                set_platform: None,
            }]
        }
        None => draft.entries.iter().map(source_of).collect(),
    };
    let annotations = draft.annotations.iter().map(|(key, value)| AnnotationRule {
        levels: vec![AnnotationLevel::Index],
        key: key.clone(),
        value: value.clone(),
    });
    let options = Options {
        annotations: annotations.collect(),
        on_duplicate: OnDuplicate::Warn,
        style: Style::Docker,
        ..Options::default()
    };
    plan::plan(&sources, targets, &options)
}

fn source_of(entry: &Entry) -> Source {
    Source {
        name: entry.reference.to_string(),
        place: Place::Repository(entry.reference.repository().clone()),
        root: node_of(entry),
        set_platform: None,
    }
}

fn node_of(entry: &Entry) -> Node {
    Node {
        descriptor: entry.descriptor.clone(),
        manifest: Some(Arc::new(entry.manifest.clone())),
        config_platform: None,
        children: Vec::new(),
    }
}

/// The entries in the order of the index whose bytes are pushed.
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

/// Docker's words for a source that is not there, which scripts look for.
pub(super) fn no_such_manifest(error: StoreError) -> Failure {
    if error.kind != FailureKind::NotFound {
        return error.into();
    }
    let name = error
        .doing
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    let code = code_of(error.kind);
    let hints = error.hints.clone();
    let mut failure = Failure::new(code, error).context(format!("no such manifest: {name}"));
    for hint in hints {
        failure = failure.hint(hint);
    }
    failure
}
