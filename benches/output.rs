//! Output of the results: a table on standard output, and JSON for the plots.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::child;

/// Writes the results, and a description of the machine, to `docs/benchmarks/<name>.json`.
pub(crate) fn write(name: &str, results: &impl Serialize) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
    std::fs::create_dir_all(&directory).expect("docs/benchmarks");
    let document = json!({ "environment": environment(), "results": results });
    let mut text = serde_json::to_string_pretty(&document).expect("JSON");
    text.push('\n');
    let path = directory.join(format!("{name}.json"));
    std::fs::write(&path, text).expect("the file of the results");
    println!("\nwritten to {}\n", path.display());
}

fn environment() -> Value {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|text| text.trim_start_matches([' ', '\t', ':']));
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": model,
        "sha_instructions": info.contains("sha_ni"),
        "kernel": kernel.trim(),
        "date": date(),
        "rustc": line("rustc", &["--version"]),
        "load": std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| {
            text.split_whitespace().next().map(str::to_owned)
        }),
    })
}

/// Returns the version that a program prints. If the program was built without a version, returns the version in the name
/// of its installation directory, for example `crane-v0.22.1`.
pub(crate) fn version(program: &Path, words: &[&str]) -> String {
    let is_version = |word: &&str| {
        let digits = word.trim_start_matches('v');
        digits.starts_with(|first: char| first.is_ascii_digit()) && !digits.starts_with("0.0.0")
    };
    let output = std::process::Command::new(program).args(words).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let mut own = text.lines().next().unwrap_or_default().split([' ', ',']);
    if let Some(version) = own.find(is_version) {
        return version.to_owned();
    }
    let installed = program.canonicalize().unwrap_or_default();
    let names = installed.iter().filter_map(|name| name.to_str());
    let mut versions = names.filter_map(|name| Some(name.rsplit_once('-')?.1));
    versions.rfind(is_version).unwrap_or("unknown").to_owned()
}

/// Returns the version and the commit of the binary that is measured.
pub(crate) fn own_version() -> String {
    let commit = line("git", &["rev-parse", "--short", "HEAD"]);
    let commit = commit.map(|commit| format!(" ({commit})"));
    format!(
        "{}{}",
        env!("CARGO_PKG_VERSION"),
        commit.unwrap_or_default()
    )
}

/// Returns the date of today, as `2026-11-28`.
pub(crate) fn date() -> String {
    line("date", &["-u", "+%F"]).unwrap_or_default()
}

/// Returns the first line that a program on PATH prints.
fn line(program: &str, words: &[&str]) -> Option<String> {
    let output = std::process::Command::new(child::find(program)?)
        .args(words)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().next()?.trim().to_owned())
}

/// Prints a table with aligned columns.
pub(crate) fn table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let head: Vec<String> = head.iter().map(|&text| text.to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        let cells = all().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    println!("\n{title}\n");
    for row in all() {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Formats KiB as MiB with one decimal.
pub(crate) fn mebibytes(kibibytes: i64) -> String {
    format!("{}.{}", kibibytes / 1024, kibibytes % 1024 * 10 / 1024)
}
