//! `polyarch publish`, for one index or for all indexes of a spec file.

use std::collections::HashSet;
use std::process::ExitCode;

use super::context::Context;
use super::failure::Failure;
use super::outcome::{Outcome, Outcomes};
use super::publish_args::PublishArgs;
use super::publish_report::Reporter;
use crate::ops;
use crate::ops::{IfExists, Job};
use crate::plan::{ManifestAnnotations, Options, Target};
use crate::progress::Event;
use crate::sources::{
    ImageSpec, MetadataDefaults, SourceSpec, TargetForm, TargetSpec, parse_annotations,
    parse_labels, parse_set_platforms, parse_sources, parse_targets, read_digests, read_spec,
    refuse_duplicates, set_platforms,
};
use crate::spec::{AnnotationRule, Platform, Repository};
use crate::stores::Stores;

pub(super) async fn run(
    arguments: &PublishArgs,
    context: &Context<'_>,
) -> Result<ExitCode, Failure> {
    let stores = context.stores(&arguments.run.connection);
    let reporter = Reporter::new(&arguments.run.output, context);
    let work = Box::pin(publish(arguments, context, &stores));
    reporter.report(work, &stores).await
}

async fn publish(
    arguments: &PublishArgs,
    context: &Context<'_>,
    stores: &Stores,
) -> Result<Outcomes, Failure> {
    let run = context.run(stores);
    match <[Job; 1]>::try_from(jobs(arguments, context)?) {
        Ok([only]) => {
            let report = Box::pin(ops::publish::publish(only, run)).await?;
            Ok(Outcome::new(report, context.wording).into())
        }
        Err(jobs) => {
            let reports = ops::publish::publish_all(jobs, run).await?;
            Ok(Outcomes::new(reports, context.wording))
        }
    }
}

fn jobs(arguments: &PublishArgs, context: &Context<'_>) -> Result<Vec<Job>, Failure> {
    if arguments.append && arguments.if_exists == IfExists::Keep {
        return Err(Failure::usage(
            "--append changes the index at the first tag: it cannot be used with --if-exists keep",
        ));
    }
    let annotations = annotations(arguments, context)?;
    if let Some(path) = &arguments.file {
        // Reads the file before `--tag` is refused: `docker buildx imagetools create` takes a descriptor in `--file`
        // together with `--tag`, and the error about a descriptor has a more specific hint.
        let images = read_spec(path)?;
        if is_given(&arguments.tags) {
            return Err(Failure::usage("--tag cannot be used with --file"));
        }
        return jobs_of_spec(images, &annotations, arguments);
    }
    let mut sources = Vec::new();
    for text in arguments.sources.iter().chain(&arguments.source) {
        sources.extend(parse_sources(text)?);
    }
    if let Some(directory) = &arguments.digests {
        sources.extend(read_digests(directory)?);
    }
    if sources.is_empty() {
        let what = if arguments.append {
            "append"
        } else {
            "publish"
        };
        return Err(Failure::usage(format!(
            "nothing to {what}: name a SOURCE, --digests DIR or --file SPEC"
        )));
    }
    set_platforms(&mut sources, &platform_settings(arguments)?)?;
    let specs = target_specs(arguments, context)?;
    notice_hostless(&specs, context);
    let targets = Target::grouped(specs.into_iter().map(TargetSpec::into_location));
    Ok(vec![job(sources, targets, annotations, arguments)?])
}

fn job(
    sources: Vec<SourceSpec>,
    targets: Vec<Target>,
    annotations: Vec<AnnotationRule>,
    arguments: &PublishArgs,
) -> Result<Job, Failure> {
    Ok(Job {
        sources,
        targets,
        image: arguments.image.as_deref().map(image).transpose()?,
        append: arguments.append,
        wait: arguments.wait,
        if_exists: arguments.if_exists,
        read_all: false,
        options: options(arguments, annotations)?,
        default_annotations: !is_given(&arguments.annotation)
            && !is_given(&arguments.labels_as_annotations),
        referrers: arguments.run.referrers,
        dry_run: arguments.run.dry_run,
        verify: !arguments.run.no_verify,
        check: arguments.run.check,
        jobs: arguments.run.connection.jobs.into(),
    })
}

