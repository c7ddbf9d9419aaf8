//! The operations of the commands: functions from typed options to a typed report or error. They read no arguments,
//! print nothing and define no exit codes.

mod append;
pub mod check;
pub mod copy;
pub mod drafts;
mod error;
pub mod inspect;
mod job;
mod locate;
pub mod publish;
mod wait;

pub use error::OpsError;
pub use job::{IfExists, Job};

use crate::interrupt::Interrupt;
use crate::plan::{Notice, Severity};
use crate::progress::{Event, Observed};
use crate::stores::Stores;

/// The context of all operations of one run.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub stores: &'a Stores,
    pub observed: &'a Observed,
    pub interrupt: &'a Interrupt,
}

impl Run<'_> {
    fn observe_notices(&self, notices: &[Notice]) {
        for notice in notices {
            self.observed.observe(match notice.severity {
                Severity::Warning => Event::Warning(&notice.text),
                Severity::Notice => Event::Notice(&notice.text),
            });
        }
    }

    /// Runs `work`, which needs no cleanup, until it is done or interrupted.
    pub async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, OpsError>>,
    ) -> Result<T, OpsError> {
        tokio::select! {
            outcome = work => outcome,
            signal = self.interrupt.happened() => Err(OpsError::Interrupted { signal }),
        }
    }
}
