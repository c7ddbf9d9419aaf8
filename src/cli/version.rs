//! `polyarch --version [--verbose]`.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::failure::Failure;
use super::shell::print as print_bytes;

pub(super) fn print(verbose: bool) -> Result<ExitCode, Failure> {
    let mut text = format!("polyarch {}\n", env!("CARGO_PKG_VERSION"));
    if verbose {
        // Both variables are set only by scripts/build-dist.
        let source = option_env!("POLYARCH_SOURCE_HASH")
            .unwrap_or("unknown (not built by scripts/build-dist)");
        let toolchain = option_env!("POLYARCH_TOOLCHAIN").unwrap_or("unknown");
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let _ = writeln!(
            text,
            "source: {source}\ntoolchain: {toolchain}\nplatform: {os}/{arch}"
        );
    }
    print_bytes(text.as_bytes())
}
