//! Selects entries: the requested platforms, one image per platform, and attestations of the selected images.

use std::collections::{HashMap, HashSet};

use crate::spec::{Digest, Platform};
use crate::text::listed;

use super::entry::{Entry, Sources, is_for, platforms_of};
use super::error::PlanError;
use super::input::OnDuplicate;
use super::notice::Notice;

/// Selects the entries of exactly the platforms `wanted`. As in buildx, entries without a platform are kept. All
/// attestations are kept; [`with_subject`] selects them.
pub(super) fn of_platforms<'a>(
    entries: Vec<Entry<'a>>,
    wanted: &[Platform],
    sources: Sources<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Entry<'a>>, PlanError> {
    if wanted.is_empty() {
        return Ok(entries);
    }
    let found = platforms_of(&entries);
    let machines: Vec<_> = wanted
        .iter()
        .map(|platform| (platform, platform.normalised()))
        .collect();
    let mut is_found = vec![false; wanted.len()];
    let (kept, left_out): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| {
        let mut matches = entry.is_attestation() || entry.descriptor.platform.is_none();
        for ((platform, machine), is_found) in machines.iter().zip(&mut is_found) {
            if is_for(entry, platform, machine) {
                matches = true;
                *is_found = true;
            }
        }
        matches
    });
    let missing: Vec<_> = wanted
        .iter()
        .zip(is_found)
        .filter(|(_, is_found)| !is_found)
        .map(|(platform, _)| platform.clone())
        .collect();
    if !missing.is_empty() {
        return Err(PlanError::MissingPlatforms { missing, found });
    }
    if !left_out.is_empty() {
        let names = left_out.iter().filter_map(|entry| {
            let platform = entry.descriptor.platform.as_ref()?;
            Some(format!("{platform} ({})", sources.name(entry)))
        });
        notices.push(Notice::new(format!(
            "omitted, because the platforms are limited to {}: {}",
            listed(wanted),
            listed(names)
        )));
    }
    Ok(kept)
}

/// Selects one image per platform, or applies the policy for duplicates. New entries replace entries of the index to
/// append to.
pub(super) fn one_per_platform<'a>(
    entries: Vec<Entry<'a>>,
    policy: OnDuplicate,
    sources: Sources<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Entry<'a>>, PlanError> {
    let mut by_platform: HashMap<(String, Option<String>), Vec<usize>> = HashMap::new();
    let mut kept: Vec<Option<Entry<'a>>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(normal) = entry.normal() else {
            kept.push(Some(entry));
            continue;
        };
        // An artifact does not conflict with the image of its platform.
        let key = (normal.key(), entry.descriptor.artifact_type.clone());
        let earlier = by_platform.entry(key).or_default();
        let first = earlier
            .first()
            .and_then(|position| Some((*position, kept[*position].as_ref()?)));
        let Some((position, first)) = first else {
            earlier.push(kept.len());
            kept.push(Some(entry));
            continue;
        };
        let replaces = sources.is_base(first) && !sources.is_base(&entry);
        let is_conflict = first.descriptor.digest != entry.descriptor.digest
            && !(sources.is_base(first) && sources.is_base(&entry));
        if replaces || (is_conflict && policy == OnDuplicate::Replace) {
            notices.push(replaced(first, &entry, sources));
            for position in earlier.drain(..) {
                kept[position] = None;
            }
            earlier.push(position);
            kept[position] = Some(entry);
            continue;
        }
        if is_conflict {
            match policy {
                OnDuplicate::Error => return Err(conflict(first, &entry, sources)),
                OnDuplicate::Warn => notices.push(Notice::warning(
                    conflict(first, &entry, sources).to_string(),
                )),
                OnDuplicate::Replace | OnDuplicate::Keep => {}
            }
        }
        earlier.push(kept.len());
        kept.push(Some(entry));
    }
    Ok(kept.into_iter().flatten().collect())
}

