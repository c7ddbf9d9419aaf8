//! Workflow commands: annotations and masks, with all values escaped.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::super::result::{ErrorResult, IndexResult};
use crate::auth::Secret;
use crate::environment::Environment;

/// GitHub shows at most ten annotations of one kind for a step, and 4096 characters of each.
const MAX_COMMANDS: usize = 10;
const MAX_LENGTH: usize = 4096;

/// The minimum length of a masked secret: masking shorter words would hide large parts of the log.
const MIN_SECRET: usize = 4;

/// Returns the annotations of a run: errors, warnings and notices.
pub fn annotations(results: &[IndexResult], failure: Option<&ErrorResult>) -> Vec<String> {
    let mut errors: Vec<String> = failure.map(with_details).into_iter().collect();
    let of_targets = results.iter().flat_map(|result| &result.targets);
    for target in of_targets {
        let tags = target.tags.iter().filter_map(|tag| tag.error.as_ref());
        for error in target.error.iter().chain(tags) {
            if !errors.iter().any(|known| known.contains(&error.message)) {
                errors.push(error.message.clone());
            }
        }
    }
    let title = if results
        .iter()
        .any(|result| result.published_tags().next().is_some())
    {
        "polyarch: partly published"
    } else if results.iter().any(IndexResult::changed_something) {
        "polyarch: pushed, but not verified"
    } else {
        "polyarch: nothing was published"
    };
    let mut lines = commands("error", title, errors);
    for severity in ["warning", "notice"] {
        let mut texts: Vec<String> = Vec::new();
        let notices = results.iter().flat_map(|result| &result.notices);
        for notice in notices.filter(|notice| notice.severity == severity) {
            if !texts.contains(&notice.text) {
                texts.push(notice.text.clone());
            }
        }
        lines.extend(commands(severity, "polyarch", texts));
    }
    lines
}

/// Returns the message with a line for each hint and note.
pub(super) fn with_details(failure: &ErrorResult) -> String {
    let mut text = failure.message.clone();
    for (label, detail) in failure.labelled() {
        let _ = write!(text, "\n{label}: {detail}");
    }
    text
}

/// Returns one command for each text. If there are too many, the last command contains the number of remaining texts.
pub(super) fn commands(kind: &str, title: &str, mut texts: Vec<String>) -> Vec<String> {
    if texts.len() > MAX_COMMANDS {
        let more = texts.len() - (MAX_COMMANDS - 1);
        texts.truncate(MAX_COMMANDS - 1);
        texts.push(format!("and {more} more: see the log of the step"));
    }
    let line = |text: String| {
        let text = shortened(&text);
        format!("::{kind} title={}::{}", property(title), data(&text))
    };
    texts.into_iter().map(line).collect()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_LENGTH {
        return text.to_owned();
    }
    let kept: String = text.chars().take(MAX_LENGTH - 1).collect();
    kept + "…"
}

