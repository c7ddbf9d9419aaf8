//! Slow answers count against the retry budget, whatever their status.

use std::time::{Duration, Instant};

use polyarch::hint::Hint;
use polyarch::store::{FailureKind, Store as _, StoreError};

use super::fixture::{Builder, Client, descriptor, read_all, soon, tag};
use crate::support::{
    image::{Image, Loaded},
    registry::{Class, Fault, Registry, Rule, random_bytes},
};

/// With this idle timeout, a result may take 0.2 s.
const IDLE: Duration = Duration::from_millis(1200);
const BUDGET: Duration = Duration::from_secs(1);
/// Each answer is slower than allowed.
const SLOW: Duration = Duration::from_millis(400);

async fn registry() -> (Registry, Loaded) {
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&registry, "a", "t");
    (registry, image)
}

fn client(registry: &Registry) -> Client {
    let builder = Builder::of(registry).silence(IDLE);
    builder.retry_for(BUDGET).build()
}

/// Expects that the run ends soon after the budget was used up.
#[track_caller]
fn expect_budget(error: &StoreError, began: Instant, registry: &Registry) {
    let host = registry.host();
    assert_eq!(
        error.cause(),
        format!("{host} responds too slowly (gave up after 1 s of slow answers and retries)")
    );
    assert_eq!(error.kind, FailureKind::Unavailable);
    assert_eq!(error.hints, [Hint::RaiseRetryBudget]);
    let took = began.elapsed();
    assert!(took > BUDGET && took < 5 * BUDGET, "{took:?}");
}

#[tokio::test]
async fn slow_answers_end_the_run() {
    let (registry, _) = registry().await;
    let slow = Rule::on(Class::ManifestGet).forever();
    registry.rule(slow.then(Fault::Delay(SLOW)));
    let store = client(&registry).pull(&registry, "a").await;
    let began = Instant::now();
    let mut reads = 0;
    let error = loop {
        match soon(store.manifest(&tag("t"))).await {
            Ok(_) => reads += 1,
            Err(error) => break error,
        }
    };
    expect_budget(&error, began, &registry);
    // Each answer counts 0.2 s.
    assert!((3..=5).contains(&reads), "{reads}");
}

#[tokio::test]
async fn redirects_count_together() {
    let (registry, image) = registry().await;
    for hop in 0..10 {
        let to = format!("/v2/a/manifests/{}?hop={hop}", image.digest);
        registry.rule(
            Rule::on(Class::ManifestGet)
                .then(Fault::Delay(Duration::from_millis(190)))
                .then(Fault::Redirect(307, to)),
        );
    }
    let store = client(&registry).pull(&registry, "a").await;
    let began = Instant::now();
    let error = soon(store.manifest(&tag("t"))).await.unwrap_err();
    expect_budget(&error, began, &registry);
}

#[tokio::test]
async fn pages_of_a_list_count_together() {
    let (registry, image) = registry().await;
    for number in 0..20 {
        let next = format!("</v2/a/referrers/{}?p={number}>; rel=next", image.digest);
        registry.rule(
            Rule::on(Class::Referrers)
                .then(Fault::Delay(Duration::from_millis(190)))
                .then(Fault::header("link", &next)),
        );
    }
    let store = client(&registry).pull(&registry, "a").await;
    let began = Instant::now();
    let digest = image.digest.parse().unwrap();
    let error = soon(store.referrers(&digest)).await.unwrap_err();
    expect_budget(&error, began, &registry);
}

#[tokio::test]
async fn silence_before_a_break_counts() {
    let registry = Registry::plain().await;
    let bytes = random_bytes(1, 100_000);
    let blob = descriptor(&registry.put_blob("a", bytes), 100_000);
    // Each try makes progress, so the number of tries is not limited.
    registry.rule(
        Rule::on(Class::BlobGet)
            .forever()
            .then(Fault::Delay(SLOW))
            .then(Fault::ResetBody(100)),
    );
    let store = client(&registry).pull(&registry, "a").await;
    let began = Instant::now();
    let error = soon(read_all(&*store, &blob, 0)).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unavailable, "{error}");
    assert!(error.hints.contains(&Hint::RaiseRetryBudget), "{error:?}");
    assert!(began.elapsed() < 3 * BUDGET, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_run_that_makes_progress_is_not_ended() {
    let (registry, _) = registry().await;
    let slow = Rule::on(Class::ManifestGet).forever();
    registry.rule(slow.then(Fault::Delay(Duration::from_millis(100))));
    let store = client(&registry).pull(&registry, "a").await;
    let began = Instant::now();
    while began.elapsed() < 3 * BUDGET {
        soon(store.manifest(&tag("t"))).await.unwrap();
    }
}