/// Returns a notice for each pair of images of one platform in an index that is copied unchanged.
pub(super) fn duplicates(entries: &[Entry<'_>], sources: Sources<'_>) -> Vec<Notice> {
    let mut first: HashMap<(String, Option<String>), &Entry<'_>> = HashMap::new();
    let mut notices = Vec::new();
    for entry in entries {
        let Some(normal) = entry.normal() else {
            continue;
        };
        let key = (normal.key(), entry.descriptor.artifact_type.clone());
        let earlier = *first.entry(key).or_insert(entry);
        if earlier.descriptor.digest != entry.descriptor.digest {
            notices.push(Notice::new(format!(
                "{}; both are kept, because the index is copied unchanged",
                conflict(earlier, entry, sources)
            )));
        }
    }
    notices
}

fn replaced(old: &Entry<'_>, new: &Entry<'_>, sources: Sources<'_>) -> Notice {
    Notice::new(format!(
        "{}: {} from {} replaces {} from {}",
        shown_platform(new),
        new.descriptor.digest,
        sources.name(new),
        old.descriptor.digest,
        sources.name(old)
    ))
}

fn conflict(first: &Entry<'_>, second: &Entry<'_>, sources: Sources<'_>) -> PlanError {
    PlanError::Duplicate {
        platform: Box::new(second.descriptor.platform.clone().unwrap_or_default()),
        images: Box::new([sources.claim(first), sources.claim(second)]),
    }
}

fn shown_platform(entry: &Entry<'_>) -> String {
    entry
        .descriptor
        .platform
        .as_ref()
        .map(Platform::to_string)
        .unwrap_or_default()
}

/// Removes attestations whose subject is not among the entries. `known` are all digests in the sources: any other
/// subject was missing in the sources already.
pub(super) fn with_subject<'a>(
    entries: Vec<Entry<'a>>,
    known: &HashSet<&Digest>,
    sources: Sources<'_>,
    notices: &mut Vec<Notice>,
) -> Vec<Entry<'a>> {
    let subjects: Vec<Option<Digest>> = entries.iter().map(Entry::subject).collect();
    let reachable = reachable(&entries, &subjects);
    let mut omitted_with_subject = 0;
    let mut kept = Vec::with_capacity(entries.len());
    for ((entry, subject), is_kept) in entries.into_iter().zip(subjects).zip(reachable) {
        if is_kept {
            kept.push(entry);
        } else if subject
            .as_ref()
            .is_some_and(|subject| known.contains(subject))
        {
            omitted_with_subject += 1;
        } else {
            let subject = subject.map_or_else(|| "(none)".to_owned(), |it| it.to_string());
            notices.push(Notice::new(format!(
                "attestation {} from {} is omitted: its subject {subject} is in no source",
                entry.descriptor.digest,
                sources.name(&entry)
            )));
        }
    }
    match omitted_with_subject {
        0 => {}
        1 => notices.push(Notice::new("1 attestation is omitted with its subject")),
        more => notices.push(Notice::new(format!(
            "{more} attestations are omitted with their subjects"
        ))),
    }
    kept
}

/// Returns for each entry whether it is an image, or an attestation of a kept entry.
fn reachable(entries: &[Entry<'_>], subjects: &[Option<Digest>]) -> Vec<bool> {
    let mut by_subject: HashMap<&Digest, Vec<usize>> = HashMap::new();
    for (position, subject) in subjects.iter().enumerate() {
        if let Some(subject) = subject {
            by_subject.entry(subject).or_default().push(position);
        }
    }
    let mut reachable: Vec<bool> = entries
        .iter()
        .map(|entry| !entry.is_attestation())
        .collect();
    let mut reached: Vec<usize> = (0..entries.len())
        .filter(|position| reachable[*position])
        .collect();
    while let Some(position) = reached.pop() {
        for attestation in by_subject
            .remove(&entries[position].descriptor.digest)
            .unwrap_or_default()
        {
            reachable[attestation] = true;
            reached.push(attestation);
        }
    }
    reachable
}
