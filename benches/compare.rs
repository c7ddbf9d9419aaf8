//! Measures the merge job of polyarch and of the tools on PATH, with a registry in this process (TLS, HTTP/2) whose
//! connections are delayed. All tools connect by name, through a proxy without delay, because the Docker CLI uses plain
//! HTTP for loopback addresses.

use std::{path::Path, time::Duration};

use serde::Serialize;

use crate::{
    binary,
    child::{self, Used, find, median},
    output,
    support::{
        job::{JOB, Login, PLATFORMS, load, scene_of},
        proxy::Proxy,
        registry::{Accounts, Bearer, Registry, Scheme, Site},
        scene::Scene,
    },
};

/// The round-trip times of the link, in milliseconds. The number of round trips is computed from the last two.
const DISTANCES: [u64; 3] = [0, 20, 100];
/// The number of runs of each command at each distance; the fastest run counts. Some tools also resolve the name of the
/// registry themselves, which sometimes takes seconds if no DNS server answers.
const RUNS: usize = 5;

/// A tool, and the command lines of the merge job. TAG is a new tag in each run; `spec.yaml` is the file of [`spec`].
struct Tool {
    name: &'static str,
    program: &'static str,
    version: &'static [&'static str],
    lines: &'static [&'static str],
}

const SOURCES: &str = "HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3";

const TOOLS: [Tool; 6] = [
    Tool {
        name: "docker manifest",
        program: "docker",
        version: &["--version"],
        lines: &[
            "manifest create HOST/a:TAG SOURCES",
            "manifest push HOST/a:TAG",
            "manifest create HOST/a:TAGx SOURCES",
            "manifest push HOST/a:TAGx",
        ],
    },
    Tool {
        name: "regctl",
        program: "regctl",
        version: &["version", "--format", "{{.VCSTag}}"],
        lines: &[
            "index create HOST/a:TAG --ref HOST/a:s0 --ref HOST/a:s1 --ref HOST/a:s2 --ref HOST/a:s3",
            "image copy HOST/a:TAG HOST/a:TAGx",
        ],
    },
    Tool {
        name: "crane",
        program: "crane",
        version: &["version"],
        lines: &[
            "index append -t HOST/a:TAG -m HOST/a:s0 -m HOST/a:s1 -m HOST/a:s2 -m HOST/a:s3",
            "tag HOST/a:TAG TAGx",
        ],
    },
    Tool {
        name: "buildx imagetools",
        program: "buildx",
        version: &["version"],
        lines: &["imagetools create -t HOST/a:TAG -t HOST/a:TAGx SOURCES"],
    },
    Tool {
        name: "manifest-tool",
        program: "manifest-tool",
        version: &["--version"],
        lines: &["push from-spec spec.yaml"],
    },
    Tool {
        name: "oras",
        program: "oras",
        version: &["version"],
        lines: &["manifest index create HOST/a:TAG,TAGx s0 s1 s2 s3"],
    },
];

#[derive(Serialize)]
struct Row {
    tool: String,
    login: &'static str,
    requests: usize,
    connections: usize,
    round_trips: f64,
    /// The times at each of `DISTANCES`.
    wall_ms: Vec<f64>,
    memory_kib: i64,
}

#[derive(Serialize)]
struct Results {
    distances_ms: [u64; 3],
    versions: Vec<(String, String)>,
    missing: Vec<&'static str>,
    /// Tools that have no command for the merge job.
    unable: Vec<&'static str>,
    rows: Vec<Row>,
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let proxy = runtime.block_on(Proxy::start());
    let mut results = Results {
        distances_ms: DISTANCES,
        versions: Vec::new(),
        missing: Vec::new(),
        unable: find("skopeo").map(|_| "skopeo").into_iter().collect(),
        rows: Vec::new(),
    };
    let mut tools = Vec::new();
    for tool in TOOLS {
        match find(tool.program) {
            Some(path) => {
                results
                    .versions
                    .push((tool.name.into(), output::version(&path, tool.version)));
                tools.push((tool, path));
            }
            None => results.missing.push(tool.name),
        }
    }
    for (login, name) in [
        (Login::None, "anonymous"),
        (Login::Basic, "Basic"),
        (Login::Bearer, "Bearer"),
    ] {
        let scene = scene(login, &proxy);
        let job = JOB.replace(":t0", ":TAG").replace(":t1", ":TAGx");
        results
            .rows
            .push(measure(&scene, "polyarch", name, binary(), &[&job]));
        for (tool, path) in &tools {
            results
                .rows
                .push(measure(&scene, tool.name, name, path, tool.lines));
        }
    }
    print(&results);
    output::write("compare", &results);
}

