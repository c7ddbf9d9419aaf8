//! The connections that carry blobs. Large blobs use separate HTTP/1.1 connections, and all other requests share one
//! HTTP/2 connection to each registry. Also tests registries that limit connections, and targets that read slowly.

use std::{collections::BTreeSet, time::Duration};

use http::Version;

use crate::support::{
    image::Image,
    job,
    polyarch::Output,
    registry::{Builder, Class, Fault, Recorded, Registry, Role, Rule, Scheme, Site},
    scene::Scene,
};

/// Three large layers and a small one.
const LAYERS: [usize; 4] = [2 << 20, 1 << 20, 3 << 20, 500 << 10];
const LARGE: usize = 3;

/// Copies an image with [`LAYERS`] from the first registry to the second.
fn copy(scene: &Scene) {
    let image = Image::new("linux/amd64").layers(&LAYERS);
    image.load(scene.registry(), "a", "1");
    scene.ok("copy HOST/a:1 OTHER/b:1");
}

fn tls() -> Builder {
    Registry::builder().scheme(Scheme::TlsHttp2)
}

fn connections(requests: &[Recorded]) -> BTreeSet<u64> {
    requests.iter().map(|request| request.connection).collect()
}

/// Returns the requests over HTTP/2 and the requests over HTTP/1.1.
fn by_version(registry: &Registry) -> (Vec<Recorded>, Vec<Recorded>) {
    let requests = registry.requests().into_iter();
    requests.partition(|request| request.version == Version::HTTP_2)
}

#[test]
fn large_downloads_use_separate_connections() {
    let scene = job::scene_of([tls(), tls()]);
    copy(&scene);
    let (shared, bulk) = by_version(scene.registry());
    assert_eq!(bulk.len(), LARGE);
    assert!(bulk.iter().all(|request| request.class == Class::BlobGet));
    // A connection whose download has ended may be used again.
    assert!((1..=LARGE).contains(&connections(&bulk).len()));
    // The small layer, the config and the manifests.
    assert!(shared.iter().any(|request| request.class == Class::BlobGet));
    assert_eq!(connections(&shared).len(), 1);
}

#[test]
fn large_uploads_use_separate_connections() {
    let scene = job::scene_of([tls(), tls()]);
    copy(&scene);
    let (shared, bulk) = by_version(scene.other());
    assert_eq!(bulk.len(), LARGE);
    assert!(bulk.iter().all(|request| request.class == Class::UploadPut));
    assert!(bulk.iter().all(|request| request.body >= 1 << 20));
    assert!((1..=LARGE).contains(&connections(&bulk).len()));
    // The small layer and the config.
    let is_put = |request: &&Recorded| request.class == Class::UploadPut;
    assert_eq!(shared.iter().filter(is_put).count(), 2);
    assert!(connections(&shared).len() <= 4, "until HTTP/2 is known");
}

#[test]
fn storage_hosts_carry_large_downloads_over_http1() {
    let storage = Site::new(Scheme::TlsHttp2).ip("127.0.0.3");
    let scene = job::scene_of([tls().blobs_at(storage), tls()]);
    copy(&scene);
    let (shared, bulk) = by_version(scene.registry());
    let at_storage = |requests: Vec<Recorded>| -> Vec<Recorded> {
        let requests = requests.into_iter();
        requests.filter(|it| it.role == Role::Cdn).collect()
    };
    let (shared, bulk) = (at_storage(shared), at_storage(bulk));
    assert_eq!(bulk.len(), LARGE);
    // A connection whose download has ended may be used again.
    assert!((1..=LARGE).contains(&connections(&bulk).len()));
    assert!(
        connections(&shared).len() <= 2,
        "the small layer and the config"
    );
}

