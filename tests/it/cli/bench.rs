//! Runs the real binary as a person or a pipeline does: in a home of its own, with nothing of the caller's
//! environment, against a registry in process.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{process::Command, runtime, time::timeout};

use crate::support::{
    registry::{Builder, Registry, tls},
    secrets::Watch,
};

/// A home and a registry.
pub(super) struct Bench {
    pub(super) registry: Registry,
    home: TempDir,
    environment: Vec<(String, String)>,
}

/// What a person saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Bench {
    /// With a registry over plain HTTP that lets everybody do everything.
    pub(super) fn new() -> Self {
        Self::with(Registry::builder())
    }

    pub(super) fn with(builder: Builder) -> Self {
        let bench = Self {
            registry: builder.start_in_background(),
            home: tempfile::tempdir().expect("a temporary directory"),
            environment: Vec::new(),
        };
        bench.write("ca.pem", tls::ca_pem());
        bench
    }

    /// Sets a variable for the runs to come.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let value = value.replace("HOST", self.registry.host());
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value));
    }

    /// The user that is known to the environment.
    pub(super) fn log_in(&mut self, user: &str, password: &str) {
        self.set("POLYARCH_REGISTRY", "HOST");
        self.set("POLYARCH_USERNAME", user);
        self.set("POLYARCH_PASSWORD", password);
    }

    /// A path in the home directory.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.home.path().join(relative)
    }

    pub(super) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(relative), content).expect("a file");
    }

    /// The files of the local lists, locks left out.
    pub(super) fn drafts(&self) -> Vec<PathBuf> {
        let directory = self.path(".local/share/polyarch/drafts");
        let Ok(entries) = std::fs::read_dir(directory) else {
            return Vec::new();
        };
        let files = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = files
            .filter(|file| file.extension() != Some("lock".as_ref()))
            .collect();
        files.sort();
        files
    }

    /// Runs `polyarch` with the words of `line`; HOST in it is the registry, HOME the directory.
    pub(super) fn run(&self, line: &str) -> Said {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.run_words(&words)
    }

    /// Runs `polyarch` with these arguments. In what it says, HOST and HOME stand for themselves again.
    pub(super) fn run_words(&self, words: &[&str]) -> Said {
        let home = self.home.path().display().to_string();
        let host = self.registry.host();
        let watch = Watch::begin(self.home.path(), &self.environment, words);
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command
            .args(
                words
                    .iter()
                    .map(|word| word.replace("HOST", host).replace("HOME", &home)),
            )
            .current_dir(&self.home)
            .env_clear()
            .env("HOME", &home)
            .envs(self.environment.iter().cloned())
            .envs(watch.variable())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let output = runtime.expect("a runtime").block_on(async {
            let output = timeout(Duration::from_secs(60), command.output());
            let output = output.await.expect("an end within a minute");
            output.expect("the binary runs")
        });
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("text");
            text.replace(host, "HOST").replace(&home, "HOME")
        };
        let stdout = text(output.stdout);
        let said = Said {
            code: output.status.code().unwrap_or(-1),
            stderr: watch.end(&stdout, text(output.stderr)),
            stdout,
        };
        assert!(
            !said.stderr.contains("panicked"),
            "{words:?}: {}",
            said.stderr
        );
        said
    }

    /// Standard output; the run must succeed.
    pub(super) fn ok(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, 0, "{line}: {}{}", said.stdout, said.stderr);
        said.stdout
    }

    /// Standard error; the run must end with `code` and have printed nothing else.
    pub(super) fn fails(&self, code: i32, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, code, "{line}: {}{}", said.stdout, said.stderr);
        assert_eq!(said.stdout, "", "{line}");
        said.stderr
    }
}
