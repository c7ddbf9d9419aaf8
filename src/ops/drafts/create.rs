//! Creates or amends a draft. A failure leaves the previous draft unchanged.

use super::plan::plan_of;
use crate::draft::{Draft, Drafts, Entry, Exact};
use crate::ops::{OpsError, Run};
use crate::plan::{Node, Notice, PlanError, Severity, Source, lost_fields};
use crate::progress::{Event, Observed};
use crate::resolve::{Requested, SourceRequest, resolve};
use crate::spec::{Location, Reference, attestation};
use crate::store::ManifestName;

#[derive(Clone, Debug)]
pub struct CreateOptions {
    pub list: Reference,
    pub sources: Vec<Reference>,
    pub existing: Existing,
}

/// The policy for an existing draft with the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    Refuse,
    Amend,
    Replace,
}

/// Reads all sources in parallel and saves the draft.
pub async fn create(
    options: &CreateOptions,
    drafts: &Drafts,
    run: Run<'_>,
) -> Result<(), OpsError> {
    let list = &options.list;
    if options.existing != Existing::Replace {
        refuse_existing(drafts.load(list)?.as_ref(), options.existing)?;
    }
    let requests: Vec<SourceRequest> = options.sources.iter().map(request).collect();
    let sources = resolve(run.stores, &requests)
        .await
        .map_err(OpsError::of_manifest)?;
    let named: Vec<(&Reference, &Source)> = options.sources.iter().zip(&sources).collect();
    let mut notices = Vec::new();
    let fresh = new_draft(list, &named, &mut notices)?;
    let draft = save(drafts, fresh, options.existing, &mut notices)?;
    for notice in &notices {
        run.observed.observe(Event::Notice(&notice.text));
    }
    warn(&draft, run.observed);
    Ok(())
}

fn refuse_existing(draft: Option<&Draft>, existing: Existing) -> Result<(), OpsError> {
    if draft.is_some() && existing == Existing::Refuse {
        return Err(OpsError::DraftExists);
    }
    Ok(())
}

fn request(reference: &Reference) -> SourceRequest {
    let location = Location::Repository(reference.repository().clone());
    SourceRequest {
        name: reference.to_string(),
        location: location.clone().into(),
        read_from: location,
        requested: Requested::Name(ManifestName::of(reference)),
        seen: false,
        set_platform: None,
        read_all: true,
    }
}

/// Creates a draft of the resolved sources.
fn new_draft(
    list: &Reference,
    sources: &[(&Reference, &Source)],
    notices: &mut Vec<Notice>,
) -> Result<Draft, OpsError> {
    let mut draft = Draft::new(list.clone());
    for (reference, source) in sources {
        add(&mut draft, reference, source);
    }
    let mut entries = draft.entries.iter();
    if entries.all(|entry| attestation::is_attestation(&entry.descriptor)) {
        let names = sources.iter().map(|(reference, _)| reference.to_string());
        let sources = names.collect();
        return Err(PlanError::Empty { sources }.into());
    }
    set_origin(&mut draft, sources);
    let kept = draft.origin().map(|origin| &origin.manifest.digest);
    for (_, source) in sources {
        notices.extend(lost_fields(&source.name, &source.root, kept, |_| false));
    }
    Ok(draft)
}

fn save(
    drafts: &Drafts,
    fresh: Draft,
    existing: Existing,
    notices: &mut Vec<Notice>,
) -> Result<Draft, OpsError> {
    if existing == Existing::Replace {
        drafts.replace(&fresh)?;
        return Ok(fresh);
    }
    let list = fresh.list.clone();
    let saved = drafts.update(&list, |previous| {
        refuse_existing(previous.as_ref(), existing)?;
        Ok::<_, OpsError>(Some(match previous {
            Some(previous) => amended(previous, &fresh, notices),
            None => fresh,
        }))
    })?;
    Ok(saved.unwrap_or_else(|| Draft::new(list)))
}

