//! The job summary: what was published, where it is, how to use it, what to know. Markdown that shows what
//! registries and people wrote, and never obeys it.

use std::borrow::Cow;

use super::super::result::{ErrorResult, IndexResult, Status, TagResult};
use super::super::text::outcome;
use super::super::tree::human_size;
use super::entries::entries;
use super::markdown::{Page, code, counted, html_code, is_plain, text};
use crate::spec::MediaType;

/// GitHub takes 1 MiB from a step, and shows nothing of more.
pub const SUMMARY_LIMIT: usize = 900 * 1024;

/// More tags than this are folded away.
const TAGS_SHOWN: usize = 20;

/// The summary of a run in Markdown, in `limit` bytes: cut with a notice where it would be longer.
pub fn summary(results: &[IndexResult], failure: Option<&ErrorResult>, limit: usize) -> String {
    let mut page = Page::new(limit);
    page.line(&format!("## {}", heading(results, failure)));
    page.line("");
    if let Some(failure) = failure {
        said(&mut page, failure);
    }
    match results {
        [] => {}
        [result] => image(&mut page, result),
        results => several(&mut page, results),
    }
    page.end()
}

fn heading(results: &[IndexResult], failure: Option<&ErrorResult>) -> String {
    let any = |status: Status| results.iter().any(|result| result.status == status);
    let landed = any(Status::Published) || any(Status::Already) || any(Status::Partial);
    let what = match results {
        [] => String::new(),
        [result] => code(name(result)),
        results => format!("{} images", results.len()),
    };
    let text = match (
        failure.is_some() || any(Status::Failed) || any(Status::Partial),
        landed,
    ) {
        (true, true) => format!("⚠️ Partly published: {what}"),
        (true, false) if results.is_empty() => "❌ Nothing was published".to_owned(),
        (true, false) if results.iter().any(IndexResult::changed_something) => {
            format!("❌ Pushed, but not verified: {what}")
        }
        (true, false) => format!("❌ Not published: {what}"),
        (false, _) if any(Status::Planned) => format!("🔍 Dry run, nothing was written: {what}"),
        (false, _) => format!("📦 Published {what}"),
    };
    text.trim_end().to_owned()
}

/// What people call the image: the first tag that landed, else its first tag, or its first place.
fn name(result: &IndexResult) -> &str {
    let first = result.targets.first();
    let tag = first.and_then(|target| Some(target.tags.first()?.reference.as_str()));
    let landed = result.landed_tags().next();
    landed
        .or(tag)
        .or(first.map(|target| target.name.as_str()))
        .unwrap_or_else(|| result.digest.short())
}

fn said(page: &mut Page, error: &ErrorResult) {
    page.line(&format!("> **Error:** {}", text(&error.message)));
    if !error.hints.is_empty() {
        page.line(">");
    }
    for hint in &error.hints {
        page.line(&format!("> - {}", text(hint)));
    }
    page.line("");
}

fn image(page: &mut Page, result: &IndexResult) {
    facts(page, result);
    entries(page, result);
    tags(page, result);
    usage(page, result);
    notices(page, result);
}

fn several(page: &mut Page, results: &[IndexResult]) {
    page.line("| Image | Digest | Platforms | Result |");
    page.line("| :-- | :-- | :-- | :-- |");
    for result in results {
        page.line(&format!(
            "| {} | {} | {} | {} |",
            code(name(result)),
            code(&result.digest.to_string()),
            text(&result.platforms.join(", ")),
            mark(result.status)
        ));
    }
    page.line("");
    for result in results {
        page.fold(&format!(
            "{} {}",
            icon(result.status),
            html_code(name(result))
        ));
        facts(page, result);
        entries(page, result);
        tags(page, result);
        notices(page, result);
        page.unfold();
    }
}

