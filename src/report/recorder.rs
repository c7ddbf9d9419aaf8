//! Records notices and warnings for the reports.

use crate::progress::{Event, Observed, Observer};
use crate::sync::Mutex;

/// The maximum number of records, more than a report shows.
const MAX_RECORDS: usize = 1000;

/// Forwards all events, and records notices and warnings.
pub struct Recorder {
    next: Observed,
    recorded: Mutex<Vec<(&'static str, String)>>,
}

impl Recorder {
    pub fn new(next: Observed) -> Self {
        Self {
            next,
            recorded: Mutex::default(),
        }
    }

    /// Returns the severity (`notice` or `warning`) and text of each record, without duplicates.
    pub fn recorded(&self) -> Vec<(&'static str, String)> {
        self.recorded.lock().clone()
    }
}

impl Observer for Recorder {
    fn observe(&self, event: Event<'_>) {
        let record = match event {
            Event::Notice(text) => Some(("notice", text)),
            Event::Warning(text) => Some(("warning", text)),
            _ => None,
        };
        if let Some((severity, text)) = record {
            let mut all = self.recorded.lock();
            if all.len() < MAX_RECORDS && !all.iter().any(|it| *it == (severity, text.to_owned())) {
                all.push((severity, text.to_owned()));
            }
        }
        self.next.observe(event);
    }

    fn close(&self) {
        self.next.close();
    }
}
