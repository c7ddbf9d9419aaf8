//! Shared by tests, end-to-end tests and benchmarks: a registry in process with scripted faults, builders of small
//! images for it, and the harness that runs the binary.
//!
//! It uses nothing of the library, so that an error there cannot hide here. `README.md` in this directory shows how
//! to use it.

// Each test binary and benchmark includes this module and uses a part of it.
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
