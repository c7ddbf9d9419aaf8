//! Measures the merge job in all variants, with a registry in this process whose connections are delayed. Also measures
//! work without network access: the start of the program, and a plan with a thousand entries.

use std::time::{Duration, Instant};

use polyarch::{
    plan::{self, Node, Options, Source, SourceLocation, Target},
    spec::{Descriptor, Digest, Location, MediaType, Platform},
};
use serde::Serialize;

use crate::{
    binary,
    child::{self, Used, median},
    output,
    support::{
        job::{
            JOB, Login, builder, job_with_descriptors, job_with_platforms, load, scene, scene_of,
            well_known,
        },
        registry::Scheme,
        scene::Scene,
    },
};

/// The round-trip times of the link. The number of round trips is the difference of the times, divided by 100 ms.
const DISTANCES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(100)];
/// The round-trip time at which requests and connections are counted. It is so long that an existing connection always
/// becomes free before a new connection is open.
const COUNTED_AT: Duration = Duration::from_millis(20);

/// A variant of the merge job.
struct Variant {
    name: &'static str,
    scene: fn() -> Scene,
    /// Returns the command lines of a run, by its number.
    lines: fn(&Scene, usize) -> Vec<String>,
    target: f64,
    most_requests: Option<usize>,
}

#[derive(Serialize)]
struct Row {
    variant: &'static str,
    requests: usize,
    connections: usize,
    round_trips: f64,
    target: f64,
    most_requests: Option<usize>,
    met: bool,
    near_ms: f64,
    memory_kib: i64,
}

#[derive(Serialize)]
struct Results {
    job: Vec<Row>,
    start_ms: f64,
    start_memory_kib: i64,
    binary_bytes: u64,
    plan_of_1000_ms: f64,
}

fn one(scheme: Scheme, login: Login) -> Scene {
    let scene = scene(scheme, login);
    scene.load("a");
    scene
}

fn job(_: &Scene, _: usize) -> Vec<String> {
    vec![JOB.to_owned()]
}

fn platforms(_: &Scene, _: usize) -> Vec<String> {
    vec![job_with_platforms()]
}

fn descriptors(scene: &Scene, _: usize) -> Vec<String> {
    let images = scene.load("a");
    vec![job_with_descriptors(&images, "HOST/a:t0,HOST/a:t1")]
}

/// Creates a new index in each run, because an index that exists already would not be pushed.
fn verified(_: &Scene, run: usize) -> Vec<String> {
    vec![JOB.replace("--no-verify", &format!("--annotation run={run}"))]
}

fn two_steps(_: &Scene, _: usize) -> Vec<String> {
    vec![
        "create HOST/a:t0 HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3".to_owned(),
        "push --purge --tag t1 HOST/a:t0".to_owned(),
    ]
}

/// Publishes to a new repository in each run.
fn other_repository(_: &Scene, run: usize) -> Vec<String> {
    vec![format!(
        "publish --no-verify -t HOST/b{run}:t0 HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3"
    )]
}

fn two_registries() -> Scene {
    let registry = || builder(Scheme::TlsHttp2, Login::None);
    let scene = scene_of([registry(), registry()]);
    for registry in &scene.registries {
        load(registry, "a");
    }
    scene
}

fn three_tags_each(scene: &Scene, _: usize) -> Vec<String> {
    let images = scene.load("a");
    let tags = |host: &str| format!("{host}/a:t0,{host}/a:t1,{host}/a:t2");
    let targets = format!("{},{}", tags("HOST"), tags("OTHER"));
    vec![job_with_descriptors(&images, &targets)]
}

fn with_tag_parameters() -> Scene {
    let registry = builder(Scheme::TlsHttp2, Login::None).tag_parameters();
    let scene = scene_of([registry]);
    scene.load("a");
    scene
}

fn hundred_tags(_: &Scene, _: usize) -> Vec<String> {
    let tags: Vec<String> = (0..100).map(|number| format!("HOST/a:t{number}")).collect();
    vec![JOB.replace("HOST/a:t0,HOST/a:t1", &tags.join(","))]
}

fn variants() -> Vec<Variant> {
    let variant = |name, scene, lines, target, most_requests| Variant {
        name,
        scene,
        lines,
        target,
        most_requests,
    };
    let none = || one(Scheme::TlsHttp2, Login::None);
    let basic = || one(Scheme::TlsHttp2, Login::Basic);
    let bearer = || one(Scheme::TlsHttp2, Login::Bearer);
    let public = || {
        let scene = well_known(Scheme::TlsHttp2);
        scene.load("a");
        scene
    };
    let http1 = || one(Scheme::TlsHttp1, Login::None);
    vec![
        variant("no authorisation", none, job, 5.3, Some(10)),
        variant("Basic", basic, job, 5.3, Some(10)),
        variant("Bearer, cold", bearer, job, 9.4, None),
        variant("Bearer, well-known token server", public, job, 6.4, None),
        variant("platforms given", none, platforms, 4.3, None),
        variant("descriptors given", none, descriptors, 4.3, None),
        variant("with verify", none, verified, 6.3, None),
        variant("create + push", none, two_steps, 8.6, None),
        variant(
            "other repository, 12 blobs",
            none,
            other_repository,
            7.5,
            None,
        ),
        variant("HTTP/1.1", http1, job, 5.3, Some(10)),
        variant(
            "2 registries × 3 tags",
            two_registries,
            three_tags_each,
            4.3,
            None,
        ),
        variant(
            "100 tags, ?tag=",
            with_tag_parameters,
            hundred_tags,
            5.3,
            None,
        ),
    ]
}

