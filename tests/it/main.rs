//! The integration tests that need nothing but Rust.

#[path = "../support/mod.rs"]
mod support;

mod buildx;
mod cli;
mod client;
mod cloud;
mod draft;
mod faults;
mod fuzz;
mod layout;
mod liar;
mod performance;
mod publish;
mod registry;
