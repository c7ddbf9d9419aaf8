//! The outcomes as the table of `docs/reliability.md`, between two markers. What is around them is written by
//! hand. `POLYARCH_BLESS=1` writes the table instead of comparing it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use super::{
    Group,
    judge::{HIGHEST, Outcome},
};

const BEGIN: &str =
    "<!-- faults: written by the run, with POLYARCH_BLESS=1 cargo test --test it -- faults:: -->\n";
const END: &str = "<!-- /faults -->\n";

/// Runs what has not run yet, and holds the table against it.
pub(super) fn check(groups: &[Group]) {
    let table = written(groups);
    let highest = HIGHEST.load(Ordering::Relaxed);
    println!("the most memory of a run: {highest} KiB");
    let path = file();
    let text = std::fs::read_to_string(&path).expect("docs/reliability.md");
    let (before, rest) = text.split_once(BEGIN).expect("the marker of the begin");
    let (now, after) = rest.split_once(END).expect("the marker of the end");
    if std::env::var_os("POLYARCH_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("a file");
        return;
    }
    assert!(
        now == table,
        "docs/reliability.md is not what the run gives; with POLYARCH_BLESS=1 it is written anew:\n{table}"
    );
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md")
}

fn written(groups: &[Group]) -> String {
    let total: usize = groups.iter().map(|group| group.outcomes().len()).sum();
    let mut text = format!("\n{total} cases in {} groups.\n", groups.len());
    for group in groups {
        let outcomes = group.outcomes();
        let _ = write!(
            text,
            "\n### {}\n\n{} cases.\n\n| fault | operation | result | cases |\n| --- | --- | --- | ---: |\n",
            group.title,
            outcomes.len()
        );
        for line in lines(outcomes) {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                line.fault, line.operation, line.result, line.cases
            );
        }
    }
    text.push('\n');
    text
}

struct Line {
    fault: String,
    operation: String,
    result: String,
    cases: usize,
}

/// One line for what happens on the same occasion and ends alike: first the faults are put together, then the
/// operations.
fn lines(outcomes: &[Outcome]) -> Vec<Line> {
    let mut order: Vec<(String, String, String)> = Vec::new();
    let mut faults: BTreeMap<(String, String, String), (Vec<String>, usize)> = BTreeMap::new();
    for it in outcomes {
        let key = (it.when.clone(), it.operation.clone(), it.result.clone());
        if !faults.contains_key(&key) {
            order.push(key.clone());
        }
        let (names, cases) = faults.entry(key).or_default();
        if !names.contains(&it.fault) {
            names.push(it.fault.clone());
        }
        *cases += 1;
    }
    let mut lines: Vec<Line> = Vec::new();
    for key in order {
        let (names, cases) = &faults[&key];
        let (when, operation, result) = key;
        let separator = if when.is_empty() { "" } else { ", " };
        let fault = format!("{}{separator}{when}", names.join(" · "));
        let same = lines
            .iter_mut()
            .find(|line| line.fault == fault && line.result == result);
        if let Some(line) = same {
            line.operation = format!("{}; {operation}", line.operation);
            line.cases += cases;
        } else {
            lines.push(Line {
                fault,
                operation,
                result,
                cases: *cases,
            });
        }
    }
    lines
}
