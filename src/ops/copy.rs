//! Copies an image or an index byte for byte.

use super::job::Job;
use super::publish::Report;
use super::{OpsError, Run};
use crate::plan::{self, Options, Plan, PlanError, Source, Target};

/// Copies the only source of `job` to its targets.
pub async fn copy(job: Job, run: Run<'_>) -> Result<Report, OpsError> {
    Box::pin(job.run_alone(run, planner)).await
}

/// Without platforms, plans an exact copy of the source. With one platform, plans an exact copy of its image. With
/// several platforms, plans an index of their images.
fn planner(sources: &[Source], targets: &[Target], options: &Options) -> Result<Plan, PlanError> {
    match (sources, &options.platforms[..]) {
        ([source], []) => plan::copy(source, targets),
        ([source], [platform]) => {
            let image = plan::image_of(source, platform)?;
            plan::copy(&image, targets)
        }
        _ => plan::plan(sources, targets, options),
    }
}
