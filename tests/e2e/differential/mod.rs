//! `docker manifest` and polyarch with the same commands at the same registry: outputs, exit codes and the content of
//! the registry are equal. Intended differences are in `deviations`.
//!
//! The named cases run with the first Docker CLI on PATH. The random cases run with each Docker CLI on PATH in turn, so
//! that an older one beside the pinned one is compared too. POLYARCH_DIFFERENTIAL_SEED repeats a random run,
//! POLYARCH_DIFFERENTIAL_CASES makes it longer.

mod compare;
mod deviations;
mod random;
mod run;
mod scene;
mod script;
mod table;

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::distribution::Distribution;
use script::Case;

/// Cases under way at once. The programs mostly wait for each other.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_named_case_is_equal() {
    let cases = table::cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    let docker = docker_clis().swap_remove(0);
    all_equal(cases.into_iter().map(|case| (case, docker.clone()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_cases_are_equal() {
    let variable = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = variable("POLYARCH_DIFFERENTIAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    let count = variable("POLYARCH_DIFFERENTIAL_CASES").unwrap_or(60);
    let docker = docker_clis();
    println!("{count} random cases, POLYARCH_DIFFERENTIAL_SEED={seed}, {docker:?}");
    let cases = (0..count).map(|number| random::case(seed, number));
    all_equal(cases.zip(docker.into_iter().cycle())).await;
}

/// Every Docker CLI on PATH, the first one first.
fn docker_clis() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path)
        .filter_map(|directory| directory.join("docker").canonicalize().ok())
        .filter(|program| program.is_file())
        .collect();
    let mut known = HashSet::new();
    found.retain(|program| known.insert(program.clone()));
    assert!(!found.is_empty(), "no Docker CLI on PATH");
    found
}

/// Runs each case with its Docker CLI; fails with every difference of every case.
async fn all_equal(cases: impl Iterator<Item = (Case, PathBuf)>) {
    let registry = Arc::new(Distribution::start().await);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (number, (case, docker)) in cases.enumerate() {
        let (registry, places) = (Arc::clone(&registry), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            let differences = compare::differences(&case, &docker, &registry, number).await;
            (!differences.is_empty())
                .then(|| format!("{case}\n{}\n{}", docker.display(), differences.join("\n")))
        });
    }
    let mut failed = Vec::new();
    while let Some(outcome) = running.join_next().await {
        failed.extend(outcome.expect("a case that ends"));
    }
    failed.sort();
    assert!(
        failed.is_empty(),
        "{} differ:\n\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}
