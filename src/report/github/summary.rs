//! The job summary: images, tags, changes and commands to copy. Untrusted text has no markup.

use super::super::comparison::{ChangeKind, Comparison, OTHER_CHANGES, PlatformChange, Previous};
use super::super::format::{human_difference, human_size, kind_of};
use super::super::result::{ErrorResult, IndexResult, Status, TagResult, TargetResult};
use super::super::text::outcome;
use super::entries::{details, platforms};
use super::markdown::{Page, code, counted, html_code, is_plain, text};

/// The maximum size in bytes. GitHub accepts 1 MiB from a step, and shows nothing of a larger summary.
pub const SUMMARY_LIMIT: usize = 900 * 1024;

/// The maximum number of tags in a visible table. A longer table is in a collapsed section.
const MAX_TAGS: usize = 20;

/// Returns the summary of a run as Markdown of at most `limit` bytes; a longer one is cut with a notice.
pub fn summary(results: &[IndexResult], failure: Option<&ErrorResult>, limit: usize) -> String {
    let mut page = Page::new(limit);
    page.line(&format!("## {}", heading(results, failure)));
    page.line("");
    if let Some(failure) = failure {
        error(&mut page, failure);
    }
    match results {
        [] => {}
        [result] => {
            image(&mut page, result);
            usage(&mut page, result);
            details(&mut page, result);
            notices(&mut page, result);
        }
        results => several(&mut page, results),
    }
    page.end()
}

fn heading(results: &[IndexResult], failure: Option<&ErrorResult>) -> String {
    let any = |status: Status| results.iter().any(|result| result.status == status);
    let is_published = any(Status::Published) || any(Status::Already) || any(Status::Partial);
    let is_failed = failure.is_some() || any(Status::Failed) || any(Status::Partial);
    let what = match results {
        [] => String::new(),
        [result] => code(name(result)),
        results => format!("{} images", results.len()),
    };
    let text = match (is_failed, is_published) {
        (true, true) => format!("⚠️ Partly published: {what}"),
        (true, false) if results.is_empty() => "❌ Nothing was published".to_owned(),
        (true, false) if results.iter().any(IndexResult::changed_something) => {
            format!("❌ Pushed, but not verified: {what}")
        }
        (true, false) => format!("❌ Not published: {what}"),
        (false, _) if any(Status::Planned) => format!("🔍 Dry run, nothing was written: {what}"),
        (false, true) => format!("📦 Published {what}"),
        (false, false) => format!("⏸️ Not moved: {what}"),
    };
    text.trim_end().to_owned()
}

/// Returns the name of an image: the first tag that was pushed, otherwise the first tag, otherwise the first target.
fn name(result: &IndexResult) -> &str {
    let first = result.targets.first();
    let tag = first.and_then(|target| Some(target.tags.first()?.reference.as_str()));
    let published = result.published_tags().next();
    published
        .or(tag)
        .or(first.map(|target| target.name.as_str()))
        .unwrap_or_else(|| result.digest.short())
}

fn error(page: &mut Page, error: &ErrorResult) {
    page.line(&format!("> **Error:** {}", text(&error.message)));
    for (position, (label, detail)) in error.labelled().enumerate() {
        if position == 0 {
            page.line(">");
        }
        page.line(&format!("> - {label}: {}", text(detail)));
    }
    page.line("");
}

fn image(page: &mut Page, result: &IndexResult) {
    facts(page, result);
    tags(page, result);
    platforms(page, result);
    for comparison in &result.changes {
        changes(page, comparison, result.status);
    }
    for target in &result.targets {
        operations(page, target);
    }
}

/// Appends the operations of a dry run at one target, in a collapsed section.
fn operations(page: &mut Page, target: &TargetResult) {
    if target.operations.is_empty() {
        return;
    }
    let count = counted(target.operations.len(), "operation");
    page.open_section(&format!("{count} at {}", html_code(&target.name)));
    let rows = target.operations.iter().map(|operation| {
        let content = match &operation.tag {
            Some(tag) => code(tag),
            None => code(operation.digest.short()),
        };
        [
            operation.operation.words().to_owned(),
            content,
            human_size(operation.size),
            operation.from.as_deref().map(code).unwrap_or_default(),
        ]
    });
    page.table(["Operation", "Content", "Size", "From"], rows);
    page.close_section();
}

fn several(page: &mut Page, results: &[IndexResult]) {
    let rows = results.iter().map(|result| {
        [
            code(name(result)),
            mark(result.status),
            text(&result.platforms.join(", ")),
            code(&result.digest.to_string()),
        ]
    });
    page.table(["Image", "Result", "Platforms", "Digest"], rows);
    for result in results {
        page.open_section(&format!(
            "{} {}",
            icon(result.status),
            html_code(name(result))
        ));
        image(page, result);
        details(page, result);
        notices(page, result);
        page.close_section();
    }
}

fn facts(page: &mut Page, result: &IndexResult) {
    let mut facts = vec![counted(result.platforms.len(), "platform")];
    let sizes = result.entries.iter().map(|entry| entry.content_size);
    if let Some(size) = sizes.sum::<Option<u64>>().filter(|size| *size > 0) {
        facts.push(human_size(size));
    }
    facts.push(text(&kind_of(&result.media_type)));
    if result.exact {
        facts.push("byte-exact copy of the source".to_owned());
    }
    page.line(&format!("**{}**", code(&result.digest.to_string())));
    page.line("");
    page.line(&facts.join(" · "));
    page.line("");
}

