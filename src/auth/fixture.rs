//! A home directory for tests, with credential helpers that are shell scripts.

use std::path::PathBuf;
use std::process::Command;

use crate::environment::Environment;

pub(super) struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory }
    }

    /// Returns a path below the home directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file below the home directory.
    pub(super) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        let parent = path.parent().expect("has a parent");
        std::fs::create_dir_all(parent).expect("created");
        std::fs::write(&path, content).expect("written");
        path
    }

    /// Creates `docker-credential-NAME` in `bin/`. Another process writes the file. If this process opened it for
    /// writing, a helper that another test starts at the same moment would inherit the open file, and the kernel would
    /// refuse to run the new helper.
    pub(super) fn helper(&self, name: &str, script: &str) {
        let path = self.path("bin").join(format!("docker-credential-{name}"));
        let done = Command::new("/bin/sh")
            .args([
                "-c",
                r#"mkdir -p "${1%/*}" && printf '%s' "$2" >"$1" && chmod 700 "$1""#,
            ])
            .arg("sh")
            .arg(path)
            .arg(format!("#!/bin/sh\n{script}\n"))
            .status()
            .expect("a shell");
        assert!(done.success());
    }

    /// Returns an environment with this home, its helpers on the `PATH`, and `variables`.
    pub(super) fn environment(&self, variables: &[(&str, &str)]) -> Environment {
        let home = self.directory.path().display().to_string();
        let path = format!("{home}/bin:/usr/bin:/bin");
        [("HOME", home.as_str()), ("PATH", path.as_str())]
            .into_iter()
            .chain(variables.iter().copied())
            .collect()
    }
}
