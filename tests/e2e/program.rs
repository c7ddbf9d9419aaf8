//! Runs programs in the home of a scene: polyarch, and the programs that it is compared with.

use std::{path::PathBuf, time::Duration};

use crate::support::{Scene, polyarch::Output, registry::tls};

/// How long a program may run.
const LIMIT: Duration = Duration::from_secs(60);

/// A scene without registries, with the authority of the tests in `certs/ca.crt` and the variables that other programs
/// need.
pub(crate) fn home() -> Scene {
    let mut scene = Scene::of([]);
    scene.write("certs/ca.crt", tls::ca_pem());
    scene.set("PATH", &std::env::var("PATH").unwrap_or_default());
    scene.set("DOCKER_CONFIG", "HOME/.docker");
    scene.set("XDG_RUNTIME_DIR", "HOME");
    scene
}

impl Scene {
    /// A path in the home directory, as an argument.
    pub(crate) fn arg(&self, relative: &str) -> String {
        self.path(relative).display().to_string()
    }

    /// Runs polyarch with the words of `line`.
    pub(crate) async fn run_line(&self, line: &str) -> Output {
        let run = self.polyarch().args(line.split_whitespace());
        run.limit(LIMIT).run_async().await
    }

    /// Runs `docker manifest` with the words of `line`.
    pub(crate) async fn docker_manifest(&self, line: &str) -> Output {
        let words = ["manifest"].into_iter().chain(line.split_whitespace());
        self.program("docker", &words.collect::<Vec<_>>()).await
    }

    /// Runs a program, which must be installed.
    pub(crate) async fn program(&self, program: impl Into<PathBuf>, args: &[&str]) -> Output {
        let run = self.polyarch().program(program).args(args);
        run.limit(LIMIT).run_async().await
    }
}
