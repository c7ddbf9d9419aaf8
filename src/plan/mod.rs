//! The plan: what will be published, to the byte, and what must be moved for it. A pure function
//! of resolved sources and options: no I/O, no async, knows `spec` only. Dry run, digests, JSON
//! and execution all come from its one result.

mod annotate;
mod copy;
mod error;
#[cfg(test)]
mod fixture;
mod flatten;
mod input;
mod notice;
mod select;
mod summary;
#[cfg(test)]
mod tests;
mod transfer;
mod write;

use std::collections::HashSet;
use std::sync::Arc;

use crate::spec::limits::MAX_INDEX_ENTRIES;
use crate::spec::{
    Annotations, Descriptor, Digest, Index, Location, Manifest, MediaType, attestation,
};

use annotate::Routed;
pub use copy::{copy, image_of};
pub use error::{Claim, PlanError};
use flatten::Entry;
pub use input::{
    Attestations, ManifestAnnotations, MediaTypeChoice, Node, OnDuplicate, Options, Source,
    SourceLocation, Style, Target,
};
pub use notice::{Notice, Severity, left_behind};
use select::Sources;
pub use summary::SummaryRow;
use transfer::Content;
pub use transfer::{BlobTransfer, ManifestTransfer, Stage, TargetPlan};
use write::Ingredients;
pub use write::docker_json;

/// What will be published, and what must be done for it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The index, with the bytes that every tag will point at.
    pub index: Manifest,
    /// Whether the index is a source's, byte for byte.
    pub exact: bool,
    /// What is in it: images, artifacts and attestations, in their order. Those of nested indexes,
    /// which only an exact index has, stand in their place.
    pub entries: Vec<PlannedEntry>,
    /// What the entry of this index in the `index.json` of a layout says besides its tag.
    pub index_descriptor: Annotations,
    /// What must be done where. Each place once.
    pub targets: Vec<TargetPlan>,
    /// What a person should know.
    pub notices: Vec<Notice>,
}

/// An entry of the index.
#[derive(Clone, Debug)]
pub struct PlannedEntry {
    /// As it stands in the index.
    pub descriptor: Descriptor,
    /// The source it comes from, as the person wrote it.
    pub source: String,
    /// Where its content is stored.
    pub location: SourceLocation,
    /// Its content, if it was read.
    pub manifest: Option<Arc<Manifest>>,
    /// Whether this run has seen it where it is stored.
    pub seen: bool,
    /// The image that it is about, if it is an attestation.
    pub subject: Option<Digest>,
}

/// Plans the index of `sources` for `targets`. Nothing of it depends on anything but the
/// arguments: the same arguments give the same bytes.
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
            "annotations of the level index-descriptor are left out: only an OCI layout has a place for them",
        ));
    }
    let found = flatten::flatten(&all, options)?;
    let draft = match exact(&found, sources, &routed, options)? {
        Some(draft) => draft,
        None => edited(found, sources, &routed, options)?,
    };
    notices.extend(draft.notices);
    notices.extend(notice::foreign_layers(&draft.contents, sources));
    let targets = transfer::transfers(&draft.contents, &all, targets)?;
    let planned = |entry: Entry<'_>| PlannedEntry {
        source: sources.name(&entry),
        location: all[entry.sources[0]].location.clone(),
        manifest: entry.manifest.cloned(),
        seen: entry.node.seen,
        subject: entry.subject(),
        descriptor: entry.descriptor,
    };
    Ok(Plan {
        index: draft.index,
        exact: draft.exact,
        entries: draft.entries.into_iter().map(planned).collect(),
        index_descriptor: routed.index_descriptor,
        targets,
        notices,
    })
}

/// The index, before anyone asked what it takes to get it to its targets.
struct Draft<'a> {
    index: Manifest,
    exact: bool,
    entries: Vec<Entry<'a>>,
    contents: Vec<Content<'a>>,
    notices: Vec<Notice>,
}

