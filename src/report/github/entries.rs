//! What an image is made of, as tables: its platforms at a glance, their digests in full, its annotations.

use super::super::result::{EntryResult, IndexResult};
use super::super::tree::human_size;
use super::markdown::{Page, code, counted, text};
use crate::spec::Digest;

pub(super) fn entries(page: &mut Page, result: &IndexResult) {
    page.line("| Platform | Digest | Size | Source | Attestations |");
    page.line("| :-- | :-- | --: | :-- | :-- |");
    for entry in &result.entries {
        page.line(&entry_row(entry));
    }
    page.line("");
    digests(page, result);
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
    // The size of the layers is what people ask for; that of the manifest tells nothing.
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
        "| {} | {} | {size} | {source} | {attestations} |",
        platform(entry),
        shortened(&digest)
    )
}

fn platform(entry: &EntryResult) -> String {
    entry
        .platform
        .as_deref()
        .map_or_else(|| "none".to_owned(), code)
}

/// A digest at the end is cut: two whole ones in a row push the rest of a table out of sight.
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

/// The Digests in full, to copy.
fn digests(page: &mut Page, result: &IndexResult) {
    page.fold("Digests in full");
    page.line("| Manifest | Digest |");
    page.line("| :-- | :-- |");
    for entry in &result.entries {
        let of = platform(entry);
        page.line(&format!("| {of} | {} |", code(&entry.digest.to_string())));
        for attestation in &entry.attestations {
            let digest = code(&attestation.to_string());
            page.line(&format!("| attestation of {of} | {digest} |"));
        }
    }
    page.line("");
    page.unfold();
}
