//! The registry client against the test registry, through the interface that other modules use: `store::Store`.

mod alerts;
mod auth;
mod blobs;
mod certs_d;
mod counts;
mod credential_safety;
mod faults;
mod fixture;
mod manifests;
mod peculiar;
mod proxy;
mod referrers;
mod schemes;
mod tags;
mod uploads;
mod waits;

use polyarch::report::Wording;
use polyarch::store::StoreError;

use crate::support::Registry;

/// Returns an error and its hints as a command line shows them, without parts that differ between runs.
fn shown(error: &StoreError, registry: &Registry) -> String {
    let text = format!("{error}\n{}", shown_hints(error));
    let text = text.replace(registry.host(), "HOST");
    let port = format!(":{}", registry.address().port());
    without_directories(text.replace(&port, ":PORT").trim_end())
}

/// Removes the directories of temporary files.
fn without_directories(text: &str) -> String {
    let temporary = std::env::temp_dir().display().to_string();
    let shortened = |word: &str| match word.split_once(&temporary) {
        Some((before, path)) => format!("{before}{}", path.rsplit('/').next().unwrap_or(path)),
        None => word.to_owned(),
    };
    let words: Vec<String> = text.split(' ').map(shortened).collect();
    words.join(" ")
}

/// Returns the hints of an error as a command line shows them.
fn shown_hints(error: &StoreError) -> String {
    Wording::default().render_all(&error.hints).join("\n")
}
