//! Lists, spec files and the variables of docker/metadata-action.

use polyarch::environment::Environment;
use polyarch::sources::{
    MAX_ITEMS, MetadataDefaults, SourceError, TargetSpec, parse_annotations, parse_labels,
    parse_set_platform, parse_set_platforms, parse_sources, parse_spec, parse_targets,
};

use super::text;

fn check_error(error: &SourceError) {
    assert!(!error.to_string().is_empty());
    let _ = error.hints();
}

/// Checks lists in arguments and variables.
pub fn sources(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match parse_sources(text) {
        Ok(sources) => {
            assert!(!sources.is_empty() && sources.len() <= MAX_ITEMS);
            for source in &sources {
                let _ = source.digest();
            }
        }
        Err(error) => check_error(&error),
    }
    match parse_targets(text) {
        Ok(targets) => {
            // Duplicates are removed.
            let mut names: Vec<_> = targets.iter().map(TargetSpec::name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), targets.len());
        }
        Err(error) => check_error(&error),
    }
    let _ = parse_annotations(text).map_err(|error| check_error(&error));
    let _ = parse_labels(text).map_err(|error| check_error(&error));
    let _ = parse_set_platforms(text).map_err(|error| check_error(&error));
    let _ = parse_set_platform(text).map_err(|error| check_error(&error));
}

/// Checks a spec file in YAML.
pub fn spec_file(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match parse_spec(text) {
        Ok(images) => {
            for image in &images {
                assert!(image.image.tag().is_some() && image.image.digest().is_none());
                assert!(!image.sources.is_empty());
                let _ = image.targets();
            }
        }
        Err(error) => check_error(&error),
    }
}

/// Checks the environment variables that docker/metadata-action sets.
pub fn metadata(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for variables in [
        &[("DOCKER_METADATA_OUTPUT_JSON", text)][..],
        &[
            ("DOCKER_METADATA_OUTPUT_TAGS", text),
            ("DOCKER_METADATA_OUTPUT_ANNOTATIONS", text),
        ],
    ] {
        let environment: Environment = variables.iter().copied().collect();
        match MetadataDefaults::from_environment(&environment) {
            Ok(defaults) => {
                let _ = defaults.targets().map_err(|error| check_error(&error));
                let _ = defaults.rules().map_err(|error| check_error(&error));
            }
            Err(error) => check_error(&error),
        }
    }
}
