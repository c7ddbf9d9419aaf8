//! The integration tests that need nothing but Rust.

#[path = "../support/mod.rs"]
mod support;

mod buildx;
mod draft;
mod layout;
mod liar;
mod registry;