fn facts(page: &mut Page, result: &IndexResult) {
    let kind = match result.media_type.as_str() {
        MediaType::OCI_INDEX => Cow::Borrowed("OCI image index"),
        MediaType::DOCKER_LIST => Cow::Borrowed("Docker manifest list"),
        other => Cow::Owned(code(other)),
    };
    let platforms = match result.platforms.len() {
        1 => "1 platform".to_owned(),
        count => format!("{count} platforms"),
    };
    let mut facts = vec![
        format!("**{}**", code(&result.digest.to_string())),
        kind.into_owned(),
        human_size(result.size),
        platforms,
    ];
    if result.exact {
        facts.push("byte for byte as its source".to_owned());
    }
    page.line(&facts.join(" · "));
    page.line("");
}

fn tags(page: &mut Page, result: &IndexResult) {
    let all: Vec<&TagResult> = result
        .targets
        .iter()
        .flat_map(|target| &target.tags)
        .collect();
    let failed_targets = result.targets.iter().flat_map(|target| {
        let error = target.error.as_ref();
        let own = target.tags.is_empty().then_some(target.name.as_str());
        let without = target.tags.iter().filter(|tag| tag.error.is_none());
        let names = without.map(|tag| tag.reference.as_str()).chain(own);
        error
            .into_iter()
            .flat_map(move |error| names.clone().map(move |name| (name, error)))
    });
    // What failed is never folded away.
    let failed_tags = all
        .iter()
        .filter_map(|tag| Some((tag.reference.as_str(), tag.error.as_ref()?)));
    let failed: Vec<_> = failed_targets.chain(failed_tags).collect();
    if !failed.is_empty() {
        page.line("| Failed | Why |");
        page.line("| :-- | :-- |");
        for (name, error) in failed {
            page.line(&format!("| ❌ {} | {} |", code(name), text(&error.message)));
        }
        page.line("");
    }
    let there: Vec<&&TagResult> = all
        .iter()
        .filter(|tag| tag.status != Status::Failed)
        .collect();
    if there.is_empty() {
        return;
    }
    let is_long = there.len() > TAGS_SHOWN;
    if is_long {
        page.fold(&counted(there.len(), "tag"));
    }
    page.line("| Tag | |");
    page.line("| :-- | :-- |");
    for tag in there {
        page.line(&format!(
            "| {} | {} |",
            code(&tag.reference),
            mark(tag.status)
        ));
    }
    page.line("");
    if is_long {
        page.unfold();
    }
}

/// How to get it by what cannot change, and how to see for oneself that the tag is this digest.
fn usage(page: &mut Page, result: &IndexResult) {
    let Some(repository) = result.landed_repositories().find(|name| is_plain(name)) else {
        return;
    };
    let digest = &result.digest;
    page.line("**Use it** by the digest, which never means anything else:");
    page.shell(&format!("docker pull {repository}@{digest}"));
    if let Some(tag) = result.landed_tags().find(|tag| is_plain(tag)) {
        page.line(&format!("**Check it**: both print {}", code(digest.hex())));
        page.shell(&format!(
            "polyarch inspect --raw {tag} | sha256sum\ndocker buildx imagetools inspect --raw {tag} | sha256sum"
        ));
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
        Status::Partial => "⚠️",
        Status::Failed => "❌",
    }
}

