//! Measures copies between a near registry (plain HTTP) and a far registry (TLS, HTTP/2 and HTTP/1.1, with an exact
//! delay) in both directions, for polyarch and other tools. The target is empty in each run.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::{
    binary,
    child::{self, Used, find},
    copies::{TOOLS, Tool},
    output,
    support::{
        image::Image,
        registry::{Builder, Registry, Scheme, Site},
        scene::Scene,
    },
};

/// The maximum number of runs at each distance. The fastest run counts.
const RUNS: usize = 2;
/// A run that takes longer is not repeated. It mostly waits for the link, so other load on the machine has little
/// effect.
const LONG: Duration = Duration::from_secs(6);
/// 1 Gbit/s, in bytes per second.
const GIGABIT: u64 = 125_000_000;

/// Round-trip times in milliseconds.
const ALL: &[u64] = &[0, 40, 100];
const ENDS: &[u64] = &[0, 100];
const FAR: &[u64] = &[100];

/// The layers of the copied image.
#[derive(Clone, Copy)]
struct Content {
    name: &'static str,
    layers: usize,
    bytes: u64,
}

const LARGE: Content = Content {
    name: "4 × 64 MiB",
    layers: 4,
    bytes: 64 << 20,
};
const ONE: Content = Content {
    name: "512 MiB",
    layers: 1,
    bytes: 512 << 20,
};
const SMALL: Content = Content {
    name: "500 × 10 KiB",
    layers: 500,
    bytes: 10 << 10,
};
const MEDIUM: Content = Content {
    name: "4 × 4 MiB",
    layers: 4,
    bytes: 4 << 20,
};

/// The far registry.
#[derive(Clone, Copy)]
enum Far {
    /// HTTP/2 with windows of 1 MiB for each stream and connection.
    Usual,
    /// HTTP/2 with windows of 64 KiB for each stream and connection.
    SmallWindows,
    /// Only HTTP/1.1.
    OnlyHttp1,
    /// Reads of blobs are redirected to another port of the same address. crane follows no redirect to another internal
    /// address.
    Storage,
    /// HTTP/2 with a bandwidth of 1 Gbit/s.
    Limited,
}

impl Far {
    fn name(self) -> &'static str {
        match self {
            Self::Usual => "HTTP/2",
            Self::SmallWindows => "HTTP/2, windows of 64 KiB",
            Self::OnlyHttp1 => "HTTP/1.1",
            Self::Storage => "HTTP/2, blobs at a storage host",
            Self::Limited => "HTTP/2, link of 1 Gbit/s",
        }
    }

    fn builder(self) -> Builder {
        let builder = Registry::builder().latency(Duration::ZERO).tls();
        match self {
            Self::Usual => builder,
            Self::SmallWindows => builder.http2_window(64 << 10),
            Self::OnlyHttp1 => builder.tls_http1(),
            Self::Storage => builder.blobs_at(Site::new(Scheme::TlsHttp2)),
            Self::Limited => builder.bandwidth(GIGABIT),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the far registry to the near one.
    Down,
    Up,
}

/// All runs of one content at one registry in one direction.
struct Case {
    content: Content,
    far: Far,
    direction: Direction,
    distances: &'static [u64],
}

#[rustfmt::skip]
const CASES: [Case; 11] = [
    Case { content: LARGE, far: Far::Usual, direction: Direction::Down, distances: ALL },
    Case { content: LARGE, far: Far::Usual, direction: Direction::Up, distances: ALL },
    Case { content: LARGE, far: Far::Storage, direction: Direction::Down, distances: ALL },
    Case { content: LARGE, far: Far::Limited, direction: Direction::Down, distances: ENDS },
    Case { content: LARGE, far: Far::OnlyHttp1, direction: Direction::Up, distances: ENDS },
    Case { content: ONE, far: Far::Usual, direction: Direction::Down, distances: ENDS },
    Case { content: ONE, far: Far::Usual, direction: Direction::Up, distances: ENDS },
    Case { content: MEDIUM, far: Far::SmallWindows, direction: Direction::Up, distances: FAR },
    Case { content: MEDIUM, far: Far::OnlyHttp1, direction: Direction::Up, distances: FAR },
    Case { content: SMALL, far: Far::Usual, direction: Direction::Down, distances: FAR },
    Case { content: SMALL, far: Far::Usual, direction: Direction::Up, distances: FAR },
];

#[derive(Serialize)]
struct Row {
    content: &'static str,
    direction: &'static str,
    far: &'static str,
    tool: &'static str,
    version: String,
    date: String,
    points: Vec<Point>,
    /// The maximum at any distance.
    memory_kib: i64,
}

#[derive(Serialize)]
struct Point {
    distance_ms: u64,
    /// `None` if the tool failed.
    wall_s: Option<f64>,
}

#[derive(Serialize)]
struct Results {
    missing: Vec<&'static str>,
    rows: Vec<Row>,
}

/// A tool that is measured.
struct Competitor {
    name: &'static str,
    path: PathBuf,
    line: &'static str,
    version: String,
}

/// Measures all cases, or only those whose description contains each of `words`.
pub(crate) fn run(words: &[String]) {
    let mut tools = vec![Competitor {
        name: "polyarch",
        path: binary().to_path_buf(),
        line: "copy FROM TO",
        version: output::own_version(),
    }];
    let mut missing = Vec::new();
    for Tool {
        name,
        program,
        version,
        far_line,
        ..
    } in TOOLS
    {
        match find(program) {
            Some(path) => tools.push(Competitor {
                name,
                line: far_line,
                version: output::version(&path, version),
                path,
            }),
            None => missing.push(name),
        }
    }
    let mut rows = Vec::new();
    for case in CASES {
        let text = format!(
            "{}, {}, {}",
            case.content.name,
            case.direction.name(),
            case.far.name()
        );
        if words.iter().all(|word| text.contains(word)) {
            rows.extend(measure(&case, &tools));
        }
    }
    let results = Results { missing, rows };
    print(&results);
    if words.is_empty() {
        output::write("far", &results);
    }
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Down => "far → near",
            Self::Up => "near → far",
        }
    }
}

