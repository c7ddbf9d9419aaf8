//! Checks that the content of a reference exists.

use super::job::Job;
use super::locate::locate;
use super::{OpsError, Run};
use crate::binaries::Executable;
use crate::check::{CheckLevel, CheckedEntry, check_all};
use crate::plan::{self, Options, Plan};
use crate::resolve::resolve;
use crate::sources::SourceSpec;

/// One checked reference.
#[derive(Debug)]
pub struct CheckReport {
    pub plan: Plan,
    /// One for each entry of the plan, in its order.
    pub entries: Vec<CheckReportEntry>,
}

#[derive(Debug)]
pub struct CheckReportEntry {
    /// The number of blobs that exist.
    pub blobs: usize,
    /// The executables that match the platform.
    pub executables: Vec<Executable>,
    /// Notices about the executables.
    pub notices: Vec<String>,
    /// Everything that is missing or different.
    pub failures: Vec<crate::store::StoreError>,
}

/// Reads a reference and checks its content. All failures are in the report.
pub async fn check(
    source: SourceSpec,
    level: CheckLevel,
    run: Run<'_>,
) -> Result<CheckReport, OpsError> {
    let job = Job::of_source(source);
    let requests = locate(&job, run.stores).await?;
    let sources = resolve(run.stores, &requests).await?;
    let plan = match &sources[..] {
        [source] => plan::copy(source, &[])?,
        _ => plan::plan(&sources, &[], &Options::default())?,
    };
    let checked = check_all(&plan.entries, &[], level, run.stores).await?;
    let entries = checked.into_iter().map(|entry| {
        let CheckedEntry {
            blobs,
            executables,
            notices,
            failures,
            ..
        } = entry;
        CheckReportEntry {
            blobs,
            executables,
            notices,
            failures,
        }
    });
    let entries = entries.collect();
    Ok(CheckReport { plan, entries })
}
