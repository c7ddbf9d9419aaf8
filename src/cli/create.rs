//! `polyarch create`: reads the sources, all at once, and keeps a draft. All or nothing: a run that fails
//! leaves what was there before.

use std::process::ExitCode;

use super::args::CreateArgs;
use super::context::Context;
use super::failure::{Failure, exit};
use super::list::{no_such_manifest, plan_of};
use super::shell::print;
use crate::draft::{Draft, Drafts, Entry, Exact};
use crate::plan::{Node, Notice, PlanError, Severity, Source, left_behind};
use crate::progress::Event;
use crate::resolve::{Point, Wanted, resolve};
use crate::spec::{Location, Reference, attestation};
use crate::store::ManifestName;

pub(super) async fn run(
    arguments: &CreateArgs,
    context: &Context<'_>,
) -> Result<ExitCode, Failure> {
    let list = parse_list(&arguments.list)?;
    let drafts = Drafts::locate(context.environment)?;
    if !arguments.replace {
        check_unclaimed(drafts.load(&list)?.as_ref(), arguments.amend)?;
    }
    let references = arguments
        .manifests
        .iter()
        .map(|text| {
            Reference::parse_or_latest(text).map_err(|error| {
                Failure::reference(text, error)
                    .context(format!("error parsing name for manifest {text}"))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let wanted: Vec<Wanted> = references.iter().map(wanted).collect();
    let stores = context.stores(&arguments.connection);
    let sources = resolve(&stores, &wanted).await.map_err(no_such_manifest)?;
    let named: Vec<(&Reference, &Source)> = references.iter().zip(&sources).collect();
    let mut notices = Vec::new();
    let fresh = fresh(&list, &named, &mut notices)?;
    let draft = save(&drafts, fresh, arguments, &mut notices)?;
    for notice in &notices {
        context.observed.observe(Event::Notice(&notice.text));
    }
    warn(&draft, context);
    print(format!("Created manifest list {list}\n").as_bytes())
}

fn parse_list(text: &str) -> Result<Reference, Failure> {
    Reference::parse_or_latest(text).map_err(|error| {
        Failure::reference(text, error)
            .context(format!("error parsing name for manifest list {text}"))
    })
}

fn check_unclaimed(draft: Option<&Draft>, amend: bool) -> Result<(), Failure> {
    if draft.is_some() && !amend {
        return Err(Failure::message(
            exit::FAILURE,
            "refusing to amend an existing manifest list with no --amend flag",
        )
        .hint("--amend adds to it, --replace starts over, `polyarch ls` shows what is there"));
    }
    Ok(())
}

/// A digest decides where a tag is named as well.
fn wanted(reference: &Reference) -> Wanted {
    let name = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => ManifestName::Digest(digest.clone()),
        (None, Some(tag)) => ManifestName::Tag(tag.clone()),
        (None, None) => unreachable!("a reference without a tag was given :latest"),
    };
    let location = Location::Repository(reference.repository().clone());
    Wanted {
        name: reference.to_string(),
        location: location.clone().into(),
        read_from: location,
        point: Point::Name(name),
        set_platform: None,
        content: true,
    }
}

/// What was named, as it is now.
fn fresh(
    list: &Reference,
    sources: &[(&Reference, &Source)],
    notices: &mut Vec<Notice>,
) -> Result<Draft, Failure> {
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
        notices.extend(left_behind(&source.name, &source.root, kept, |_| false));
    }
    Ok(draft)
}

fn save(
    drafts: &Drafts,
    fresh: Draft,
    arguments: &CreateArgs,
    notices: &mut Vec<Notice>,
) -> Result<Draft, Failure> {
    if arguments.replace {
        drafts.replace(&fresh)?;
        return Ok(fresh);
    }
    let list = fresh.list.clone();
    let saved = drafts.update(&list, |existing| {
        check_unclaimed(existing.as_ref(), arguments.amend)?;
        Ok::<_, Failure>(Some(match existing {
            Some(existing) => amended(existing, &fresh, notices),
            None => fresh,
        }))
    })?;
    Ok(saved.unwrap_or_else(|| Draft::new(list)))
}

/// The old list with everything that was named again in its new state. What a person had changed stays
/// changed.
fn amended(old: Draft, fresh: &Draft, notices: &mut Vec<Notice>) -> Draft {
    let mut new = fresh.clone();
    new.keep_annotations_of(&old);
    for entry in &mut new.entries {
        let mut before = old.entries.iter();
        if let Some(earlier) = before.find(|earlier| earlier.reference == entry.reference) {
            let origin = old.origin();
            let said = origin.and_then(|origin| origin.entry(&entry.manifest.digest));
            entry.keep_edits_of(earlier, said);
        }
    }
    let is_named = |entry: &Entry| fresh.entries.iter().any(|it| it.source == entry.source);
    if old.entries.iter().all(is_named) {
        if new != *fresh {
            new.touch();
        }
        return new;
    }
    merged(old, new, is_named, notices)
}

/// Entries of several sources, of which none says anything about the whole.
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
        notices.extend(left_behind(&name, &root, None, is_set));
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
        descriptor.platform.clone_from(&node.config_platform);
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

/// A single index says something about the whole; with nothing nested in it, retagging it keeps its digest.
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
        draft.touch();
    }
}

/// What `push` would complain about is worth knowing now.
fn warn(draft: &Draft, context: &Context<'_>) {
    let tell = |text: &str| context.observed.observe(Event::Warning(text));
    for entry in &draft.entries {
        let unknown = entry
            .descriptor
            .platform
            .as_ref()
            .is_none_or(|platform| platform.os.is_empty() || platform.architecture.is_empty());
        if unknown && !attestation::is_attestation(&entry.descriptor) {
            tell(&format!(
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
            tell(&notice.text);
        }
    }
}
