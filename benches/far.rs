//! Measures copies between a near registry (plain HTTP) and a far registry (TLS, HTTP/2 and HTTP/1.1, with an exact
//! delay) in both directions, for polyarch and other tools. The target is empty in each run.

use std::path::Path;
use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use crate::{
    binary,
    child::{self, find},
    copies::TOOLS,
    output,
    support::{
        image::Image,
        registry::{Builder, Registry, Scheme, Site},
        scene::Scene,
    },
};

/// The round-trip times to the far registry, in milliseconds.
const DISTANCES: [u64; 3] = [0, 40, 100];
/// The number of runs; the fastest run counts.
const RUNS: usize = 2;

/// The content of a copy.
struct Content {
    name: &'static str,
    layers: Vec<u64>,
}

/// The kind of the far registry.
#[derive(Clone, Copy)]
enum Far {
    Usual,
    /// HTTP/2 windows of 64 KiB.
    SmallWindows,
    /// Reads of blobs are redirected to another host.
    Storage,
}

impl Far {
    fn name(self) -> &'static str {
        match self {
            Self::Usual => "one host",
            Self::SmallWindows => "windows of 64 KiB",
            Self::Storage => "blobs at a storage host",
        }
    }

    fn builder(self) -> Builder {
        let builder = Registry::builder()
            .scheme(Scheme::TlsHttp2)
            .latency(Duration::ZERO);
        match self {
            Self::Usual => builder,
            Self::SmallWindows => builder.http2_window(64 << 10),
            Self::Storage => builder.blobs_at(Site::new(Scheme::TlsHttp2).ip("127.0.0.3")),
        }
    }
}

#[derive(Serialize)]
struct Row {
    content: &'static str,
    direction: &'static str,
    far: &'static str,
    tool: &'static str,
    /// The times at each of `DISTANCES`; `None` if the tool failed.
    wall_s: Vec<Option<f64>>,
    memory_kib: i64,
}

#[derive(Serialize)]
struct Results {
    distances_ms: [u64; 3],
    missing: Vec<&'static str>,
    rows: Vec<Row>,
}

pub(crate) fn run() {
    let mut tools = vec![("polyarch", binary().to_path_buf(), "copy FROM TO")];
    let mut missing = Vec::new();
    for tool in TOOLS {
        match find(tool.program) {
            Some(path) => tools.push((tool.name, path, tool.far_line)),
            None => missing.push(tool.name),
        }
    }
    let large = || Content {
        name: "4 × 64 MiB",
        layers: vec![64 << 20; 4],
    };
    let one = || Content {
        name: "512 MiB",
        layers: vec![512 << 20],
    };
    let small = || Content {
        name: "500 × 10 KiB",
        layers: vec![10 << 10; 500],
    };
    let mut rows = Vec::new();
    for (content, far, directions) in [
        (large(), Far::Usual, &[true, false][..]),
        (large(), Far::Storage, &[true]),
        (large(), Far::SmallWindows, &[false]),
        (one(), Far::Usual, &[true, false]),
        (small(), Far::Usual, &[true, false]),
    ] {
        for &down in directions {
            rows.extend(measure(&content, far, down, &tools));
        }
    }
    let results = Results {
        distances_ms: DISTANCES,
        missing,
        rows,
    };
    print(&results);
    output::write("far", &results);
}

/// Measures all tools in turns, so that other load on the machine affects all of them.
fn measure(
    content: &Content,
    far: Far,
    down: bool,
    tools: &[(&'static str, PathBuf, &'static str)],
) -> Vec<Row> {
    let mut rows: Vec<Row> = tools
        .iter()
        .map(|(tool, ..)| Row {
            content: content.name,
            direction: if down { "far → near" } else { "near → far" },
            far: far.name(),
            tool,
            wall_s: Vec::new(),
            memory_kib: 0,
        })
        .collect();
    for distance in DISTANCES {
        for row in &mut rows {
            row.wall_s.push(None);
        }
        for _ in 0..RUNS {
            for (row, (_, program, line)) in rows.iter_mut().zip(tools) {
                let Some((wall, memory)) = copy(content, far, down, distance, program, line) else {
                    continue;
                };
                let seconds = (wall.as_secs_f64() * 100.0).round() / 100.0;
                let fastest = row.wall_s.last_mut().expect("the time at this distance");
                *fastest = Some(fastest.map_or(seconds, |known: f64| known.min(seconds)));
                row.memory_kib = row.memory_kib.max(memory);
            }
        }
        for row in &rows {
            eprintln!(
                "{}, {}, {}, {distance} ms: {} {:?} s",
                row.content,
                row.direction,
                row.far,
                row.tool,
                row.wall_s.last()
            );
        }
    }
    rows
}

/// Copies once, to an empty registry.
fn copy(
    content: &Content,
    far: Far,
    down: bool,
    distance: u64,
    program: &Path,
    line: &str,
) -> Option<(Duration, i64)> {
    let near = Registry::builder();
    let mut scene = if down {
        Scene::of([far.builder(), near.discard_uploads()])
    } else {
        Scene::of([near, far.builder().discard_uploads()])
    };
    scene.trust();
    scene.set("DOCKER_CLI_HINTS", "false");
    Image::new("linux/amd64")
        .virtual_layers(&content.layers)
        .load(scene.registry(), "big/app", "1");
    let plain = if down {
        scene.other()
    } else {
        scene.registry()
    };
    let hosts = serde_json::json!({
        plain.host(): { "tls": "disabled", "hostname": plain.host() }
    });
    let config = serde_json::json!({ "hosts": hosts }).to_string();
    scene.write(".regctl/config.json", config);
    for registry in &scene.registries {
        registry.set_latency(Duration::from_millis(distance));
    }
    let (from_plain, to_plain) = if down { ("", "1") } else { ("1", "") };
    let line = scene
        .expand(line)
        .replace("FROM", "HOST/big/app:1")
        .replace("TO", "OTHER/big/app:1");
    // `PLAIN_FROM=FLAG` and `PLAIN_TO=FLAG` add a flag if this registry uses plain HTTP.
    let words = line.split_whitespace().filter_map(|word| {
        let word = match (
            word.strip_prefix("PLAIN_FROM="),
            word.strip_prefix("PLAIN_TO="),
        ) {
            (Some(flag), _) => Some(flag).filter(|_| !from_plain.is_empty())?,
            (_, Some(flag)) => Some(flag).filter(|_| !to_plain.is_empty())?,
            _ => word,
        };
        Some(scene.expand(word))
    });
    let words: Vec<String> = words.collect();
    match child::try_run(&scene, program, &words) {
        Ok(used) => Some((used.wall, used.memory)),
        Err(error) => {
            eprintln!("{} failed: {error}", program.display());
            None
        }
    }
}

fn print(results: &Results) {
    let rows = results.rows.iter().map(|row| {
        let mut cells = vec![
            row.content.to_owned(),
            row.direction.to_owned(),
            row.far.to_owned(),
            row.tool.to_owned(),
        ];
        let times = row.wall_s.iter();
        cells.extend(times.map(|time| time.map_or("-".to_owned(), |time| format!("{time:.2}"))));
        cells.push(output::mebibytes(row.memory_kib));
        cells
    });
    output::table(
        "Copies between a near and a far registry",
        &[
            "content",
            "direction",
            "far registry",
            "tool",
            "s at 0 ms",
            "40",
            "100",
            "MiB",
        ],
        &rows.collect::<Vec<_>>(),
    );
    for name in &results.missing {
        println!("  {name}: not on PATH");
    }
}
