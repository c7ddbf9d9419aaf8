//! Parse, run, exit code.

use std::process::ExitCode;

use polyarch::cli;
use polyarch::environment::Environment;

fn main() -> ExitCode {
    cli::main(std::env::args_os().collect(), &Environment::of_process())
}
