//! The integration tests that need nothing but Rust.
