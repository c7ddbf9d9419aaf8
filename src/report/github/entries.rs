//! The tables of an image: platforms, full digests, annotations.

use std::fmt::Write as _;

use super::super::format::human_size;
use super::super::result::{EntryResult, IndexResult};
use super::markdown::{Page, code, counted, text};
use crate::spec::Digest;

/// Appends the table of platforms.
pub(super) fn platforms(page: &mut Page, result: &IndexResult) {
    let are_verified = result.entries.iter().any(|it| !it.executables.is_empty());
    if are_verified {
        page.line("| Platform | Size | Digest | Source | Attestations | Verified |");
        page.line("| :-- | --: | :-- | :-- | :-- | :-- |");
    } else {
        page.line("| Platform | Size | Digest | Source | Attestations |");
        page.line("| :-- | --: | :-- | :-- | :-- |");
    }
    for entry in &result.entries {
        let mut row = entry_row(entry);
        if are_verified {
            let _ = write!(row, " {} |", executables(entry));
        }
        page.line(&row);
    }
    page.line("");
}

/// Appends the full digests and the annotations, in collapsed sections.
pub(super) fn details(page: &mut Page, result: &IndexResult) {
    page.open_section("Full digests");
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
    page.close_section();
    if !result.annotations.is_empty() {
        page.open_section(&format!(
            "{} of the index",
            counted(result.annotations.len(), "annotation")
        ));
        page.line("| Annotation | Value |");
        page.line("| :-- | :-- |");
        for (key, value) in &result.annotations {
            page.line(&format!("| {} | {} |", code(key), text(value)));
        }
        page.line("");
        page.close_section();
    }
}

fn entry_row(entry: &EntryResult) -> String {
    let digest = entry.digest.to_string();
    let size = entry.content_size.map_or_else(String::new, human_size);
    let name = entry.source.strip_suffix(&digest);
    let source = match name.map(|name| name.trim_end_matches('@')) {
        Some("") => "by digest".to_owned(),
        Some(name) => format!("{} by digest", code(name)),
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

fn executables(entry: &EntryResult) -> String {
    let each = entry.executables.iter().map(|executable| {
        let machine = executable.machine.as_deref().unwrap_or("script");
        format!("{} {}", code(&executable.path), text(machine))
    });
    match each.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "–".to_owned(),
        each => format!("✓ {each}"),
    }
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
