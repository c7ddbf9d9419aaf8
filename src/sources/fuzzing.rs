//! Fuzz targets of this room: see [`crate::fuzzing`].

#![expect(clippy::missing_panics_doc, reason = "a panic is how a target tells")]

use super::spec_file::parse_spec;
use super::{
    MAX_ITEMS, MetadataDefaults, SourceError, parse_annotate_list, parse_annotations, parse_labels,
    parse_set_platform, parse_sources, parse_targets,
};
use crate::environment::Environment;
use crate::fuzzing::text;

fn told(error: &SourceError) {
    assert!(!error.to_string().is_empty());
    let _ = error.hints();
}

/// Everything that is a list in an argument or variable.
pub fn sources(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match parse_sources(text) {
        Ok(sources) => {
            assert!(!sources.is_empty() && sources.len() <= MAX_ITEMS);
            for source in &sources {
                let _ = source.digest();
            }
        }
        Err(error) => told(&error),
    }
    match parse_targets(text) {
        Ok(targets) => {
            // One that comes twice is one.
            let mut names: Vec<_> = targets.iter().map(super::TargetSpec::name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), targets.len());
        }
        Err(error) => told(&error),
    }
    let _ = parse_annotations(text).map_err(|error| told(&error));
    let _ = parse_labels(text).map_err(|error| told(&error));
    let _ = parse_annotate_list(text).map_err(|error| told(&error));
    let _ = parse_set_platform(text).map_err(|error| told(&error));
}

/// A spec file in YAML.
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
        Err(error) => told(&error),
    }
}

/// What docker/metadata-action leaves in the environment.
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
                let _ = defaults.targets().map_err(|error| told(&error));
                let _ = defaults.rules().map_err(|error| told(&error));
            }
            Err(error) => told(&error),
        }
    }
}
