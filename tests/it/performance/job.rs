//! Four images, one index, two tags: the variants of the merge job.

use super::{Costs, assert_trips, measure, undisturbed};
use crate::support::{
    registry::{Class, Registry, Scheme},
    scene::{JOB, Login, Scene, builder, job_with_descriptors, job_with_platforms, load},
};

fn job(scheme: Scheme, login: Login, text: &str) -> Costs {
    let scene = Scene::new(scheme, login);
    scene.load("a");
    measure(&scene, &[scene.line(text)], |_| {})
}

#[test]
fn without_authorisation() {
    let costs = job(Scheme::TlsHttp2, Login::None, JOB);
    assert_eq!(costs.cold.requests, 10);
    // Nothing is known yet: a connection for each of the four that are asked for at once, at most.
    assert!(costs.cold.connections <= 4);
    assert_trips(costs.cold_trips, 5.0);
    assert_eq!((costs.known.requests, costs.known.connections), (10, 1));
    assert_trips(costs.known_trips, 5.0);
}

#[test]
fn with_a_password() {
    let costs = job(Scheme::TlsHttp2, Login::Basic, JOB);
    assert_eq!(costs.cold.requests, 10);
    assert_trips(costs.cold_trips, 5.0);
    assert_eq!((costs.known.requests, costs.known.connections), (10, 1));
    assert_trips(costs.known_trips, 5.0);
}

#[test]
fn with_a_token() {
    let costs = job(Scheme::TlsHttp2, Login::Bearer, JOB);
    // Four challenges at once, one token.
    assert_eq!(costs.cold.requests, 15);
    assert_trips(costs.cold_trips, 9.0);
    // The token is fetched while the connection is opened.
    assert_eq!((costs.known.requests, costs.known.connections), (11, 1));
    assert_trips(costs.known_trips, 6.0);
}

#[test]
fn over_http1() {
    let costs = job(Scheme::TlsHttp1, Login::None, JOB);
    assert_eq!((costs.cold.requests, costs.cold.connections), (10, 4));
    assert_trips(costs.cold_trips, 5.0);
    assert_eq!((costs.known.requests, costs.known.connections), (10, 4));
    assert_trips(costs.known_trips, 5.0);
}

#[test]
fn over_http1_with_a_token() {
    let costs = job(Scheme::TlsHttp1, Login::Bearer, JOB);
    assert_eq!(costs.cold.requests, 15);
    assert_trips(costs.cold_trips, 9.0);
    assert_eq!((costs.known.requests, costs.known.connections), (11, 4));
    assert_trips(costs.known_trips, 6.0);
}

#[test]
fn with_given_platforms() {
    let text = job_with_platforms();
    let costs = job(Scheme::TlsHttp2, Login::None, &text);
    assert_eq!(costs.cold.requests, 6);
    assert_trips(costs.cold_trips, 4.0);
    let costs = job(Scheme::TlsHttp2, Login::Bearer, &text);
    assert_eq!((costs.known.requests, costs.known.connections), (7, 1));
    assert_trips(costs.known_trips, 5.0);
}

#[test]
fn with_given_descriptors() {
    for (login, trips, more) in [(Login::None, 3.0, 0), (Login::Bearer, 4.0, 1)] {
        let scene = Scene::new(Scheme::TlsHttp2, login);
        let images = scene.load("a");
        let text = job_with_descriptors(&images, "HOST/a:t0,HOST/a:t1");
        let costs = measure(&scene, &[scene.line(&text)], |_| {});
        assert_eq!(costs.known.requests, 2 + more);
        assert_eq!(costs.known.connections, 1);
        assert_trips(costs.known_trips, trips);
    }
}

#[test]
fn reading_back_is_one_round_trip_more() {
    let scene = Scene::new(Scheme::TlsHttp2, Login::None);
    scene.load("a");
    // Without its own index there, so that each run has something to push.
    let text = JOB.replace("--no-verify", "--annotation at=NOW");
    let counter = std::cell::Cell::new(0);
    let run = |scene: &Scene| {
        counter.set(counter.get() + 1);
        let _ = std::fs::remove_dir_all(scene.path(".cache/polyarch/configs"));
        let words = scene.line(&text.replace("NOW", &counter.get().to_string()));
        scene.ok(super::binary(), &words).wall
    };
    run(&scene);
    let cost = scene.cost_of(run);
    // The job, a look at each tag before (beside the sources), and each read back.
    assert_eq!((cost.requests, cost.connections), (14, 1));
    assert_trips(scene.slope(super::DISTANCES, undisturbed, run), 6.0);
}

