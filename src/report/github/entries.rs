//! The tables of an image: platforms, full digests, annotations.

use super::super::format::human_size;
use super::super::result::{EntryResult, IndexResult};
use super::markdown::{Page, code, counted, text};
use crate::spec::Digest;

/// Appends the table of platforms.
pub(super) fn platforms(page: &mut Page, result: &IndexResult) {
    page.table(
        [
            "Platform",
            "Size",
            "Digest",
            "Source",
            "Attestations",
            "Verified",
        ],
        result.entries.iter().map(entry_row),
    );
}

/// Appends the full digests and the annotations, in collapsed sections.
pub(super) fn details(page: &mut Page, result: &IndexResult) {
    page.open_section("Full digests");
    let manifests = result.entries.iter().flat_map(|entry| {
        let platform = platform(entry);
        let attestations = entry.attestations.iter().map({
            let name = format!("attestation of {platform}");
            move |digest| [name.clone(), code(&digest.to_string())]
        });
        let image = [platform, code(&entry.digest.to_string())];
        std::iter::once(image).chain(attestations)
    });
    page.table(["Manifest", "Digest"], manifests);
    page.close_section();
    if !result.annotations.is_empty() {
        page.open_section(&format!(
            "{} of the index",
            counted(result.annotations.len(), "annotation")
        ));
        let annotations = result.annotations.iter();
        page.table(
            ["Annotation", "Value"],
            annotations.map(|(key, value)| [code(key), text(value)]),
        );
        page.close_section();
    }
}

fn entry_row(entry: &EntryResult) -> [String; 6] {
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
    let digest = code(entry.digest.short());
    [
        platform(entry),
        size,
        digest,
        source,
        attestations,
        executables(entry),
    ]
}

fn executables(entry: &EntryResult) -> String {
    let each = entry.executables.iter().map(|executable| {
        let machine = executable.machine.as_deref().unwrap_or("script");
        format!("{} {}", code(&executable.path), text(machine))
    });
    match each.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => none,
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