/// Returns the commands that mask secrets and their base64 form. A secret that is part of a public value is not
/// masked: GitHub drops every output that contains a masked word.
pub fn masks(secrets: &[Secret], environment: &Environment) -> Vec<String> {
    let public: Vec<&str> = ["POLYARCH_", "PLUGIN_"]
        .iter()
        .flat_map(|prefix| environment.with_prefix(prefix))
        .filter(|(name, _)| {
            ["REGISTRY", "USERNAME", "TAG", "IMAGE"]
                .iter()
                .any(|public| name.starts_with(public))
        })
        .map(|(_, value)| value)
        .collect();
    secrets
        .iter()
        .map(Secret::reveal)
        .filter(|secret| secret.chars().count() >= MIN_SECRET)
        .filter(|secret| !public.iter().any(|value| value.contains(secret)))
        .flat_map(|secret| [secret.to_owned(), BASE64.encode(secret)])
        .map(|secret| format!("::add-mask::{}", data(&secret)))
        .collect()
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{HOSTILE, dry_run, failed, hostile, partial, published};
    use super::super::super::result::NoticeResult;
    use super::*;
    use crate::execute::Change;
    use crate::text::log_safe;
    use proptest::prelude::*;

    /// Returns the command that the runner finds in a line. Parses like `TryParseV2` and `TryParse` in
    /// <https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>.
    fn command_in(line: &str) -> Option<(String, String, String)> {
        if let Some(rest) = line.trim_start().strip_prefix("::")
            && let Some((info, data)) = rest.split_once("::")
        {
            let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
            let unescape = |text: &str| {
                text.replace("%0D", "\r")
                    .replace("%0A", "\n")
                    .replace("%3A", ":")
                    .replace("%2C", ",")
                    .replace("%25", "%")
            };
            return Some((name.to_owned(), unescape(properties), unescape(data)));
        }
        let (_, rest) = line.split_once("##[")?;
        let (info, data) = rest.split_once(']')?;
        Some((info.to_owned(), String::new(), data.to_owned()))
    }

    #[test]
    fn a_successful_run_has_only_notices() {
        assert_eq!(
            annotations(&[published()], None),
            [
                "::notice title=polyarch::omitted, because the platforms are limited to linux/amd64: linux/s390x"
            ]
        );
    }

    #[test]
    fn a_partial_failure_lists_all_errors() {
        let failure = ErrorResult {
            message: "failed to push ghcr.io/o/app:latest: 503 Service Unavailable".to_owned(),
            hints: vec!["100 % safe to run again".to_owned()],
            notes: vec!["nothing else".to_owned()],
        };
        let lines = annotations(&[partial()], Some(&failure));
        assert_eq!(
            lines[..2],
            [
                "::error title=polyarch%3A partly published::failed to push ghcr.io/o/app:latest: 503 Service Unavailable%0Ahint: 100 %25 safe to run again%0Anote: nothing else",
                "::error title=polyarch%3A partly published::failed to push to docker.io/o/app: unauthorized",
            ]
        );
    }

    #[test]
    fn a_moved_tag_without_verification_has_its_own_title() {
        let title = |change| {
            let mut result = failed();
            result.targets[0].tags[0].change = change;
            let line = annotations(&[result], None).remove(0);
            command_in(&line).unwrap().1
        };
        assert_eq!(title(Change::None), "title=polyarch: nothing was published");
        for change in [Change::Certain, Change::Unknown] {
            assert_eq!(title(change), "title=polyarch: pushed, but not verified");
        }
    }

    #[test]
    fn the_number_of_commands_is_limited() {
        let mut result = dry_run();
        result.notices = (0..25)
            .map(|n| NoticeResult {
                severity: "warning",
                text: format!("{n} {}", "ä".repeat(5000)),
            })
            .collect();
        let lines = annotations(&[result.clone(), result], None);
        assert_eq!(lines.len(), 10);
        assert!(lines[9].ends_with("and 16 more: see the log of the step"));
        let (_, _, first) = command_in(&lines[0]).unwrap();
        assert_eq!(first.chars().count(), 4096);
    }

    #[test]
    fn untrusted_text_stays_in_its_annotation() {
        let failure = ErrorResult {
            message: HOSTILE.to_owned(),
            hints: vec![HOSTILE.to_owned()],
            notes: vec![HOSTILE.to_owned()],
        };
        for line in annotations(&[hostile()], Some(&failure)) {
            assert!(!line.contains(['\r', '\n']), "{line}");
            let (name, properties, _) = command_in(&line).unwrap();
            assert!(["error", "notice"].contains(&name.as_str()));
            assert!(properties.starts_with("title=polyarch"));
        }
    }

    #[test]
    fn only_secrets_are_masked() {
        let environment: Environment = [
            ("POLYARCH_REGISTRY", "ghcr.io"),
            ("POLYARCH_USERNAME", "octocat"),
            ("POLYARCH_TAG", "ghcr.io/o/app:1.2"),
            ("POLYARCH_PASSWORD", "hunter2%\n"),
        ]
        .into_iter()
        .collect();
        let secrets = ["hunter2%\n", "octocat", "o/app", "abc", ""].map(Secret::new);
        assert_eq!(
            masks(&secrets, &environment),
            ["::add-mask::hunter2%25%0A", "::add-mask::aHVudGVyMiUK"]
        );
    }

    proptest! {
        #[test]
        fn no_line_is_a_command(line in "[ a:#\\[\\]\r\n\u{a0}]{0,30}") {
            for part in log_safe(&line).split(['\r', '\n']) {
                prop_assert_eq!(command_in(part), None);
            }
        }

        #[test]
        fn the_runner_reads_back_the_same_data(text in "[a:,%\r\n0DA25]{0,40}") {
            let line = format!("::error title={}::{}", property(&text), data(&text));
            prop_assert!(!line.contains(['\r', '\n']));
            let (name, properties, back) = command_in(&line).unwrap();
            prop_assert_eq!(name, "error");
            prop_assert_eq!(properties, format!("title={text}"));
            prop_assert_eq!(back, text);
        }
    }
}
