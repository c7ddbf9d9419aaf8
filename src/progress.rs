//! Progress events.

use std::sync::Arc;
use std::time::Duration;

use crate::spec::{Descriptor, Digest};

/// Receives events from many tasks in parallel. Must not block and must not fail.
pub trait Observer: Send + Sync {
    fn observe(&self, event: Event<'_>);

    /// Removes the progress bars and draws no further ones. Called before the run ends.
    fn close(&self) {}
}

pub type Observed = Arc<dyn Observer>;

#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    Notice(&'a str),
    Warning(&'a str),
    /// An operation will be repeated after a wait.
    Waiting {
        /// The operation, in the form that follows "failed to".
        doing: &'a str,
        cause: &'a str,
        delay: Duration,
    },
    /// A request was answered. Contains no secrets.
    Request {
        method: &'a str,
        /// The URL without its query.
        url: &'a str,
        /// The status of the response, or the error.
        outcome: &'a str,
        /// The time until the headers of the response.
        took: Duration,
    },
    /// Bytes of a blob have arrived at its target. The number decreases if part of the work is repeated.
    BlobBytes {
        blob: &'a Descriptor,
        target: &'a str,
        done: u64,
    },
    /// A blob exists in its target.
    BlobDone {
        blob: &'a Descriptor,
        target: &'a str,
        how: BlobOutcome<'a>,
    },
    /// A manifest was stored under its digest.
    ManifestDone {
        digest: &'a Digest,
        target: &'a str,
    },
    /// A tag points to the published digest.
    TagDone {
        reference: &'a str,
        digest: &'a Digest,
        /// Whether it already had this digest before the run.
        already: bool,
    },
    /// A tag was read back and has the published bytes.
    Verified {
        reference: &'a str,
    },
}

/// How a blob got to its target, in the words of `docker push`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobOutcome<'a> {
    /// `Pushed`
    Pushed,
    /// `Layer already exists`
    Exists,
    /// `Mounted from <repo>`
    Mounted(&'a str),
}

/// Ignores events.
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _: Event<'_>) {}
}
