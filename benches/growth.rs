//! Measures larger jobs: many sources of one index, many tags of one index, many images in one spec file.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use crate::{
    binary,
    child::{self, median},
    output,
    support::{
        image::Image,
        job::{self, JOB, Login, PLATFORMS},
        registry::Scheme,
        scene::Scene,
    },
};

const DISTANCES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(50)];

#[derive(Serialize)]
struct Point {
    what: &'static str,
    count: usize,
    requests: usize,
    connections: usize,
    round_trips: f64,
    memory_kib: i64,
}

pub(crate) fn run() {
    let mut points = Vec::new();
    for count in [1, 10, 100, 1000] {
        points.push(point("sources", count, sources(count)));
    }
    for count in [1, 10, 100] {
        points.push(point("tags", count, tags(count)));
    }
    for count in [1, 10, 50, 100, 200] {
        points.push(point("images", count, images(count)));
    }
    let rows = points.iter().map(|point| {
        vec![
            format!("{} {}", point.count, point.what),
            point.requests.to_string(),
            point.connections.to_string(),
            format!("{:.1}", point.round_trips),
            output::mebibytes(point.memory_kib),
        ]
    });
    output::table(
        "Larger jobs (images: one spec file, each image with 4 platforms and 2 tags)",
        &["size", "requests", "connections", "round trips", "MiB"],
        &rows.collect::<Vec<_>>(),
    );
    output::write("growth", &points);
}

fn point(what: &'static str, count: usize, (scene, line): (Scene, String)) -> Point {
    let words = scene.line(&line);
    let mut memory = Vec::new();
    let mut run = |scene: &Scene| {
        let used = child::run(scene, binary(), &words);
        memory.push(used.memory);
        used.wall
    };
    run(&scene);
    let cost = scene.cost_of(&mut run);
    let round_trips = scene.slope(DISTANCES, child::median_of_three, &mut run);
    Point {
        what,
        count,
        requests: cost.requests,
        connections: cost.connections,
        round_trips: (round_trips * 10.0).round() / 10.0,
        memory_kib: median(memory),
    }
}

fn scene() -> Scene {
    job::scene(Scheme::TlsHttp2, Login::None)
}

/// Creates a job for one index of `count` images. Each image has a different platform.
fn sources(count: usize) -> (Scene, String) {
    let scene = scene();
    let mut line = "publish --no-verify -t HOST/a:t0".to_owned();
    for number in 0..count {
        let image = Image::new("windows/amd64").os_version(&format!("10.0.{number}"));
        image.load(scene.registry(), "a", format!("s{number}").as_str());
        let _ = write!(line, " HOST/a:s{number}");
    }
    (scene, line)
}

/// Creates a job for one index of four images under `count` tags.
fn tags(count: usize) -> (Scene, String) {
    let scene = scene();
    scene.load("a");
    let tags: Vec<String> = (0..count)
        .map(|number| format!("HOST/a:t{number}"))
        .collect();
    (scene, JOB.replace("HOST/a:t0,HOST/a:t1", &tags.join(",")))
}

/// Creates a job with a spec file of `count` images. Each image has four platforms and two tags.
fn images(count: usize) -> (Scene, String) {
    let scene = scene();
    let host = scene.registry().host().to_owned();
    let mut text = String::new();
    for number in 0..count as u64 {
        let repo = format!("team/app-{number}");
        let _ = write!(
            text,
            "---\nimage: {host}/{repo}:1\ntags: [latest]\nmanifests:\n"
        );
        for (platform, source) in PLATFORMS.iter().zip(0_u64..) {
            let seed = number * 4 + source;
            let image = Image::new(platform).seed(seed);
            image.load(scene.registry(), &repo, format!("s{source}").as_str());
            let _ = writeln!(text, "  - image: {host}/{repo}:s{source}");
        }
    }
    std::fs::write(scene.path("spec.yaml"), text).expect("a file");
    (scene, "publish --no-verify --file spec.yaml".to_owned())
}