fn tags(page: &mut Page, result: &IndexResult) {
    let all: Vec<&TagResult> = result
        .targets
        .iter()
        .flat_map(|target| &target.tags)
        .collect();
    failures(page, result, &all);
    let rest: Vec<&TagResult> = all
        .into_iter()
        .filter(|tag| tag.status != Status::Failed)
        .collect();
    if rest.is_empty() {
        return;
    }
    let is_long = rest.len() > MAX_TAGS;
    if is_long {
        page.open_section(&counted(rest.len(), "tag"));
    }
    let rows = rest.iter().map(|tag| {
        [
            code(&tag.reference),
            mark(tag.status),
            before(&tag.previous),
        ]
    });
    page.table(["Tag", "Result", "Before"], rows);
    if is_long {
        page.close_section();
    }
}

/// Appends the table of failures, which is always visible.
fn failures(page: &mut Page, result: &IndexResult, tags: &[&TagResult]) {
    let of_targets = result.targets.iter().flat_map(|target| {
        let error = target.error.as_ref();
        let own = target.tags.is_empty().then_some(target.name.as_str());
        let without = target.tags.iter().filter(|tag| tag.error.is_none());
        let names = without.map(|tag| tag.reference.as_str()).chain(own);
        error
            .into_iter()
            .flat_map(move |error| names.clone().map(move |name| (name, error)))
    });
    let of_tags = tags
        .iter()
        .filter_map(|tag| Some((tag.reference.as_str(), tag.error.as_ref()?)));
    let failures: Vec<_> = of_targets.chain(of_tags).collect();
    if failures.is_empty() {
        return;
    }
    let rows = failures.into_iter();
    page.table(
        ["Failed", "Cause"],
        rows.map(|(name, error)| [format!("❌ {}", code(name)), text(&error.message)]),
    );
}

fn before(previous: &Previous) -> String {
    match previous {
        Previous::Unknown => String::new(),
        Previous::New => "new".to_owned(),
        Previous::At(digest) => code(digest.short()),
    }
}

/// Appends the changes since one previous index, and the commands that restore it.
fn changes(page: &mut Page, comparison: &Comparison, status: Status) {
    let is_planned = status == Status::Planned;
    let verb = if is_planned {
        "Would change"
    } else {
        "Changed"
    };
    let mut title = format!("**{verb} since** {}", code(comparison.previous.short()));
    if let Some(difference) = comparison.size_difference {
        title.push_str(" · ");
        title.push_str(&human_difference(difference));
    }
    page.line(&title);
    page.line("");
    page.table(
        ["Platform", "Change", "Size", "Before", "After"],
        comparison.platforms.iter().map(change_row),
    );
    if comparison.has_same_images() {
        page.line(&format!("The {OTHER_CHANGES}."));
        page.line("");
    }
    if comparison.restore.iter().all(|command| is_command(command)) {
        let when = if is_planned {
            "To undo it afterwards:"
        } else {
            "To undo:"
        };
        page.line(when);
        page.shell(&comparison.restore.join("\n"));
    }
}

fn change_row(change: &PlatformChange) -> [String; 5] {
    let (icon, word) = match change.change {
        ChangeKind::Added => ("🟢", "added"),
        ChangeKind::Removed => ("🔴", "removed"),
        ChangeKind::Updated => ("🟡", "updated"),
        ChangeKind::Unchanged => ("⚪", "unchanged"),
    };
    let platform = change.platform.as_deref();
    let difference = match change.change {
        ChangeKind::Unchanged => None,
        _ => change.size_difference.map(human_difference),
    };
    let digest = |digest: &Option<_>| {
        digest
            .as_ref()
            .map_or_else(String::new, |digest: &crate::spec::Digest| {
                code(digest.short())
            })
    };
    [
        platform.map_or_else(|| "none".to_owned(), code),
        format!("{icon} {word}"),
        difference.unwrap_or_default(),
        digest(&change.previous_digest),
        digest(&change.digest),
    ]
}

/// Returns whether every word of a command is plain.
fn is_command(command: &str) -> bool {
    command.split(' ').all(is_plain)
}

/// Appends commands that pull by digest, and commands that verify the digest of a tag.
fn usage(page: &mut Page, result: &IndexResult) {
    let Some(repository) = result.published_repositories().find(|name| is_plain(name)) else {
        return;
    };
    let digest = &result.digest;
    page.line("**Pull by digest** (immutable):");
    page.shell(&format!("docker pull {repository}@{digest}"));
    if let Some(tag) = result.published_tags().find(|tag| is_plain(tag)) {
        page.open_section("Verify the digest");
        page.line(&format!("Both commands print {}:", code(digest.hex())));
        page.shell(&format!(
            "polyarch inspect --raw {tag} | sha256sum\ndocker buildx imagetools inspect --raw {tag} | sha256sum"
        ));
        page.close_section();
    }
}

fn notices(page: &mut Page, result: &IndexResult) {
    for notice in &result.notices {
        let icon = if notice.severity == "warning" {
            "⚠️"
        } else {
            "ℹ️"
        };
        page.line(&format!("- {icon} {}", text(&notice.text)));
    }
    if !result.notices.is_empty() {
        page.line("");
    }
}

fn icon(status: Status) -> &'static str {
    match status {
        Status::Planned => "🔍",
        Status::Published | Status::Already => "✅",
        Status::Kept => "⏸️",
        Status::Partial => "⚠️",
        Status::Failed => "❌",
    }
}

fn mark(status: Status) -> String {
    format!("{} {}", icon(status), outcome(status))
}

#[cfg(test)]
mod tests;
