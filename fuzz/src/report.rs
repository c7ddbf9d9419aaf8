//! Reports. Names, platforms and annotations come from registries and from pull requests of other people. The written
//! reports are read again by the rules of the program that reads them.

use std::path::Path;

use bytes::Bytes;

use polyarch::execute::Change;
use polyarch::report::github::{annotations, heredocs, outputs, summary};
use polyarch::report::{
    EntryResult, ErrorResult, ExecutableResult, IndexResult, NoticeResult, Palette, Previous,
    PreviousEntry, PreviousIndex, Status, TagResult, TargetResult, dotenv as dotenv_of,
    publish_json, publish_text,
};
use polyarch::spec::{Digest, MediaType};

use polyarch::text::log_safe;

use super::runner::parse_outputs;
use super::text;

/// Returns a result whose free texts are the parts of the input between NULs.
fn result(text: &str) -> IndexResult {
    let texts: Vec<&str> = text.split('\0').collect();
    let pick = |number: usize| texts[number % texts.len()].to_owned();
    let error = ErrorResult {
        message: pick(1),
        hints: vec![pick(2)],
        notes: vec![pick(3)],
    };
    let statuses = [
        Status::Published,
        Status::Already,
        Status::Failed,
        Status::Planned,
        Status::Partial,
        Status::Kept,
    ];
    let tags = texts.iter().enumerate().take(20).map(|(number, name)| {
        let status = statuses[(number + name.len()) % statuses.len()];
        TagResult {
            reference: (*name).to_owned(),
            status,
            previous: Previous::Unknown,
            error: (status == Status::Failed).then(|| error.clone()),
            change: Change::None,
        }
    });
    let digest = Digest::sha256(text.as_bytes());
    let mut result = IndexResult {
        status: statuses[texts.len() % statuses.len()],
        digest: digest.clone(),
        media_type: MediaType::new(&pick(3)),
        size: 7,
        exact: false,
        platforms: vec![pick(4), pick(5)],
        entries: vec![EntryResult {
            platform: Some(pick(6)),
            digest: digest.clone(),
            size: 1,
            content_size: None,
            media_type: MediaType::new(&pick(7)),
            source: pick(8),
            executables: vec![ExecutableResult {
                path: pick(14),
                machine: Some(pick(15)),
            }],
            attestations: vec![digest],
            annotations: [(pick(9), pick(10))].into(),
        }],
        annotations: [(pick(11), pick(12))].into(),
        targets: vec![TargetResult {
            name: pick(0),
            is_layout: false,
            status: Status::Published,
            tags: tags.collect(),
            operations: Vec::new(),
            error: Some(error),
        }],
        changes: Vec::new(),
        notices: vec![NoticeResult {
            severity: "warning",
            text: pick(13),
        }],
        bytes: Bytes::new(),
    };
    let previous = PreviousIndex {
        digest: Digest::sha256(b"previous"),
        entries: vec![PreviousEntry {
            platform: Some(pick(14)),
            digest: Digest::sha256(b"entry"),
            content_size: None,
        }],
    };
    let at_previous = Previous::At(previous.digest.clone());
    result.record_previous(|_| at_previous.clone(), &[previous]);
    result
}

/// Checks `GITHUB_OUTPUT`: the runner reads exactly the outputs that were written.
pub fn github_output(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let mut expected = outputs(&vec![result(text)].into(), Some(Path::new(text))).values;
    expected.push(("raw", text.to_owned()));
    let written = heredocs(&expected).expect("no value contains the delimiter");
    let read = parse_outputs(&written).expect("a file that the runner accepts");
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(read, expected);
}

/// Checks the dotenv report: GitLab reads only the expected variables, each on one line and with its own value.
/// <https://gitlab.com/gitlab-org/gitlab/-/blob/master/app/services/ci/parse_dotenv_artifact_service.rb>.
pub fn dotenv(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let result = result(text);
    let written = dotenv_of(&result);
    assert!(written.len() < 5 * 1024);
    let mut names = vec!["POLYARCH_REF", "POLYARCH_IMAGE", "POLYARCH_DIGEST"];
    for line in written.split_inclusive('\n') {
        let line = line.strip_suffix('\n').expect("whole lines");
        let (name, value) = line.split_once('=').expect("a variable");
        assert_eq!((name.trim(), value.trim()), (name, value));
        while names.pop().expect("a variable that was expected") != name {}
        assert!(!value.chars().any(|c| c.is_whitespace() || c.is_control()));
        let known = |expected: &str| expected.contains(value);
        match name {
            "POLYARCH_DIGEST" => assert_eq!(value, result.digest.to_string()),
            "POLYARCH_IMAGE" => assert!(value.ends_with(&format!("@{}", result.digest))),
            _ => assert!(
                result.targets[0]
                    .tags
                    .iter()
                    .any(|tag| known(&tag.reference))
            ),
        }
    }
}

/// Checks that the log of a job contains no workflow commands except polyarch's annotations, each on one line.
pub fn workflow_log(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let result = result(text);
    assert!(!is_command(&log_safe(text)));
    assert!(!is_command(&publish_text(&result, Palette::PLAIN)));
    assert!(!is_command(&publish_json(&vec![result.clone()].into())));
    let failure = ErrorResult {
        message: text.to_owned(),
        hints: vec![text.to_owned()],
        notes: vec![text.to_owned()],
    };
    for line in annotations(std::slice::from_ref(&result), Some(&failure)) {
        assert!(!line.contains(['\r', '\n']));
        let words = ["::notice ", "::warning ", "::error "];
        assert!(words.iter().any(|word| line.starts_with(word)), "{line}");
    }
    assert!(summary(&[result], Some(&failure), 1 << 20).len() <= 1 << 20);
}

/// Returns whether the runner would find a command in a line of the log:
/// <https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>.
fn is_command(log: &str) -> bool {
    log.split(['\r', '\n']).any(|line| {
        let line = line.trim_start();
        let new = line
            .strip_prefix("::")
            .is_some_and(|rest| rest.contains("::"));
        new || line.contains("##[")
    })
}
