//! The costs of the job with the real binary: exact numbers of requests and connections, and the number of serial round
//! trips. A regression in these numbers is a bug. Durations are not compared.

mod bulk;
mod growth;
mod job;

use std::time::Duration;

use crate::support::{Scene, job::Cost};

/// The two latencies differ by 200 ms. The resulting difference in time is much larger than the delays of a busy
/// machine.
const DISTANCES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(220)];
/// The maximum error of a measured number of round trips.
const TOLERANCE: f64 = 0.45;

/// The costs of command lines.
struct Costs {
    cost: Cost,
    trips: f64,
}

/// Runs the lines one after another, with low and with high latency.
fn measure(scene: &Scene, lines: &[Vec<String>]) -> Costs {
    let run = |scene: &Scene| {
        let ran = lines.iter().map(|words| scene.job(words).wall);
        ran.sum()
    };
    // This latency is too low to affect the costs, but so high that opening a connection is never faster than waiting
    // for a free one.
    scene.set_latency(DISTANCES[0]);
    Costs {
        cost: scene.cost_of(run),
        trips: scene.slope(DISTANCES, undisturbed, run),
    }
}

/// Returns the duration of a run without disturbances. The machine may be busy, so the run is repeated until the two
/// shortest durations agree.
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
