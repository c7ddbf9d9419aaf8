//! What one process costs: time, processor time, the most memory at once. Measured by a second process of this
//! program, which has no other children and little memory of its own: a child is born with its parent's.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::support::scene::Scene;

/// The first argument of the second process.
pub(crate) const FLAG: &str = "--child";

/// What a process cost.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) wall: Duration,
    /// In user mode.
    pub(crate) user: Duration,
    /// In the kernel, for it.
    pub(crate) system: Duration,
    /// The most resident memory at once, in KiB.
    pub(crate) memory: i64,
}

/// Runs a program in the home of a scene. It must succeed.
pub(crate) fn run(scene: &Scene, program: &Path, words: &[String]) -> Used {
    try_run(scene, program, words)
        .unwrap_or_else(|said| panic!("{} {words:?} failed: {said}", program.display()))
}

/// Runs a program in the home of a scene; what it said if it failed.
pub(crate) fn try_run(scene: &Scene, program: &Path, words: &[String]) -> Result<Used, String> {
    let own = std::env::current_exe().expect("this program");
    let mut all = vec![FLAG.to_owned(), program.display().to_string()];
    all.extend_from_slice(words);
    let output = scene.polyarch().program(&own).args(&all).run();
    if output.code == 0 {
        let used = serde_json::from_str(&output.stdout);
        return Ok(used.expect("the report of the second process"));
    }
    Err(output.stderr)
}

/// The second process: runs a program and says what it cost.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) {
    let program = arguments.next().expect("a program");
    let began = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status();
    let wall = began.elapsed();
    let succeeded = status.is_ok_and(|status| status.success());
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the usage of children");
    let time = |value: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(value.tv_sec()).unwrap_or_default();
        let micros = u64::try_from(value.tv_usec()).unwrap_or_default();
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    let used = Used {
        wall,
        user: time(usage.user_time()),
        system: time(usage.system_time()),
        memory: usage.max_rss(),
    };
    println!("{}", serde_json::json!(used));
    std::process::exit(i32::from(!succeeded));
}

/// A program on PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(name));
    candidates.find(|candidate| candidate.is_file())
}

/// The middle of the times of three runs.
pub(crate) fn median_of_three(run: &mut dyn FnMut() -> Duration) -> Duration {
    median((0..3).map(|_| run()).collect())
}

/// The middle one of an odd number of values.
pub(crate) fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).expect("comparable"));
    values[values.len() / 2]
}