pub(crate) fn run() {
    let rows: Vec<Row> = variants().iter().map(measure).collect();
    let shown = rows.iter().map(|row| {
        vec![
            row.variant.to_owned(),
            row.requests.to_string(),
            row.connections.to_string(),
            format!("{:.1}", row.round_trips),
            format!("≤ {:.1}", row.target),
            if row.met { "yes" } else { "NO" }.to_owned(),
            format!("{:.0}", row.near_ms),
            output::mebibytes(row.memory_kib),
        ]
    });
    output::table(
        "Four images, one index, two tags",
        &[
            "variant",
            "requests",
            "connections",
            "round trips",
            "target",
            "met",
            "ms at 0",
            "MiB",
        ],
        &shown.collect::<Vec<_>>(),
    );
    let scene = Scene::of([]);
    let version = ["--version".to_owned()];
    let starts: Vec<Used> = (0..31)
        .map(|_| child::run(&scene, binary(), &version))
        .collect();
    let results = Results {
        job: rows,
        start_ms: milliseconds(median(starts.iter().map(|used| used.wall).collect())),
        start_memory_kib: median(starts.iter().map(|used| used.memory).collect()),
        binary_bytes: std::fs::metadata(binary()).map_or(0, |metadata| metadata.len()),
        plan_of_1000_ms: plan_of(1000),
    };
    output::table(
        "Without network access",
        &["what", "measured", "target"],
        &[
            vec![
                "--version".into(),
                format!("{:.1} ms", results.start_ms),
                "≤ 5 ms".into(),
            ],
            vec![
                "plan of 1,000 entries".into(),
                format!("{:.1} ms", results.plan_of_1000_ms),
                "< 10 ms".into(),
            ],
        ],
    );
    output::write("job", &results);
}

fn measure(variant: &Variant) -> Row {
    let scene = (variant.scene)();
    let mut count = 0;
    let mut last = Vec::new();
    let mut run = |scene: &Scene| {
        count += 1;
        let lines = (variant.lines)(scene, count);
        let used = lines
            .iter()
            .map(|line| child::run(scene, binary(), &scene.line(line)));
        let used: Vec<Used> = used.collect();
        last.push(
            used.iter()
                .map(|used| used.memory)
                .max()
                .unwrap_or_default(),
        );
        used.iter().map(|used| used.wall).sum::<Duration>()
    };
    run(&scene);
    scene.set_latency(COUNTED_AT);
    let cost = scene.cost_of(&mut run);
    scene.set_latency(Duration::ZERO);
    let near = child::median_of_three(&mut || run(&scene));
    let round_trips = scene.slope(DISTANCES, child::median_of_three, &mut run);
    let round_trips = (round_trips * 10.0).round() / 10.0;
    let few = variant
        .most_requests
        .is_none_or(|most| cost.requests <= most);
    Row {
        variant: variant.name,
        requests: cost.requests,
        connections: cost.connections,
        round_trips,
        target: variant.target,
        most_requests: variant.most_requests,
        met: round_trips <= variant.target && few,
        near_ms: milliseconds(near),
        memory_kib: median(last),
    }
}

/// Returns the time in milliseconds to plan an index with `entries` entries: the fastest of 30 runs.
fn plan_of(entries: u32) -> f64 {
    let sources: Vec<Source> = (0..entries).map(source).collect();
    let target = Target {
        location: Location::Repository("registry.test/app".parse().expect("a repository")),
        tags: vec!["1".parse().expect("a tag")],
    };
    let options = Options::default();
    let times = (0..30).map(|_| {
        let began = Instant::now();
        let plan = plan::plan(&sources, std::slice::from_ref(&target), &options);
        assert_eq!(plan.expect("a plan").entries.len(), sources.len());
        began.elapsed()
    });
    milliseconds(times.min().unwrap_or_default())
}

fn source(number: u32) -> Source {
    let media_type = MediaType::new("application/vnd.oci.image.manifest.v1+json");
    let digest = Digest::sha256(&number.to_le_bytes());
    let mut descriptor = Descriptor::new(media_type, digest, 600);
    let platform: Platform = "windows/amd64".parse().expect("a platform");
    descriptor.platform = Some(Platform {
        os_version: format!("10.0.{number}"),
        ..platform
    });
    Source {
        name: format!("registry.test/app:s{number}"),
        location: SourceLocation::EveryTarget,
        root: Node::described(descriptor),
        set_platform: None,
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}
