//! The outputs of a step in `GITHUB_OUTPUT`, written so that no value can be read as another output.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::json;

use super::super::json::{publish_json_line, safe};
use super::super::result::IndexResult;
use super::super::results::{Results, SCHEMA_VERSION};
use crate::text::clean;

/// The maximum length of a line: longer than any reference.
const MAX_LINE: usize = 4096;

/// The maximum size of the `json` output in bytes. The outputs of a job may have at most 1 MB in UTF-16.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idoutputs>
const MAX_JSON: usize = 400 * 1024;

/// The outputs of a step.
pub struct Outputs {
    pub values: Vec<(&'static str, String)>,
    pub warnings: Vec<String>,
}

/// Returns every output of `action.yml` once, in the order of that file. With several images, `digest`, `media-type`,
/// `size`, `platforms`, `index-path`, `subject-name` and `subject-digest` describe the first published image. Tags,
/// images and subjects are empty in a dry run and otherwise contain only what was pushed. Without a result there are no
/// outputs.
pub fn outputs(results: &Results, index_path: Option<&Path>) -> Outputs {
    if results.is_empty() {
        return Outputs {
            values: Vec::new(),
            warnings: Vec::new(),
        };
    }
    let good = results.first_good();
    let of_good = |value: fn(&IndexResult) -> String| good.map(value).unwrap_or_default();
    let subjects: Vec<(&str, String)> = results
        .iter()
        .flat_map(|result| {
            let digest = result.digest.to_string();
            let names = result.published_repositories();
            names.map(move |name| (name, digest.clone()))
        })
        .collect();
    let first = subjects.first().cloned().unwrap_or_default();
    let images = subjects
        .iter()
        .map(|(name, digest)| format!("{name}@{digest}"));
    let tags = results.iter().flat_map(IndexResult::published_tags);
    let kept = results.iter().flat_map(IndexResult::kept_tags);
    let (json, warning) = json_output(results);
    let index_path = index_path.map(|path| path.display().to_string());
    let values = vec![
        ("digest", of_good(|result| result.digest.to_string())),
        (
            "media-type",
            of_good(|result| line(result.media_type.as_str())),
        ),
        ("size", of_good(|result| result.size.to_string())),
        (
            "platforms",
            of_good(|result| line(&result.platforms.join(","))),
        ),
        ("tags", list(tags)),
        ("kept", list(kept)),
        ("images", list(images)),
        ("json", json),
        ("index-path", index_path.unwrap_or_default()),
        ("subject-name", line(first.0)),
        ("subject-digest", first.1),
        ("subjects", subjects_json(&subjects)),
    ];
    Outputs {
        values,
        warnings: warning.into_iter().collect(),
    }
}

/// Returns the result as JSON, or a short document and a warning if it is too large.
fn json_output(results: &Results) -> (String, Option<String>) {
    let json = publish_json_line(results);
    if json.len() <= MAX_JSON {
        return (json, None);
    }
    let warning = format!(
        "the output json was truncated: the result has {} bytes, the limit is {MAX_JSON}; `--output json` prints all of it",
        json.len()
    );
    let document = json!({
        "schemaVersion": SCHEMA_VERSION,
        "truncated": true,
        "digests": results.iter().map(|result| &result.digest).collect::<Vec<_>>(),
    });
    (safe(serde_json::to_string(&document)), Some(warning))
}

/// Returns `[{"subject-name":…,"subject-digest":…}]` for a matrix, with the names of the inputs of actions/attest.
fn subjects_json(subjects: &[(&str, String)]) -> String {
    let objects: Vec<_> = subjects
        .iter()
        .map(|(name, digest)| json!({"subject-name": name, "subject-digest": digest}))
        .collect();
    safe(serde_json::to_string(&objects))
}

fn list<T: AsRef<str>>(values: impl Iterator<Item = T>) -> String {
    let lines: Vec<String> = values.map(|value| line(value.as_ref())).collect();
    lines.join("\n")
}

/// Returns the value as one line: the path of a layout may contain line breaks.
fn line(value: &str) -> String {
    clean(value, MAX_LINE)
}

/// Returns the text of a file with the outputs, each a heredoc with a random delimiter.
pub fn heredocs(outputs: &[(&'static str, String)]) -> io::Result<String> {
    let mut text = String::new();
    for (name, value) in outputs {
        let delimiter = format!("polyarch_{}", random_hex()?);
        let heredoc = heredoc(name, value, &delimiter);
        text.push_str(&heredoc.ok_or_else(|| {
            io::Error::other(format!("output {name} contains the delimiter {delimiter}"))
        })?);
    }
    Ok(text)
}

/// Returns `None` if the value contains the delimiter.
fn heredoc(name: &str, value: &str, delimiter: &str) -> Option<String> {
    if value.contains(delimiter) {
        return None;
    }
    let mut text = String::new();
    let _ = writeln!(text, "{name}<<{delimiter}\n{value}\n{delimiter}");
    Some(text)
}

/// Returns 256 random bits as hexadecimal digits.
fn random_hex() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{
        HOSTILE, dry_run, failed, hostile, partial, published, released, target,
    };
    use super::super::super::result::Status;
    use super::super::runner::parse_outputs;
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::collections::HashMap;

    const NAMES: [&str; 12] = [
        "digest",
        "media-type",
        "size",
        "platforms",
        "tags",
        "kept",
        "images",
        "json",
        "index-path",
        "subject-name",
        "subject-digest",
        "subjects",
    ];

    /// Writes the outputs and reads them back.
    fn read_back(results: &[IndexResult]) -> HashMap<String, String> {
        let outputs = outputs(&results.to_vec().into(), Some(Path::new("/tmp/index.json")));
        let pairs = parse_outputs(&heredocs(&outputs.values).unwrap()).unwrap();
        let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, NAMES);
        pairs.into_iter().collect()
    }

    #[test]
    fn all_outputs_are_set() {
        let digest = published().digest.to_string();
        let outputs = read_back(&[published()]);
        for (name, value) in [
            ("digest", digest.clone()),
            (
                "media-type",
                "application/vnd.oci.image.index.v1+json".to_owned(),
            ),
            ("size", "25".to_owned()),
            ("platforms", "linux/amd64,linux/arm64".to_owned()),
            (
                "tags",
                "ghcr.io/o/app:1.2\nghcr.io/o/app:latest\ndocker.io/o/app:1.2".to_owned(),
            ),
            (
                "images",
                format!("ghcr.io/o/app@{digest}\ndocker.io/o/app@{digest}"),
            ),
            ("index-path", "/tmp/index.json".to_owned()),
            ("subject-name", "ghcr.io/o/app".to_owned()),
            ("subject-digest", digest.clone()),
        ] {
            assert_eq!(outputs[name], value, "{name}");
        }
        assert_eq!(
            serde_json::from_str::<Value>(&outputs["subjects"]).unwrap(),
            json!([
                {"subject-name": "ghcr.io/o/app", "subject-digest": digest},
                {"subject-name": "docker.io/o/app", "subject-digest": digest},
            ])
        );
        let json: Value = serde_json::from_str(&outputs["json"]).unwrap();
        assert_eq!(
            json["targets"][0]["tags"][0]["reference"],
            "ghcr.io/o/app:1.2"
        );
    }

    #[test]
    fn a_partial_failure_lists_the_pushed_tags() {
        let outputs = read_back(&[partial()]);
        let digest = partial().digest.to_string();
        assert_eq!(outputs["digest"], digest);
        assert_eq!(outputs["tags"], "ghcr.io/o/app:1.2");
        assert_eq!(outputs["images"], format!("ghcr.io/o/app@{digest}"));
    }

    #[test]
    fn a_dry_run_has_a_digest_but_no_subjects() {
        let outputs = read_back(&[dry_run()]);
        assert_eq!(outputs["digest"], dry_run().digest.to_string());
        for name in ["tags", "images", "subject-name", "subject-digest"] {
            assert_eq!(outputs[name], "", "{name}");
        }
        assert_eq!(outputs["subjects"], "[]");
    }

    #[test]
    fn a_failure_has_no_digest() {
        let failure = read_back(&[failed()]);
        assert_eq!(failure["digest"], "");
        assert_eq!(failure["tags"], "");
        let some = read_back(&[failed(), published()]);
        assert_eq!(some["digest"], published().digest.to_string());
        let json: Value = serde_json::from_str(&some["json"]).unwrap();
        assert_eq!(json["results"].as_array().unwrap().len(), 2);
        assert!(outputs(&Results::default(), None).values.is_empty());
    }

    #[test]
    fn layouts_are_no_subjects() {
        let mut result = published();
        result.targets = vec![target("oci:/tmp/out", &[("1", Status::Published)])];
        let outputs = read_back(&[result]);
        assert_eq!(outputs["tags"], "oci:/tmp/out:1");
        assert_eq!(outputs["subjects"], "[]");
    }

    #[test]
    fn a_value_cannot_set_another_output() {
        let outputs = read_back(&[hostile()]);
        assert_eq!(outputs["digest"], hostile().digest.to_string());
        for name in ["media-type", "platforms", "tags", "subject-name"] {
            assert!(!outputs[name].contains(['\r', '\n']), "{name}");
        }
        assert!(!outputs["json"].contains(['\r', '\n']));
        let text = heredocs(&[("digest", HOSTILE.to_owned())]).unwrap();
        assert_eq!(
            parse_outputs(&text).unwrap(),
            [("digest".to_owned(), HOSTILE.to_owned())]
        );
    }

    #[test]
    fn every_tag_has_a_line() {
        let mut result = published();
        let names: Vec<String> = (0..900).map(|n| format!("1.2.{n}")).collect();
        let tags: Vec<(&str, Status)> = names
            .iter()
            .map(|name| (name.as_str(), Status::Published))
            .collect();
        result.targets = vec![target("ghcr.io/o/app", &tags)];
        let outputs = read_back(&[result]);
        assert_eq!(outputs["tags"].lines().count(), 900);
        assert!(outputs["tags"].ends_with("ghcr.io/o/app:1.2.899"));
    }

    #[test]
    fn kept_tags_are_no_pushed_tags() {
        let outputs = read_back(&[released()]);
        assert_eq!(outputs["kept"], "ghcr.io/o/app:1");
        assert!(!outputs["tags"].lines().any(|tag| tag == "ghcr.io/o/app:1"));
        let mut result = published();
        result.status = Status::Kept;
        result.targets = vec![target("ghcr.io/o/app", &[("1", Status::Kept)])];
        let outputs = read_back(&[result]);
        assert_eq!(outputs["kept"], "ghcr.io/o/app:1");
        assert_eq!((&*outputs["digest"], &*outputs["subjects"]), ("", "[]"));
    }

    #[test]
    fn a_large_json_output_is_truncated_with_a_warning() {
        let mut result = published();
        result.entries[0].source = "x".repeat(MAX_JSON);
        let outputs = outputs(&vec![result].into(), None);
        let (_, json) = outputs
            .values
            .iter()
            .find(|(name, _)| *name == "json")
            .unwrap();
        let json: Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["truncated"], true);
        assert_eq!(json["digests"][0], published().digest.to_string());
        assert!(outputs.warnings[0].contains("was truncated"));
        assert!(
            super::outputs(&vec![published()].into(), None)
                .warnings
                .is_empty()
        );
    }