/// Measures all tools in turns, so that other load on the machine affects all of them.
fn measure(case: &Case, tools: &[Competitor]) -> Vec<Row> {
    let mut rows: Vec<Row> = tools
        .iter()
        .map(|tool| Row {
            content: case.content.name,
            direction: case.direction.name(),
            far: case.far.name(),
            tool: tool.name,
            version: tool.version.clone(),
            date: output::date(),
            points: Vec::new(),
            memory_kib: 0,
        })
        .collect();
    for &distance in case.distances {
        let mut fastest: Vec<Option<Duration>> = vec![None; tools.len()];
        for _ in 0..RUNS {
            for ((row, tool), fastest) in rows.iter_mut().zip(tools).zip(&mut fastest) {
                if fastest.is_some_and(|known| known > LONG) {
                    continue;
                }
                let Some(used) = copy(case, distance, &tool.path, tool.line) else {
                    continue;
                };
                *fastest = Some(fastest.map_or(used.wall, |known| known.min(used.wall)));
                row.memory_kib = row.memory_kib.max(used.memory);
            }
        }
        for (row, fastest) in rows.iter_mut().zip(fastest) {
            let seconds = |time: Duration| (time.as_secs_f64() * 100.0).round() / 100.0;
            let wall_s = fastest.map(seconds);
            eprintln!(
                "{}, {}, {}, {distance} ms: {} {}",
                row.content,
                row.direction,
                row.far,
                row.tool,
                shown(wall_s)
            );
            row.points.push(Point {
                distance_ms: distance,
                wall_s,
            });
        }
    }
    rows
}

/// Copies once, into an empty registry.
fn copy(case: &Case, distance: u64, program: &Path, line: &str) -> Option<Used> {
    let far = case.far.builder();
    let near = Registry::builder();
    let mut scene = match case.direction {
        Direction::Down => Scene::of([far, near.discard_uploads()]),
        Direction::Up => Scene::of([near, far.discard_uploads()]),
    };
    scene.trust();
    let (far, near) = match case.direction {
        Direction::Down => (scene.registry(), scene.other()),
        Direction::Up => (scene.other(), scene.registry()),
    };
    Image::new("linux/amd64")
        .virtual_layers(&vec![case.content.bytes; case.content.layers])
        .load(scene.registry(), "big/app", "1");
    let plain = serde_json::json!({
        near.host(): { "tls": "disabled", "hostname": near.host() }
    });
    let config = serde_json::json!({ "hosts": plain }).to_string();
    far.set_latency(Duration::from_millis(distance));
    scene.write(".regctl/config.json", config);
    let line = line
        .replace("FROM", "HOST/big/app:1")
        .replace("TO", "OTHER/big/app:1");
    let words: Vec<String> = line
        .split_whitespace()
        .filter_map(|word| for_plain_side(word, case.direction))
        .map(|word| scene.expand(word))
        .collect();
    match child::try_run(&scene, program, &words) {
        Ok(used) => Some(used),
        Err(error) => {
            eprintln!("{} failed: {error}", program.display());
            None
        }
    }
}

/// Returns a word of the command line, or `None` if it is a flag for the other side. `SOURCE=flag` and `TARGET=flag`
/// are flags for the side that uses plain HTTP.
fn for_plain_side(word: &str, direction: Direction) -> Option<&str> {
    let (source, target) = (word.strip_prefix("SOURCE="), word.strip_prefix("TARGET="));
    match (source, target, direction) {
        (Some(flag), _, Direction::Up) | (_, Some(flag), Direction::Down) => Some(flag),
        (Some(_), ..) | (_, Some(_), _) => None,
        _ => Some(word),
    }
}

fn shown(seconds: Option<f64>) -> String {
    seconds.map_or("failed".to_owned(), |seconds| format!("{seconds:.2} s"))
}

fn print(results: &Results) {
    let rows = results.rows.iter().map(|row| {
        let times = row.points.iter();
        let times = times.map(|it| format!("{} ms: {}", it.distance_ms, shown(it.wall_s)));
        vec![
            format!("{}, {}, {}", row.content, row.direction, row.far),
            format!("{} {}", row.tool, row.version),
            times.collect::<Vec<_>>().join(", "),
            output::mebibytes(row.memory_kib),
        ]
    });
    output::table(
        "Copies between a near and a far registry",
        &["what", "tool", "time at each distance", "MiB"],
        &rows.collect::<Vec<_>>(),
    );
    for name in &results.missing {
        println!("  {name}: not on PATH");
    }
}
