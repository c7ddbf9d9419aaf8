//! Plans an index from sources and options.

use std::collections::HashSet;

use crate::spec::limits::MAX_INDEX_ENTRIES;
use crate::spec::{Digest, Index, Location, Manifest, MediaType};

use super::annotate::{self, Routed};
use super::entry::{Entry, Sources};
use super::error::PlanError;
use super::findings;
use super::flatten;
use super::input::{Attestations, MediaTypeChoice, Options, Source, Target};
use super::notice::Notice;
use super::output::{Plan, PlannedEntry};
use super::select;
use super::transfer::{self, Content};
use super::write::{self, MediaTypeInput};

/// Plans the index of `sources` for `targets`. The same arguments give the same bytes.
pub fn plan(sources: &[Source], targets: &[Target], options: &Options) -> Result<Plan, PlanError> {
    if sources.is_empty() {
        return Err(PlanError::NoSources);
    }
    let all: Vec<&Source> = options.append.iter().chain(sources).collect();
    let sources = Sources {
        all: &all,
        has_base: options.append.is_some(),
    };
    let mut notices = Vec::new();
    let routed = annotate::route(
        &options.annotations,
        options.manifest_annotations,
        &mut notices,
    )?;
    if !routed.index_descriptor.is_empty() && !targets.iter().any(is_layout) {
        notices.push(Notice::new(
            "annotations of the level index-descriptor are omitted: only OCI layouts support them",
        ));
    }
    let found = flatten::flatten(&all, options)?;
    let index_plan = match exact(&found, sources, &routed, options)? {
        Some(index_plan) => index_plan,
        None => edited(found, sources, &routed, options)?,
    };
    notices.extend(index_plan.notices);
    notices.extend(findings::foreign_layers(&index_plan.contents, sources));
    let targets = transfer::transfers(&index_plan.contents, &all, targets)?;
    let planned = |entry: Entry<'_>| PlannedEntry {
        source: sources.name(&entry),
        location: all[entry.sources[0]].location.clone(),
        manifest: entry.manifest.cloned(),
        seen: entry.node.seen,
        subject: entry.subject(),
        descriptor: *entry.descriptor,
    };
    Ok(Plan {
        index: index_plan.index,
        exact: index_plan.exact,
        entries: index_plan.entries.into_iter().map(planned).collect(),
        index_descriptor: routed.index_descriptor,
        targets,
        notices,
    })
}

/// The index without transfers.
struct IndexPlan<'a> {
    index: Manifest,
    exact: bool,
    entries: Vec<Entry<'a>>,
    contents: Vec<Content<'a>>,
    notices: Vec<Notice>,
}

/// Returns the index of the only source, if nothing changes it.
fn exact<'a>(
    found: &[Entry<'a>],
    sources: Sources<'a>,
    routed: &Routed<'_>,
    options: &Options,
) -> Result<Option<IndexPlan<'a>>, PlanError> {
    let ([source], false, None) = (sources.all, sources.has_base, routed.first()) else {
        return Ok(None);
    };
    let read = source.root.manifest.as_ref();
    let Some(manifest) = read.filter(|manifest| manifest.index().is_some()) else {
        return Ok(None);
    };
    if !has_type(manifest, options.media_type) || !is_unchanged(found, source, sources, options)? {
        return Ok(None);
    }
    check_entries(found, sources)?;
    write::check_size(manifest.bytes.len())?;
    let mut contents: Vec<_> = found.iter().map(Content::of).collect();
    transfer::nested(&source.root, 0, &mut contents);
    let unchanged = |entry: &Entry<'a>| Entry {
        descriptor: Box::new(entry.node.descriptor.clone()),
        ..entry.clone()
    };
    Ok(Some(IndexPlan {
        index: Manifest::clone(manifest),
        exact: true,
        entries: found.iter().map(unchanged).collect(),
        contents,
        notices: select::duplicates(found, sources),
    }))
}

fn has_type(index: &Manifest, choice: MediaTypeChoice) -> bool {
    match choice {
        MediaTypeChoice::Auto => true,
        MediaTypeChoice::Oci => index.media_type.as_str() == MediaType::OCI_INDEX,
        MediaTypeChoice::Docker => index.media_type.as_str() == MediaType::DOCKER_LIST,
    }
}

