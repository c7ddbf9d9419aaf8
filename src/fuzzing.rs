//! The fuzz targets: everything that reads what others wrote, one function a target, bytes in, a panic if a promise
//! is broken. What a target does stands in the `fuzzing` file of its room. libFuzzer calls them from `fuzz/`;
//! `cargo test` runs each with the seeds in `fuzz/corpus` and damaged copies of them. Not part of any release.

pub use crate::auth::fuzzing::{challenge, docker_config, token};
pub use crate::draft::fuzzing::draft;
pub use crate::layout::fuzzing::{layout, tar};
pub use crate::plan::fuzzing::plan;
pub use crate::registry::fuzzing::{error_body, headers};
pub use crate::report::fuzzing::{dotenv, github_output, workflow_log};
pub use crate::sources::fuzzing::{metadata, sources, spec_file};
pub use crate::spec::fuzzing::{annotation, digest, json, manifest, platform, reference};
pub use crate::transport::fuzzing::redirect;

/// A target: what it makes of any bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name of its file in `fuzz/fuzz_targets` and its folder in `fuzz/corpus`.
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

/// Valid UTF-8 as it is; anything else is nothing that a text parser is given.
pub(crate) fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The parts of an input that holds several documents, with a line `----` between them.
pub(crate) fn parts(data: &[u8]) -> Vec<&[u8]> {
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

/// Printed text that a peer chose: one line, without anything that a terminal obeys.
pub(crate) fn assert_printable(shown: &str) {
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}

#[cfg(test)]
mod tests;
