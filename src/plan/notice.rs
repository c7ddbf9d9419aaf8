//! Notices about a plan that do not prevent it.

use crate::text::Printable;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    /// One line.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The result is as requested.
    Notice,
    /// The result may not be as intended.
    Warning,
}

impl Notice {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Notice,
            text: printable(text),
        }
    }

    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            text: printable(text),
        }
    }
}

/// Escapes names of annotations and fields, which come from the sources.
fn printable(text: impl Into<String>) -> String {
    Printable(&text.into()).to_string()
}