/// Replaces the entries whose sources are named again, and keeps the edits of the user.
fn amended(old: Draft, fresh: &Draft, notices: &mut Vec<Notice>) -> Draft {
    let mut new = fresh.clone();
    new.keep_annotations_of(&old);
    for entry in &mut new.entries {
        let mut before = old.entries.iter();
        if let Some(earlier) = before.find(|earlier| earlier.reference == entry.reference) {
            let origin = old.origin();
            let declared = origin.and_then(|origin| origin.entry(&entry.manifest.digest));
            entry.keep_edits_of(earlier, declared);
        }
    }
    let is_named = |entry: &Entry| fresh.entries.iter().any(|it| it.source == entry.source);
    if old.entries.iter().all(is_named) {
        if new != *fresh {
            new.mark_changed();
        }
        return new;
    }
    merged(old, new, is_named, notices)
}

/// Merges the entries of both drafts. The result has no origin: no single index describes all entries.
fn merged(
    old: Draft,
    new: Draft,
    is_named: impl Fn(&Entry) -> bool,
    notices: &mut Vec<Notice>,
) -> Draft {
    let mut draft = Draft::new(new.list.clone());
    draft.keep_annotations_of(&old);
    for origin in old.origin().into_iter().chain(new.origin()) {
        let root = Node::index(origin.manifest.clone(), Vec::new());
        let is_set = |key: &str| draft.annotations.contains_key(key);
        let name = origin.source.to_string();
        notices.extend(lost_fields(&name, &root, None, is_set));
    }
    draft.entries = old.entries;
    draft.entries.retain(|entry| !is_named(entry));
    draft.entries.extend(new.entries);
    draft
}

fn add(draft: &mut Draft, source: &Reference, resolved: &Source) {
    if resolved.root.is_index() {
        for leaf in leaves(&resolved.root) {
            let reference = source.repository().with_digest(leaf.digest().clone());
            push_entry(draft, reference, source, leaf);
        }
    } else {
        push_entry(draft, source.clone(), source, &resolved.root);
    }
}

fn push_entry(draft: &mut Draft, reference: Reference, source: &Reference, node: &Node) {
    let Some(manifest) = &node.manifest else {
        return;
    };
    if draft
        .entries
        .iter()
        .any(|entry| entry.reference == reference)
    {
        return;
    }
    let mut descriptor = node.descriptor.clone();
    if descriptor.platform.is_none() {
        descriptor.platform = node.config_platform.as_deref().cloned();
    }
    draft.entries.push(Entry {
        reference,
        source: source.clone(),
        resolved: descriptor.platform.clone(),
        descriptor,
        manifest: manifest.as_ref().clone(),
    });
}

fn leaves(node: &Node) -> Vec<&Node> {
    if node.is_index() {
        node.children.iter().flat_map(leaves).collect()
    } else {
        vec![node]
    }
}

/// If the only source is an index, keeps its annotations and bytes. An index that contains other indexes counts as
/// changed, because its entries are flattened.
fn set_origin(draft: &mut Draft, sources: &[(&Reference, &Source)]) {
    let [(reference, source)] = sources else {
        return;
    };
    let Some(manifest) = &source.root.manifest else {
        return;
    };
    let Some(index) = manifest.index() else {
        return;
    };
    draft.annotations.clone_from(&index.annotations);
    draft.exact = Some(Exact {
        source: (*reference).clone(),
        manifest: manifest.as_ref().clone(),
    });
    if source.root.children.iter().any(Node::is_index) {
        draft.mark_changed();
    }
}

/// Emits warnings about entries that `push` would refuse, and the warnings of the plan.
fn warn(draft: &Draft, observed: &Observed) {
    let warn = |text: &str| observed.observe(Event::Warning(text));
    for entry in &draft.entries {
        let unknown = entry
            .descriptor
            .platform
            .as_ref()
            .is_none_or(|platform| platform.os.is_empty() || platform.architecture.is_empty());
        if unknown && !attestation::is_attestation(&entry.descriptor) {
            warn(&format!(
                "{} has no platform: set it with `polyarch annotate --os OS --arch ARCH {} {}` before the push",
                entry.reference, draft.list, entry.reference
            ));
        }
    }
    if let Ok(plan) = plan_of(draft, &[]) {
        for notice in plan
            .notices
            .iter()
            .filter(|notice| notice.severity == Severity::Warning)
        {
            warn(&notice.text);
        }
    }
}
