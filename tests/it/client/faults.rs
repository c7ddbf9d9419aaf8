//! Temporary failures are retried, lasting ones are reported with their cause, and every wait is an event.

use std::time::{Duration, Instant};

use polyarch::hint::Hint;
use polyarch::store::{FailureKind, Store, StoreError};

use super::fixture::{Builder, Client, descriptor, manifest, read_all, soon, tag};
use crate::support::{
    image::{Image, Loaded},
    registry::{Class, Fault, Greeting, Registry, Rule, Scheme, random_bytes},
};

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];
const OPERATIONS: [Class; 9] = [
    Class::ManifestGet,
    Class::ManifestHead,
    Class::ManifestPut,
    Class::BlobGet,
    Class::BlobHead,
    Class::UploadPost,
    Class::UploadPut,
    Class::UploadPatch,
    Class::Referrers,
];

/// A registry with content of every kind.
struct Scene {
    registry: Registry,
    image: Loaded,
    bytes: bytes::Bytes,
}

impl Scene {
    async fn new(scheme: Scheme) -> Self {
        let registry = Registry::builder().scheme(scheme).start().await;
        let image = Image::new("linux/amd64").load(&registry, "a", "t");
        let bytes = random_bytes(1, 100_000);
        registry.put_blob("src", bytes.clone());
        Self {
            registry,
            image,
            bytes,
        }
    }

    /// Performs the operation that sends requests of this class.
    async fn perform(&self, client: &Client, class: Class) -> Result<(), StoreError> {
        let registry = &self.registry;
        let store = client.push(registry, "a").await;
        let from = client.pull(registry, "src").await;
        let digest = crate::support::digest::sha256(&self.bytes);
        let blob = descriptor(&digest, self.bytes.len() as u64);
        let work = async {
            match class {
                Class::ManifestGet => store.manifest(&tag("t")).await.map(drop),
                Class::ManifestHead => store.describe(&tag("t")).await.map(drop),
                Class::ManifestPut => store.put_manifest(&manifest(&self.image)).await,
                Class::BlobGet => {
                    assert!(read_all(&*from, &blob, 0).await? == self.bytes);
                    from.blob(&blob, 1 << 20).await.map(drop)
                }
                Class::BlobHead => from.has_blob(&blob).await.map(|found| assert!(found)),
                Class::Referrers => {
                    let subject = self.image.digest.parse().unwrap();
                    store.referrers(&subject).await.map(drop)
                }
                _ => {
                    if class == Class::UploadPatch {
                        let broken = Rule::on(Class::UploadPut).then(Fault::ResetUpload(30_000));
                        registry.rule(broken);
                    }
                    store.copy_blob(&blob, from, &|_| ()).await?;
                    assert!(registry.blob("a", &digest).unwrap() == self.bytes);
                    Ok(())
                }
            }
        };
        soon(work).await
    }
}

#[tokio::test]
async fn temporary_status_is_retried_and_lasting_one_reported() {
    for scheme in [Scheme::Http, Scheme::TlsHttp2] {
        for class in OPERATIONS {
            let statuses = [408, 429, 500, 502, 503, 504];
            let all = statuses.map(|status| async move {
                passes(scheme, class, status, 1).await;
                passes(scheme, class, status, 3).await;
                stays(scheme, class, status).await;
            });
            futures_util::future::join_all(all).await;
        }
    }
}

async fn passes(scheme: Scheme, class: Class, status: u16, times: usize) {
    let scene = Scene::new(scheme).await;
    let rule = Rule::on(class).times(times).then(Fault::status(status));
    scene.registry.rule(rule);
    let client = Client::of(&scene.registry);
    let done = scene.perform(&client, class).await;
    done.unwrap_or_else(|error| panic!("{class:?} {status} {times}: {error}"));
    assert_eq!(scene.registry.pending_rules(), 0);
    let waits = client.events.of("waiting");
    let broken = usize::from(class == Class::UploadPatch);
    assert_eq!(waits.len() - broken, times, "{waits:?}");
    assert!(waits.iter().any(|wait| wait.contains(&status.to_string())));
}

async fn stays(scheme: Scheme, class: Class, status: u16) {
    let scene = Scene::new(scheme).await;
    let before = scene.registry.snapshot();
    let rule = Rule::on(class).forever().then(Fault::status(status));
    scene.registry.rule(rule);
    let client = Client::of(&scene.registry);
    let error = scene.perform(&client, class).await.expect_err("no answer");
    assert_eq!(error.kind, FailureKind::Unavailable, "{class:?} {error}");
    assert!(
        error.cause().contains(&status.to_string()),
        "{class:?} {error}"
    );
    assert!(error.cause().contains("gave up"), "{error}");
    assert!(scene.registry.snapshot() == before);
}

#[tokio::test]
async fn a_broken_or_silent_connection_is_opened_again() {
    for scheme in SCHEMES {
        for class in OPERATIONS {
            for fault in [
                Fault::Reset,
                Fault::ResetConnection,
                Fault::RefuseStream,
                Fault::GoAway,
                Fault::LastOnConnection,
                Fault::Stall,
            ] {
                let scene = Scene::new(scheme).await;
                scene.registry.rule(Rule::on(class).then(fault.clone()));
                let silence = Duration::from_millis(150);
                let client = Builder::of(&scene.registry).silence(silence).build();
                let done = scene.perform(&client, class).await;
                done.unwrap_or_else(|error| panic!("{scheme:?} {class:?} {fault:?}: {error}"));
                assert_eq!(scene.registry.pending_rules(), 0);
            }
        }
    }
}

