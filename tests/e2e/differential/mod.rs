//! `docker manifest` and polyarch with the same commands at the same registry: outputs, exit codes and the content of
//! the registry are equal. Intended differences are in `deviations`.
//!
//! POLYARCH_DIFFERENTIAL_SEED repeats a random run, POLYARCH_DIFFERENTIAL_CASES makes it longer.

mod compare;
mod deviations;
mod random;
mod run;
mod scene;
mod script;
mod table;

use std::sync::Arc;

use tokio::{sync::Semaphore, task::JoinSet};

use crate::distribution::Distribution;
use script::Case;

/// Cases under way at once. The programs mostly wait for each other.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_named_case_is_equal() {
    let cases = table::cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    all_equal(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_cases_are_equal() {
    let variable = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = variable("POLYARCH_DIFFERENTIAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    let count = variable("POLYARCH_DIFFERENTIAL_CASES").unwrap_or(60);
    println!("{count} random cases, POLYARCH_DIFFERENTIAL_SEED={seed}");
    all_equal(
        (0..count)
            .map(|number| random::case(seed, number))
            .collect(),
    )
    .await;
}

/// Runs the cases; fails with every difference of every case.
async fn all_equal(cases: Vec<Case>) {
    let registry = Arc::new(Distribution::start().await);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (number, case) in cases.into_iter().enumerate() {
        let (registry, places) = (Arc::clone(&registry), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            let differences = compare::differences(&case, &registry, number).await;
            (!differences.is_empty()).then(|| format!("{case}\n{}", differences.join("\n")))
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