fn scene(login: Login, proxy: &Proxy) -> Scene {
    let builder = Registry::builder()
        .scheme(Scheme::TlsHttp2)
        .name("registry.test")
        .latency(Duration::ZERO);
    let accounts = || Accounts::new("ci", "pw");
    let builder = match login {
        Login::None => builder,
        Login::Basic => builder.basic(accounts()),
        Login::Bearer => {
            let site = Site::new(Scheme::TlsHttp2).name("auth.test");
            builder.bearer(Bearer::new(accounts()).at(site))
        }
    };
    let mut scene = scene_of([builder]);
    scene.set("HTTPS_PROXY", &proxy.url());
    scene.set("DOCKER_CLI_HINTS", "false");
    load(scene.registry(), "a");
    scene
}

fn measure(scene: &Scene, tool: &str, login: &'static str, program: &Path, lines: &[&str]) -> Row {
    let mut count = 0;
    let mut memory = Vec::new();
    let prefix: String = tool.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut run = |scene: &Scene| {
        count += 1;
        let tag = format!("{prefix}{count}");
        std::fs::write(scene.path("spec.yaml"), spec(scene, &tag)).expect("a file");
        let used = lines.iter().map(|line| {
            let line = line.replace("SOURCES", SOURCES).replace("TAG", &tag);
            child::run(scene, program, &scene.line(&line))
        });
        let used: Vec<Used> = used.collect();
        memory.push(
            used.iter()
                .map(|used| used.memory)
                .max()
                .unwrap_or_default(),
        );
        used.iter().map(|used| used.wall).collect::<Vec<_>>()
    };
    scene.set_latency(Duration::ZERO);
    run(scene);
    let cost = scene.cost_of(&mut run);
    let tags = scene.registry().tags("a");
    assert!(
        tags.contains_key(&format!("{prefix}2x")),
        "{tool} did not do the job"
    );
    let times = DISTANCES.map(|distance| {
        scene.set_latency(Duration::from_millis(distance));
        let runs: Vec<Vec<Duration>> = (0..RUNS).map(|_| run(scene)).collect();
        let fastest = |line: usize| runs.iter().map(|times| times[line]).min();
        let fastest = (0..lines.len()).filter_map(fastest);
        fastest.sum::<Duration>().as_secs_f64()
    });
    // At distance 0, other work takes longer than the round trips, for example the name resolution of docker.
    let slope = (times[2] - times[1]) / 0.08;
    eprintln!("{tool}, {login}: {slope:.1} round trips");
    Row {
        tool: tool.to_owned(),
        login,
        requests: cost.requests,
        connections: cost.connections,
        round_trips: (slope * 10.0).round() / 10.0,
        wall_ms: times.map(|time| (time * 1e4).round() / 10.0).to_vec(),
        memory_kib: median(memory),
    }
}

/// Returns the merge job as a spec file of manifest-tool.
fn spec(scene: &Scene, tag: &str) -> String {
    use std::fmt::Write as _;
    let host = scene.registry().host();
    let mut text = format!("image: {host}/a:{tag}\ntags: [{tag}x]\nmanifests:\n");
    for (number, platform) in PLATFORMS.iter().enumerate() {
        let (os, architecture) = platform.split_once('/').expect("os/architecture");
        let _ = writeln!(
            text,
            "  - image: {host}/a:s{number}\n    platform: {{os: {os}, architecture: {architecture}}}"
        );
    }
    text
}

fn print(results: &Results) {
    let rows = results.rows.iter().map(|row| {
        let own = results
            .rows
            .iter()
            .find(|own| own.tool == "polyarch" && own.login == row.login);
        let ratio = own.map_or(0.0, |own| row.round_trips / own.round_trips);
        let mut cells = vec![
            row.tool.clone(),
            row.login.to_owned(),
            row.requests.to_string(),
            row.connections.to_string(),
            format!("{:.1}", row.round_trips),
            format!("× {ratio:.1}"),
        ];
        cells.extend(row.wall_ms.iter().map(|time| format!("{time:.0}")));
        cells.push(output::mebibytes(row.memory_kib));
        cells
    });
    output::table(
        "Comparison: four images, one index, two tags",
        &[
            "tool",
            "login",
            "requests",
            "connections",
            "round trips",
            "ratio",
            "ms at 0",
            "20",
            "100",
            "MiB",
        ],
        &rows.collect::<Vec<_>>(),
    );
    for name in &results.missing {
        println!("  {name}: not on PATH");
    }
    for name in &results.unable {
        println!("  {name}: has no command that creates an index");
    }
}
