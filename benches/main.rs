//! The benchmarks.
//!
//! | command | measures | needs |
//! | --- | --- | --- |
//! | `cargo bench` | merge jobs of polyarch | only this repository |
//! | `cargo bench -- compare` | the merge job of all tools | other tools on PATH |
//! | `cargo bench -- copies` | copies on loopback, then `far` | other tools, and `registry` of the distribution project |
//! | `cargo bench -- far` | copies between a near and a far registry | other tools |
//!
//! A tool that is not on PATH is skipped. The benchmarks write `docs/benchmarks/*.json`, and `scripts/bench/plot` writes
//! `docs/benchmarks.md` and its plots from these files. `scripts/bench/run` runs everything.
//!
//! The benchmarks assert nothing. `tests/it/performance` asserts the numbers of requests and round trips.

#[path = "../tests/support/mod.rs"]
mod support;

mod child;
mod compare;
mod copies;
mod far;
mod growth;
mod job;
mod output;

use std::path::Path;

/// The release binary.
const BINARY: &str = env!("CARGO_BIN_EXE_polyarch");

fn binary() -> &'static Path {
    Path::new(BINARY)
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    match arguments.next().as_deref() {
        Some(child::FLAG) => child::serve(arguments),
        Some("compare") => compare::run(),
        Some("copies") => {
            copies::run();
            far::run(&[]);
        }
        Some("far") => far::run(&arguments.collect::<Vec<_>>()),
        Some(other) => {
            eprintln!("unknown benchmark {other}: use compare, copies or far");
            std::process::exit(2);
        }
        None => {
            job::run();
            growth::run();
        }
    }
}