/// The registry refuses connections for large bodies, so all requests then share one connection.
#[test]
fn large_bodies_use_http2_if_http1_is_refused() {
    let http2 = || Registry::builder().scheme(Scheme::TlsOnlyHttp2);
    let scene = job::scene_of([http2(), http2()]);
    copy(&scene);
    for registry in &scene.registries {
        let (_, bulk) = by_version(registry);
        assert_eq!(bulk.len(), 0);
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
    let is_large = |request: &Recorded| request.body >= 1 << 20;
    assert_eq!(scene.other().count_where(is_large), LARGE);
}

#[test]
fn registries_of_http1_use_no_further_connections() {
    let http1 = || Registry::builder().scheme(Scheme::TlsHttp1);
    let scene = job::scene_of([http1(), http1()]);
    copy(&scene);
    for registry in &scene.registries {
        let (shared, _) = by_version(registry);
        assert_eq!(shared.len(), 0);
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

/// Loads an image with `count` layers of 2 MiB, and returns the digests of the layers.
fn load_layers(scene: &Scene, count: usize) -> Vec<String> {
    let image = Image::new("linux/amd64").layers(&vec![2 << 20; count]);
    let loaded = image.load(scene.registry(), "a", "1");
    loaded.blobs[1..].to_vec()
}

fn copy_layers(scene: &Scene, options: &str) -> Output {
    scene
        .run(&format!("copy {options} HOST/a:1 OTHER/b:1"))
        .ok()
}

/// Holds each request of `class` for one of `layers` until there is a request for each of them.
fn hold_until_all_arrive(class: Class, layers: &[String]) -> Rule {
    let count = layers.len();
    let is_bulk = move |it: &&Recorded| it.class == class && it.version == Version::HTTP_11;
    let have_arrived =
        move |requests: &[Recorded]| requests.iter().filter(is_bulk).count() >= count;
    let hexes: Vec<_> = layers.iter().map(|it| it.replace("sha256:", "")).collect();
    Rule::on(class)
        .and(move |seen| {
            let names = |hex: &String| seen.path.contains(hex) || seen.query.contains(hex);
            hexes.iter().any(names)
        })
        .times(count)
        .then(Fault::until(have_arrived))
}

fn bulk_connections(registry: &Registry) -> usize {
    connections(&by_version(registry).1).len()
}

#[test]
fn large_blobs_are_transferred_in_parallel() {
    let scene = job::scene_of([tls(), tls()]);
    let layers = load_layers(&scene, LARGE);
    let (from, to) = (scene.registry(), scene.other());
    from.rule(hold_until_all_arrive(Class::BlobGet, &layers));
    to.rule(hold_until_all_arrive(Class::UploadPut, &layers));
    copy_layers(&scene, "");
    for registry in &scene.registries {
        assert_eq!(registry.pending_rules(), 0);
        assert_eq!(bulk_connections(registry), LARGE);
    }
}

#[test]
fn one_job_uses_one_bulk_connection() {
    let scene = job::scene_of([tls(), tls()]);
    load_layers(&scene, LARGE);
    copy_layers(&scene, "--jobs 1");
    for registry in &scene.registries {
        // A connection may be returned to the pool after the next request has asked for one.
        let connections = bulk_connections(registry);
        assert!((1..=2).contains(&connections), "{connections} connections");
    }
}

/// Copies six large layers between registries that accept `most` connections at once.
fn copy_within_limit(registry: impl Fn() -> Builder, most: usize) -> Scene {
    let scene = job::scene_of([
        registry().most_connections(most),
        registry().most_connections(most),
    ]);
    load_layers(&scene, 6);
    let output = copy_layers(&scene, "--progress plain");
    assert!(!output.stderr.contains("waiting"), "{output}");
    for registry in &scene.registries {
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
    scene
}

#[test]
fn limit_of_connections_is_respected() {
    for most in [1, 2, 4] {
        let scene = copy_within_limit(tls, most);
        for registry in &scene.registries {
            let refused = registry.refused_connections();
            assert!(refused <= 6 + 4, "{refused} refused, {most} allowed");
        }
    }
}

#[test]
fn limit_of_connections_over_http1_is_respected() {
    copy_within_limit(|| Registry::builder().scheme(Scheme::TlsHttp1), 4);
}

/// Each blob is read and written at the same registry, so a download must not keep the connection that its upload needs.
#[test]
fn limit_of_connections_is_respected_by_copies_within_a_registry() {
    let cases = [
        (Scheme::TlsHttp1, 2),
        (Scheme::TlsHttp1, 3),
        (Scheme::TlsHttp2, 1),
        (Scheme::TlsHttp2, 2),
    ];
    for (scheme, most) in cases {
        let registry = Registry::builder().scheme(scheme).without_mounts();
        let scene = job::scene_of([registry.most_connections(most)]);
        load_layers(&scene, 6);
        let words = scene.line("copy HOST/a:1 HOST/b:1");
        let run = scene.polyarch().args(words).limit(Duration::from_secs(25));
        run.run().ok();
        assert_eq!(scene.registry().problems(), Vec::<String>::new());
    }
}

/// Over one connection of HTTP/1.1, a registry cannot send and receive a blob at the same time. The copy ends with an
/// error instead of a deadlock.
#[test]
fn one_connection_over_http1_is_too_few_for_copies_within_a_registry() {
    let registry = Registry::builder().scheme(Scheme::TlsHttp1);
    let scene = job::scene_of([registry.without_mounts().most_connections(1)]);
    load_layers(&scene, 2);
    let words = scene.line("copy HOST/a:1 HOST/b:1");
    let run = scene.polyarch().args(words).limit(Duration::from_secs(25));
    let output = run.run().exits(6);
    let cause = "HOST accepts no further connection for the upload (gave up after 8 tries)";
    assert!(output.stderr.contains(cause), "{output}");
    assert_eq!(scene.registry().document("b", "1"), None);
}

#[test]
fn limit_of_connections_of_a_storage_host_is_respected() {
    let storage = || Site::new(Scheme::TlsHttp2).ip("127.0.0.3");
    copy_within_limit(|| tls().blobs_at(storage()), 2);
}

#[test]
fn slow_target_needs_no_memory() {
    let limits = [None, Some(1)];
    for limit in limits {
        let source = match limit {
            Some(most) => tls().most_connections(most),
            None => tls(),
        };
        let scene = job::scene_of([source, tls().discard_uploads()]);
        let image = Image::new("linux/amd64").virtual_layers(&[64 << 20; 4]);
        image.load(scene.registry(), "a", "1");
        let pause = Fault::Delay(Duration::from_secs(1));
        scene
            .other()
            .rule(Rule::on(Class::UploadPut).times(4).then(pause));
        let words = scene.line("copy HOST/a:1 OTHER/b:1");
        let run = scene.polyarch().args(words).unwatched().measured().run();
        let output = run.ok();
        assert!(output.memory < 32 << 10, "{} KiB", output.memory);
    }
}
