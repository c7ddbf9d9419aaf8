//! Four images, one index, two tags: the variants of the merge job.

use super::{Costs, assert_trips, measure, undisturbed};
use crate::support::{
    job::{
        JOB, Login, builder, job_with_descriptors, job_with_platforms, load, scene, scene_of,
        well_known,
    },
    registry::{Class, Scheme},
    scene::Scene,
};

/// The maximum number of connections of a job. Its first four requests are sent at once, before the client knows
/// whether the registry speaks HTTP/2.
const MAX_CONNECTIONS: usize = 4;

fn job(scheme: Scheme, login: Login, text: &str) -> Costs {
    job_in(&scene(scheme, login), text)
}

fn job_in(scene: &Scene, text: &str) -> Costs {
    scene.load("a");
    measure(scene, &[scene.line(text)])
}

#[test]
fn without_authorisation() {
    let costs = job(Scheme::TlsHttp2, Login::None, JOB);
    assert_eq!(costs.cost.requests, 10);
    assert!(costs.cost.connections <= MAX_CONNECTIONS);
    assert_trips(costs.trips, 5.0);
}

#[test]
fn with_a_password() {
    let costs = job(Scheme::TlsHttp2, Login::Basic, JOB);
    assert_eq!(costs.cost.requests, 10);
    assert!(costs.cost.connections <= MAX_CONNECTIONS);
    assert_trips(costs.trips, 5.0);
}

#[test]
fn with_a_token() {
    let costs = job(Scheme::TlsHttp2, Login::Bearer, JOB);
    // Four challenges at once, one token.
    assert_eq!(costs.cost.requests, 15);
    assert_trips(costs.trips, 9.0);
}

#[test]
fn with_a_token_of_a_well_known_server() {
    let costs = job_in(&well_known(Scheme::TlsHttp2), JOB);
    // No challenge, and HTTP/2 is expected.
    assert_eq!((costs.cost.requests, costs.cost.connections), (11, 1));
    assert_trips(costs.trips, 6.0);
}

#[test]
fn over_http1() {
    let costs = job(Scheme::TlsHttp1, Login::None, JOB);
    assert_eq!((costs.cost.requests, costs.cost.connections), (10, 4));
    assert_trips(costs.trips, 5.0);
}

#[test]
fn over_http1_with_a_token() {
    let costs = job(Scheme::TlsHttp1, Login::Bearer, JOB);
    assert_eq!(costs.cost.requests, 15);
    assert_trips(costs.trips, 9.0);
}

#[test]
fn with_given_platforms() {
    let text = job_with_platforms();
    let costs = job(Scheme::TlsHttp2, Login::None, &text);
    assert_eq!(costs.cost.requests, 6);
    assert_trips(costs.trips, 4.0);
    let costs = job_in(&well_known(Scheme::TlsHttp2), &text);
    assert_eq!((costs.cost.requests, costs.cost.connections), (7, 1));
    assert_trips(costs.trips, 5.0);
}

#[test]
fn with_given_descriptors() {
    let without_token = scene(Scheme::TlsHttp2, Login::None);
    let with_token = well_known(Scheme::TlsHttp2);
    for (scene, requests, trips) in [(without_token, 6, 4.0), (with_token, 7, 5.0)] {
        let images = scene.load("a");
        let text = job_with_descriptors(&images, "HOST/a:t0,HOST/a:t1");
        let costs = measure(&scene, &[scene.line(&text)]);
        assert_eq!(costs.cost.requests, requests);
        assert_trips(costs.trips, trips);
    }
}

#[test]
fn check_of_blobs_is_one_round_trip_more() {
    for level in ["none", "manifests"] {
        let costs = job(
            Scheme::TlsHttp2,
            Login::None,
            &format!("{JOB} --check {level}"),
        );
        assert_eq!(costs.cost.requests, 10);
        assert_trips(costs.trips, 5.0);
    }
    let costs = job(
        Scheme::TlsHttp2,
        Login::None,
        &format!("{JOB} --check blobs"),
    );
    // The client looks up the config and two layers of each image.
    assert_eq!(costs.cost.requests, 10 + 12);
    assert_trips(costs.trips, 6.0);
}

