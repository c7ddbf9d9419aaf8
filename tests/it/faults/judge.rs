//! Runs many cases at once, and compares each result with the expected one.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    case::{Act, Case, End},
    trial::{PASSWORD, SOURCE, State, Trial, right_digest},
};
use crate::support::polyarch::Output;

/// The number of cases that run at once, over all tests. Most of their time is waiting.
const AT_ONCE: usize = 32;
/// The maximum resident memory of a run, in KiB, whatever the registry sends.
const MEMORY_LIMIT: u64 = 32 << 10;
/// The limits in bytes that messages contain.
const LIMITS: [u64; 2] = [64 << 10, 4 << 20];

/// A case and its result.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) fault: String,
    pub(super) when: String,
    /// The command.
    pub(super) act: &'static str,
    pub(super) request: &'static str,
    /// `done`, or the exit code and the cause in the error message.
    pub(super) result: String,
    /// The differences from the expected result.
    pub(super) wrong: Option<String>,
}

/// The peak memory of all runs, in KiB.
pub(super) static MEMORY: AtomicU64 = AtomicU64::new(0);

/// The longest time that a run took beyond its budget, in milliseconds.
pub(super) static OVERTIME: AtomicU64 = AtomicU64::new(0);

/// Runs all cases.
pub(super) fn run_all(cases: &[Case]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; cases.len()]);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cases.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { break };
                    let permit = Permit::take();
                    let outcome = run_one(case);
                    drop(permit);
                    lock(&outcomes)[number] = Some(outcome);
                }
            });
        }
    });
    let outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    outcomes.into_iter().map(|it| it.expect("run")).collect()
}

fn run_one(case: &Case) -> Outcome {
    let mut result = "no result".to_owned();
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let mut trial = Trial::of(case);
        for arrange in &case.arrange {
            arrange(&mut trial);
        }
        let before = trial.state();
        let mut words = case.words.clone();
        words.extend(["--retry-for".to_owned(), case.retry_for.to_string()]);
        let output = trial.run(&words);
        result = observed(case, &output);
        MEMORY.fetch_max(output.memory, Ordering::Relaxed);
        let budget = Duration::from_secs(case.retry_for);
        let overtime = output.wall.saturating_sub(budget).as_millis();
        OVERTIME.fetch_max(overtime.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        judge(case, &trial, &before, &output);
    }));
    let wrong = judged.err().map(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("{case}: {}", text.unwrap_or_else(|| "panic".to_owned()))
    });
    Outcome {
        fault: case.fault.clone(),
        when: case.when.clone(),
        act: case.act.name(),
        request: case.request,
        result,
        wrong,
    }
}

/// Returns the observed result, without the parts that differ between runs.
fn observed(case: &Case, output: &Output) -> String {
    if output.code == 0 {
        return "done".to_owned();
    }
    let mut errors = output
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("error: "));
    let error = errors.next().unwrap_or("no error message");
    // The operation and its object are in separate columns.
    let reason = error.split_once(": ").map_or(error, |(_, reason)| reason);
    let status = format!("answered {}", case.fault);
    let reason = match reason.split_once(&status) {
        Some((before, after)) => format!("{before}answered this status{}", after_reason(after)),
        None => reason.to_owned(),
    };
    let reason = without_sizes(&without_reason(&without_varying_details(&reason)));
    format!("exit {}: {reason}", output.code)
}

/// Returns the text after the reason phrase of a status.
fn after_reason(text: &str) -> String {
    match text.find(['(', ':', ',', ';']) {
        Some(at) if text[at..].starts_with('(') => format!(" {}", &text[at..]),
        Some(at) => text[at..].to_owned(),
        None => String::new(),
    }
}

/// Removes the reason why a connection was interrupted, which depends on the protocol and the system.
fn without_reason(text: &str) -> String {
    let Some((before, reason)) = text.split_once(" was interrupted: ") else {
        return text.to_owned();
    };
    if reason.starts_with("the blob ended") {
        return text.to_owned();
    }
    let after = reason.find(" (gave up").map_or("", |at| &reason[at..]);
    format!("{before} was interrupted{after}")
}

/// Replaces numbers of bytes that are not limits: they depend on which of several concurrent requests failed first.
fn without_sizes(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let is_size = |at: usize| {
        let follows = words.get(at + 1).copied().unwrap_or_default();
        let is_counted = follows.trim_end_matches([',', ')']) == "bytes" || follows == "of";
        is_counted
            && words[at]
                .parse()
                .is_ok_and(|number: u64| !LIMITS.contains(&number))
    };
    let shown = (0..words.len()).map(|at| if is_size(at) { "N" } else { words[at] });
    shown.collect::<Vec<_>>().join(" ")
}

