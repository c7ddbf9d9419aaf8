//! What the job costs, at the level of the real binary: exact numbers of requests and connections, and the number
//! of serial round trips. A regression here is a bug; times themselves are never looked at.

mod bulk;
mod growth;
mod job;

use std::time::Duration;

use crate::support::{Scene, job::Cost};

/// Between them the time grows by the round trips of the job times 200 ms: far more than a busy machine adds.
const DISTANCES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(220)];
/// How far a measured number of round trips may be from the true one.
const TOLERANCE: f64 = 0.45;

/// What lines of arguments cost.
struct Costs {
    cost: Cost,
    trips: f64,
}

/// Runs the lines, one after another, near and far.
fn measure(scene: &Scene, lines: &[Vec<String>]) -> Costs {
    let run = |scene: &Scene| {
        let ran = lines.iter().map(|words| scene.job(words).wall);
        ran.sum()
    };
    // Near enough not to matter, and far enough that no connection is opened sooner than one becomes free.
    scene.set_latency(DISTANCES[0]);
    Costs {
        cost: scene.cost_of(run),
        trips: scene.slope(DISTANCES, undisturbed, run),
    }
}

/// The time of a run that nothing held up: the machine may be busy, and what counts is what is possible. So it runs
/// until the two fastest agree.
fn undisturbed(run: &mut dyn FnMut() -> Duration) -> Duration {
    const AGREEMENT: Duration = Duration::from_millis(20);
    const MOST_RUNS: usize = 10;
    let mut times = vec![run(), run()];
    times.sort();
    while times[1] > times[0] + AGREEMENT && times.len() < MOST_RUNS {
        times.push(run());
        times.sort();
    }
    times[0]
}

#[track_caller]
fn assert_trips(measured: f64, expected: f64) {
    assert!(
        (measured - expected).abs() < TOLERANCE,
        "{measured} round trips, not {expected}"
    );
}
