//! Fuzz targets of this room: see [`crate::fuzzing`]. Names, platforms and annotations come from registries and from
//! whoever opened the pull request; what is read back here is read by the rules of the runner that reads it.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a target tells")]

use std::path::Path;

use bytes::Bytes;

use super::files::dotenv as dotenv_of;
use super::github::{annotations, heredocs, neutral, outputs, parse, summary};
use super::result::{
    EntryResult, ErrorResult, IndexResult, NoticeResult, Status, TagResult, TargetResult,
};
use super::{publish_json, publish_text};
use crate::execute::Change;
use crate::fuzzing::text;
use crate::spec::{Digest, MediaType};

/// A result in which every free text comes from the input, in which a NUL separates them.
fn result(text: &str) -> IndexResult {
    let texts: Vec<&str> = text.split('\0').collect();
    let pick = |number: usize| texts[number % texts.len()].to_owned();
    let error = ErrorResult {
        message: pick(1),
        hints: vec![pick(2)],
    };
    let statuses = [
        Status::Published,
        Status::Already,
        Status::Failed,
        Status::Planned,
        Status::Partial,
    ];
    let tags = texts.iter().enumerate().take(20).map(|(number, name)| {
        let status = statuses[(number + name.len()) % statuses.len()];
        TagResult {
            reference: (*name).to_owned(),
            status,
            error: (status == Status::Failed).then(|| error.clone()),
            change: Change::None,
        }
    });
    let digest = Digest::sha256(text.as_bytes());
    IndexResult {
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
            attestations: vec![digest],
            annotations: [(pick(9), pick(10))].into(),
        }],
        annotations: [(pick(11), pick(12))].into(),
        targets: vec![TargetResult {
            name: pick(0),
            status: Status::Published,
            tags: tags.collect(),
            error: Some(error),
        }],
        notices: vec![NoticeResult {
            severity: "warning",
            text: pick(13),
        }],
        bytes: Bytes::new(),
    }
}

/// `GITHUB_OUTPUT`: the runner reads back exactly the outputs that were meant, whatever is in them.
pub fn github_output(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let mut meant = outputs(&vec![result(text)].into(), Some(Path::new(text)));
    meant.push(("raw", text.to_owned()));
    let written = heredocs(&meant).expect("nobody foresees the delimiter");
    let read = parse(&written).expect("what the runner can read");
    let meant: Vec<_> = meant
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(read, meant);
}

/// The dotenv report: GitLab reads no more variables than were meant, each on one line and with its own value.
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
        while names.pop().expect("a variable that was meant") != name {}
        assert!(!value.chars().any(|c| c.is_whitespace() || c.is_control()));
        let known = |meant: &str| meant.contains(value);
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

/// The log of a job: nothing that is printed for people is a command to the runner, except our own annotations,
/// and each of these is one line.
pub fn workflow_log(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let result = result(text);
    assert!(!is_command(&neutral(text)));
    assert!(!is_command(&publish_text(&result)));
    assert!(!is_command(&publish_json(&vec![result.clone()].into())));
    let failure = ErrorResult {
        message: text.to_owned(),
        hints: vec![text.to_owned()],
    };
    for line in annotations(std::slice::from_ref(&result), Some(&failure)) {
        assert!(!line.contains(['\r', '\n']));
        let words = ["::notice ", "::warning ", "::error "];
        assert!(words.iter().any(|word| line.starts_with(word)), "{line}");
    }
    assert!(summary(&[result], Some(&failure), 1 << 20).len() <= 1 << 20);
}

/// Whether the runner would see a command in a line of this:
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