#[test]
fn reading_back_is_one_round_trip_more() {
    let scene = scene(Scheme::TlsHttp2, Login::None);
    scene.load("a");
    // Each run sets another annotation, so that it has something to push.
    let text = JOB.replace("--no-verify", "--annotation at=NOW");
    let counter = std::cell::Cell::new(0);
    let run = |scene: &Scene| {
        counter.set(counter.get() + 1);
        let words = scene.line(&text.replace("NOW", &counter.get().to_string()));
        scene.job(&words).wall
    };
    // The job, a lookup of each tag before it (parallel to the sources), and a read of each tag after it.
    assert_eq!(scene.cost_of(run).requests, 14);
    assert_trips(scene.slope(super::DISTANCES, undisturbed, run), 6.0);
}

#[test]
fn create_and_push_are_two_processes() {
    let scene = scene(Scheme::TlsHttp2, Login::None);
    scene.load("a");
    let lines = [
        scene.line("create HOST/a:t0 HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3"),
        scene.line("push --purge --tag t1 HOST/a:t0"),
    ];
    let costs = measure(&scene, &lines);
    // Four manifests, four configs; four lookups of the images, two tags.
    assert_eq!(costs.cost.requests, 8 + 4 + 2);
    assert_trips(costs.trips, 4.0 + 4.0);
}

#[test]
fn from_another_repository() {
    let scene = scene(Scheme::TlsHttp2, Login::None);
    scene.load("b");
    let text = "publish --no-verify -t HOST/a:t0 HOST/b:s0 HOST/b:s1 HOST/b:s2 HOST/b:s3";
    let costs = measure(&scene, &[scene.line(text)]);
    assert_eq!(scene.registry().problems(), Vec::<String>::new());
    // Manifests, configs, 12 mounts, manifests, the index.
    assert_eq!(costs.cost.requests, 4 + 4 + 12 + 4 + 1);
    assert_trips(costs.trips, 7.0);
}

#[test]
fn two_registries_are_used_in_parallel() {
    let registry = || builder(Scheme::TlsHttp2, Login::None);
    let scene = scene_of([registry(), registry()]);
    let images = scene.load("a");
    load(&scene.registries[1], "a");
    let tags = |host: &str| format!("{host}/a:t0,{host}/a:t1,{host}/a:t2");
    let targets = format!("{},{}", tags("HOST"), tags("OTHER"));
    let text = job_with_descriptors(&images, &targets);
    let costs = measure(&scene, &[scene.line(&text)]);
    // Each registry receives a request for each digest, three tags, and an upload that is started and cancelled.
    assert_eq!(costs.cost.requests, 2 * (4 + 3 + 2));
    // TCP, TLS, the lookups and the started upload, the tags. Both registries are used in parallel.
    assert_trips(costs.trips, 4.0);
}

#[test]
fn many_tags_are_one_request_if_supported() {
    let registry = builder(Scheme::TlsHttp2, Login::None).tag_parameters();
    let scene = scene_of([registry]);
    scene.load("a");
    let tags: Vec<String> = (0..100).map(|number| format!("HOST/a:t{number}")).collect();
    let text = JOB.replace("HOST/a:t0,HOST/a:t1", &tags.join(","));
    let costs = measure(&scene, &[scene.line(&text)]);
    assert_eq!(scene.registry().tags("a").len(), 104);
    assert_eq!(costs.cost.requests, 9);
    assert_trips(costs.trips, 5.0);
}

#[test]
fn many_tags_are_put_in_parallel_otherwise() {
    let scene = scene(Scheme::TlsHttp2, Login::None);
    scene.load("a");
    let tags: Vec<String> = (0..10).map(|number| format!("HOST/a:t{number}")).collect();
    let text = JOB.replace("HOST/a:t0,HOST/a:t1", &tags.join(","));
    let cost = scene.cost_of(|scene| scene.job(&scene.line(&text)));
    // The request that detected the missing support stored the index under its digest.
    assert_eq!(scene.registry().count(Class::ManifestPut), 11);
    assert_eq!(cost.requests, 4 + 4 + 11);
}
