//! Both tools with one registry in the test process.

use serde_json::Value;

use crate::{
    program::home,
    support::{
        Scene,
        image::{Image, Loaded},
        registry::Registry,
    },
};

/// A registry in the test process, and a home directory for each tool.
pub(super) struct Tools {
    pub(super) registry: Registry,
    pub(super) docker: Scene,
    pub(super) polyarch: Scene,
}

impl Tools {
    pub(super) async fn new() -> Self {
        Self::with(Registry::plain().await)
    }

    pub(super) fn with(registry: Registry) -> Self {
        Self {
            registry,
            docker: home(),
            polyarch: home(),
        }
    }

    /// Loads a Docker image into `app`.
    pub(super) fn image(&self, platform: &str, tag: &str) -> Loaded {
        let image = Image::new(platform).docker();
        image.load(&self.registry, "app", tag)
    }

    /// Replaces `@` by the host of the registry.
    pub(super) fn line(&self, line: &str) -> String {
        line.replace('@', self.registry.host())
    }

    /// Runs `docker manifest`, expects a failure, and returns its standard error.
    pub(super) async fn docker_fails(&self, line: &str) -> String {
        let output = self.docker.docker_manifest(&self.line(line)).await;
        assert!(
            output.code != 0,
            "docker manifest {line}: {}",
            output.stdout
        );
        output.stderr
    }

    pub(super) async fn docker(&self, line: &str) -> String {
        self.docker
            .docker_manifest(&self.line(line))
            .await
            .ok()
            .stdout
    }

    pub(super) async fn polyarch(&self, line: &str) -> String {
        self.polyarch.run_line(&self.line(line)).await.ok().stdout
    }

    /// Runs polyarch, expects the exit code `code`, and returns its standard error.
    pub(super) async fn polyarch_fails(&self, code: i32, line: &str) -> String {
        let output = self.polyarch.run_line(&self.line(line)).await;
        assert_eq!(
            output.code, code,
            "{line}: {}{}",
            output.stdout, output.stderr
        );
        output.stderr
    }

    pub(super) fn entries(&self, tag: &str) -> Vec<Value> {
        let list = self.registry.document("app", tag).expect("a list");
        list["manifests"].as_array().expect("entries").clone()
    }
}
