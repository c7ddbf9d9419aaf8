//! Runs the next `docker` on `PATH`, for the commands that are not handled here.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::environment::Environment;

/// The exit code of a shell for a command that does not exist.
const NOT_FOUND: u8 = 127;

/// Replaces this process with the next `docker`. Returns only if that fails.
pub(super) fn run_next(arguments: &[OsString], environment: &Environment) -> ExitCode {
    let Some(docker) = next_docker(environment) else {
        eprintln!("error: cannot run docker: there is no other docker on PATH");
        eprintln!(" hint: install the Docker CLI: polyarch handles only `docker manifest`");
        return ExitCode::from(NOT_FOUND);
    };
    let error = Command::new(&docker)
        .arg0("docker")
        .args(arguments.iter().skip(1))
        .exec();
    eprintln!("error: cannot run {}: {error}", docker.display());
    ExitCode::from(NOT_FOUND)
}

/// Finds the first `docker` on `PATH` that is not this program.
fn next_docker(environment: &Environment) -> Option<PathBuf> {
    let identity = |path: &Path| {
        let file = path.metadata().ok()?;
        Some((file.dev(), file.ino()))
    };
    let own = identity(&std::env::current_exe().ok()?);
    std::env::split_paths(environment.var("PATH")?)
        .map(|directory| directory.join("docker"))
        .find(|path| is_executable(path) && identity(path) != own)
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