    #[test]
    fn a_value_with_the_delimiter_is_refused() {
        assert_eq!(heredoc("a", "x\nEND\nb=c", "END"), None);
        let delimiters: Vec<String> = (0..2)
            .map(|_| {
                let text = heredocs(&[("a", String::new())]).unwrap();
                text.lines().last().unwrap().to_owned()
            })
            .collect();
        assert_ne!(delimiters[0], delimiters[1]);
        assert!(delimiters[0].len() > "polyarch_".len() + 32);
    }

    #[test]
    fn the_parser_reads_like_the_runner() {
        for (text, expected) in [
            ("a=b<<c", Ok(vec![("a", "b<<c")])),
            ("a<<E\nb=c\nE", Ok(vec![("a", "b=c")])),
            ("a<<E\nE\n\nb=\n", Ok(vec![("a", ""), ("b", "")])),
            ("a<<E\n\n\nE\n", Ok(vec![("a", "\n")])),
            ("a<<E\nb", Err(())),
            ("a<<E\nb\n", Err(())),
            ("a", Err(())),
            ("<<E\nE\n", Err(())),
        ] {
            let parsed = parse_outputs(text).map_err(|_| ());
            let expected = expected.map(|pairs| {
                let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                pairs.into_iter().map(own).collect::<Vec<_>>()
            });
            assert_eq!(parsed, expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_value_is_read_back(values in prop::collection::vec("(?s).{0,20}|[a=<\n\r]{0,20}", 1..4)) {
            let outputs: Vec<(&'static str, String)> =
                NAMES.into_iter().zip(values).collect();
            let expected: Vec<(String, String)> = outputs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            prop_assert_eq!(parse_outputs(&heredocs(&outputs).unwrap()).unwrap(), expected);
        }
    }
}
