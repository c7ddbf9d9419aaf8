//! The result as JSON for programs: what `docs/result.schema.json` describes.

use super::results::Results;

/// The JSON of one image as an object, of several as `{"results": […]}`; with two spaces, for standard output
/// and files. No line break at the end.
pub fn publish_json(results: &Results) -> String {
    safe(serde_json::to_string_pretty(results))
}

/// The same on one line.
pub fn publish_json_line(results: &Results) -> String {
    safe(serde_json::to_string(results))
}

/// JSON in a log that a CI runner reads: `##[` is the start of a command wherever it stands in a line. In JSON it
/// can only stand in a string, where a bracket may be written as an escape.
pub(super) fn safe(json: serde_json::Result<String>) -> String {
    json.expect("a result has only strings for keys, and writing to memory does not fail")
        .replace("##[", "##\\u005b")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{dry_run, failed, hostile, partial, published};
    use super::super::result::ErrorResult;
    use super::super::results::UnplannedResult;
    use super::*;
    use serde_json::Value;

    /// Of two images the second came to an index.
    fn one_without_an_index() -> Results {
        let error = ErrorResult {
            message: "source: not found".to_owned(),
            hints: vec!["look again".to_owned()],
        };
        let target = crate::plan::Target {
            location: crate::spec::Location::Repository("ghcr.io/o/other".parse().unwrap()),
            tags: vec!["1".parse().unwrap()],
        };
        let mut results = Results::new(true);
        results.push_unplanned(UnplannedResult::new(&[target], &error));
        results.push(published());
        results
    }

    fn schema() -> jsonschema::Validator {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/result.schema.json");
        let text = std::fs::read_to_string(path).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        jsonschema::draft202012::new(&schema).unwrap()
    }

    #[test]
    fn every_result_is_what_the_schema_says() {
        let all = [published(), dry_run(), partial(), failed(), hostile()];
        let schema = schema();
        let one = |result: &_| Results::from(vec![Clone::clone(result)]);
        let mut cases: Vec<Results> = all.iter().map(one).collect();
        cases.push(all.to_vec().into());
        cases.push(one_without_an_index());
        for results in &cases {
            let value: Value = serde_json::from_str(&publish_json(results)).unwrap();
            let errors: Vec<String> = schema
                .iter_errors(&value)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(errors, Vec::<String>::new());
            assert_eq!(
                serde_json::from_str::<Value>(&publish_json_line(results)).unwrap(),
                value
            );
        }
    }

    #[test]
    fn an_image_without_an_index_keeps_its_place() {
        let json = publish_json(&one_without_an_index());
        let value: Value = serde_json::from_str(&json).unwrap();
        let results = value["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        assert_eq!(results[0]["status"], "failed");
        let target = &results[0]["targets"][0];
        assert_eq!(target["tags"][0]["reference"], "ghcr.io/o/other:1");
        assert_eq!(target["error"]["message"], "source: not found");
        assert_eq!(results[1]["status"], "published");
    }

    #[test]
    fn the_schema_refuses_what_is_no_result() {
        let schema = schema();
        let good: Value = serde_json::from_str(&publish_json(&vec![published()].into())).unwrap();
        let broken: [fn(&mut Value); 5] = [
            |value| value["digest"] = "sha256:1".into(),
            |value| value["status"] = "done".into(),
            |value| value["surprise"] = 1.into(),
            |value| value["targets"][0]["tags"][0]["status"] = Value::Null,
            |value| {
                value.as_object_mut().unwrap().remove("entries");
            },
        ];
        for change in broken {
            let mut value = good.clone();
            change(&mut value);
            assert!(!schema.is_valid(&value), "{value}");
        }
    }

    #[test]
    fn a_runner_finds_no_command_in_it() {
        let mut result = hostile();
        result.entries[0].source = "##[error]::x".to_owned();
        let json = publish_json(&vec![result].into());
        assert!(!json.contains("##["));
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["entries"][0]["source"], "##[error]::x");
    }
}
