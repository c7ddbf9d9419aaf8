//! `polyarch copy`.

use std::process::ExitCode;
use std::time::Duration;

use super::context::Context;
use super::failure::Failure;
use super::outcome::Outcome;
use super::publish::platforms;
use super::publish_args::CopyArgs;
use super::publish_report::Reporter;
use crate::ops::Job;
use crate::ops::copy;
use crate::plan::{OnDuplicate, Options, Target};
use crate::sources::{TargetSpec, parse_sources, parse_targets};

pub(super) async fn run(arguments: &CopyArgs, context: &Context<'_>) -> Result<ExitCode, Failure> {
    let stores = context.stores(&arguments.run.connection);
    let reporter = Reporter::new(&arguments.run.output, context);
    let work = Box::pin(async {
        let report = Box::pin(copy::copy(job(arguments)?, context.run(&stores))).await?;
        Ok(Outcome::new(report, context.wording).into())
    });
    reporter.report(work, &stores).await
}

fn job(arguments: &CopyArgs) -> Result<Job, Failure> {
    let sources = parse_sources(&arguments.source)?;
    if sources.len() != 1 {
        return Err(Failure::usage(
            "copy takes one source; `publish` merges several",
        ));
    }
    let mut specs = Vec::new();
    for text in &arguments.targets {
        specs.extend(parse_targets(text)?);
    }
    Ok(Job {
        sources,
        targets: Target::grouped(specs.into_iter().map(TargetSpec::into_location)),
        image: None,
        append: false,
        wait: Duration::ZERO,
        if_exists: arguments.if_exists,
        default_annotations: false,
        read_all: true,
        options: Options {
            platforms: platforms(&arguments.platform)?,
            on_duplicate: OnDuplicate::Keep,
            ..Options::default()
        },
        referrers: arguments.run.referrers,
        dry_run: arguments.run.dry_run,
        verify: !arguments.run.no_verify,
        check: arguments.run.check,
        jobs: arguments.run.connection.jobs.into(),
    })
}
