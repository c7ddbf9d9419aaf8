//! Exact numbers of requests, connections and round trips. They determine the duration of a merge job.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use polyarch::{registry::RegistryRepository, spec::Tag, store::Store as _};

use super::fixture::{Builder, Client, manifest, soon, tag};
use crate::support::{
    image::{Image, Index},
    registry::{Accounts, Bearer, Class, Registry, Role, Scheme, Site},
};

const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/386", "linux/riscv64"];

fn load(registry: &Registry) {
    for (number, platform) in PLATFORMS.iter().enumerate() {
        Image::new(platform).load(registry, "a", format!("s{number}").as_str());
    }
}

/// Runs the merge job: reads four images with their configs, and pushes an index under two tags.
async fn job(client: &Client, registry: &Registry) {
    let store = client.push(registry, "a").await;
    soon(work(&store, registry)).await;
}

async fn work(store: &Arc<RegistryRepository>, registry: &Registry) {
    let names: Vec<_> = (0..4).map(|number| tag(&format!("s{number}"))).collect();
    let read = join_all(names.iter().map(|name| store.manifest(name))).await;
    let images: Vec<_> = read.into_iter().map(Result::unwrap).collect();
    let configs = images.iter().map(|image| &image.image().unwrap().config);
    for config in join_all(configs.map(|config| store.blob(config, 1 << 20))).await {
        config.unwrap();
    }
    // The test does not depend on the bytes of the index; only its children must exist.
    let scratch = Registry::plain().await;
    let index = Index::oci().of(PLATFORMS).load(&scratch, "a", None);
    let tags: Vec<Tag> = ["t0", "t1"].map(|text| text.parse().unwrap()).into();
    for outcome in store.put_tags(&manifest(&index), &tags).await {
        outcome.unwrap();
    }
    assert_eq!(registry.tags("a").len(), 6);
}

/// Returns the number of connections that carried requests to the registry itself.
fn connections(registry: &Registry) -> usize {
    let own = registry.requests().into_iter();
    let own: BTreeSet<u64> = own
        .filter(|request| request.role == Role::Registry)
        .map(|request| request.connection)
        .collect();
    own.len()
}

#[tokio::test]
async fn no_authorisation_takes_ten_requests() {
    let registry = Registry::builder().tls().start().await;
    load(&registry);
    let client = Client::of(&registry);
    job(&client, &registry).await;
    assert_eq!(registry.requests().len(), 10);
    // At most one connection for each of the four parallel requests.
    assert!(connections(&registry) <= 4);
}

#[tokio::test]
async fn http1_opens_one_connection_per_parallel_request() {
    for scheme in [Scheme::Http, Scheme::TlsHttp1] {
        let registry = Registry::builder().scheme(scheme).start().await;
        load(&registry);
        let client = Client::of(&registry);
        for _ in 0..2 {
            job(&client, &registry).await;
            assert_eq!(registry.requests().len(), 10);
            assert_eq!(connections(&registry), 4, "{scheme:?}");
            registry.clear();
        }
    }
}

#[tokio::test]
async fn a_password_in_advance_costs_nothing() {
    let registry = Registry::builder()
        .tls()
        .basic(Accounts::new("ci", "pw"))
        .start()
        .await;
    load(&registry);
    let client = Builder::of(&registry).login(&registry, "ci", "pw").build();
    job(&client, &registry).await;
    assert_eq!(registry.requests().len(), 10);
}

#[tokio::test]
async fn a_token_is_fetched_once() {
    for own_host in [true, false] {
        let mut bearer = Bearer::new(Accounts::new("ci", "pw"));
        if !own_host {
            bearer = bearer.at(Site::new(Scheme::TlsHttp2).ip("127.0.0.3"));
        }
        let registry = Registry::builder().tls().bearer(bearer).start().await;
        load(&registry);
        let client = Builder::of(&registry).login(&registry, "ci", "pw").build();
        job(&client, &registry).await;
        // Four challenges at once, one token.
        assert_eq!(registry.count(Class::Token), 1);
        assert_eq!(registry.requests().len(), 15, "{own_host}");
    }
}

/// Returns the number of serial round trips of a job: the slope of its duration against the latency.
async fn round_trips(registry: &Registry, build: impl Fn() -> Client) -> f64 {
    let (near, far) = (Duration::from_millis(20), Duration::from_millis(220));
    let mut best = [f64::MAX; 2];
    for (distance, best) in [near, far].into_iter().zip(&mut best) {
        registry.set_latency(distance);
        // The machine may be busy, so the fastest run counts.
        for _ in 0..3 {
            let client = build();
            let store = client.push(registry, "a").await;
            let began = Instant::now();
            soon(work(&store, registry)).await;
            *best = best.min(began.elapsed().as_secs_f64());
        }
    }
    (best[1] - best[0]) / (far.as_secs_f64() - near.as_secs_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_round_trips_and_no_more() {
    for scheme in [Scheme::TlsHttp2, Scheme::TlsHttp1] {
        let registry = Registry::builder()
            .scheme(scheme)
            .latency(Duration::from_millis(20))
            .start()
            .await;
        load(&registry);
        // TCP, TLS, manifests, configs, tags.
        let trips = round_trips(&registry, || Client::of(&registry)).await;
        assert!((4.5..5.5).contains(&trips), "{scheme:?} {trips}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_costs_four_round_trips_more() {
    let bearer = Bearer::new(Accounts::new("ci", "pw"));
    let bearer = bearer.at(Site::new(Scheme::TlsHttp2).ip("127.0.0.3"));
    let registry = Registry::builder()
        .tls()
        .bearer(bearer)
        .latency(Duration::from_millis(20))
        .start()
        .await;
    load(&registry);
    let login = || Builder::of(&registry).login(&registry, "ci", "pw");
    // The challenge, and the token from another host: TCP, TLS, GET.
    let cold = round_trips(&registry, || login().build()).await;
    assert!((8.5..9.5).contains(&cold), "{cold}");
}
