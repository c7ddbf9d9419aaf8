//! The formats of `ls`.

use std::fmt::Write as _;

use serde_json::json;

use crate::draft::{Draft, Entry};
use crate::spec::{JsonStyle, attestation, write};

/// Renders drafts as a JSON array.
pub fn drafts_json(drafts: &[Draft]) -> Vec<u8> {
    let entry =
        |entry: &Entry| json!({ "reference": entry.reference, "descriptor": entry.descriptor });
    let drafts = drafts.iter().map(|draft| {
        let entries: Vec<_> = draft.entries.iter().map(entry).collect();
        json!({ "list": draft.list, "annotations": draft.annotations, "entries": entries })
    });
    let mut text = write(&drafts.collect::<Vec<_>>(), JsonStyle::Oci);
    text.push(b'\n');
    text
}

/// Renders drafts as a table. Without drafts, the text is empty.
pub fn drafts_table(drafts: &[Draft]) -> String {
    let names: Vec<String> = drafts.iter().map(|draft| draft.list.to_string()).collect();
    let Some(longest) = names.iter().map(String::len).max() else {
        return String::new();
    };
    let width = longest.max(13);
    let mut text = format!("{:<width$}  PLATFORMS\n", "MANIFEST LIST");
    for (name, draft) in names.iter().zip(drafts) {
        let _ = writeln!(text, "{name:<width$}  {}", platforms(draft).join(", "));
    }
    text
}

fn platforms(draft: &Draft) -> Vec<String> {
    let is_image = |entry: &&Entry| !attestation::is_attestation(&entry.descriptor);
    let images = draft.entries.iter().filter(is_image);
    images
        .map(|entry| match &entry.descriptor.platform {
            Some(platform) => platform.to_string(),
            None => "unknown".to_owned(),
        })
        .collect()
}
