//! What came of a command: the results for every report, and the failure if there is one.

use super::failure::{Failure, exit};
use crate::ops::publish::{Report, Unplanned};
use crate::plan::Target;
use crate::report::{IndexResult, Results, Status, UnplannedResult, Wording};

/// What came of one index.
pub(super) struct Outcome {
    pub(super) result: IndexResult,
    pub(super) failure: Option<Failure>,
}

/// What came of all indexes of a run.
pub(super) struct Outcomes {
    /// The command names several indexes.
    are_several: bool,
    images: Vec<Result<Outcome, (Vec<Target>, Failure)>>,
}

impl Outcome {
    pub(super) fn new(report: Report, wording: Wording) -> Self {
        let Some(execution) = &report.execution else {
            return Self {
                result: IndexResult::planned(&report.plan, &report.targets),
                failure: None,
            };
        };
        let result = IndexResult::executed(&report.plan, execution, wording);
        let failure = Failure::of_execution(execution).or_else(|| {
            let failure = Failure::from(report.referrers_failure?);
            let failure = failure.partial();
            Some(failure.after(std::slice::from_ref(&result)))
        });
        Self { result, failure }
    }
}

impl Outcomes {
    pub(super) fn new(reports: Vec<Result<Report, Unplanned>>, wording: Wording) -> Self {
        let images = reports.into_iter().map(|report| match report {
            Ok(report) => Ok(Outcome::new(report, wording)),
            Err(Unplanned { targets, error }) => {
                let failure = named(error.into(), &targets);
                Err((targets, failure))
            }
        });
        Self {
            are_several: true,
            images: images.collect(),
        }
    }

    /// Returns whether any index failed.
    pub(super) fn failed(&self) -> bool {
        let is_good = |outcome: &Outcome| outcome.failure.is_none();
        !(self.images.iter()).all(|image| image.as_ref().is_ok_and(is_good))
    }

    /// Returns the results, and the first failure with the others as hints. If something was pushed, the run
    /// failed in part.
    pub(super) fn split(self, wording: Wording) -> (Results, Option<Failure>) {
        let mut results = Results::new(self.are_several);
        let mut failures = Vec::new();
        for image in self.images {
            match image {
                Ok(outcome) => {
                    results.push(outcome.result);
                    failures.extend(outcome.failure);
                }
                Err((targets, failure)) => {
                    let error = failure.result(wording);
                    results.push_unplanned(UnplannedResult::new(&targets, &error));
                    failures.push(failure);
                }
            }
        }
        let was_pushed = |status| !matches!(status, Status::Planned | Status::Failed);
        let pushed = results.iter().any(|result| was_pushed(result.status))
            || failures.iter().any(|it| it.code() == exit::PARTIAL);
        let mut failures = failures.into_iter();
        let failure = failures.next().map(|first| {
            let failure = failures.fold(first, |first, other| first.and(&other));
            if results.are_several() && pushed {
                failure.partial().after(&results)
            } else {
                failure
            }
        });
        (results, failure)
    }
}

impl From<Outcome> for Outcomes {
    fn from(only: Outcome) -> Self {
        Self {
            are_several: false,
            images: vec![Ok(only)],
        }
    }
}

/// Names the index that failed: the error itself may name only a source.
fn named(failure: Failure, targets: &[Target]) -> Failure {
    let Some(target) = targets.first() else {
        return failure;
    };
    let name = match target.tags.first() {
        Some(tag) => format!("{}:{tag}", target.location),
        None => target.location.to_string(),
    };
    failure.context(format!("publish {name}"))
}
