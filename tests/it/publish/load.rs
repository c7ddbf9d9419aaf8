//! Many runs at once against one registry, and a registry that takes few requests a second.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};

use super::{Home, LIMIT, Said};
use crate::support::{
    Registry,
    image::{Image, Index},
};

/// Runs every list of words at once, at most so many under way.
fn run_all(home: &Home, runs: &[Vec<String>], at_once: usize) -> Vec<(Said, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let all = stream::iter(runs).map(|words| async move {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let began = Instant::now();
        let output = tokio::time::timeout(LIMIT, home.command(&words).output());
        let output = output.await.expect("an end").expect("the binary starts");
        (Said::of(output), began.elapsed())
    });
    runtime.block_on(all.buffered(at_once).collect())
}

/// Runs that publish the same two sources under tags of their own: half of them in the repository of the sources,
/// half in another one, which all of them fill at once. Every tenth shares its tag with the others.
fn runs(registry: &Registry, count: usize) -> Vec<(String, String, Vec<String>)> {
    let run = |number: usize| {
        let repo = ["team/app", "other/app"][number % 2];
        let tag = match number % 10 {
            0 | 1 => "shared".to_owned(),
            _ => format!("t{number}"),
        };
        let mut words: Vec<String> = ["publish", "-t"].map(str::to_owned).to_vec();
        words.push(registry.reference(repo, &tag));
        words.push(registry.reference("team/app", "amd64"));
        words.push(registry.reference("team/app", "arm64"));
        (repo.to_owned(), tag, words)
    };
    (0..count).map(run).collect()
}

fn fill(registry: &Registry) {
    for platform in ["amd64", "arm64"] {
        let image = Image::new(&format!("linux/{platform}")).layers(&[10, 50_000]);
        let index = Index::oci().image(image).attested();
        index.load(registry, "team/app", platform);
    }
}

#[test]
fn two_hundred_runs_at_once_all_succeed() {
    let registry = super::registry();
    fill(&registry);
    let home = Home::new();
    let runs = runs(&registry, 200);
    let words: Vec<_> = runs.iter().map(|(_, _, words)| words.clone()).collect();
    let said = run_all(&home, &words, 200);
    let mut digests = BTreeSet::new();
    for ((repo, tag, _), (said, _)) in runs.iter().zip(said) {
        let digest = said.ok().digest();
        assert_eq!(
            registry.tag(repo, tag).as_ref(),
            Some(&digest),
            "{repo}:{tag}"
        );
        digests.insert(digest);
    }
    assert_eq!(digests.len(), 1, "one index, whoever made it");
    assert_eq!(registry.problems(), Vec::<String>::new());
    assert_eq!(registry.uploads(), 0);
}

#[test]
fn a_registry_that_limits_requests_gets_everything_in_time_and_the_waiting_is_told() {
    let registry = Registry::builder().rate_limit(20).start_in_background();
    fill(&registry);
    let home = Home::new();
    let runs = runs(&registry, 6);
    let words: Vec<_> = runs.iter().map(|(_, _, words)| words.clone()).collect();
    let said = run_all(&home, &words, runs.len());
    let refused = registry.requests();
    let refused = refused
        .iter()
        .filter(|it| it.status.is_some_and(|it| it == 429));
    assert!(refused.count() > 0, "the limit was never met");
    let mut told = 0;
    for ((repo, tag, _), (said, took)) in runs.iter().zip(said) {
        let said = said.ok();
        assert_eq!(registry.tag(repo, tag), Some(said.digest()));
        assert!(took < Duration::from_secs(60), "{took:?}");
        let waits = said.stderr.lines().filter(|line| {
            line.starts_with("waiting ")
                && line.contains(" s before another try to ")
                && line.contains("429 Too Many Requests")
        });
        told += waits.count();
    }
    assert!(told > 0, "nobody was told of the waiting");
    assert_eq!(registry.problems(), Vec::<String>::new());
}
