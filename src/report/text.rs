//! The last words of `publish` for people: the index as a tree, where it is now, what is worth knowing, and the
//! digest on the last line.

use std::fmt::Write as _;

use super::result::{EntryResult, IndexResult, Status, TagResult, TargetResult};
use super::tree::{annotation_lines, human_size, leaves, lines_for_people, shown};

/// What is there now. The last line is the bare digest, unless nothing was published: a script that takes the
/// last line must not take a digest that nobody can pull.
pub fn publish_text(result: &IndexResult) -> String {
    let mut out = index_tree(result);
    for target in &result.targets {
        out.push('\n');
        target_tree(&mut out, target, result);
    }
    if !result.notices.is_empty() {
        out.push('\n');
        for notice in &result.notices {
            let _ = writeln!(out, "{}: {}", notice.severity, notice.text);
        }
    }
    if result.status != Status::Failed {
        let _ = writeln!(out, "\n{}", result.digest);
    }
    lines_for_people(&out)
}

fn index_tree(result: &IndexResult) -> String {
    let mut out = format!(
        "{} {} {}\n",
        result.digest,
        shown(&result.media_type),
        human_size(result.size)
    );
    let has_annotations = !result.annotations.is_empty();
    for (position, entry) in result.entries.iter().enumerate() {
        let is_last = position + 1 == result.entries.len() && !has_annotations;
        let (branch, rest) = if is_last {
            ("└── ", "    ")
        } else {
            ("├── ", "│   ")
        };
        let _ = writeln!(out, "{branch}{}", entry_line(entry));
        let mut below = vec![format!("from {}", entry.source)];
        below.extend(annotation_lines(&entry.annotations));
        let attestations = entry.attestations.iter();
        below.extend(attestations.map(|digest| format!("attestation  {digest}")));
        leaves(&mut out, rest, &below);
    }
    if has_annotations {
        out.push_str("└── annotations\n");
        leaves(&mut out, "    ", &annotation_lines(&result.annotations));
    }
    out
}

fn entry_line(entry: &EntryResult) -> String {
    let what = shown(
        entry
            .platform
            .as_deref()
            .unwrap_or(entry.media_type.as_str()),
    );
    let size = entry.content_size.map_or_else(String::new, |size| {
        format!("  {} of layers and config", human_size(size))
    });
    format!("{what:<16} {}{size}", entry.digest)
}

/// Each tag with the digest behind it: a reference to copy, which means the same for ever.
fn target_tree(out: &mut String, target: &TargetResult, result: &IndexResult) {
    let _ = writeln!(out, "{}", target.name);
    let mut below: Vec<String> = target
        .tags
        .iter()
        .map(|tag| tag_line(tag, result))
        .collect();
    match &target.error {
        Some(error) => below.push(error.message.clone()),
        None if below.is_empty() => {
            below.push(format!(
                "{}@{}  {}",
                target.name,
                result.digest,
                outcome(target.status)
            ));
        }
        None => {}
    }
    leaves(out, "", &below);
}

fn tag_line(tag: &TagResult, result: &IndexResult) -> String {
    match &tag.error {
        Some(error) => format!("{}  {}", tag.reference, error.message),
        None if tag.status == Status::Failed => {
            format!("{}  {}", tag.reference, outcome(tag.status))
        }
        None => format!(
            "{}@{}  {}",
            tag.reference,
            result.digest,
            outcome(tag.status)
        ),
    }
}

pub(super) fn outcome(status: Status) -> &'static str {
    match status {
        Status::Planned => "would be pushed",
        Status::Published => "pushed",
        Status::Already => "was there already",
        Status::Partial => "partly there",
        Status::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{dry_run, failed, partial, published};
    use super::*;

    #[test]
    fn a_person_sees_what_is_there_now() {
        insta::assert_snapshot!(publish_text(&published()));
        insta::assert_snapshot!("partial", publish_text(&partial()));
    }

    #[test]
    fn the_last_line_is_a_digest_that_can_be_pulled() {
        let last = |result: &IndexResult| publish_text(result).lines().last().map(str::to_owned);
        for result in [published(), dry_run(), partial()] {
            assert_eq!(last(&result), Some(result.digest.to_string()));
        }
        assert_ne!(last(&failed()), Some(failed().digest.to_string()));
    }

    #[test]
    fn nothing_in_it_is_a_command_to_a_runner() {
        let mut result = published();
        result.annotations = [("a".to_owned(), "##[error]b".to_owned())].into();
        result.targets[0].name = "::error::c\u{1b}[2J".to_owned();
        result.entries[0].platform = Some("linux/arm/v\n::error::d\u{1b}[2J".to_owned());
        result.entries[0].annotations = [("x\n::error::e\u{9b}H".to_owned(), String::new())].into();
        let text = publish_text(&result);
        assert!(!text.contains("##["), "{text}");
        assert!(
            !text.lines().any(|line| line.trim_start().starts_with("::")),
            "{text}"
        );
        let is_raw = |c: char| c != '\n' && c.is_control();
        assert!(!text.contains(is_raw), "{text:?}");
    }
}