/// The index of the only source as it is, if nothing changes it.
fn exact<'a>(
    found: &[Entry<'a>],
    sources: Sources<'a>,
    routed: &Routed<'_>,
    options: &Options,
) -> Result<Option<Draft<'a>>, PlanError> {
    let ([source], false, None) = (sources.all, sources.has_base, routed.first()) else {
        return Ok(None);
    };
    let read = source.root.manifest.as_ref();
    let Some(manifest) = read.filter(|manifest| manifest.index().is_some()) else {
        return Ok(None);
    };
    if !fits(manifest, options.media_type) || !stays(found, source, sources, options)? {
        return Ok(None);
    }
    refuse_empty(found, sources)?;
    write::check_size(manifest.bytes.len())?;
    let mut contents: Vec<_> = found.iter().map(Content::of).collect();
    transfer::nested(&source.root, 0, &mut contents);
    let as_it_stands = |entry: &Entry<'a>| Entry {
        descriptor: entry.node.descriptor.clone(),
        ..entry.clone()
    };
    Ok(Some(Draft {
        index: Manifest::clone(manifest),
        exact: true,
        entries: found.iter().map(as_it_stands).collect(),
        contents,
        notices: select::duplicates(found, sources),
    }))
}

fn fits(index: &Manifest, choice: MediaTypeChoice) -> bool {
    match choice {
        MediaTypeChoice::Auto => true,
        MediaTypeChoice::Oci => index.media_type.as_str() == MediaType::OCI_INDEX,
        MediaTypeChoice::Docker => index.media_type.as_str() == MediaType::DOCKER_LIST,
    }
}

/// Whether all entries stay, and stay as they are. An entry that says no platform gets one only if
/// somebody asked for platforms.
fn stays(
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

/// A new index of what was found.
fn edited<'a>(
    found: Vec<Entry<'a>>,
    sources: Sources<'a>,
    routed: &Routed<'_>,
    options: &Options,
) -> Result<Draft<'a>, PlanError> {
    let mut notices = Vec::new();
    let known: HashSet<&Digest> = found.iter().map(|entry| entry.node.digest()).collect();
    let mut entries = flatten::merge(found, options.style);
    if options.attestations == Attestations::Drop {
        entries.retain(|entry| !entry.is_attestation());
    }
    // As in buildx, the type is decided before platforms are left out.
    let all_docker = write::all_docker(&entries);
    let entries = select::of_platforms(entries, &options.platforms, sources, &mut notices)?;
    let entries = select::one_per_platform(entries, options.on_duplicate, sources, &mut notices)?;
    let mut entries = select::with_subject(entries, &known, sources, &mut notices);
    refuse_empty(&entries, sources)?;
    let base = base(sources);
    let about = options.about.as_ref();
    let about = about.or_else(|| base.and_then(Manifest::index));
    let ingredients = Ingredients {
        all_docker,
        base: about,
        base_family: match &options.about {
            Some(about) => about.media_type.index_family(),
            None => base.and_then(|base| base.media_type.index_family()),
        },
        annotation: routed.first().map(|rule| rule.key.as_str()),
    };
    let media_type = write::media_type(&ingredients, &entries, options, sources, &mut notices)?;
    let mut index = match about {
        Some(about) => Index {
            manifests: Vec::new(),
            ..about.clone()
        },
        None => Index::new(media_type, Vec::new()),
    };
    index.media_type = MediaType::new(media_type);
    routed.apply(&mut index.annotations, &mut entries)?;
    notices.extend(notice::not_carried_over(sources, base, routed));
    notices.extend(notice::without_platform(&entries, sources));
    index.manifests = entries
        .iter()
        .map(|entry| entry.descriptor.clone())
        .collect();
    Ok(Draft {
        index: write::manifest(index, options.style)?,
        exact: false,
        contents: entries.iter().map(Content::of).collect(),
        entries,
        notices,
    })
}

/// The index that is edited: the one to start from, or the only source. What it says about itself
/// stays.
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

fn refuse_empty(entries: &[Entry<'_>], sources: Sources<'_>) -> Result<(), PlanError> {
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

impl PlannedEntry {
    /// Whether this is an attestation about another entry.
    pub fn is_attestation(&self) -> bool {
        attestation::is_attestation(&self.descriptor)
    }
}
