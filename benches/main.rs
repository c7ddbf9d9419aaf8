//! The benchmarks. `cargo bench` needs nothing but this repository; `cargo bench -- compare` and
//! `cargo bench -- copies` run whichever other tools are on PATH beside it (and the `registry` of the distribution
//! project for the copies near by); `cargo bench -- far` runs only those between a near and a far registry. The results go to `docs/benchmarks/*.json`, from which `scripts/bench/plot` makes
//! `docs/benchmarks.md` and its plots; `scripts/bench/run` does all of it.
//!
//! Nothing is asserted here: what must not get worse is in `tests/it/performance`.

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
            far::run();
        }
        Some("far") => far::run(),
        Some(other) => {
            eprintln!("no such benchmark: {other}; there are `compare` and `copies`");
            std::process::exit(2);
        }
        None => {
            job::run();
            growth::run();
        }
    }
}
