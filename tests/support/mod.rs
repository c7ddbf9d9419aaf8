//! What the tests, end-to-end tests and benches share: a registry in process
//! that can be told to misbehave, and builders of small images to put into it.
//!
//! It depends on nothing of polyarch, so that a mistake there cannot hide here.
//! `README.md` beside this file shows how to use it.

// Each test binary and bench includes this module and uses its own part of it;
// `pub` says what is meant for them, although no crate can ever depend on it.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod digest;
pub mod gzip;
pub mod image;
pub mod proxy;
pub mod registry;
pub mod scene;
pub mod secrets;

pub use registry::Registry;