/// Creates a job for each image of a spec file. `--set-platform` may name a source of any image.
fn jobs_of_spec(
    images: Vec<ImageSpec>,
    annotations: &[AnnotationRule],
    arguments: &PublishArgs,
) -> Result<Vec<Job>, Failure> {
    let sources = images.iter().flat_map(|image| image.sources.clone());
    let mut sources: Vec<SourceSpec> = sources.collect();
    set_platforms(&mut sources, &platform_settings(arguments)?)?;
    let mut sources = sources.into_iter();
    let mut jobs = Vec::new();
    for image in images {
        let own = sources.by_ref().take(image.sources.len()).collect();
        let target = Target {
            location: image.image.repository().clone().into(),
            tags: image
                .targets()
                .iter()
                .filter_map(|target| target.tag().cloned())
                .collect(),
        };
        let mut all = annotations.to_vec();
        all.extend(image.annotations);
        jobs.push(job(own, vec![target], all, arguments)?);
    }
    Ok(jobs)
}

fn platform_settings(arguments: &PublishArgs) -> Result<Vec<(String, Platform)>, Failure> {
    let mut settings = Vec::new();
    for text in &arguments.set_platform {
        settings.extend(parse_set_platforms(text)?);
    }
    Ok(settings)
}

fn image(text: &str) -> Result<Repository, Failure> {
    text.trim()
        .parse()
        .map_err(|error| Failure::reference(text, error).context(format!("--image {text}")))
}

fn target_specs(
    arguments: &PublishArgs,
    context: &Context<'_>,
) -> Result<Vec<TargetSpec>, Failure> {
    let specs = if is_given(&arguments.tags) {
        let mut specs = Vec::new();
        for text in arguments.tags.iter().filter(|text| !text.trim().is_empty()) {
            specs.extend(parse_targets(text)?);
        }
        specs
    } else {
        MetadataDefaults::from_environment(context.environment)?.targets()?
    };
    if specs.is_empty() {
        return Err(Failure::usage("missing --tag").hint(
            "add --tag REF; in GitHub Actions, docker/metadata-action sets the tags as variables",
        ));
    }
    Ok(specs)
}

/// Emits a notice for each target without a registry host, which means Docker Hub.
fn notice_hostless(specs: &[TargetSpec], context: &Context<'_>) {
    let mut seen = HashSet::new();
    for spec in specs.iter().filter(|spec| spec.hostless) {
        if let TargetForm::Repository(repository, _) = &spec.form
            && seen.insert(repository)
        {
            let text = format!(
                "{} has no registry host and means {repository} on Docker Hub; add the host to use another registry",
                spec.text
            );
            context.observed.observe(Event::Notice(&text));
        }
    }
}

fn annotations(
    arguments: &PublishArgs,
    context: &Context<'_>,
) -> Result<Vec<AnnotationRule>, Failure> {
    let mut rules = if is_given(&arguments.annotation) {
        let mut rules = Vec::new();
        for text in &arguments.annotation {
            rules.extend(parse_annotations(text)?);
        }
        refuse_duplicates(&rules)?;
        rules
    } else if is_given(&arguments.tags) {
        // The annotations of docker/metadata-action describe only its own tags.
        Vec::new()
    } else {
        let defaults = MetadataDefaults::from_environment(context.environment)?;
        match arguments.manifest_annotations {
            ManifestAnnotations::Index => defaults.index_rules()?,
            ManifestAnnotations::Ignore | ManifestAnnotations::Error => defaults.rules()?,
        }
    };
    for text in &arguments.labels_as_annotations {
        rules.extend(parse_labels(text)?);
    }
    Ok(rules)
}

fn options(arguments: &PublishArgs, annotations: Vec<AnnotationRule>) -> Result<Options, Failure> {
    Ok(Options {
        platforms: platforms(&arguments.platform)?,
        annotations,
        manifest_annotations: arguments.manifest_annotations,
        media_type: arguments.media_type,
        attestations: arguments.attestations,
        on_duplicate: arguments.on_duplicate,
        ..Options::default()
    })
}

/// Parses platforms separated by commas or line breaks.
pub(super) fn platforms(texts: &[String]) -> Result<Vec<Platform>, Failure> {
    texts
        .iter()
        .flat_map(|text| text.split([',', '\n']))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| text.parse().map_err(Failure::usage))
        .collect()
}

/// Returns whether an option has a value that is not blank: a script may pass an empty `--tag "$TAGS"`.
fn is_given(texts: &[String]) -> bool {
    texts.iter().any(|text| !text.trim().is_empty())
}
