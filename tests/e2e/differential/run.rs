//! One tool with a separate home directory, and the command lines of a case for this tool.

use std::path::Path;

use crate::{
    distribution::Distribution,
    program::home,
    support::{Scene, polyarch::Output},
};

use super::script::{Built, split_name};

/// The tool that runs the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool<'a> {
    /// The path of the Docker CLI.
    Docker(&'a Path),
    Polyarch,
}

impl Tool<'_> {
    /// Runs `COMMAND WORD...`, as `docker manifest` or as `polyarch`.
    pub(super) async fn run(self, home: &Scene, words: &[String]) -> Output {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match self {
            Self::Docker(path) => {
                home.program(path, &[&["manifest"], &words[..]].concat())
                    .await
            }
            Self::Polyarch => home.polyarch().args(&words).run_async().await,
        }
    }
}

/// A tool that runs one case.
pub(super) struct Worker<'a> {
    tool: Tool<'a>,
    home: Scene,
    registry: &'a Distribution,
    namespace: String,
}

impl<'a> Worker<'a> {
    /// Creates a worker. The namespaces of the two tools differ only in their first letter, so that both tools sort
    /// names in the same order.
    pub(super) fn new(tool: Tool<'a>, registry: &'a Distribution, number: usize) -> Self {
        let letter = match tool {
            Tool::Docker(_) => 'd',
            Tool::Polyarch => 'p',
        };
        Self {
            tool,
            home: home(),
            registry,
            namespace: format!("{letter}{number:03}"),
        }
    }

    /// Returns the path of the repository that a case names `@…`.
    pub(super) fn repository(&self, name: &str) -> String {
        format!("{}{name}", self.namespace)
    }

    /// Pushes the images of the case to the namespace of this tool.
    pub(super) async fn load(
        &self,
        images: &[Built],
        scratch: &crate::support::registry::Registry,
    ) {
        for image in images {
            let name = image.name.strip_prefix('@').expect("an own repository");
            let (repository, tag) = split_name(name);
            let repository = self.repository(repository);
            let tag = tag.trim_start_matches(':');
            self.registry
                .put_image(scratch, "parts", &image.loaded, &repository, tag)
                .await;
        }
    }

    /// Returns the command line of a step. Docker uses a registry without TLS only with `--insecure`.
    pub(super) fn words(&self, step: &[String], images: &[Built]) -> Vec<String> {
        let mut words: Vec<String> = step.iter().map(|word| self.word(word, images)).collect();
        if ["create", "push", "inspect"].contains(&step[0].as_str()) {
            words.insert(1, "--insecure".into());
        }
        words
    }

    fn word(&self, word: &str, images: &[Built]) -> String {
        let mut text = match word.strip_prefix('@') {
            Some(rest) => format!("{}/{}{rest}", self.registry.host(), self.namespace),
            None => word.to_owned(),
        };
        for image in images {
            text = text.replace(&format!("{{{}}}", image.name), &image.loaded.digest);
        }
        text
    }

    pub(super) async fn run(&self, words: &[String]) -> Output {
        let mut output = self.tool.run(&self.home, words).await;
        // Both tools get the same name of the namespace in their outputs.
        let own = format!("{}/{}", self.registry.host(), self.namespace);
        let neutral = format!("{}/@{}", self.registry.host(), &self.namespace[1..]);
        output.stdout = output.stdout.replace(&own, &neutral);
        output.stderr = output.stderr.replace(&own, &neutral);
        output
    }
}
