//! `polyarch push`. Standard output is the same as with Docker: a line for each pushed image, and the digest of the
//! list on the last line.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::args::PushArgs;
use super::context::Context;
use super::failure::{Failure, parse_reference};
use super::publish_report::report_to_github;
use super::shell::print;
use crate::draft::Drafts;
use crate::execute::Execution;
use crate::ops::drafts::{PushOptions, push};
use crate::plan::{Plan, Target};
use crate::report::{CiSystem, IndexResult, Results};
use crate::spec::{Location, Reference, Tag};
use crate::stores::Stores;

pub(super) async fn run(arguments: &PushArgs, context: &Context<'_>) -> Result<ExitCode, Failure> {
    let list = parse_reference(&arguments.list)?;
    let targets = targets(&list, &arguments.tags)?;
    let drafts = Drafts::locate(context.environment)?;
    let named = targets.iter().map(|target| &target.location);
    let stores = context.stores_naming(&arguments.connection, named);
    let options = PushOptions {
        list,
        targets,
        purge: arguments.purge,
        verify: arguments.verify,
        check: arguments.check,
        jobs: arguments.connection.jobs.into(),
    };
    let pushed_list = push(&options, &drafts, context.run(&stores)).await?;
    let failure = Failure::of_execution(&pushed_list.execution);
    let plan = &pushed_list.plan;
    let mut result = IndexResult::executed(plan, &pushed_list.execution, context.wording);
    result.record_executables(plan, &pushed_list.executables);
    let with_summary = !arguments.no_summary;
    let reported = report(result, failure.as_ref(), context, &stores, with_summary);
    if let Some(failure) = failure {
        return Err(match reported {
            Ok(()) => failure,
            Err(error) => failure.and(&error),
        }
        .reported());
    }
    if let Some(error) = pushed_list.purge_failure {
        return Err(error.into());
    }
    reported?;
    print(pushed(&pushed_list.execution, &pushed_list.plan).as_bytes())
}

/// Writes outputs, annotations and the summary in a step of GitHub Actions, also after a failure.
fn report(
    result: IndexResult,
    failure: Option<&Failure>,
    context: &Context<'_>,
    stores: &Stores,
    with_summary: bool,
) -> Result<(), Failure> {
    if CiSystem::detect(context.environment) != CiSystem::GitHub {
        return Ok(());
    }
    let mut results = Results::new(false);
    results.push(result);
    report_to_github(
        context,
        &results,
        failure,
        stores.registries(),
        with_summary,
    )
    .map_err(|error| error.after(&results))
}

/// Returns the target of the list and the targets of `--tag`. A bare tag belongs to the repository of the list. If the
/// list has a tag and a digest, the tag counts, as with Docker.
fn targets(list: &Reference, tags: &[String]) -> Result<Vec<Target>, Failure> {
    let repository = Location::from(list.repository().clone());
    let mut all = vec![(repository.clone(), list.tag().cloned())];
    let tags = tags.iter().map(|text| text.trim());
    for text in tags.filter(|text| !text.is_empty()) {
        let (location, tag) = match text.parse() {
            Ok(tag) => (repository.clone(), tag),
            Err(_) => parse_target(text)?,
        };
        all.push((location, Some(tag)));
    }
    Ok(Target::grouped(all))
}

/// Parses a whole reference with a tag. A bare digest would be read as a tag of `docker.io/library/sha256`.
fn parse_target(text: &str) -> Result<(Location, Tag), Failure> {
    let no_tag = || Failure::usage(format!("--tag {text}: expected a tag, not a digest"));
    if ["sha256:", "sha512:"]
        .iter()
        .any(|algorithm| text.starts_with(algorithm))
    {
        return Err(no_tag());
    }
    let reference = Reference::parse_or_latest(text)
        .map_err(|error| Failure::reference(text, error).context(format!("--tag {text}")))?;
    let tag = reference.tag().filter(|_| reference.digest().is_none());
    let tag = tag.cloned().ok_or_else(no_tag)?;
    Ok((reference.repository().clone().into(), tag))
}

fn pushed(execution: &Execution, plan: &Plan) -> String {
    let mut text = String::new();
    for target in &execution.targets {
        for digest in &target.pushed {
            let _ = writeln!(
                text,
                "Pushed ref {}@{digest} with digest: {digest}",
                target.location
            );
        }
    }
    let _ = writeln!(text, "{}", plan.index.digest);
    text
}
