//! The fuzz targets: one function for each kind of external input. A target takes bytes and panics if a guarantee does
//! not hold. libFuzzer runs them from `fuzz_targets`; `cargo test` includes this file and runs each target with the
//! seeds in `corpus` and damaged copies of them (`tests/it/fuzz.rs`).

mod auth;
mod draft;
mod layers;
mod layout;
mod plan;
mod registry;
mod report;
mod runner;
mod sources;
mod spec;
mod transport;

pub use auth::{challenge, docker_config, token};
pub use draft::draft;
pub use layers::layers;
pub use layout::{layout, tar};
pub use plan::plan;
pub use registry::{error_body, headers};
pub use report::{dotenv, github_output, workflow_log};
pub use sources::{metadata, sources, spec_file};
pub use spec::{annotation, digest, json, manifest, platform, reference};
pub use transport::redirect;

/// A target: accepts any bytes, and panics if a guarantee does not hold.
pub type Target = fn(&[u8]);

/// Every target, by the name of its file in `fuzz_targets` and its directory in `corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("annotation", annotation),
    ("challenge", challenge),
    ("digest", digest),
    ("docker_config", docker_config),
    ("dotenv", dotenv),
    ("draft", draft),
    ("error_body", error_body),
    ("github_output", github_output),
    ("headers", headers),
    ("json", json),
    ("layers", layers),
    ("layout", layout),
    ("manifest", manifest),
    ("metadata", metadata),
    ("plan", plan),
    ("platform", platform),
    ("redirect", redirect),
    ("reference", reference),
    ("sources", sources),
    ("spec_file", spec_file),
    ("tar", tar),
    ("token", token),
    ("workflow_log", workflow_log),
];

/// Returns valid UTF-8, since text parsers never receive other bytes.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Splits an input of several documents at lines of `----`.
pub fn parts(data: &[u8]) -> Vec<&[u8]> {
    const SEPARATOR: &[u8] = b"\n----\n";
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest
        .windows(SEPARATOR.len())
        .position(|window| window == SEPARATOR)
    {
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}

/// Asserts that text chosen by a peer is one line without terminal control characters.
fn assert_printable(shown: &str) {
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}
