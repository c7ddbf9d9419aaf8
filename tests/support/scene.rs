//! A scene: registries, and a home directory in which the binary runs against them.

use std::{any::Any, fmt::Write as _, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    names::Names,
    polyarch::{Output, Polyarch, Running},
    registry::{Builder, Class, Recorded, Registry, tls},
};

/// Names of the registries in lines, files and outputs.
const HOSTS: [&str; 4] = ["HOST", "OTHER", "THIRD", "FOURTH"];

/// Registries and a home directory. In the arguments, variables and files that a test writes, names are replaced by
/// values: HOST by the first registry, OTHER by the second, HOME by the home directory, and CA_FILE by the authority of
/// the registries over TLS. In the outputs and files that a test reads, the values are replaced by the names.
pub struct Scene {
    pub registries: Vec<Registry>,
    directory: TempDir,
    names: Names,
    variables: Vec<(String, String)>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// Creates a scene with one registry over plain HTTP that permits all requests.
    pub fn new() -> Self {
        Self::with(Registry::builder())
    }

    /// Creates a scene with one registry.
    pub fn with(registry: Builder) -> Self {
        Self::of([registry])
    }

    /// Creates a scene with two registries over plain HTTP that permit all requests.
    pub fn two() -> Self {
        Self::of([Registry::builder(), Registry::builder()])
    }

    /// Creates a scene with these registries.
    pub fn of(registries: impl IntoIterator<Item = Builder>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut scene = Self {
            registries: Vec::new(),
            directory,
            names: Names::default(),
            variables: Vec::new(),
            kept: Vec::new(),
        };
        std::fs::create_dir(scene.path("")).expect("a directory");
        let authority = scene.directory.path().join("ca.pem");
        std::fs::write(&authority, tls::ca_pem()).expect("a file");
        scene.name("CA_FILE", authority.display().to_string());
        scene.name("HOME", scene.home().display().to_string());
        for registry in registries {
            scene.add(registry);
        }
        scene
    }

    /// Starts a further registry.
    pub fn add(&mut self, registry: Builder) -> &Registry {
        self.add_started(registry.start_in_background())
    }

    /// Adds a registry that has been started.
    pub fn add_started(&mut self, registry: Registry) -> &Registry {
        let name = HOSTS[self.registries.len()];
        self.name(name, registry.host());
        self.registries.push(registry);
        &self.registries[self.registries.len() - 1]
    }

    /// Returns the first registry.
    pub fn registry(&self) -> &Registry {
        &self.registries[0]
    }

    /// Returns the second registry.
    pub fn other(&self) -> &Registry {
        &self.registries[1]
    }

    /// Keeps a value until the scene is dropped.
    pub fn keep(&mut self, value: impl Any + Send + Sync) {
        self.kept.push(Box::new(value));
    }

    /// Adds a name in capitals for a value in lines and outputs.
    pub fn name(&mut self, name: &str, value: impl Into<String>) {
        let value = self.expand(&value.into());
        self.names.set(name, value);
    }

    /// Replaces names by their values.
    pub fn expand(&self, text: &str) -> String {
        self.names.expand(text)
    }

    /// Replaces values by their names.
    pub fn redact(&self, text: &str) -> String {
        self.names.redact(text)
    }

    /// Sets a variable for later runs.
    pub fn set(&mut self, name: &str, value: &str) {
        let value = self.expand(value);
        self.unset(name);
        self.variables.push((name.to_owned(), value));
    }

    /// Removes a variable.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// Passes the credentials for the first registry in variables.
    pub fn log_in(&mut self, user: &str, password: &str) {
        self.log_in_to("HOST", user, password);
    }

    /// Passes the credentials for a registry in variables.
    pub fn log_in_to(&mut self, registry: &str, user: &str, password: &str) {
        self.set("POLYARCH_REGISTRY", registry);
        self.set("POLYARCH_USERNAME", user);
        self.set("POLYARCH_PASSWORD", password);
    }

    /// Trusts the certificate authority of the tests in later runs.
    pub fn trust(&mut self) {
        self.set("SSL_CERT_FILE", "CA_FILE");
    }

    /// Returns the home directory.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Returns a path in the home directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.home().join(relative)
    }

    /// Writes a text file, and creates its parent directories.
    pub fn write(&self, relative: &str, text: impl AsRef<str>) {
        let path = self.path(&self.expand(relative));
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, self.expand(text.as_ref())).expect("a file");
    }

    /// Reads a text file.
    #[track_caller]
    pub fn read(&self, relative: &str) -> String {
        let text = std::fs::read_to_string(self.path(relative));
        self.redact(&text.unwrap_or_else(|error| panic!("{relative}: {error}")))
    }

    /// Returns the files of the local lists, without locks.
    pub fn drafts(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.path(".local/share/polyarch/drafts")) else {
            return Vec::new();
        };
        let files = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = files
            .filter(|file| file.extension() != Some("lock".as_ref()))
            .collect();
        files.sort();
        files
    }

    /// Returns a command line of the binary in this home, without arguments.
    pub fn polyarch(&self) -> Polyarch {
        let run = Polyarch::new(self.home()).names(self.names.clone());
        let variables = self.variables.iter();
        variables.fold(run, |run, (name, value)| run.env(name, value))
    }

    /// Runs the binary with the words of `line`.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        self.run_words(line.split_whitespace())
    }

    /// Runs the binary with these arguments.
    #[track_caller]
    pub fn run_words<T: AsRef<str>>(&self, words: impl IntoIterator<Item = T>) -> Output {
        self.polyarch().args(words).run()
    }

    /// Starts the binary with the words of `line`.
    #[track_caller]
    pub fn start(&self, line: &str) -> Running {
        self.polyarch().args(line.split_whitespace()).start()
    }

    /// Runs the binary, expects success, and returns its standard output.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.run(line).ok().stdout
    }

    /// Runs the binary, expects the exit code `code` and no standard output, and returns its standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, line: &str) -> String {
        let output = self.run(line).exits(code);
        assert_eq!(output.stdout, "", "{line}");
        output.stderr
    }

    /// Runs the binary with each line in turn, and returns the lines with their outputs.
    #[track_caller]
    pub fn transcript<'a>(&self, lines: impl IntoIterator<Item = &'a str>) -> String {
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "$ polyarch {line}\n{}", self.run(line));
        }
        text
    }
}

/// Returns the entries of an index.
#[track_caller]
pub fn entries(registry: &Registry, repository: &str, tag: &str) -> Vec<Value> {
    let document = registry.document(repository, tag).expect("an index");
    document["manifests"].as_array().expect("entries").clone()
}

/// Returns the platforms of an index as `os/arch[/variant]`, in its order.
#[track_caller]
pub fn platforms(registry: &Registry, repository: &str, tag: &str) -> Vec<String> {
    let entries = entries(registry, repository, tag);
    entries.iter().map(platform).collect()
}

fn platform(entry: &Value) -> String {
    let platform = &entry["platform"];
    ["os", "architecture", "variant"]
        .iter()
        .filter_map(|key| platform[key].as_str())
        .collect::<Vec<_>>()
        .join("/")
}

/// Returns the requests that put manifests.
pub fn manifest_puts(registry: &Registry) -> Vec<Recorded> {
    let mut requests = registry.writes();
    requests.retain(|request| request.class == Class::ManifestPut);
    requests
}