#[test]
fn create_and_push_are_two_processes() {
    let scene = Scene::new(Scheme::TlsHttp2, Login::None);
    scene.load("a");
    let lines = [
        scene.line("create HOST/a:t0 HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3"),
        scene.line("push --purge --tag t1 HOST/a:t0"),
    ];
    let costs = measure(&scene, &lines, |_| {});
    assert_eq!(costs.cold.requests, 10);
    assert_trips(costs.cold_trips, 4.0 + 3.0);
    // A connection for each process.
    assert_eq!((costs.known.requests, costs.known.connections), (10, 2));
    assert_trips(costs.known_trips, 4.0 + 3.0);
}

#[test]
fn from_another_repository() {
    let scene = Scene::new(Scheme::TlsHttp2, Login::None);
    scene.load("b");
    let text = "publish --no-verify -t HOST/a:t0 HOST/b:s0 HOST/b:s1 HOST/b:s2 HOST/b:s3";
    let costs = measure(&scene, &[scene.line(text)], |_| {});
    assert_eq!(scene.registry().problems(), Vec::<String>::new());
    // Manifests, configs, 12 mounts, manifests, the index.
    assert_eq!(costs.cold.requests, 4 + 4 + 12 + 4 + 1);
    assert_trips(costs.cold_trips, 7.0);
    assert_eq!(costs.known.connections, 1);
    assert_trips(costs.known_trips, 7.0);
}

#[test]
fn two_registries_take_as_long_as_one() {
    let registries = || builder(Scheme::TlsHttp2, Login::None).start_in_background();
    let scene = Scene::of(vec![registries(), registries()]);
    let images = scene.load("a");
    load(&scene.registries[1], "a");
    let tags = |host: &str| format!("{host}/a:t0,{host}/a:t1,{host}/a:t2");
    let targets = format!("{},{}", tags("HOST"), tags("OTHER"));
    let text = job_with_descriptors(&images, &targets);
    let costs = measure(&scene, &[scene.line(&text)], |_| {});
    // Each registry is asked for each digest, and gets three tags.
    assert_eq!(costs.known.requests, 2 * (4 + 3));
    assert_eq!(costs.known.connections, 2);
    // TCP, TLS, the looks, the tags: of both at once.
    assert_trips(costs.known_trips, 4.0);
}

#[test]
fn many_tags_go_in_one_request_where_the_registry_takes_them() {
    let registry = builder(Scheme::TlsHttp2, Login::None).tag_parameters();
    let scene = Scene::of(vec![registry.start_in_background()]);
    scene.load("a");
    let tags: Vec<String> = (0..100).map(|number| format!("HOST/a:t{number}")).collect();
    let text = JOB.replace("HOST/a:t0,HOST/a:t1", &tags.join(","));
    let costs = measure(&scene, &[scene.line(&text)], |_| {});
    assert_eq!(scene.registry().tags("a").len(), 104);
    assert_eq!(costs.cold.requests, 9);
    assert_trips(costs.cold_trips, 5.0);
    // Once that is known, two tags are enough for it.
    let two = scene.cost_of(|scene| scene.ok(super::binary(), &scene.line(JOB)));
    assert_eq!(two.requests, 8 + 1 - 4, "the configs are known, too");
    assert_eq!(scene.registry().count(Class::ManifestPut), 1);
}

#[test]
fn many_tags_go_side_by_side_where_it_does_not() {
    let scene = Scene::new(Scheme::TlsHttp2, Login::None);
    scene.load("a");
    let put = |registry: &Registry| registry.count(Class::ManifestPut);
    let tags: Vec<String> = (0..10).map(|number| format!("HOST/a:t{number}")).collect();
    let text = JOB.replace("HOST/a:t0,HOST/a:t1", &tags.join(","));
    scene.ok(super::binary(), &scene.line(&text));
    // The one that found out put it under its digest.
    assert_eq!(put(scene.registry()), 11);
    let again = scene.cost_of(|scene| scene.ok(super::binary(), &scene.line(&text)));
    assert_eq!(again.requests, 4 + 10);
}
