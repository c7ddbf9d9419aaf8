use super::super::super::fixture::{
    HOSTILE, dry_run, failed, hostile, partial, published, released, target,
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
        hints: vec!["run the job again: existing content is not pushed again".to_owned()],
        notes: vec!["these tags were pushed: ghcr.io/o/app:1.2".to_owned()],
    }
}

#[test]
fn summaries() {
    insta::assert_snapshot!("published", whole(&[published()], None));
    insta::assert_snapshot!("released", whole(&[released()], None));
    insta::assert_snapshot!("dry_run", whole(&[dry_run()], None));
    insta::assert_snapshot!("partial", whole(&[partial()], Some(&failure())));
    insta::assert_snapshot!("failed", whole(&[failed()], Some(&failure())));
    insta::assert_snapshot!("several", whole(&[published(), partial()], None));
}

#[test]
fn a_run_without_results_shows_the_error() {
    let text = whole(&[], Some(&failure()));
    assert!(text.starts_with("## ❌ Nothing was published\n"), "{text}");
    assert!(text.contains("> **Error:** failed to push"), "{text}");
}

#[test]
fn a_moved_tag_without_verification_has_its_own_heading() {
    let mut result = failed();
    result.targets[0].tags[0].change = Change::Certain;
    let text = whole(&[result], Some(&failure()));
    assert!(
        text.starts_with("## ❌ Pushed, but not verified: "),
        "{text}"
    );
}

#[test]
fn untrusted_text_is_shown_without_markup() {
    let error = ErrorResult {
        message: HOSTILE.to_owned(),
        hints: vec![HOSTILE.to_owned()],
        notes: vec![HOSTILE.to_owned()],
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
fn many_tags_are_collapsed_and_failures_are_not() {
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
fn a_long_summary_is_cut_with_a_notice() {
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
    fn the_summary_fits_the_limit(limit in 400_usize..6000) {
        let text = summary(&[published(), partial(), hostile()], Some(&failure()), limit);
        prop_assert!(text.len() <= limit);
        prop_assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
        prop_assert_eq!(text.matches("```").count() % 2, 0);
    }
}
