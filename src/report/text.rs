//! The text that `publish` and `copy` print: the index as a tree, the tags, the changes, and the digest on the last line.
//! Notices, warnings and causes of failures are printed on standard error.

use std::fmt::Write as _;

use super::comparison::{ChangeKind, Comparison, OTHER_CHANGES, PlatformChange, Previous};
use super::format::{
    MAX_MESSAGE, annotation_lines, branches, human_difference, human_size, kind_of, leaves, shown,
};
use super::palette::{Palette, Tone};
use super::result::{EntryResult, IndexResult, Status, TagResult, TargetResult};
use crate::spec::Digest;
use crate::text::{clean, without_commands};

/// Renders a result. The last line is the digest of the index, unless it was not published: a script that reads the
/// last line must not read a digest that cannot be pulled.
pub fn publish_text(result: &IndexResult, palette: Palette) -> String {
    let mut out = index_tree(result, palette);
    out.push('\n');
    tag_table(&mut out, result, palette);
    for target in &result.targets {
        operations(&mut out, target, palette);
    }
    for comparison in &result.changes {
        out.push('\n');
        changes(&mut out, comparison, result.status, palette);
    }
    if result.status.has_index() {
        let _ = writeln!(out, "\n{}", result.digest);
    }
    without_commands(&out)
}

fn index_tree(result: &IndexResult, palette: Palette) -> String {
    let mut out = format!(
        "{}  {}  {}\n",
        palette.paint(Tone::Strong, &kind_of(&result.media_type)),
        short(&result.digest, palette),
        human_size(result.size)
    );
    let has_annotations = !result.annotations.is_empty();
    for (position, entry) in result.entries.iter().enumerate() {
        let is_last = position + 1 == result.entries.len() && !has_annotations;
        let (branch, rest) = branches(is_last);
        let _ = writeln!(out, "{branch}{}", entry_line(entry, palette));
        let mut below = vec![format!("from {}", short_source(entry))];
        let executables = entry.executables.iter();
        below.extend(executables.map(|it| shown(&format!("verified: {it}"))));
        below.extend(annotation_lines(&entry.annotations));
        let attestations = entry.attestations.iter();
        below.extend(attestations.map(|digest| format!("attestation  {}", short(digest, palette))));
        leaves(&mut out, rest, &below);
    }
    if has_annotations {
        out.push_str("└── annotations\n");
        leaves(&mut out, "    ", &annotation_lines(&result.annotations));
    }
    out
}

fn entry_line(entry: &EntryResult, palette: Palette) -> String {
    let name = entry.platform.as_deref();
    let name = shown(name.unwrap_or(entry.media_type.as_str()));
    let size = entry.content_size.map(human_size).unwrap_or_default();
    let line = format!(
        "{}  {}  {size}",
        padded(&name, 16, Tone::Strong, palette),
        short(&entry.digest, palette)
    );
    line.trim_end().to_owned()
}

/// Pads a text before painting it, because escape sequences have no width.
fn padded(text: &str, width: usize, tone: Tone, palette: Palette) -> String {
    let missing = width.saturating_sub(text.chars().count());
    palette.paint(tone, text) + &" ".repeat(missing)
}

fn short(digest: &Digest, palette: Palette) -> String {
    palette.paint(Tone::Faint, digest.short())
}

/// Returns the source with a short digest.
fn short_source(entry: &EntryResult) -> String {
    let digest = entry.digest.to_string();
    match entry.source.strip_suffix(&digest) {
        Some(name) => format!("{}{}", shown(name), entry.digest.short()),
        None => shown(&entry.source),
    }
}

/// Appends each tag and its outcome, in aligned columns.
fn tag_table(out: &mut String, result: &IndexResult, palette: Palette) {
    let mut rows: Vec<(String, String)> = Vec::new();
    for target in &result.targets {
        let tags = target.tags.iter();
        rows.extend(tags.map(|tag| (tag.reference.clone(), tag_outcome(tag, palette))));
        if target.tags.is_empty() {
            rows.push(untagged(target, result, palette));
        }
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, outcome)| (shown(&name), outcome))
        .collect();
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max();
    for (name, outcome) in &rows {
        let name = padded(name, longest.unwrap_or(0), Tone::Strong, palette);
        let _ = writeln!(out, "{name}  {outcome}");
    }
}

fn untagged(target: &TargetResult, result: &IndexResult, palette: Palette) -> (String, String) {
    let name = format!("{}@{}", target.name, result.digest.short());
    (name, painted(target.status, palette))
}

fn tag_outcome(tag: &TagResult, palette: Palette) -> String {
    let outcome = painted(tag.status, palette);
    match (&tag.previous, tag.status) {
        (Previous::New, Status::Planned | Status::Published) => format!("{outcome} (new)"),
        (Previous::At(digest), Status::Planned | Status::Published) => {
            format!("{outcome} (moved from {})", digest.short())
        }
        (Previous::At(digest), Status::Kept) => format!("{outcome} ({})", digest.short()),
        _ => outcome,
    }
}

fn painted(status: Status, palette: Palette) -> String {
    let tone = match status {
        Status::Published | Status::Already => Tone::Good,
        Status::Planned | Status::Kept => Tone::Notice,
        Status::Partial => Tone::Warning,
        Status::Failed => Tone::Error,
    };
    palette.paint(tone, outcome(status))
}

/// Returns the words for a status.
pub(super) fn outcome(status: Status) -> &'static str {
    match status {
        Status::Planned => "would be pushed",
        Status::Published => "pushed",
        Status::Already => "already exists",
        Status::Kept => "kept",
        Status::Partial => "partly pushed",
        Status::Failed => "failed",
    }
}

