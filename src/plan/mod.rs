//! The planner: a pure function from resolved sources and options to the bytes of the index and the transfers to each
//! target. Dry run, digests, JSON and execution all use its result. Depends on `spec`, `text` and `hint` only.

mod annotate;
mod copy;
mod entry;
mod error;
mod findings;
#[cfg(test)]
mod fixture;
mod flatten;
mod input;
mod notice;
mod output;
mod planner;
mod select;
#[cfg(test)]
mod tests;
mod transfer;
mod write;

pub use copy::{copy, image_of};
pub use error::{Claim, PlanError};
pub use findings::lost_fields;
pub use input::{
    Attestations, ManifestAnnotations, MediaTypeChoice, Node, OnDuplicate, Options, Source,
    SourceLocation, Style, Target,
};
pub use notice::{Notice, Severity};
pub use output::{BlobTransfer, ManifestTransfer, Plan, PlannedEntry, Stage, TargetPlan};
pub use planner::plan;
pub use write::docker_json;
