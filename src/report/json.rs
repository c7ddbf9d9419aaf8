//! Results as JSON, described by `docs/result.schema.json`.

use super::results::Results;

/// Returns the results as indented JSON without a final line break.
pub fn publish_json(results: &Results) -> String {
    safe(serde_json::to_string_pretty(results))
}

/// Returns the results as JSON on one line.
pub fn publish_json_line(results: &Results) -> String {
    safe(serde_json::to_string(results))
}

/// Makes JSON safe in the log of a CI runner, where `##[` starts a command anywhere in a line. Escapes the bracket;
/// after `##` it is always part of a string.
pub(super) fn safe(json: serde_json::Result<String>) -> String {
    json.expect("all keys are strings, and writing to memory cannot fail")
        .replace("##[", "##\\u005b")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{dry_run, failed, hostile, partial, published, released};
    use super::super::result::ErrorResult;
    use super::super::results::UnplannedResult;
    use super::*;
    use serde_json::Value;

    /// Two images; the first failed before an index was planned.
    fn one_without_an_index() -> Results {
        let error = ErrorResult {
            message: "source: not found".to_owned(),
            hints: vec!["look again".to_owned()],
            notes: Vec::new(),
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
    fn results_match_the_schema() {
        let all = [
            published(),
            dry_run(),
            partial(),
            failed(),
            hostile(),
            released(),
        ];
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
    fn an_image_without_an_index_keeps_its_position() {
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
    fn previous_is_null_for_a_new_tag_and_absent_if_unknown() {
        let value = |result| -> Value {
            serde_json::from_str(&publish_json(&vec![result].into())).unwrap()
        };
        let release = value(released());
        assert_eq!(release["schemaVersion"], 1);
        let tags = &release["targets"][0]["tags"];
        assert_eq!(tags[0]["previous"], Value::Null);
        assert!(tags[1]["previous"].is_string());
        assert_eq!(tags[2]["status"], "kept");
        let unknown = value(published());
        assert_eq!(unknown["targets"][0]["tags"][0].get("previous"), None);
        insta::assert_snapshot!(
            "changes",
            serde_json::to_string_pretty(&release["changes"]).unwrap()
        );
    }

    #[test]
    fn the_schema_refuses_other_documents() {
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
    fn json_contains_no_workflow_command() {
        let mut result = hostile();
        result.entries[0].source = "##[error]::x".to_owned();
        let json = publish_json(&vec![result].into());
        assert!(!json.contains("##["));
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["entries"][0]["source"], "##[error]::x");
    }
}
