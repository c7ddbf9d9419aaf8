//! Handles Ctrl-C and SIGTERM. The first signal lets the run clean up; the second one ends it immediately.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::failure::{Failure, exit};
use crate::interrupt::{GRACE, Interrupt};
use crate::progress::Observed;
use crate::report::Wording;

/// The maximum time that an interrupted run takes to end.
const MAX_SHUTDOWN: Duration = GRACE.saturating_mul(2);

/// Makes signals interrupt the run instead of killing the process.
pub(super) fn watch(observed: Observed) -> Interrupt {
    let (interrupter, interrupt) = Interrupt::new();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    let (Ok(mut ctrl_c), Ok(mut terminate)) = (signal(kinds[0]), signal(kinds[1])) else {
        return interrupt;
    };
    tokio::spawn(async move {
        let number = next(&mut ctrl_c, &mut terminate).await;
        observed.close();
        interrupter.interrupt(number);
        tokio::select! {
            _ = next(&mut ctrl_c, &mut terminate) => {}
            () = sleep(MAX_SHUTDOWN) => {}
        }
        Failure::interrupted(number).print(Wording::default());
        std::process::exit(i32::from(exit::SIGNAL + number));
    });
    interrupt
}

/// Waits for the next signal and returns its number.
async fn next(ctrl_c: &mut Signal, terminate: &mut Signal) -> u8 {
    tokio::select! {
        _ = ctrl_c.recv() => 2,
        _ = terminate.recv() => 15,
    }
}
