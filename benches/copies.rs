//! Measures copies between two registries of the distribution project, over plain HTTP on loopback: an image with four
//! large layers, and one with many small layers. The target is empty in each run.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde::Serialize;
use tempfile::TempDir;

use crate::{
    binary,
    child::{self, Used, find, median},
    output,
    support::{image::Image, registry::Registry, scene::Scene},
};

const RUNS: usize = 3;

const SKOPEO: &str =
    "copy --all --quiet --src-tls-verify=false --dest-tls-verify=false docker://FROM docker://TO";

/// A tool that copies an image from FROM to TO.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    /// The arguments that print its version.
    pub(crate) version: &'static [&'static str],
    line: &'static str,
    /// The command line if only one of the registries uses plain HTTP.
    pub(crate) far_line: &'static str,
}

pub(crate) const TOOLS: [Tool; 4] = [
    Tool {
        name: "crane",
        program: "crane",
        version: &["version"],
        line: "copy --insecure FROM TO",
        far_line: "copy --insecure FROM TO",
    },
    Tool {
        name: "regctl",
        program: "regctl",
        version: &["version", "--format", "{{.VCSTag}}"],
        line: "image copy FROM TO",
        far_line: "image copy FROM TO",
    },
    Tool {
        name: "skopeo",
        program: "skopeo",
        version: &["--version"],
        line: SKOPEO,
        far_line: SKOPEO,
    },
    Tool {
        name: "oras",
        program: "oras",
        version: &["version"],
        line: "copy --from-plain-http --to-plain-http FROM TO",
        far_line: "copy SOURCE=--from-plain-http TARGET=--to-plain-http FROM TO",
    },
];

#[derive(Serialize)]
struct Row {
    what: &'static str,
    tool: &'static str,
    version: String,
    date: String,
    wall_s: f64,
    user_s: f64,
    system_s: f64,
    memory_kib: i64,
}

#[derive(Serialize)]
struct Results {
    registry: String,
    missing: Vec<&'static str>,
    rows: Vec<Row>,
}

/// Returns an address on loopback that no program uses. The port is free again when this function returns, so that the
/// registry can listen on it.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket")
}

/// A registry process with its own storage. It is ended when this value is dropped.
struct Server {
    address: SocketAddr,
    process: Child,
    _store: TempDir,
}

impl Server {
    fn start(program: &Path) -> Self {
        let store = tempfile::tempdir().expect("a temporary directory");
        let address = free_address();
        let config = store.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '{address}'}}\n",
            store.path().join("data").display()
        );
        std::fs::write(&config, text).expect("a file");
        let process = Command::new(program)
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the registry starts");
        let server = Self {
            address,
            process,
            _store: store,
        };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "no registry at {address}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn run() {
    let Some(registry) = find("registry") else {
        println!("cannot measure copies: `registry` of the distribution project is not on PATH");
        return;
    };
    // The first word is the path of the program.
    let version = Command::new(&registry).arg("--version").output();
    let version = version.map(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    });
    let mut tools = vec![(
        "polyarch",
        binary().to_path_buf(),
        "copy FROM TO",
        output::own_version(),
    )];
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let released =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("dist/polyarch-linux-{architecture}"));
    if released.exists() {
        let version = output::version(&released, &["--version"]);
        tools.push((
            "polyarch of dist/ (musl)",
            released,
            "copy FROM TO",
            version,
        ));
    }
    let mut missing = Vec::new();
    for tool in TOOLS {
        match find(tool.program) {
            Some(path) => {
                let version = output::version(&path, tool.version);
                tools.push((tool.name, path, tool.line, version));
            }
            None => missing.push(tool.name),
        }
    }
    let images = [
        (
            "4 × 256 MiB",
            Image::new("linux/amd64").virtual_layers(&[256 << 20; 4]),
        ),
        (
            "500 × 10 KiB",
            Image::new("linux/amd64").layers(&[10 << 10; 500]),
        ),
    ];
    let mut rows = Vec::new();
    for (what, image) in images {
        let from = Server::start(&registry);
        fill(&from, &image);
        let mut used: Vec<Vec<Used>> = vec![Vec::new(); tools.len()];
        // All tools are measured in turns, so that other load on the machine affects all of them.
        for _ in 0..RUNS {
            for ((_, program, line, _), used) in tools.iter().zip(&mut used) {
                used.push(copy(&registry, &from, program, line));
            }
        }
        for ((tool, .., version), used) in tools.iter().zip(used) {
            let seconds = |time: fn(&Used) -> Duration| {
                let all = used.iter().map(|used| time(used).as_secs_f64());
                (median(all.collect()) * 100.0).round() / 100.0
            };
            rows.push(Row {
                what,
                tool,
                version: version.clone(),
                date: output::date(),
                wall_s: seconds(|used| used.wall),
                user_s: seconds(|used| used.user),
                system_s: seconds(|used| used.system),
                memory_kib: median(used.iter().map(|used| used.memory).collect()),
            });
        }
    }
    let results = Results {
        registry: version.unwrap_or_default(),
        missing,
        rows,
    };
    print(&results);
    output::write("copies", &results);
}

/// Copies an image from a registry in this process to a server.
fn fill(server: &Server, image: &Image) {
    let origin = Registry::builder().start_in_background();
    image.load(&origin, "big/app", "1");
    let scene = Scene::of([]);
    let words = [
        "copy".to_owned(),
        "--no-verify".to_owned(),
        origin.reference("big/app", "1"),
        format!("{}/big/app:1", server.address),
    ];
    child::run(&scene, binary(), &words);
}

/// Copies once, to an empty registry.
fn copy(registry: &Path, from: &Server, program: &Path, line: &str) -> Used {
    let to = Server::start(registry);
    let scene = Scene::of([]);
    let plain = |server: &Server| {
        let host = server.address.to_string();
        (
            host.clone(),
            serde_json::json!({ "tls": "disabled", "hostname": host }),
        )
    };
    let hosts: serde_json::Map<_, _> = [plain(from), plain(&to)].into_iter().collect();
    std::fs::create_dir_all(scene.path(".regctl")).expect("a directory");
    let config = serde_json::json!({ "hosts": hosts }).to_string();
    std::fs::write(scene.path(".regctl/config.json"), config).expect("a file");
    let line = line
        .replace("FROM", &format!("{}/big/app:1", from.address))
        .replace("TO", &format!("{}/big/app:1", to.address));
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    child::run(&scene, program, &words)
}

fn print(results: &Results) {
    let rows = results.rows.iter().map(|row| {
        vec![
            row.what.to_owned(),
            row.tool.to_owned(),
            format!("{:.2}", row.wall_s),
            format!("{:.2}", row.user_s),
            format!("{:.2}", row.system_s),
            output::mebibytes(row.memory_kib),
        ]
    });
    output::table(
        "Copies from registry to registry",
        &["what", "tool", "wall s", "user s", "system s", "MiB"],
        &rows.collect::<Vec<_>>(),
    );
    for name in &results.missing {
        println!("  {name}: not on PATH");
    }
}
