//! Runs cases, many at once, and holds each against what it must come to.

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
    program::Said,
    scene::{PASSWORD, Scene, State, right_digest},
};

/// Cases under way at once, over all tests: most of their time is waiting.
const AT_ONCE: usize = 32;
/// What a run may take beside the waiting that it was allowed: a machine may be busy with other things.
const ALLOWANCE: Duration = Duration::from_secs(60);

/// A case and how it came out.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) fault: String,
    pub(super) when: String,
    /// The command.
    pub(super) act: &'static str,
    pub(super) request: &'static str,
    /// `done`, or the exit code and why.
    pub(super) result: String,
    /// What is wrong with it: the case was not as it must be.
    pub(super) wrong: Option<String>,
}

/// The most memory that any run took, in KiB.
pub(super) static HIGHEST: AtomicU64 = AtomicU64::new(0);

/// Runs all of them.
pub(super) fn run_all(cases: &[Case]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; cases.len()]);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cases.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { break };
                    let place = Place::take();
                    let outcome = run_one(case);
                    drop(place);
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
    let mut code = None;
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let mut scene = Scene::of(case);
        for arrange in &case.arrange {
            arrange(&mut scene);
        }
        let before = scene.state();
        let mut words = case.words.clone();
        words.extend(["--retry-for".to_owned(), case.retry_for.to_string()]);
        let said = scene.run(&words);
        code = Some(said.code);
        HIGHEST.fetch_max(said.memory, Ordering::Relaxed);
        judge(case, &scene, &before, &said);
    }));
    let wrong = judged.err().map(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("{case}: {}", text.unwrap_or_else(|| "panic".to_owned()))
    });
    let result = match &case.end {
        End::Done | End::DoneAnew => "done".to_owned(),
        End::Refused(_, says) | End::Mixed(_, says) => {
            let why = case.cause.clone().unwrap_or_else(|| says.join(", "));
            format!("exit {}: {why}", code.unwrap_or(-1))
        }
    };
    Outcome {
        fault: case.fault.clone(),
        when: case.when.clone(),
        act: case.act.name(),
        request: case.request,
        result,
        wrong,
    }
}

fn judge(case: &Case, scene: &Scene, before: &State, said: &Said) {
    let stdout: String = said.stdout.chars().take(2000).collect();
    let shown = format!("exit {}\n{stdout}{}", said.code, said.stderr);
    assert!(!said.stderr.contains("panicked"), "{shown}");
    assert!(!shown.contains(PASSWORD), "the password is shown: {shown}");
    let longest = Duration::from_secs(case.retry_for) + ALLOWANCE;
    assert!(said.took < longest, "{:?} {shown}", said.took);
    // Told in tenths of a second.
    let longest = Duration::from_millis(case.retry_for * 1000 + 100);
    assert!(said.longest_wait() <= longest, "{shown}");
    assert!(
        said.memory < case.memory,
        "{} KiB of memory: {shown}",
        said.memory
    );
    let (code, says) = match &case.end {
        End::Done | End::DoneAnew => (0, &Vec::new()),
        End::Refused(code, says) | End::Mixed(code, says) => (*code, says),
    };
    assert_eq!(said.code, code, "{shown}");
    for part in says {
        assert!(said.stderr.contains(part), "{part:?} is not in {shown}");
    }
    if !case.may_be_spared {
        assert_eq!(
            scene.faulty.pending_rules(),
            0,
            "it did not happen: {shown}"
        );
    }
    let after = scene.state();
    assert_eq!(after.problems(), before.problems(), "{shown}");
    match &case.end {
        End::Refused(..) => assert_eq!(after, *before, "{shown}"),
        End::Done if case.act != Act::Inspect => points_at(scene, &right_digest(case.act)),
        End::DoneAnew if case.act != Act::Inspect => {
            assert_ne!(after, *before, "{shown}");
            points_at(scene, said.digest());
        }
        End::Done | End::DoneAnew | End::Mixed(..) => {}
    }
    for look in &case.look {
        look(scene, said);
    }
}

/// Every tag of the run points there.
#[track_caller]
fn points_at(scene: &Scene, digest: &str) {
    for (repo, tag) in scene.targets() {
        let now = scene.target().tag(&repo, &tag);
        assert_eq!(now.as_deref(), Some(digest), "{repo}:{tag}");
    }
}

/// One of the places that all tests share.
struct Place;

static FREE: Mutex<usize> = Mutex::new(AT_ONCE);
static FREED: OnceLock<Condvar> = OnceLock::new();

impl Place {
    fn take() -> Self {
        let freed = FREED.get_or_init(Condvar::new);
        let free = freed.wait_while(lock(&FREE), |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&FREE) += 1;
        FREED.get_or_init(Condvar::new).notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
