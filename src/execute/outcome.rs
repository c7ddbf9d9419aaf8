//! The outcome of a plan: what was pushed, and where each tag points now.

use crate::spec::{Digest, Location, Tag};
use crate::store::StoreError;

/// The outcome of a plan.
#[derive(Debug)]
pub struct Execution {
    /// One for each target of the plan, in its order.
    pub targets: Vec<TargetOutcome>,
    /// The signal that interrupted it.
    pub interrupted: Option<u8>,
    /// The base has moved, so that some target was left as it was.
    pub base_moved: bool,
}

/// The outcome of one target.
#[derive(Debug)]
pub struct TargetOutcome {
    pub location: Location,
    /// The child manifests that were pushed, in the order of the plan.
    pub pushed: Vec<Digest>,
    /// Whether the index exists, at least under its digest.
    pub has_index: bool,
    /// One for each tag.
    pub tags: Vec<TagOutcome>,
    /// The failure that ended the work before any tag was tried.
    pub failure: Option<StoreError>,
}

/// The outcome of one tag.
#[derive(Debug)]
pub struct TagOutcome {
    pub tag: Tag,
    /// Whether the registry accepted the write, even if verification failed.
    pub change: Change,
    /// An error after a certain change is an error of the read-back.
    pub result: Result<TagStatus, StoreError>,
}

/// Whether this run has moved a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not moved.
    None,
    /// The write failed, and its effect could not be looked up.
    Unknown,
    /// The registry accepted the write.
    Certain,
}

/// The state of a tag without failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagStatus {
    Pushed,
    /// It had the digest already and was left alone.
    Already,
    /// It points elsewhere and was left as it is, as requested.
    Kept,
}

impl TagOutcome {
    /// Returns whether the tag points at the index.
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

    /// Returns whether all tags were pushed, without an interruption.
    pub fn is_complete(&self) -> bool {
        self.interrupted.is_none() && self.failures().is_empty()
    }

    /// Returns whether any tag was, or may have been, moved.
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
