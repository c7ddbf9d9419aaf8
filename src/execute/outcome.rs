//! The outcome of a plan: the pushed manifests, and the state of each tag.

use crate::spec::{Digest, Location, Tag};
use crate::store::StoreError;

/// The outcome of a plan.
#[derive(Debug)]
pub struct Execution {
    /// One for each target of the plan, in its order.
    pub targets: Vec<TargetOutcome>,
    /// The signal that interrupted the execution.
    pub interrupted: Option<u8>,
    /// The base has moved, so at least one target was not changed.
    pub base_moved: bool,
}

/// The outcome of one target.
#[derive(Debug)]
pub struct TargetOutcome {
    pub location: Location,
    /// The child manifests that were pushed, in the order of the plan.
    pub pushed: Vec<Digest>,
    /// Whether the index was published without a failure: under its tags or, if there are none, under its digest.
    pub has_index: bool,
    /// One for each tag.
    pub tags: Vec<TagOutcome>,
    /// The tags with another digest that did not exist before the run and were left as they are, as requested.
    pub found: Vec<(Tag, Digest)>,
    /// The failure that ended the work on the target before any tag was written.
    pub failure: Option<StoreError>,
}

/// The outcome of one tag.
#[derive(Debug)]
pub struct TagOutcome {
    pub tag: Tag,
    /// Whether the registry accepted the write, even if verification failed.
    pub change: Change,
    /// An error after a certain change means that the verification failed.
    pub result: Result<TagStatus, StoreError>,
}

/// Whether this run has moved a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not moved.
    None,
    /// The write failed or was interrupted, and it is unknown whether the registry executed it.
    Unknown,
    /// The registry accepted the write.
    Certain,
}

/// The state of a tag without failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagStatus {
    Pushed,
    /// It already had the digest and was not written.
    Already,
    /// It has another digest and was not written, as requested.
    Kept,
}

impl TargetOutcome {
    /// Returns whether another job has created a tag with another digest during the run.
    pub(super) fn has_found(&self, tag: &Tag) -> bool {
        self.found.iter().any(|(found, _)| found == tag)
    }
}

impl TagOutcome {
    /// Returns whether the tag points to the index.
    pub fn is_published(&self) -> bool {
        matches!(self.result, Ok(TagStatus::Pushed | TagStatus::Already))
    }
}

impl Execution {
    /// Returns all failures, in the order of targets and tags.
    pub fn failures(&self) -> Vec<&StoreError> {
        self.targets
            .iter()
            .flat_map(|target| {
                let tags = target
                    .tags
                    .iter()
                    .filter_map(|tag| tag.result.as_ref().err());
                target.failure.iter().chain(tags)
            })
            .collect()
    }

    /// Returns whether there was neither a failure nor an interruption.
    pub fn is_complete(&self) -> bool {
        self.interrupted.is_none() && self.failures().is_empty()
    }

    /// Returns whether any tag was moved, or may have been moved.
    pub fn changed_something(&self) -> bool {
        let mut tags = self.targets.iter().flat_map(|target| &target.tags);
        tags.any(|tag| tag.change != Change::None)
    }

    /// Returns whether anything was published.
    pub fn published_something(&self) -> bool {
        self.targets.iter().any(|target| {
            target.tags.iter().any(TagOutcome::is_published)
                || (target.tags.is_empty() && target.has_index)
        })
    }
}
