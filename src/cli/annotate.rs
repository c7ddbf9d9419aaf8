//! `polyarch annotate`.

use std::process::ExitCode;

use super::args::AnnotateArgs;
use super::csv;
use super::failure::{Failure, exit};
use crate::draft::Drafts;
use crate::environment::Environment;
use crate::ops::OpsError;
use crate::ops::drafts::{Edit, annotate};
use crate::spec::Reference;

pub(super) fn run(
    arguments: &AnnotateArgs,
    environment: &Environment,
) -> Result<ExitCode, Failure> {
    let list = parse(
        "annotate: error parsing name for manifest list",
        &arguments.list,
    )?;
    let edit = edit(arguments)?;
    let image = arguments
        .manifest
        .as_ref()
        .map(|text| parse("annotate: error parsing name for manifest", text))
        .transpose()?;
    if image.is_none() && edit.changes_platform() {
        return Err(Failure::usage(
            "missing MANIFEST: only an entry of the list has a platform",
        ));
    }
    annotate(&list, image.as_ref(), &edit, &Drafts::locate(environment)?)
        .map_err(|error| in_docker_words(error, arguments))?;
    Ok(ExitCode::SUCCESS)
}

fn parse(operation: &str, text: &str) -> Result<Reference, Failure> {
    Reference::parse_or_latest(text)
        .map_err(|error| Failure::reference(text, error).context(format!("{operation} {text}")))
}

fn edit(arguments: &AnnotateArgs) -> Result<Edit, Failure> {
    let annotation = |rule: &String| match rule.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!(
            "invalid annotation {rule:?}: expected KEY=VALUE"
        ))),
    };
    let rules = arguments.annotation.iter().map(annotation);
    let annotations: Vec<(String, String)> = rules.collect::<Result<_, _>>()?;
    refuse_duplicates(&annotations)?;
    let mut os_features = Vec::new();
    for list in &arguments.os_features {
        let features = csv::fields(list)
            .map_err(|error| Failure::usage(format!("--os-features {list}: {error}")))?;
        os_features.extend(features);
    }
    Ok(Edit {
        os: arguments.os.clone(),
        arch: arguments.arch.clone(),
        variant: arguments.variant.clone(),
        os_version: arguments.os_version.clone(),
        os_features,
        annotations,
        force: arguments.force,
    })
}

/// Refuses two values of one annotation: only the last would be set.
fn refuse_duplicates(annotations: &[(String, String)]) -> Result<(), Failure> {
    for (position, (key, value)) in annotations.iter().enumerate() {
        let mut earlier = annotations[..position].iter();
        if let Some((_, first)) = earlier.find(|(name, set)| name == key && set != value) {
            return Err(Failure::usage(format!(
                "annotation {key:?} is set twice: to {first:?} and to {value:?}"
            )));
        }
    }
    Ok(())
}

/// Converts an error into Docker's words, which name the list and the image as the user wrote them.
fn in_docker_words(error: OpsError, arguments: &AnnotateArgs) -> Failure {
    let hint = match &error {
        OpsError::NoDraft { .. } => "run `polyarch ls` to see the local lists".to_owned(),
        OpsError::NoEntry { names } => format!("use one of its entries: {names}"),
        _ => return error.into(),
    };
    let text = match &arguments.manifest {
        Some(image) => format!(
            "manifest for image {image} does not exist in {}",
            arguments.list
        ),
        None => format!("No such manifest: {}", arguments.list),
    };
    Failure::message(exit::FAILURE, text).hint(hint)
}
