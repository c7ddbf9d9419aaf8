//! Tags and annotations from the environment variables of docker/metadata-action.
//! <https://github.com/docker/metadata-action#outputs>.

use serde::Deserialize;

use super::error::SourceError;
use super::limits::check_size;
use super::targets::{TargetSpec, parse_targets};
use crate::environment::Environment;
use crate::spec::{AnnotationLevel, AnnotationRule};

const JSON: &str = "DOCKER_METADATA_OUTPUT_JSON";
const TAGS: &str = "DOCKER_METADATA_OUTPUT_TAGS";
const ANNOTATIONS: &str = "DOCKER_METADATA_OUTPUT_ANNOTATIONS";

/// Tags and annotations, as written; both may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataDefaults {
    /// Full references: `ghcr.io/o/app:1.2`.
    pub tags: Vec<String>,
    /// With their level: `manifest:org.opencontainers.image.title=app`.
    pub annotations: Vec<String>,
}

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    annotations: Option<Vec<String>>,
}

impl MetadataDefaults {
    /// Reads the variables. The JSON takes precedence because it needs no separators. The items of the lists are
    /// separated by line breaks; tags may also be separated by commas. Invalid JSON is an error that names the
    /// variable.
    pub fn from_environment(environment: &Environment) -> Result<Self, SourceError> {
        let json = match environment.var(JSON) {
            Some(text) => Some(parse_json(text).map_err(|error| error.at(JSON))?),
            None => None,
        };
        let (tags, annotations) = json.map_or((None, None), |json| (json.tags, json.annotations));
        let listed = |name: &str, separators: &[char]| -> Vec<String> {
            let text = environment.var(name).unwrap_or_default();
            let items = text.split(separators).map(str::trim);
            let items = items.filter(|item| !item.is_empty());
            items.map(str::to_owned).collect()
        };
        Ok(Self {
            tags: tags.unwrap_or_else(|| listed(TAGS, &['\n', ','])),
            annotations: annotations.unwrap_or_else(|| listed(ANNOTATIONS, &['\n'])),
        })
    }

    pub fn targets(&self) -> Result<Vec<TargetSpec>, SourceError> {
        if self.tags.is_empty() {
            return Ok(Vec::new());
        }
        parse_targets(&self.tags.join("\n"))
            .map_err(|error| error.at("tags of docker/metadata-action"))
    }

    pub fn rules(&self) -> Result<Vec<AnnotationRule>, SourceError> {
        let rules = self.annotations.iter().map(|text| text.parse());
        rules
            .collect::<Result<_, _>>()
            .map_err(|error| SourceError::from(error).at("annotations of docker/metadata-action"))
    }

    /// Returns the annotations as rules. A rule for image manifests becomes a rule for the index or its entries:
    /// docker/metadata-action uses the level `manifest` by default, but a pushed manifest cannot be changed.
    pub fn index_rules(&self) -> Result<Vec<AnnotationRule>, SourceError> {
        let mut rules = self.rules()?;
        for rule in &mut rules {
            for level in std::mem::take(&mut rule.levels) {
                let level = match level {
                    AnnotationLevel::Manifest(None) => AnnotationLevel::Index,
                    AnnotationLevel::Manifest(of_platform) => {
                        AnnotationLevel::ManifestDescriptor(of_platform)
                    }
                    other => other,
                };
                if !rule.levels.contains(&level) {
                    rule.levels.push(level);
                }
            }
        }
        Ok(rules)
    }
}

fn parse_json(text: &str) -> Result<Json, SourceError> {
    check_size(text)?;
    crate::spec::parse(text.as_bytes()).map_err(|reason| SourceError::json(text, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<MetadataDefaults, SourceError> {
        let environment: Environment = variables.iter().copied().collect();
        MetadataDefaults::from_environment(&environment)
    }

    #[test]
    fn an_empty_environment_has_no_defaults() {
        let defaults = read(&[(TAGS, ""), ("OTHER", "x")]).unwrap();
        assert_eq!(defaults, MetadataDefaults::default());
        assert_eq!(defaults.targets().unwrap(), []);
        assert_eq!(defaults.rules().unwrap(), []);
    }

    #[test]
    fn lists_are_split_at_line_breaks() {
        let defaults = read(&[
            (TAGS, "ghcr.io/o/app:1\nghcr.io/o/app:latest"),
            (ANNOTATIONS, "manifest:a=x, y\nindex:a=x, y\nindex:b="),
        ])
        .unwrap();
        assert_eq!(defaults.tags, ["ghcr.io/o/app:1", "ghcr.io/o/app:latest"]);
        assert_eq!(
            defaults.annotations,
            ["manifest:a=x, y", "index:a=x, y", "index:b="]
        );
        assert_eq!(defaults.targets().unwrap().len(), 2);
        assert_eq!(defaults.rules().unwrap()[1].value, "x, y");
    }

    #[test]
    fn annotations_for_manifests_move_to_the_index() {
        let text =
            "manifest:a=1\nmanifest,index:b=2\nmanifest[linux/arm64]:c=3\nindex-descriptor:d=4";
        let rules = read(&[(ANNOTATIONS, text)]).unwrap().index_rules().unwrap();
        let expected: Vec<AnnotationRule> = [
            "index:a=1",
            "index:b=2",
            "manifest-descriptor[linux/arm64]:c=3",
            "index-descriptor:d=4",
        ]
        .iter()
        .map(|rule| rule.parse().unwrap())
        .collect();
        assert_eq!(rules, expected);
    }

    #[test]
    fn json_has_precedence_over_lists() {
        let json = r#"{"tags":["ghcr.io/o/app:1"],"tag-names":["1"],"labels":{"a":"b"},"annotations":["index:a=one\ntwo"]}"#;
        let defaults = read(&[
            (JSON, json),
            (TAGS, "x;y"),
            (ANNOTATIONS, "index:a=one\ntwo"),
        ])
        .unwrap();
        assert_eq!(defaults.tags, ["ghcr.io/o/app:1"]);
        assert_eq!(defaults.rules().unwrap()[0].value, "one\ntwo");
        let partial = read(&[(JSON, r#"{"tags":null}"#), (TAGS, "a:1")]).unwrap();
        assert_eq!(partial.tags, ["a:1"]);
    }

    #[test]
    fn errors_name_their_variable() {
        let error = read(&[(JSON, "{\"tags\":")]).unwrap_err().to_string();
        assert!(
            error.starts_with("DOCKER_METADATA_OUTPUT_JSON: cannot parse"),
            "{error}"
        );
        let defaults = read(&[(TAGS, "a:b:c"), (ANNOTATIONS, "nonsense")]).unwrap();
        let error = defaults.targets().unwrap_err().to_string();
        assert!(
            error.starts_with("tags of docker/metadata-action: invalid target"),
            "{error}"
        );
        let error = defaults.rules().unwrap_err().to_string();
        assert!(
            error.starts_with("annotations of docker/metadata-action: invalid annotation"),
            "{error}"
        );
    }
}
