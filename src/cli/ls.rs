//! `polyarch ls`: the drafts, which Docker cannot list.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::args::{Format, LsArgs};
use super::failure::{Failure, exit};
use super::shell::print;
use crate::draft::{Draft, Drafts, Listing};
use crate::environment::Environment;
use crate::report::Wording;
use crate::spec::{JsonStyle, attestation, write};

pub(super) fn run(arguments: &LsArgs, environment: &Environment) -> Result<ExitCode, Failure> {
    let listing = Drafts::locate(environment)?.list()?;
    let text = match arguments.format {
        Some(Format::Json) => as_json(&listing),
        None => as_table(&listing),
    };
    print(&text)?;
    let wording = Wording::of_environment(environment);
    for broken in &listing.broken {
        eprintln!("warning: {broken}");
        if let Some(hint) = broken.hint() {
            eprintln!(" hint: {}", wording.render(&hint));
        }
    }
    Ok(ExitCode::from(if listing.broken.is_empty() {
        0
    } else {
        exit::FAILURE
    }))
}

fn platforms(draft: &Draft) -> Vec<String> {
    draft
        .entries
        .iter()
        .filter(|entry| !attestation::is_attestation(&entry.descriptor))
        .map(|entry| match &entry.descriptor.platform {
            Some(platform) => platform.to_string(),
            None => "unknown".to_owned(),
        })
        .collect()
}

fn as_json(listing: &Listing) -> Vec<u8> {
    let drafts: Vec<_> = listing
        .drafts
        .iter()
        .map(|draft| {
            let entries: Vec<_> = draft
                .entries
                .iter()
                .map(
                    |entry| json!({ "reference": entry.reference, "descriptor": entry.descriptor }),
                )
                .collect();
            json!({ "list": draft.list, "annotations": draft.annotations, "entries": entries })
        })
        .collect();
    let mut text = write(&drafts, JsonStyle::Oci);
    text.push(b'\n');
    text
}

fn as_table(listing: &Listing) -> Vec<u8> {
    if listing.drafts.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = listing
        .drafts
        .iter()
        .map(|draft| draft.list.to_string())
        .collect();
    let width = names
        .iter()
        .map(String::len)
        .max()
        .unwrap_or_default()
        .max(13);
    let mut text = format!("{:<width$}  PLATFORMS\n", "MANIFEST LIST");
    for (name, draft) in names.iter().zip(&listing.drafts) {
        let _ = writeln!(text, "{name:<width$}  {}", platforms(draft).join(", "));
    }
    text.into_bytes()
}
