//! `GITHUB_OUTPUT`: what the outputs are, and how they are written so that no value can pass for another output.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::json;

use super::super::json::{publish_json_line, safe};
use super::super::result::IndexResult;
use super::super::results::Results;
use super::first_good;
use crate::text::clean;

/// More than any reference has.
const LONGEST_LINE: usize = 4096;

/// Every output of `action.yml`, once, in its order. Of several images, `digest`, `media-type`, `size`,
/// `platforms`, `index-path` and the single subject are those of the first that is there, or would be: a dry run
/// tells these too. Tags, images and subjects are only those that really landed. Without a result there is
/// nothing to tell.
pub fn outputs(results: &Results, index_path: Option<&Path>) -> Vec<(&'static str, String)> {
    if results.is_empty() {
        return Vec::new();
    }
    let good = first_good(results);
    let of_good = |value: fn(&IndexResult) -> String| good.map(value).unwrap_or_default();
    let subjects: Vec<(&str, String)> = results
        .iter()
        .flat_map(|result| {
            let digest = result.digest.to_string();
            let names = result.landed_repositories();
            names.map(move |name| (name, digest.clone()))
        })
        .collect();
    let first = subjects.first().cloned().unwrap_or_default();
    let images = subjects
        .iter()
        .map(|(name, digest)| format!("{name}@{digest}"));
    let tags = results.iter().flat_map(IndexResult::landed_tags);
    let index_path = index_path.map(Path::display);
    vec![
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
        ("images", list(images)),
        ("json", publish_json_line(results)),
        (
            "index-path",
            index_path.map_or_else(String::new, |path| path.to_string()),
        ),
        ("subject-name", line(first.0)),
        ("subject-digest", first.1),
        ("subjects", subjects_json(&subjects)),
    ]
}

/// `[{"subject-name":…,"subject-digest":…}]`: what a matrix takes, with the names of the inputs of actions/attest.
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

/// One line, whatever it was: the path of a layout may hold anything.
fn line(value: &str) -> String {
    clean(value, LONGEST_LINE)
}

/// The text of a file with these outputs. Each is a heredoc with a delimiter that nobody can foresee.
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

/// `None` if the value contains the delimiter.
fn heredoc(name: &str, value: &str, delimiter: &str) -> Option<String> {
    if value.contains(delimiter) {
        return None;
    }
    let mut text = String::new();
    let _ = writeln!(text, "{name}<<{delimiter}\n{value}\n{delimiter}");
    Some(text)
}

/// 256 random bits of the system.
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
        HOSTILE, dry_run, failed, hostile, partial, published, target,
    };
    use super::super::super::result::Status;
    use super::super::runner::parse_outputs;
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::collections::HashMap;

    const NAMES: [&str; 11] = [
        "digest",
        "media-type",
        "size",
        "platforms",
        "tags",
        "images",
        "json",
        "index-path",
        "subject-name",
        "subject-digest",
        "subjects",
    ];

    /// Through the file and back.
    fn told(results: &[IndexResult]) -> HashMap<String, String> {
        let outputs = outputs(&results.to_vec().into(), Some(Path::new("/tmp/index.json")));
        let pairs = parse_outputs(&heredocs(&outputs).unwrap()).unwrap();
        let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, NAMES);
        pairs.into_iter().collect()
    }

    #[test]
    fn the_outputs_are_those_of_the_table() {
        let digest = published().digest.to_string();
        let told = told(&[published()]);
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
            assert_eq!(told[name], value, "{name}");
        }
        assert_eq!(
            serde_json::from_str::<Value>(&told["subjects"]).unwrap(),
            json!([
                {"subject-name": "ghcr.io/o/app", "subject-digest": digest},
                {"subject-name": "docker.io/o/app", "subject-digest": digest},
            ])
        );
        let json: Value = serde_json::from_str(&told["json"]).unwrap();
        assert_eq!(
            json["targets"][0]["tags"][0]["reference"],
            "ghcr.io/o/app:1.2"
        );
    }

    #[test]
    fn a_partial_failure_tells_what_landed() {
        let told = told(&[partial()]);
        let digest = partial().digest.to_string();
        assert_eq!(told["digest"], digest);
        assert_eq!(told["tags"], "ghcr.io/o/app:1.2");
        assert_eq!(told["images"], format!("ghcr.io/o/app@{digest}"));
    }

    #[test]
    fn a_dry_run_tells_the_digest_and_nothing_to_attest() {
        let told = told(&[dry_run()]);
        assert_eq!(told["digest"], dry_run().digest.to_string());
        for name in ["tags", "images", "subject-name", "subject-digest"] {
            assert_eq!(told[name], "", "{name}");
        }
        assert_eq!(told["subjects"], "[]");
    }

    #[test]
    fn a_failure_tells_no_digest() {
        let failure = told(&[failed()]);
        assert_eq!(failure["digest"], "");
        assert_eq!(failure["tags"], "");
        // Of several images, those that landed.
        let some = told(&[failed(), published()]);
        assert_eq!(some["digest"], published().digest.to_string());
        let json: Value = serde_json::from_str(&some["json"]).unwrap();
        assert_eq!(json["results"].as_array().unwrap().len(), 2);
        assert!(outputs(&Results::default(), None).is_empty());
    }

    #[test]
    fn layouts_are_no_subjects() {
        let mut result = published();
        result.targets = vec![target("oci:/tmp/out", &[("1", Status::Published)])];
        let told = told(&[result]);
        assert_eq!(told["tags"], "oci:/tmp/out:1");
        assert_eq!(told["subjects"], "[]");
    }

    #[test]
    fn no_value_can_pass_for_another_output() {
        let told = told(&[hostile()]);
        assert_eq!(told["digest"], hostile().digest.to_string());
        for name in ["media-type", "platforms", "tags", "subject-name"] {
            assert!(!told[name].contains(['\r', '\n']), "{name}");
        }
        assert!(!told["json"].contains(['\r', '\n']));
        // Whatever the value, the runner reads it back as one.
        let text = heredocs(&[("digest", HOSTILE.to_owned())]).unwrap();
        assert_eq!(
            parse_outputs(&text).unwrap(),
            [("digest".to_owned(), HOSTILE.to_owned())]
        );
    }

    #[test]
    fn nine_hundred_tags_are_nine_hundred_lines() {
        let mut result = published();
        let names: Vec<String> = (0..900).map(|n| format!("1.2.{n}")).collect();
        let tags: Vec<(&str, Status)> = names
            .iter()
            .map(|name| (name.as_str(), Status::Published))
            .collect();
        result.targets = vec![target("ghcr.io/o/app", &tags)];
        let told = told(&[result]);
        assert_eq!(told["tags"].lines().count(), 900);
        assert!(told["tags"].ends_with("ghcr.io/o/app:1.2.899"));
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
    fn the_parser_reads_as_the_runner_does() {
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
        fn every_value_comes_back(values in prop::collection::vec("(?s).{0,20}|[a=<\n\r]{0,20}", 1..4)) {
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
