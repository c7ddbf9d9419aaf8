//! `publish` and `copy` as people run them: the real binary, in a home of its own with nothing of the caller's
//! environment, against registries in process.

mod checks;
mod content;
mod copying;
mod execution;
mod failures;
mod load;
mod outputs;
mod random;
mod releases;
mod selection;
mod several;
mod signals;
mod source_forms;
mod terminal;
mod two_registries;

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    registry::{Class, Recorded, Registry},
    secrets::Watch,
};

/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What a run said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn of(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// It succeeded.
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// It ended with this exit code, and said this.
    #[track_caller]
    fn refused(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "{part:?} is not in {}",
                self.stderr
            );
        }
        self
    }

    /// The digest on the last line.
    fn digest(&self) -> String {
        self.stdout.lines().last().expect("a line").to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("JSON on standard output")
    }
}

/// A home directory to run the binary in.
struct Home {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            variables: Vec::new(),
        }
    }

    /// Sets a variable for the runs from now on.
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).expect("a file")
    }

    fn command(&self, words: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command
            .args(words)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Said {
        let watch = Watch::begin(self.directory.path(), &self.variables, words);
        let mut command = self.command(words);
        command.envs(watch.variable());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let output = runtime.block_on(async {
            tokio::time::timeout(LIMIT, command.output())
                .await
                .unwrap_or_else(|_| panic!("{words:?} ran for more than {LIMIT:?}"))
                .expect("the binary starts")
        });
        let mut said = Said::of(output);
        said.stderr = watch.end(&said.stdout, said.stderr);
        said
    }

    /// `publish` to one tag.
    fn publish(&self, target: &str, words: &[&str]) -> Said {
        let mut all = vec!["publish", "-t", target];
        all.extend(words);
        self.run(&all)
    }
}

fn registry() -> Registry {
    Registry::builder().start_in_background()
}

/// The entries of an index, images and attestations.
fn entries(registry: &Registry, repo: &str, tag: &str) -> Vec<Value> {
    let document = registry.document(repo, tag).expect("an index");
    document["manifests"].as_array().expect("entries").clone()
}

/// The platforms in an index as `os/arch[/variant]`, in its order.
fn platforms(registry: &Registry, repo: &str, tag: &str) -> Vec<String> {
    entries(registry, repo, tag).iter().map(platform).collect()
}

fn platform(entry: &Value) -> String {
    let platform = &entry["platform"];
    ["os", "architecture", "variant"]
        .iter()
        .filter_map(|key| platform[key].as_str())
        .collect::<Vec<_>>()
        .join("/")
}

/// The requests that move content or tags.
fn puts(registry: &Registry) -> Vec<Recorded> {
    let mut requests = registry.writes();
    requests.retain(|request| request.class == Class::ManifestPut);
    requests
}
