//! The integration tests that require only Rust.
#![expect(
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    reason = "snapshots of whole outputs are long; values of `json!` are written in the call"
)]

#[path = "../support/mod.rs"]
mod support;

mod broken_source;
mod buildx;
mod cli;
mod client;
mod cloud;
mod draft;
mod faults;
mod fuzz;
mod layout;
mod performance;
mod publish;
mod registry;