/// Returns whether all entries are kept unchanged. A platform that was completed from a config counts as a change only
/// if the user has set or requested platforms.
fn is_unchanged(
    found: &[Entry<'_>],
    source: &Source,
    sources: Sources<'_>,
    options: &Options,
) -> Result<bool, PlanError> {
    let drops_attestations = options.attestations == Attestations::Drop;
    if drops_attestations && found.iter().any(Entry::is_attestation) {
        return Ok(false);
    }
    let asks_for_platforms = source.set_platform.is_some() || !options.platforms.is_empty();
    let is_changed =
        |entry: &Entry<'_>| entry.descriptor.platform != entry.node.descriptor.platform;
    if asks_for_platforms && found.iter().any(is_changed) {
        return Ok(false);
    }
    let all = found.to_vec();
    let kept = select::of_platforms(all, &options.platforms, sources, &mut Vec::new())?;
    Ok(kept.len() == found.len())
}

/// Creates a new index of the entries.
fn edited<'a>(
    found: Vec<Entry<'a>>,
    sources: Sources<'a>,
    routed: &Routed<'_>,
    options: &Options,
) -> Result<IndexPlan<'a>, PlanError> {
    let mut notices = Vec::new();
    let known: HashSet<&Digest> = found.iter().map(|entry| entry.node.digest()).collect();
    let mut entries = flatten::merge(found, options.style);
    if options.attestations == Attestations::Drop {
        entries.retain(|entry| !entry.is_attestation());
    }
    // As in buildx, the media type also depends on entries of platforms that are not selected.
    let all_docker = write::all_docker(&entries);
    let entries = select::of_platforms(entries, &options.platforms, sources, &mut notices)?;
    let entries = select::one_per_platform(entries, options.on_duplicate, sources, &mut notices)?;
    let mut entries = select::with_subject(entries, &known, sources, &mut notices);
    check_entries(&entries, sources)?;
    let base = base(sources);
    let model = options.base_index.as_ref();
    let model = model.or_else(|| base.and_then(Manifest::index));
    let input = MediaTypeInput {
        all_docker,
        base: model,
        base_family: match &options.base_index {
            Some(index) => index.media_type.index_family(),
            None => base.and_then(|base| base.media_type.index_family()),
        },
        annotation: routed.first().map(|rule| rule.key.as_str()),
    };
    let media_type = write::media_type(&input, &entries, options, sources, &mut notices)?;
    let mut index = match model {
        Some(model) => Index {
            manifests: Vec::new(),
            ..model.clone()
        },
        None => Index::new(media_type, Vec::new()),
    };
    index.media_type = MediaType::new(media_type);
    routed.apply(&mut index.annotations, &mut entries)?;
    notices.extend(findings::lost_fields_of_sources(sources, base, routed));
    notices.extend(findings::without_platform(&entries, sources));
    index.manifests = entries
        .iter()
        .map(|entry| crate::spec::Descriptor::clone(&entry.descriptor))
        .collect();
    Ok(IndexPlan {
        index: write::manifest(index, options.style)?,
        exact: false,
        contents: entries.iter().map(Content::of).collect(),
        entries,
        notices,
    })
}

/// Returns the index that is edited: the index to append to, or the only source. The new index keeps its fields.
fn base(sources: Sources<'_>) -> Option<&Manifest> {
    let is_edited = sources.has_base || sources.all.len() == 1;
    let root = sources
        .all
        .first()
        .filter(|_| is_edited)?
        .root
        .manifest
        .as_deref()?;
    root.index().map(|_| root)
}

/// Refuses too many entries, and entries without an image.
fn check_entries(entries: &[Entry<'_>], sources: Sources<'_>) -> Result<(), PlanError> {
    if entries.len() > MAX_INDEX_ENTRIES {
        return Err(PlanError::TooManyEntries(entries.len()));
    }
    if entries.iter().all(Entry::is_attestation) {
        let sources = sources
            .all
            .iter()
            .map(|source| source.name.clone())
            .collect();
        return Err(PlanError::Empty { sources });
    }
    Ok(())
}

fn is_layout(target: &Target) -> bool {
    matches!(target.location, Location::Layout(_))
}
