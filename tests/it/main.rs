//! The integration tests that need nothing but Rust.

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
