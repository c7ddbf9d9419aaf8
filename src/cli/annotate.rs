//! `polyarch annotate`: changes what a draft says of an entry, or of the whole list.

use std::process::ExitCode;

use super::args::AnnotateArgs;
use super::csv;
use super::failure::{Failure, exit};
use super::list::{find, names};
use crate::draft::{Draft, Drafts, Entry};
use crate::environment::Environment;
use crate::spec::{Annotations, Platform, PlatformError, Reference};

pub(super) fn run(
    arguments: &AnnotateArgs,
    environment: &Environment,
) -> Result<ExitCode, Failure> {
    let list = parse(
        "annotate: error parsing name for manifest list",
        &arguments.list,
    )?;
    let annotations = parse_annotations(&arguments.annotation)?;
    let image = arguments
        .manifest
        .as_ref()
        .map(|text| parse("annotate: error parsing name for manifest", text))
        .transpose()?;
    if image.is_none() && changes_platform(arguments) {
        return Err(Failure::usage(
            "which entry? Name a MANIFEST after the list to change its platform",
        ));
    }
    Drafts::locate(environment)?.update(&list, |draft| {
        let mut draft =
            draft.ok_or_else(|| missing(arguments).hint("`polyarch ls` shows the local lists"))?;
        let before = draft.clone();
        match &image {
            Some(image) => {
                let entry = entry(&mut draft, image, arguments)?;
                let had_platform = entry.descriptor.platform.is_some();
                edit_platform(entry, arguments)?;
                let platform = &mut entry.descriptor.platform;
                platform.take_if(|platform| !had_platform && *platform == Platform::default());
                apply(&mut entry.descriptor.annotations, &annotations);
            }
            None => apply(&mut draft.annotations, &annotations),
        }
        if draft != before {
            draft.touch();
        }
        Ok::<_, Failure>(Some(draft))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn parse(doing: &str, text: &str) -> Result<Reference, Failure> {
    Reference::parse_or_latest(text)
        .map_err(|error| Failure::reference(text, error).context(format!("{doing} {text}")))
}

fn changes_platform(arguments: &AnnotateArgs) -> bool {
    arguments.os.is_some()
        || arguments.arch.is_some()
        || arguments.variant.is_some()
        || arguments.os_version.is_some()
        || !arguments.os_features.is_empty()
}

fn parse_annotations(rules: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let parse = |rule: &String| match rule.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!(
            "invalid annotation {rule:?}: expected KEY=VALUE"
        ))),
    };
    rules.iter().map(parse).collect()
}

/// An empty value removes the annotation.
fn apply(annotations: &mut Annotations, changes: &[(String, String)]) {
    for (key, value) in changes {
        if value.is_empty() {
            annotations.remove(key);
        } else {
            annotations.insert(key.clone(), value.clone());
        }
    }
}

fn missing(arguments: &AnnotateArgs) -> Failure {
    let text = match &arguments.manifest {
        Some(image) => format!(
            "manifest for image {image} does not exist in {}",
            arguments.list
        ),
        None => format!("No such manifest: {}", arguments.list),
    };
    Failure::message(exit::FAILURE, text)
}

fn entry<'a>(
    draft: &'a mut Draft,
    image: &Reference,
    arguments: &AnnotateArgs,
) -> Result<&'a mut Entry, Failure> {
    match find(draft, image)? {
        Some(position) => Ok(&mut draft.entries[position]),
        None => Err(missing(arguments).hint(format!("its entries are: {}", names(&draft.entries)))),
    }
}

/// Empty values of `--os` and `--arch` change nothing, as with Docker; those of `--variant` and
/// `--os-version` clear.
fn edit_platform(entry: &mut Entry, arguments: &AnnotateArgs) -> Result<(), Failure> {
    if !changes_platform(arguments) {
        return Ok(());
    }
    let platform = entry
        .descriptor
        .platform
        .get_or_insert_with(Platform::default);
    let unknown =
        |error: PlatformError| Failure::usage(error).hint("--force takes names that are not known");
    if let Some(os) = arguments.os.as_deref().filter(|os| !os.is_empty()) {
        platform.os = if arguments.force {
            os.to_owned()
        } else {
            Platform::known_os(os).map_err(unknown)?
        };
    }
    if let Some(arch) = arguments.arch.as_deref().filter(|arch| !arch.is_empty()) {
        let (architecture, variant) = if arguments.force {
            (arch.to_owned(), String::new())
        } else {
            Platform::known_architecture(arch).map_err(unknown)?
        };
        platform.architecture = architecture;
        if !variant.is_empty() {
            platform.variant = variant;
        }
    }
    if let Some(variant) = &arguments.variant {
        platform.variant.clone_from(variant);
    }
    if let Some(version) = &arguments.os_version {
        platform.os_version.clone_from(version);
    }
    for list in &arguments.os_features {
        let features = csv::fields(list)
            .map_err(|error| Failure::usage(format!("--os-features {list}: {error}")))?;
        for feature in features {
            if !platform.os_features.contains(&feature) {
                platform.os_features.push(feature);
            }
        }
    }
    Ok(())
}
