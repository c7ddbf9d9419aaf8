//! The reports of `publish` and `copy`: standard output, files, and the CI system.

use std::io::{Write as _, stderr};
use std::process::ExitCode;
use std::time::SystemTime;

use super::context::Context;
use super::failure::{Failure, exit};
use super::outcome::Outcomes;
use super::publish_args::{CiArg, OutputArgs, OutputFormat};
use super::shell::print_result;
use crate::registry::Registries;
use crate::report::{
    CiSystem, Files, Palette, Results, github, gitlab, publish_json, publish_text,
};
use crate::stores::Stores;

/// The name of the section in GitLab's log.
const SECTION: &str = "polyarch_publish";

pub(super) struct Reporter<'a> {
    options: &'a OutputArgs,
    context: &'a Context<'a>,
    ci: CiSystem,
}

impl<'a> Reporter<'a> {
    /// Creates the reporter, and starts the section of GitLab's log.
    pub(super) fn new(options: &'a OutputArgs, context: &'a Context<'a>) -> Self {
        let ci = match options.ci {
            CiArg::Auto => CiSystem::detect(context.environment),
            CiArg::Github => CiSystem::GitHub,
            CiArg::Gitlab => CiSystem::GitLab,
            CiArg::None => CiSystem::None,
        };
        if ci == CiSystem::GitLab {
            let line = gitlab::section_start(SECTION, "polyarch", SystemTime::now());
            let _ = writeln!(stderr(), "{line}");
        }
        Self {
            options,
            context,
            ci,
        }
    }

    /// Runs `work` and writes its reports. If a report file could not be written, `work` is not run.
    pub(super) async fn report(
        &self,
        work: impl Future<Output = Result<Outcomes, Failure>>,
        stores: &Stores,
    ) -> Result<ExitCode, Failure> {
        let outcome = match self.check_files() {
            Ok(()) => work.await,
            Err(failure) => Err(failure),
        };
        self.finish(outcome, stores.registries())
    }

    /// Writes every report and returns the result of the command.
    fn finish(
        &self,
        outcome: Result<Outcomes, Failure>,
        registries: &Registries,
    ) -> Result<ExitCode, Failure> {
        let (mut results, failure) = match outcome {
            Ok(outcomes) => outcomes.split(self.context.wording),
            Err(failure) => (Results::default(), Some(failure)),
        };
        for (severity, text) in self.context.recorder.recorded() {
            results.notice(severity, &text);
        }
        if self.ci == CiSystem::GitLab {
            let line = gitlab::section_end(SECTION, SystemTime::now());
            let _ = writeln!(stderr(), "{line}");
        }
        // The failure of an image takes precedence over the failure to write a file.
        let failure = match (failure, self.write(&results)) {
            (failure, Ok(())) => failure,
            (None, Err(error)) => Some(error.after(&results)),
            (Some(failure), Err(error)) => Some(failure.and(&error)),
        };
        let reported = self.report_to_github(&results, failure.as_ref(), registries);
        match (failure, reported) {
            (None, Ok(())) => Ok(ExitCode::SUCCESS),
            (None, Err(error)) => Err(error.after(&results)),
            (Some(failure), Ok(())) => Err(failure.reported()),
            (Some(failure), Err(error)) => Err(failure.and(&error).reported()),
        }
    }

    fn report_to_github(
        &self,
        results: &Results,
        failure: Option<&Failure>,
        registries: &Registries,
    ) -> Result<(), Failure> {
        if self.ci != CiSystem::GitHub {
            return Ok(());
        }
        let with_summary = !self.options.no_summary;
        report_to_github(self.context, results, failure, registries, with_summary)
    }

    /// Refuses files that could not be written after the run.
    fn check_files(&self) -> Result<(), Failure> {
        let options = self.options;
        let files = [
            &options.metadata_file,
            &options.digest_file,
            &options.index_file,
            &options.dotenv,
        ];
        for file in files.into_iter().flatten() {
            let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
            let cause = if file.is_dir() {
                "it is a directory"
            } else if folder.is_some_and(|folder| !folder.is_dir()) {
                "its directory does not exist"
            } else {
                continue;
            };
            let file = file.display();
            return Err(Failure::usage(format!("cannot write {file}: {cause}")));
        }
        Ok(())
    }

    fn write(&self, results: &Results) -> Result<(), Failure> {
        if !results.are_none() {
            let text = match self.options.output {
                OutputFormat::Text => {
                    let palette = Palette::of_stdout(self.context.environment);
                    let texts = results.iter().map(|result| publish_text(result, palette));
                    texts.collect::<Vec<_>>().join("\n")
                }
                OutputFormat::Json => publish_json(results) + "\n",
            };
            print_result(text.as_bytes())?;
        }
        let files = Files {
            metadata: self.options.metadata_file.clone(),
            digest: self.options.digest_file.clone(),
            index: self.options.index_file.clone(),
            dotenv: self.options.dotenv.clone(),
        };
        files
            .write(results)
            .map_err(|error| Failure::new(exit::FAILURE, error))
    }
}

/// Writes annotations, outputs and, if `with_summary` is set, the job summary.
pub(super) fn report_to_github(
    context: &Context<'_>,
    results: &Results,
    failure: Option<&Failure>,
    registries: &Registries,
    with_summary: bool,
) -> Result<(), Failure> {
    let environment = context.environment;
    github::mask(environment, &registries.secrets_to_mask());
    let error = failure.map(|failure| failure.result(context.wording));
    github::report(environment, results, error.as_ref(), with_summary)
        .map_err(|error| Failure::new(exit::FAILURE, error))
}
