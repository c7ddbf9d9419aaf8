//! Measures the time, the processor time and the maximum memory of a process. A second process of this program starts
//! the measured process: it has no other children and uses little memory. A child's maximum includes the memory of its
//! parent at the time of the fork.

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

/// The resources that a process used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) wall: Duration,
    /// Processor time in user mode.
    pub(crate) user: Duration,
    /// Processor time in the kernel.
    pub(crate) system: Duration,
    /// The maximum resident memory, in KiB.
    pub(crate) memory: i64,
}

/// Runs a program in the home directory of a scene. Panics if it fails.
pub(crate) fn run(scene: &Scene, program: &Path, words: &[String]) -> Used {
    try_run(scene, program, words)
        .unwrap_or_else(|error| panic!("{} {words:?} failed: {error}", program.display()))
}

/// Runs a program in the home directory of a scene. Returns its standard error if it fails.
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

/// Runs a program in the second process and prints the resources that it used, as JSON.
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

/// Returns the path of a program on PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(name));
    candidates.find(|candidate| candidate.is_file())
}

/// Returns the median of the times of three runs.
pub(crate) fn median_of_three(run: &mut dyn FnMut() -> Duration) -> Duration {
    median((0..3).map(|_| run()).collect())
}

/// Returns the median of an odd number of values.
pub(crate) fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).expect("comparable"));
    values[values.len() / 2]
}
