//! Many runs at once against one registry, and a registry that limits the rate of requests.

use std::{collections::BTreeSet, time::Duration};

use crate::support::{
    Scene,
    image::{Image, Index},
    polyarch::{Output, Running},
    registry::Registry,
};

/// Returns the repository and the tag of a run. Half of the runs publish in the repository of the sources, the others
/// in a second repository, to which they copy the same content at the same time. Every fifth run shares its tag with
/// others.
fn target(number: usize) -> (&'static str, String) {
    let tag = match number % 10 {
        0 | 1 => "shared".to_owned(),
        _ => format!("t{number}"),
    };
    (["team/app", "other/app"][number % 2], tag)
}

/// Runs `count` processes at once, each of which publishes the same two sources.
fn run_all(scene: &Scene, count: usize) -> Vec<Output> {
    let start = |number| {
        let (repository, tag) = target(number);
        let line =
            format!("publish -t HOST/{repository}:{tag} HOST/team/app:amd64 HOST/team/app:arm64");
        let words = line.split_whitespace();
        scene.polyarch().args(words).unwatched().start()
    };
    let running: Vec<Running> = (0..count).map(start).collect();
    running
        .into_iter()
        .map(|running| running.wait().ok())
        .collect()
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
    let scene = Scene::new();
    let registry = scene.registry();
    fill(registry);
    let mut digests = BTreeSet::new();
    for (number, output) in run_all(&scene, 200).into_iter().enumerate() {
        let (repository, tag) = target(number);
        let digest = output.digest();
        let there = registry.tag(repository, &tag);
        assert_eq!(there.as_ref(), Some(&digest), "{repository}:{tag}");
        digests.insert(digest);
    }
    assert_eq!(digests.len(), 1, "all runs make the same index");
    assert_eq!(registry.problems(), Vec::<String>::new());
    assert_eq!(registry.uploads(), 0);
}

#[test]
fn rate_limit_is_waited_out_and_every_wait_is_reported() {
    let scene = Scene::with(Registry::builder().rate_limit(20));
    let registry = scene.registry();
    fill(registry);
    let outputs = run_all(&scene, 6);
    let refused = registry.count_where(|it| it.status.is_some_and(|status| status == 429));
    assert!(refused > 0, "the limit was never reached");
    let mut waits = 0;
    for (number, output) in outputs.iter().enumerate() {
        let (repository, tag) = target(number);
        assert_eq!(registry.tag(repository, &tag), Some(output.digest()));
        assert!(output.wall < Duration::from_secs(60), "{:?}", output.wall);
        let lines = output.stderr.lines();
        waits += lines
            .filter(|line| line.starts_with("waiting ") && line.contains("429 Too Many Requests"))
            .count();
    }
    assert!(waits > 0, "no wait was reported");
    assert_eq!(registry.problems(), Vec::<String>::new());
}
