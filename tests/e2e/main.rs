//! The tests that run real programs. If a program is missing, its tests fail and are not skipped. Run them with
//! `cargo test --features e2e --test e2e`.

#[path = "../support/mod.rs"]
mod support;

mod binaries;
mod capabilities;
mod chaos;
mod differential;
mod distribution;
mod failing_writes;
mod layout;
mod load;
mod manual;
mod program;
mod publish;
mod readers;
mod registries;
mod registry;
mod secrets;
mod terminal;
