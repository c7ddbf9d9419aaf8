//! Keeps what a person should know, wherever in a run it is found out, until the reports are written.

use crate::progress::{Event, Observed, Observer};
use crate::sync::Mutex;

/// More than a report shows.
const MOST: usize = 1000;

/// Passes everything on, and keeps notices and warnings.
pub struct Recorder {
    next: Observed,
    told: Mutex<Vec<(&'static str, String)>>,
}

impl Recorder {
    /// In front of `next`.
    pub fn new(next: Observed) -> Self {
        Self {
            next,
            told: Mutex::default(),
        }
    }

    /// Severity (`notice` or `warning`) and text of what was told so far, each once.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        self.told.lock().clone()
    }
}

impl Observer for Recorder {
    fn observe(&self, event: Event<'_>) {
        let told = match event {
            Event::Notice(text) => Some(("notice", text)),
            Event::Warning(text) => Some(("warning", text)),
            _ => None,
        };
        if let Some((severity, text)) = told {
            let mut all = self.told.lock();
            if all.len() < MOST && !all.iter().any(|it| *it == (severity, text.to_owned())) {
                all.push((severity, text.to_owned()));
            }
        }
        self.next.observe(event);
    }

    fn close(&self) {
        self.next.close();
    }
}
