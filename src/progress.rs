//! What happens on the way, told to whoever shows it: a terminal, a log, nobody.
//! Knows no other room but the words of `spec`.

use std::sync::Arc;
use std::time::Duration;

use crate::spec::{Descriptor, Digest};

/// Takes events. Called from many tasks at once; must be quick and must not fail.
pub trait Observer: Send + Sync {
    /// One thing happened.
    fn observe(&self, event: Event<'_>);

    /// The work is over, or about to be: what redraws itself is taken off the screen, and stays off it.
    fn close(&self) {}
}

/// A shared observer.
pub type Observed = Arc<dyn Observer>;

/// What can happen.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Something worth knowing.
    Notice(&'a str),
    /// Something that may be wrong.
    Warning(&'a str),
    /// A request will be tried again after a wait.
    Waiting {
        /// What was being done.
        doing: &'a str,
        /// Why it did not succeed.
        cause: &'a str,
        /// How long the wait is.
        delay: Duration,
    },
    /// A request was answered; told at high verbosity only. Never contains a secret.
    Request {
        /// The method.
        method: &'a str,
        /// The address without query.
        url: &'a str,
        /// The status of the answer, or what went wrong.
        outcome: &'a str,
        /// From the first byte out to the head of the answer.
        took: Duration,
    },
    /// Bytes of a blob have arrived at its target; may fall back when work is done again.
    BlobBytes {
        /// The blob.
        blob: &'a Descriptor,
        /// Where it goes.
        target: &'a str,
        /// Bytes so far.
        done: u64,
    },
    /// A blob is where it belongs.
    BlobDone {
        /// The blob.
        blob: &'a Descriptor,
        /// Where it went.
        target: &'a str,
        /// How it came there.
        how: BlobOutcome<'a>,
    },
    /// A manifest was stored under its digest.
    ManifestDone {
        /// Its digest.
        digest: &'a Digest,
        /// Where it went.
        target: &'a str,
    },
    /// A tag points at the published digest.
    TagDone {
        /// The full reference.
        reference: &'a str,
        /// What it points at.
        digest: &'a Digest,
        /// Whether it did before.
        already: bool,
    },
    /// A tag was read back and its bytes are those that were published.
    Verified {
        /// The full reference.
        reference: &'a str,
    },
}

/// How a blob came to its target. The words are those that `docker push` taught everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobOutcome<'a> {
    /// `Pushed`
    Pushed,
    /// `Layer already exists`
    Exists,
    /// `Mounted from <repo>`
    Mounted(&'a str),
}

/// Shows nothing.
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _: Event<'_>) {}
}
