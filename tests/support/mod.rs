//! Code for tests, end-to-end tests and benchmarks: a registry in the test process with scripted faults, builders of
//! small images, and the harness that runs the binary.
//!
//! It does not use the library, so that an error in the library cannot hide itself. `README.md` in this directory
//! describes its use.

// Each test binary and benchmark includes this module but uses only a part of it.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod digest;
pub mod gzip;
pub mod image;
pub mod job;
pub mod names;
pub mod polyarch;
pub mod proxy;
pub mod registry;
pub mod scene;
pub mod secrets;

pub use registry::Registry;
pub use scene::Scene;
