//! The input of `publish` and `copy`.

use std::time::Duration;

use crate::check::CheckLevel;
pub use crate::execute::IfExists;
use crate::plan::{Options, Target};
use crate::sources::SourceSpec;
use crate::spec::Repository;

/// One index to publish: its sources, targets and options.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent choices")]
pub struct Job {
    pub sources: Vec<SourceSpec>,
    pub targets: Vec<Target>,
    /// The repository of bare digests. `None` means the repositories of the targets.
    pub image: Option<Repository>,
    /// Adds to the index at the first tag.
    pub append: bool,
    /// The maximum time to wait for sources that do not exist yet.
    pub wait: Duration,
    pub if_exists: IfExists,
    /// Reads the images of the sources even if the targets contain them.
    pub read_all: bool,
    pub options: Options,
    /// The annotations come from the environment, not from this command.
    pub default_annotations: bool,
    /// Copies the referrers of copied images.
    pub referrers: bool,
    pub dry_run: bool,
    pub verify: bool,
    /// The checks before a tag moves.
    pub check: CheckLevel,
    /// The maximum number of transfers at the same time.
    pub jobs: usize,
}