/// Removes addresses, digests, and other details that depend on which of several concurrent requests failed first.
fn without_varying_details(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let word = shorten(word, "127.0.0.", "HOST", |c| c.is_ascii_digit() || c == ':');
        let word = shorten(&word, "sha256:", "sha256:…", |c| {
            c.is_ascii_hexdigit() || c == '…'
        });
        let word = ["amd64", "arm64", "1", "2", "3"]
            .iter()
            .fold(word, |word, tag| {
                word.replace(&format!("{SOURCE}:{tag}"), &format!("{SOURCE}:TAG"))
            });
        let is_short_digest = word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let word = if is_short_digest {
            "DIGEST".to_owned()
        } else {
            word
        };
        words.push(word.replace('|', "\\|"));
    }
    words.join(" ")
}

/// Replaces `start` and the characters after it.
fn shorten(word: &str, start: &str, by: &str, is_part: impl Fn(char) -> bool) -> String {
    let Some((before, rest)) = word.split_once(start) else {
        return word.to_owned();
    };
    // A colon at the end is punctuation.
    let rest = rest.trim_start_matches(is_part);
    let colon = if word.ends_with(':') { ":" } else { "" };
    format!(
        "{before}{by}{rest}{}",
        if rest.ends_with(':') { "" } else { colon }
    )
}

/// Returns the longest wait that was reported.
pub(super) fn longest_wait(output: &Output) -> Duration {
    let waits = output.stderr.lines().filter_map(|line| {
        let seconds = line.strip_prefix("waiting ")?.split_once(" s ")?.0;
        seconds.parse().ok().map(Duration::from_secs_f64)
    });
    waits.max().unwrap_or_default()
}

fn judge(case: &Case, trial: &Trial, before: &State, output: &Output) {
    let stdout: String = output.stdout.chars().take(2000).collect();
    let shown = format!("exit {}\n{stdout}{}", output.code, output.stderr);
    assert!(!shown.contains(PASSWORD), "the password is shown: {shown}");
    let budget = Duration::from_secs(case.retry_for);
    assert!(
        output.wall < budget + case.allowance,
        "{:?} {shown}",
        output.wall
    );
    // Waits are reported in tenths of a second.
    let longest = budget + Duration::from_millis(100);
    assert!(longest_wait(output) <= longest, "{shown}");
    let memory = output.memory;
    assert!(memory < MEMORY_LIMIT, "{memory} KiB of memory: {shown}");
    let code = match case.end {
        End::Done | End::DoneAnew => 0,
        End::Refused(code) | End::Mixed(code) => code,
    };
    assert_eq!(output.code, code, "{shown}");
    if !case.allows_unused_rules {
        let pending = trial.faulty().pending_rules();
        assert_eq!(pending, 0, "the fault was not applied: {shown}");
    }
    let after = trial.state();
    assert_eq!(after.problems(), before.problems(), "{shown}");
    match case.end {
        End::Refused(_) => assert_eq!(after, *before, "{shown}"),
        End::Done if case.act != Act::Inspect => points_at(trial, &right_digest(case.act)),
        End::DoneAnew if case.act != Act::Inspect => {
            assert_ne!(after, *before, "{shown}");
            points_at(trial, &output.digest());
        }
        End::Done | End::DoneAnew | End::Mixed(_) => {}
    }
    for look in &case.look {
        look(trial, output);
    }
}

/// Checks that every tag of the run points to this digest.
#[track_caller]
fn points_at(trial: &Trial, digest: &str) {
    for (repo, tag) in trial.targets() {
        let now = trial.target().tag(&repo, &tag);
        assert_eq!(now.as_deref(), Some(digest), "{repo}:{tag}");
    }
}

/// A permit to run a case; all tests share a number of them.
struct Permit;

static FREE: Mutex<usize> = Mutex::new(AT_ONCE);
static FREED: OnceLock<Condvar> = OnceLock::new();

impl Permit {
    fn take() -> Self {
        let freed = FREED.get_or_init(Condvar::new);
        let free = freed.wait_while(lock(&FREE), |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *lock(&FREE) += 1;
        FREED.get_or_init(Condvar::new).notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
