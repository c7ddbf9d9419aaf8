//! Runs programs in a home of their own, with nothing of the caller's environment,
//! and never for longer than a minute.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::support::{registry::tls, secrets::Watch};

/// What a program said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether it succeeded.
    pub(crate) ok: bool,
    /// Its exit code, if no signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Said {
    /// Its standard output, if it succeeded.
    pub(crate) fn expect(self) -> String {
        assert!(self.ok, "failed:\n{}\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// A home directory for programs, with the tests' authority in `certs/ca.crt`.
pub(crate) struct Home {
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            environment: Vec::new(),
        };
        std::fs::create_dir(home.path("certs")).expect("a new directory");
        home.write("certs/ca.crt", &tls::ca_pem());
        home
    }

    /// A path within.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// A path within, as an argument.
    pub(crate) fn arg(&self, relative: &str) -> String {
        self.path(relative).display().to_string()
    }

    /// Sets a variable for the programs run from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// Writes a file.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory");
        }
        std::fs::write(path, text).expect("a file");
    }

    /// Runs `polyarch` with the words of `line`.
    pub(crate) async fn polyarch(&self, line: &str) -> Said {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.run(env!("CARGO_BIN_EXE_polyarch"), &words).await
    }

    /// Runs `docker manifest` with the words of `line`.
    pub(crate) async fn docker_manifest(&self, line: &str) -> Said {
        let words = line.split_whitespace();
        let words: Vec<&str> = ["manifest"].into_iter().chain(words).collect();
        self.run("docker", &words).await
    }

    /// Runs `program`, which must be installed. Of `polyarch`, what it says and writes is searched for secrets.
    pub(crate) async fn run(&self, program: &str, args: &[&str]) -> Said {
        let is_polyarch = program == env!("CARGO_BIN_EXE_polyarch");
        let watch =
            is_polyarch.then(|| Watch::begin(self.directory.path(), &self.environment, args));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.directory.path())
            .env("DOCKER_CONFIG", self.path(".docker"))
            .env("XDG_RUNTIME_DIR", self.directory.path())
            .envs(self.environment.iter().cloned())
            .envs(watch.as_ref().and_then(Watch::variable))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(Duration::from_secs(60), command.output())
            .await
            .unwrap_or_else(|_| panic!("{program} {args:?} ran for more than a minute"))
            .unwrap_or_else(|error| panic!("{program} must be installed for this test: {error}"));
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Said {
            ok: output.status.success(),
            code: output.status.code(),
            stderr: match watch {
                Some(watch) => watch.end(&stdout, stderr),
                None => stderr,
            },
            stdout,
        }
    }
}
