//! Which connections carry blobs: large ones have HTTP/1.1 connections of their own, and everything else shares one
//! HTTP/2 connection to each registry.

use std::collections::BTreeSet;

use http::Version;

use crate::support::{
    image::Image,
    job,
    registry::{Class, Recorded, Registry, Role, Scheme, Site},
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

fn tls() -> crate::support::registry::Builder {
    Registry::builder().scheme(Scheme::TlsHttp2)
}

fn connections(requests: &[Recorded]) -> BTreeSet<u64> {
    requests.iter().map(|request| request.connection).collect()
}

/// The requests over HTTP/2 and those over HTTP/1.1.
fn by_version(registry: &Registry) -> (Vec<Recorded>, Vec<Recorded>) {
    let requests = registry.requests().into_iter();
    requests.partition(|request| request.version == Version::HTTP_2)
}

#[test]
fn large_downloads_have_connections_of_their_own() {
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
fn large_uploads_have_connections_of_their_own() {
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

/// Connections for large bodies are refused there, after which everything shares one connection.
#[test]
fn registries_of_http2_alone_carry_large_bodies_over_it() {
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
