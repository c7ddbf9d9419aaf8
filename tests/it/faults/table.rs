//! The tables of outcomes in `docs/faults.md`. They are between two markers; the text around them is written by hand.
//! `POLYARCH_BLESS=1` writes the tables instead of comparing them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use super::{
    Group,
    judge::{MEMORY, OVERTIME, Outcome},
};

const BEGIN: &str =
    "<!-- faults: written by the run, with POLYARCH_BLESS=1 cargo test --test it -- faults:: -->\n";
const END: &str = "<!-- /faults -->\n";

/// Runs the cases that have not run yet, and compares the tables with the outcomes.
pub(super) fn check(groups: &[Group]) {
    let table = written(groups);
    let memory = MEMORY.load(Ordering::Relaxed);
    let overtime = OVERTIME.load(Ordering::Relaxed);
    println!("at most {memory} KiB of memory and {overtime} ms beyond the budget of a run");
    let path = file();
    let text = std::fs::read_to_string(&path).expect("docs/faults.md");
    let (before, rest) = text.split_once(BEGIN).expect("the marker of the beginning");
    let (now, after) = rest.split_once(END).expect("the marker of the end");
    if std::env::var_os("POLYARCH_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("a file");
        return;
    }
    assert!(
        now == table,
        "docs/faults.md differs from the outcomes; POLYARCH_BLESS=1 updates it:\n{table}"
    );
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")
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
                line.fault,
                line.operations(),
                line.result,
                line.cases
            );
        }
    }
    text.push('\n');
    text
}

struct Line {
    fault: String,
    /// The requests of each command.
    requests: BTreeMap<&'static str, Vec<&'static str>>,
    result: String,
    cases: usize,
}

impl Line {
    /// Formats the operations, such as `copy`: GET manifest, PUT upload; `push`: PUT manifest.
    fn operations(&self) -> String {
        let mut commands: Vec<String> = Vec::new();
        for (command, requests) in &self.requests {
            commands.push(format!("`{command}`: {}", requests.join(", ")));
        }
        commands.join("; ")
    }
}

/// Returns one line for all cases with the same condition and result. Combines the faults first, then the operations.
fn lines(outcomes: &[Outcome]) -> Vec<Line> {
    let mut same: Vec<(&Outcome, Vec<&str>, usize)> = Vec::new();
    for it in outcomes {
        let found = same.iter_mut().find(|(first, ..)| {
            let of = |it: &Outcome| (it.when.clone(), it.act, it.request, it.result.clone());
            of(first) == of(it)
        });
        let (_, faults, cases) = if let Some(found) = found {
            found
        } else {
            same.push((it, Vec::new(), 0));
            same.last_mut().expect("just pushed")
        };
        if !faults.contains(&it.fault.as_str()) {
            faults.push(&it.fault);
        }
        *cases += 1;
    }
    let mut lines: Vec<Line> = Vec::new();
    for (first, faults, cases) in same {
        let separator = if first.when.is_empty() { "" } else { ", " };
        let fault = format!("{}{separator}{}", faults.join(" · "), first.when);
        let known = lines
            .iter_mut()
            .find(|line| line.fault == fault && line.result == first.result);
        let line = if let Some(line) = known {
            line
        } else {
            lines.push(Line {
                fault,
                requests: BTreeMap::new(),
                result: first.result.clone(),
                cases: 0,
            });
            lines.last_mut().expect("just pushed")
        };
        line.requests
            .entry(first.act)
            .or_default()
            .push(first.request);
        line.cases += cases;
    }
    lines
}
