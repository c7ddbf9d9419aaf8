//! `polyarch copy`: an image or an index as it is, from anywhere to anywhere.

use std::process::ExitCode;

use super::context::Context;
use super::failure::{Failure, exit};
use super::job::{Job, Outcome, targets};
use super::publish::platforms;
use super::publish_args::CopyArgs;
use super::publish_report::Reporter;
use crate::plan::{self, OnDuplicate, Options, Plan, PlanError, Source, Target};
use crate::sources::{parse_sources, parse_targets};
use crate::stores::Stores;

pub(super) async fn run(arguments: &CopyArgs, context: &Context<'_>) -> Result<ExitCode, Failure> {
    let stores = context.stores(&arguments.run.connection);
    let reporter = Reporter::new(&arguments.run.output, context);
    let work = Box::pin(copy(arguments, context, &stores));
    let work = async { Ok(work.await?.into()) };
    reporter.tell(work, &stores).await
}

async fn copy(
    arguments: &CopyArgs,
    context: &Context<'_>,
    stores: &Stores,
) -> Result<Outcome, Failure> {
    let sources = parse_sources(&arguments.source)?;
    if sources.len() != 1 {
        return Err(Failure::message(
            exit::USAGE,
            "copy takes one source; `publish` merges several",
        ));
    }
    let mut specs = Vec::new();
    for text in &arguments.targets {
        specs.extend(parse_targets(text)?);
    }
    let job = Job {
        sources,
        targets: targets(&specs),
        image: None,
        append: false,
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
        jobs: arguments.run.connection.jobs.into(),
    };
    job.run(stores, context, planner).await
}

/// Everything: byte for byte. One platform: its image, as it is. Several: an index of those.
fn planner(sources: &[Source], targets: &[Target], options: &Options) -> Result<Plan, PlanError> {
    match (sources, &options.platforms[..]) {
        ([source], []) => plan::copy(source, targets),
        ([source], [platform]) => {
            let image = plan::image_of(source, platform)?;
            plan::copy(&image, targets)
        }
        _ => plan::plan(sources, targets, options),
    }
}
