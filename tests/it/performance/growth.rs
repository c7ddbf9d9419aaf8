//! The growth of costs with the size of the job: linear in requests, almost none in tokens, and never more than
//! `--jobs` at once.

use std::{fmt::Write as _, time::Duration};

use super::DISTANCES;
use crate::support::{
    image::Image,
    job::{self, Login, PLATFORMS},
    registry::{Accounts, Bearer, Class, Registry, Scheme},
    scene::Scene,
};

/// Writes a spec file for `images` images of two platforms and two tags each, and loads all of them.
fn spec(scene: &Scene, images: usize) {
    let host = scene.registry().host();
    let mut text = String::new();
    for number in 0..images {
        let repo = format!("team/app-{number}");
        let _ = write!(
            text,
            "---\nimage: {host}/{repo}:1\ntags: [latest]\nmanifests:\n"
        );
        for architecture in ["amd64", "arm64"] {
            let image = Image::new(&format!("linux/{architecture}")).seed(number as u64);
            image.load(scene.registry(), &repo, architecture);
            let _ = writeln!(text, "  - image: {host}/{repo}:{architecture}");
        }
    }
    std::fs::write(scene.path("spec.yaml"), text).expect("a file");
}

#[test]
fn two_hundred_images_need_few_and_small_tokens() {
    let scene = job::scene(Scheme::TlsHttp2, Login::Bearer);
    let words = scene.line("publish --no-verify --jobs 8 --file spec.yaml");
    spec(&scene, 200);
    scene.job(&words);
    let registry = scene.registry();
    let tokens = registry.count(Class::Token);
    assert!((2..=8).contains(&tokens), "{tokens} tokens");
    for request in registry.requests() {
        let address = request.path.len() + request.query.len();
        assert!(address < 4 << 10, "{} bytes: {}", address, request.path);
        let header = request.header("authorization").len();
        assert!(header < 8 << 10, "{header} bytes of authorization");
    }
    // Only the first requests, which are sent before there is a token, are refused.
    let refused = registry.count_where(|it| it.status.is_some_and(|status| status == 401));
    assert!(refused <= 8, "{refused} refused");
    assert_eq!(
        registry.requests().len() - tokens - refused,
        200 * (2 + 2 + 2)
    );
    assert!(registry.most_at_once() <= 8 + 1);
    assert_eq!(registry.problems(), Vec::<String>::new());
}

/// The only permitted request waits for a token from the same host.
#[test]
fn one_job_is_enough_for_a_registry_that_issues_its_own_tokens() {
    let accounts = Accounts::new("ci", "pw").grant("ci", "*", "pull,push");
    let registry = Registry::builder().bearer(Bearer::new(accounts));
    let mut scene = Scene::with(registry);
    scene.log_in("ci", "pw");
    spec(&scene, 3);
    let words = [
        "publish",
        "--no-verify",
        "--jobs",
        "1",
        "--file",
        "spec.yaml",
    ];
    let run = scene.polyarch().args(words);
    run.limit(Duration::from_secs(25)).run().ok();
    let registry = scene.registry();
    let refused = registry.count_where(|it| it.status.is_some_and(|status| status == 401));
    assert_eq!((refused, registry.count(Class::Token)), (1, 1));
    assert_eq!(registry.most_at_once(), 1);
}

#[test]
fn requests_grow_with_the_number_of_images() {
    let scene = job::scene(Scheme::Http, Login::None);
    let words = scene.line("publish --no-verify --file spec.yaml");
    for images in [1, 10, 40] {
        spec(&scene, images);
        let cost = scene.cost_of(|scene| scene.job(&words));
        assert_eq!(cost.requests, images * 6);
    }
}

/// The maximum number of round trips of two thousand requests. There are three kinds of requests, and each kind waits
/// for the previous one.
const MAX_TRIPS: f64 = 30.0;

/// Creates a scene whose registry accepts 128 concurrent requests over one connection.
fn scene_with_128_streams() -> Scene {
    let registry = job::builder(Scheme::TlsHttp2, Login::None).http2_streams(128);
    job::scene_of([registry])
}

/// Returns the number of round trips of a line that sends `requests` requests.
fn round_trips(scene: &Scene, line: &str, requests: usize) -> f64 {
    let words = scene.line(line);
    let run = |scene: &Scene| scene.job(&words).wall;
    scene.set_latency(DISTANCES[0]);
    assert_eq!(scene.cost_of(run).requests, requests);
    let fastest_of_two = |run: &mut dyn FnMut() -> Duration| run().min(run());
    scene.slope(DISTANCES, fastest_of_two, run)
}

#[test]
fn index_of_a_thousand_sources_takes_few_round_trips() {
    let scene = scene_with_128_streams();
    let mut line = "publish --no-verify -t HOST/a:t0".to_owned();
    for number in 0..1000 {
        let image = Image::new("windows/amd64").os_version(&format!("10.0.{number}"));
        image.load(scene.registry(), "a", format!("s{number}").as_str());
        let _ = write!(line, " HOST/a:s{number}");
    }
    let trips = round_trips(&scene, &line, 2001);
    assert!(trips <= MAX_TRIPS, "{trips} round trips");
}

#[test]
fn two_hundred_images_take_few_round_trips() {
    let scene = scene_with_128_streams();
    let mut text = String::new();
    for number in 0..200 {
        let repo = format!("team/app-{number}");
        let _ = write!(
            text,
            "---\nimage: HOST/{repo}:1\ntags: [latest]\nmanifests:\n"
        );
        for (platform, source) in PLATFORMS.iter().zip(0_u64..) {
            let image = Image::new(platform).seed(number * 4 + source);
            image.load(scene.registry(), &repo, format!("s{source}").as_str());
            let _ = writeln!(text, "  - image: HOST/{repo}:s{source}");
        }
    }
    scene.write("spec.yaml", &text);
    let trips = round_trips(&scene, "publish --no-verify --file spec.yaml", 2000);
    assert!(trips <= MAX_TRIPS, "{trips} round trips");
}