#[tokio::test]
async fn unusable_connections_are_opened_again() {
    for scheme in SCHEMES {
        for greeting in [Greeting::Reset, Greeting::Close, Greeting::Silence] {
            let scene = Scene::new(scheme).await;
            scene.registry.greet(3, greeting);
            let mut builder = Builder::of(&scene.registry).silence(Duration::from_millis(150));
            builder.timeouts.connect = Duration::from_millis(150);
            let client = builder.build();
            let done = scene.perform(&client, Class::ManifestGet).await;
            done.unwrap_or_else(|error| panic!("{scheme:?} {greeting:?}: {error}"));
        }
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_if_valid() {
    let date = |ahead: u64| {
        let time = std::time::SystemTime::now() + Duration::from_secs(ahead);
        httpdate::fmt_http_date(time)
    };
    for (value, least, most) in [
        ("1", 1000, 4000),
        ("a date", 900, 4000),
        ("a date in the past", 0, 900),
        ("0", 0, 900),
        ("-5", 0, 900),
        ("soon", 0, 900),
    ] {
        for status in [429, 503] {
            let value = match value {
                "a date" => date(2),
                "a date in the past" => date(0),
                text => text.to_owned(),
            };
            let scene = Scene::new(Scheme::Http).await;
            let busy = Fault::reply(status, &[("retry-after", &value)], "");
            scene.registry.rule(Rule::on(Class::ManifestGet).then(busy));
            let began = Instant::now();
            let client = Client::of(&scene.registry);
            scene.perform(&client, Class::ManifestGet).await.unwrap();
            let took = began.elapsed().as_millis();
            assert!((least..most).contains(&took), "{value} {took}");
        }
    }
    for value in ["61", "1000000000", "99999999999999999999999"] {
        let scene = Scene::new(Scheme::Http).await;
        let busy = Fault::reply(429, &[("retry-after", value)], "");
        scene
            .registry
            .rule(Rule::on(Class::ManifestGet).forever().then(busy));
        let began = Instant::now();
        let store = Client::of(&scene.registry).pull(&scene.registry, "a").await;
        let name = tag("t");
        let all = futures_util::future::join_all((0..40).map(|_| store.manifest(&name)));
        for outcome in soon(all).await {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind, FailureKind::Unavailable, "{error}");
            assert!(error.cause().contains("Retry-After of"), "{error}");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{value}");
    }
}

#[tokio::test]
async fn all_requests_of_a_run_share_one_budget() {
    let scene = Scene::new(Scheme::Http).await;
    let busy = Fault::reply(503, &[("retry-after", "1")], "");
    scene
        .registry
        .rule(Rule::on(Class::ManifestGet).forever().then(busy));
    let builder = Builder::of(&scene.registry).retry_for(Duration::from_millis(1500));
    let client = builder.build();
    let began = Instant::now();
    for _ in 0..3 {
        let error = scene
            .perform(&client, Class::ManifestGet)
            .await
            .unwrap_err();
        assert!(error.hints.contains(&Hint::RaiseRetryBudget), "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn other_refusals_are_not_tried_again() {
    for status in [400, 404, 409, 410, 418, 451, 501, 505] {
        let scene = Scene::new(Scheme::Http).await;
        let body = format!("no\r\n::error::\u{1b}[31m{}", "x".repeat(20_000));
        let fault = Fault::reply(status, &[("content-type", "text/plain")], body);
        scene
            .registry
            .rule(Rule::on(Class::ManifestGet).forever().then(fault));
        let error = scene
            .perform(&Client::of(&scene.registry), Class::ManifestGet)
            .await;
        let error = error.unwrap_err().to_string();
        assert_eq!(scene.registry.count(Class::ManifestGet), 1, "{status}");
        assert!(error.contains(&status.to_string()), "{error}");
        assert!(
            error.len() < 600 && !error.contains(['\r', '\n', '\u{1b}']),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_slow_error_body_does_not_delay_the_run() {
    let scene = Scene::new(Scheme::Http).await;
    let stall = Rule::on(Class::ManifestGet)
        .forever()
        .then(Fault::reply(404, &[], "0123456789"))
        .then(Fault::StallBody(4));
    scene.registry.rule(stall);
    let silence = Duration::from_millis(200);
    let client = Builder::of(&scene.registry).silence(silence).build();
    let error = scene
        .perform(&client, Class::ManifestGet)
        .await
        .unwrap_err();
    assert_eq!(error.kind, FailureKind::NotFound, "{error}");
    assert!(error.cause().contains("0123"), "{error}");
}

#[tokio::test]
async fn rate_limit_of_a_registry_is_respected() {
    let registry = Registry::builder().rate_limit(20).start().await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    let builder = Builder::of(&registry).retry_for(Duration::from_secs(60));
    let client = builder.build();
    let store = client.pull(&registry, "a").await;
    let name = tag("t");
    let all = futures_util::future::join_all((0..60).map(|_| store.manifest(&name)));
    for outcome in soon(all).await {
        outcome.unwrap();
    }
    let refused = |r: &crate::support::registry::Recorded| {
        r.status == Some(http::StatusCode::TOO_MANY_REQUESTS)
    };
    assert!(registry.count_where(refused) < 60);
    assert!(!client.events.of("waiting").is_empty());
}
