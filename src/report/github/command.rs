//! Workflow commands: lines that the runner takes as orders, so the ones we mean are escaped, and the ones that
//! others would slip in are broken.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::super::result::{ErrorResult, IndexResult};
use crate::auth::Secret;
use crate::environment::Environment;

/// GitHub shows no more than ten of a kind from a step, and 4096 characters of each.
const MOST: usize = 10;
const LONGEST: usize = 4096;

/// A word that is shorter would hide half of the log.
const SHORTEST_SECRET: usize = 4;

/// The annotations of a run: an error for what failed, warnings and notices for the rest.
pub fn annotations(results: &[IndexResult], failure: Option<&ErrorResult>) -> Vec<String> {
    let mut errors: Vec<String> = failure.map(with_hints).into_iter().collect();
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
        .any(|result| result.landed_tags().next().is_some())
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

pub(super) fn with_hints(failure: &ErrorResult) -> String {
    let hints = failure.hints.iter().map(|hint| format!("\nhint: {hint}"));
    std::iter::once(failure.message.clone())
        .chain(hints)
        .collect()
}

/// One command for each text; of too many, the last says how many more there are.
pub(super) fn commands(kind: &str, title: &str, mut texts: Vec<String>) -> Vec<String> {
    if texts.len() > MOST {
        let more = texts.len() - (MOST - 1);
        texts.truncate(MOST - 1);
        texts.push(format!("and {more} more: see the log of the step"));
    }
    let line = |text: String| {
        let text = shortened(&text);
        format!("::{kind} title={}::{}", property(title), data(&text))
    };
    texts.into_iter().map(line).collect()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let kept: String = text.chars().take(LONGEST - 1).collect();
    kept + "…"
}

/// The commands that hide secrets, and what HTTP's basic authorisation and Docker's config make of them. One
/// that is part of what the run is about is left alone: GitHub drops every output that contains a masked word.
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
        .filter(|secret| secret.chars().count() >= SHORTEST_SECRET)
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

/// A line for a log that a runner or a terminal may read, with no command in it: `::` at its beginning and `##[`
/// anywhere are broken by a space. A line feed in it begins a line of its own; other control characters (a
/// carriage return, which would begin one too, and the escapes of terminals) become spaces.
pub fn neutral(line: &str) -> String {
    let plain = |c: char| {
        let is_raw = c.is_control() && !['\n', '\t'].contains(&c);
        if is_raw { ' ' } else { c }
    };
    let line: String = line.chars().map(plain).collect();
    let part = |part: &str| {
        let start = part.len() - part.trim_start().len();
        let (space, text) = part.split_at(start);
        match text.strip_prefix("::") {
            Some(rest) => format!("{space}: :{rest}"),
            None => part.to_owned(),
        }
    };
    line.split_inclusive('\n')
        .map(part)
        .collect::<String>()
        .replace("##[", "## [")
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{HOSTILE, dry_run, failed, hostile, partial, published};
    use super::super::super::result::NoticeResult;
    use super::*;
    use crate::execute::Change;
    use proptest::prelude::*;

    /// The command and its data, if the runner sees one in the line: `TryParseV2` and `TryParse` of
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
    fn a_clean_run_says_only_its_notices() {
        assert_eq!(
            annotations(&[published()], None),
            ["::notice title=polyarch::left out, because --platform does not name it: linux/s390x"]
        );
    }

    #[test]
    fn a_partial_failure_names_everything_that_failed() {
        let failure = ErrorResult {
            message: "failed to push ghcr.io/o/app:latest: 503 Service Unavailable".to_owned(),
            hints: vec!["100 % safe to run again".to_owned()],
        };
        let lines = annotations(&[partial()], Some(&failure));
        assert_eq!(
            lines[..2],
            [
                "::error title=polyarch%3A partly published::failed to push ghcr.io/o/app:latest: 503 Service Unavailable%0Ahint: 100 %25 safe to run again",
                "::error title=polyarch%3A partly published::failed to push to docker.io/o/app: unauthorized",
            ]
        );
    }

    #[test]
    fn a_tag_that_was_changed_is_not_nothing() {
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
    fn there_are_never_more_than_github_shows() {
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
    fn what_a_registry_said_stays_in_its_own_annotation() {
        let failure = ErrorResult {
            message: HOSTILE.to_owned(),
            hints: vec![HOSTILE.to_owned()],
        };
        for line in annotations(&[hostile()], Some(&failure)) {
            assert!(!line.contains(['\r', '\n']), "{line}");
            let (name, properties, _) = command_in(&line).unwrap();
            assert!(["error", "notice"].contains(&name.as_str()));
            assert!(properties.starts_with("title=polyarch"));
        }
    }

    #[test]
    fn secrets_are_masked_and_nothing_else() {
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

    #[test]
    fn commands_of_others_are_broken() {
        for (line, shown) in [
            ("plain: a::b", "plain: a::b"),
            ("  ::error::x", "  : :error::x"),
            ("a ##[error]x ###[b]", "a ## [error]x ### [b]"),
            ("a\r::stop-commands::x", "a ::stop-commands::x"),
            ("\r::stop-commands::x", " : :stop-commands::x"),
            ("a\u{1b}[2J\tb\u{9b}H", "a [2J\tb H"),
            ("a\n\u{a0}::x::", "a\n\u{a0}: :x::"),
        ] {
            assert_eq!(neutral(line), shown);
        }
    }

    proptest! {
        #[test]
        fn no_line_is_a_command(line in "[ a:#\\[\\]\r\n\u{a0}]{0,30}") {
            for part in neutral(&line).split(['\r', '\n']) {
                prop_assert_eq!(command_in(part), None);
            }
        }

        #[test]
        fn data_comes_back_as_it_was(text in "[a:,%\r\n0DA25]{0,40}") {
            let line = format!("::error title={}::{}", property(&text), data(&text));
            prop_assert!(!line.contains(['\r', '\n']));
            let (name, properties, back) = command_in(&line).unwrap();
            prop_assert_eq!(name, "error");
            prop_assert_eq!(properties, format!("title={text}"));
            prop_assert_eq!(back, text);
        }
    }
}
