//! `docker manifest` and polyarch with the same commands at the same registry: outputs, exit codes and the content of
//! the registry are equal. Intended differences are in `deviations`.
//!
//! The named cases run with the first Docker CLI on PATH. The random cases are distributed over all Docker CLIs on
//! PATH, so that an older version can be compared, too. `POLYARCH_DIFFERENTIAL_SEED` repeats a random run, and
//! `POLYARCH_DIFFERENTIAL_CASES` sets its number of cases.

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

/// The number of cases at once. The programs mostly wait for the registry.
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

/// Returns every Docker CLI on PATH, in the order of PATH.
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

/// Runs each case with its Docker CLI. Panics with all differences of all cases if there are any.
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