fn mark(status: Status) -> String {
    format!("{} {}", icon(status), outcome(status))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{
        HOSTILE, dry_run, failed, hostile, partial, published, target,
    };
    use super::super::markdown::CUT;
    use super::*;
    use crate::execute::Change;
    use proptest::prelude::*;

    fn whole(results: &[IndexResult], failure: Option<&ErrorResult>) -> String {
        summary(results, failure, SUMMARY_LIMIT)
    }

    fn failure() -> ErrorResult {
        ErrorResult {
            message: "failed to push ghcr.io/o/app:latest: 503 Service Unavailable".to_owned(),
            hints: vec!["run the job again: what is there already is left alone".to_owned()],
        }
    }

    #[test]
    fn a_summary_is_worth_looking_at() {
        insta::assert_snapshot!("published", whole(&[published()], None));
        insta::assert_snapshot!("dry_run", whole(&[dry_run()], None));
        insta::assert_snapshot!("partial", whole(&[partial()], Some(&failure())));
        insta::assert_snapshot!("failed", whole(&[failed()], Some(&failure())));
        insta::assert_snapshot!("several", whole(&[published(), partial()], None));
    }

    #[test]
    fn a_run_that_came_to_nothing_says_why() {
        let text = whole(&[], Some(&failure()));
        assert!(text.starts_with("## ❌ Nothing was published\n"), "{text}");
        assert!(text.contains("> **Error:** failed to push"), "{text}");
    }

    #[test]
    fn a_tag_that_was_changed_is_not_nothing() {
        let mut result = failed();
        result.targets[0].tags[0].change = Change::Certain;
        let text = whole(&[result], Some(&failure()));
        assert!(
            text.starts_with("## ❌ Pushed, but not verified: "),
            "{text}"
        );
    }

    #[test]
    fn what_others_wrote_is_shown_and_not_obeyed() {
        let error = ErrorResult {
            message: HOSTILE.to_owned(),
            hints: vec![HOSTILE.to_owned()],
        };
        let text = whole(&[hostile()], Some(&error));
        assert!(text.contains("digest=sha256:evil"), "shown");
        for obeyed in ["<img", "](", "`d`", "http://", "$h$", "@i", "\r", "##["] {
            assert!(!text.contains(obeyed), "{obeyed}\n{text}");
        }
        assert!(!text.lines().any(|line| line.starts_with("digest=")));
        let cells = |line: &str| line.matches('|').count();
        let rows = text.lines().filter(|line| line.starts_with("| <code>"));
        assert!(rows.clone().count() > 0);
        for row in rows {
            assert!([3, 6].contains(&cells(row)), "{row}");
        }
    }

    #[test]
    fn nine_hundred_tags_are_folded_away_and_failures_are_not() {
        let mut result = partial();
        let names: Vec<String> = (0..900).map(|n| format!("1.2.{n}")).collect();
        let tags: Vec<(&str, Status)> = names
            .iter()
            .enumerate()
            .map(|(n, name)| {
                (
                    name.as_str(),
                    if n == 800 {
                        Status::Failed
                    } else {
                        Status::Published
                    },
                )
            })
            .collect();
        result.targets = vec![target("ghcr.io/o/app", &tags)];
        let text = whole(&[result], None);
        let fold = text.find("<details><summary>899 tags</summary>").unwrap();
        assert!(text.find("❌ `ghcr.io/o/app:1.2.800`").unwrap() < fold);
        assert!(text.find("`ghcr.io/o/app:1.2.899`").unwrap() > fold);
    }

    #[test]
    fn a_long_summary_is_cut_and_says_so() {
        let mut result = published();
        let names: Vec<String> = (0..20_000).map(|n| format!("{n:0>100}")).collect();
        let tags: Vec<(&str, Status)> = names
            .iter()
            .map(|name| (name.as_str(), Status::Published))
            .collect();
        result.targets = vec![target("ghcr.io/o/app", &tags)];
        let text = whole(&[result], None);
        assert!(
            (890 * 1024..=SUMMARY_LIMIT).contains(&text.len()),
            "{}",
            text.len()
        );
        assert!(text.ends_with(CUT), "{}", &text[text.len() - 300..]);
        assert_eq!(
            text.matches("<details>").count(),
            text.matches("</details>").count()
        );
    }

    proptest! {
        #[test]
        fn it_is_never_longer_than_the_limit(limit in 400_usize..6000) {
            let text = summary(&[published(), partial(), hostile()], Some(&failure()), limit);
            prop_assert!(text.len() <= limit);
            prop_assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
            prop_assert_eq!(text.matches("```").count() % 2, 0);
        }
    }
}
