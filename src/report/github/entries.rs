//! The tables of an image: platforms, full digests, annotations.

use super::super::format::human_size;
use super::super::result::{EntryResult, IndexResult};
use super::markdown::{Page, code, counted, text};
use crate::spec::Digest;

/// Appends the table of platforms.
pub(super) fn platforms(page: &mut Page, result: &IndexResult) {
    page.line("| Platform | Size | Digest | Source | Attestations |");
    page.line("| :-- | --: | :-- | :-- | :-- |");
    for entry in &result.entries {
        page.line(&entry_row(entry));
    }
    page.line("");
}

/// Appends the full digests and the annotations, folded.
pub(super) fn details(page: &mut Page, result: &IndexResult) {
    page.fold("Full digests");
    page.line("| Manifest | Digest |");
    page.line("| :-- | :-- |");
    for entry in &result.entries {
        let platform = platform(entry);
        let digest = code(&entry.digest.to_string());
        page.line(&format!("| {platform} | {digest} |"));
        for attestation in &entry.attestations {
            let digest = code(&attestation.to_string());
            page.line(&format!("| attestation of {platform} | {digest} |"));
        }
    }
    page.line("");
    page.unfold();
    if !result.annotations.is_empty() {
        page.fold(&format!(
            "{} of the index",
            counted(result.annotations.len(), "annotation")
        ));
        page.line("| Annotation | Value |");
        page.line("| :-- | :-- |");
        for (key, value) in &result.annotations {
            page.line(&format!("| {} | {} |", code(key), text(value)));
        }
        page.line("");
        page.unfold();
    }
}

fn entry_row(entry: &EntryResult) -> String {
    let digest = entry.digest.to_string();
    let size = entry.content_size.map_or_else(String::new, human_size);
    let by_digest = entry.source.strip_suffix(&digest);
    let source = match by_digest.map(|place| place.trim_end_matches('@')) {
        Some("") => "by digest".to_owned(),
        Some(place) => format!("{} by digest", code(place)),
        None => shortened(&entry.source),
    };
    let attestations = match entry.attestations.len() {
        0 => "–".to_owned(),
        count => format!("✓ {count}"),
    };
    format!(
        "| {} | {size} | {} | {source} | {attestations} |",
        platform(entry),
        code(entry.digest.short())
    )
}

fn platform(entry: &EntryResult) -> String {
    entry
        .platform
        .as_deref()
        .map_or_else(|| "none".to_owned(), code)
}

/// Shortens a digest at the end of a name.
fn shortened(name: &str) -> String {
    let digest = name.rsplit_once('@').map_or(name, |(_, digest)| digest);
    match digest.parse::<Digest>() {
        Ok(digest) => {
            let kept = name.len() - digest.hex().len() + digest.short().len();
            format!("{}…", code(&name[..kept]))
        }
        Err(_) => code(name),
    }
}