/// Appends the operations of a dry run at a target, one per line.
fn operations(out: &mut String, target: &TargetResult, palette: Palette) {
    if target.operations.is_empty() {
        return;
    }
    let heading = format!("operations at {}", shown(&target.name));
    out.push('\n');
    out.push_str(&palette.paint(Tone::Strong, &heading));
    out.push('\n');
    for operation in &target.operations {
        let words = operation.operation.words();
        let line = match (&operation.tag, &operation.from) {
            (Some(tag), _) => format!("  {words:<14} {}", shown(tag)),
            (None, from) => {
                let size = human_size(operation.size);
                let from = from.as_ref().map(|from| format!("  from {}", shown(from)));
                format!(
                    "  {words:<14} {}  {size:>9}{}",
                    palette.paint(Tone::Faint, operation.digest.short()),
                    from.unwrap_or_default()
                )
            }
        };
        out.push_str(&line);
        out.push('\n');
    }
}

/// Appends the changes by platform, the difference in size, and the commands that restore the previous index.
fn changes(out: &mut String, comparison: &Comparison, status: Status, palette: Palette) {
    let verb = match status {
        Status::Planned => "would change",
        _ => "changed",
    };
    let heading = format!("{verb} since {}", comparison.previous.short());
    let _ = writeln!(out, "{}", palette.paint(Tone::Strong, &heading));
    for change in &comparison.platforms {
        let _ = writeln!(out, "  {}", change_line(change, palette).trim_end());
    }
    if comparison.has_same_images() {
        let _ = writeln!(out, "  the {OTHER_CHANGES}");
    } else if let Some(difference) = comparison.size_difference {
        let _ = writeln!(out, "  total size {}", human_difference(difference));
    }
    let label = match status {
        Status::Planned => "to undo afterwards",
        _ => "to undo",
    };
    for command in &comparison.restore {
        let _ = writeln!(out, "{label}: {}", clean(command, MAX_MESSAGE));
    }
}

fn change_line(change: &PlatformChange, palette: Palette) -> String {
    let (sign, word, tone) = match change.change {
        ChangeKind::Added => ("+", "added", Tone::Good),
        ChangeKind::Removed => ("-", "removed", Tone::Error),
        ChangeKind::Updated => ("~", "updated", Tone::Warning),
        ChangeKind::Unchanged => ("=", "unchanged", Tone::Faint),
    };
    let platform = change.platform.as_deref().unwrap_or("no platform");
    let difference = match (change.change, change.size_difference) {
        (ChangeKind::Unchanged, _) | (_, None) => String::new(),
        (_, Some(difference)) => human_difference(difference),
    };
    format!(
        "{} {:<16} {}{difference}",
        palette.paint(tone, sign),
        shown(platform),
        padded(word, 11, tone, palette)
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{dry_run, failed, partial, published, released};
    use super::*;

    fn plain(result: &IndexResult) -> String {
        publish_text(result, Palette::PLAIN)
    }

    #[test]
    fn the_text_shows_index_tags_and_digest() {
        insta::assert_snapshot!("published", plain(&published()));
        insta::assert_snapshot!("partial", plain(&partial()));
        insta::assert_snapshot!("dry_run", plain(&dry_run()));
    }

    #[test]
    fn the_text_of_a_release_shows_the_changes() {
        insta::assert_snapshot!("released", plain(&released()));
    }

    #[test]
    fn lines_fit_a_narrow_terminal() {
        let is_command = |line: &str| line.starts_with("to undo");
        for result in [published(), dry_run(), released()] {
            for line in plain(&result).lines().filter(|line| !is_command(line)) {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn the_full_digest_is_only_on_the_last_line() {
        for result in [published(), dry_run(), partial()] {
            let text = plain(&result);
            let digest = result.digest.to_string();
            assert_eq!(text.lines().last(), Some(digest.as_str()));
            assert_eq!(text.matches(&digest).count(), 1);
        }
        assert!(!plain(&failed()).contains(&failed().digest.to_string()));
    }

    #[test]
    fn colours_change_no_character() {
        let environment = [("CLICOLOR_FORCE", "1")].into_iter().collect();
        let palette = Palette::of(&environment, false);
        for result in [published(), partial(), released()] {
            let mut text = publish_text(&result, palette);
            assert!(text.contains("\u{1b}["));
            while let Some(start) = text.find("\u{1b}[") {
                let end = start + text[start..].find('m').unwrap();
                text.replace_range(start..=end, "");
            }
            assert_eq!(text, plain(&result));
        }
    }

    #[test]
    fn untrusted_text_contains_no_command_for_a_runner() {
        let mut result = published();
        result.annotations = [("a".to_owned(), "##[error]b".to_owned())].into();
        result.targets[0].name = "::error::c\u{1b}[2J".to_owned();
        result.targets[0].tags.clear();
        result.entries[0].platform = Some("linux/arm/v\n::error::d\u{1b}[2J".to_owned());
        result.entries[0].annotations = [("x\n::error::e\u{9b}H".to_owned(), String::new())].into();
        let text = plain(&result);
        assert!(!text.contains("##["), "{text}");
        assert!(
            !text.lines().any(|line| line.trim_start().starts_with("::")),
            "{text}"
        );
        let is_raw = |c: char| c != '\n' && c.is_control();
        assert!(!text.contains(is_raw), "{text:?}");
    }
}
