//! The outcome of a command: the results for every report, and the failure if there is one.

use std::collections::HashMap;

use super::failure::{Failure, exit};
use crate::ops::publish::{Report, Unplanned};
use crate::plan::Target;
use crate::report::{
    IndexResult, Previous, PreviousIndex, Results, Status, UnplannedResult, Wording,
};
use crate::spec::Digest;

/// The outcome of one index.
pub(super) struct Outcome {
    pub(super) result: IndexResult,
    pub(super) failure: Option<Failure>,
}

/// The outcomes of all indexes of a run.
pub(super) struct Outcomes {
    /// The reports are lists, even if there is only one index.
    are_several: bool,
    images: Vec<Result<Outcome, (Vec<Target>, Failure)>>,
}

impl Outcome {
    pub(super) fn new(report: Report, wording: Wording) -> Self {
        let mut result = match &report.execution {
            Some(execution) => IndexResult::executed(&report.plan, execution, wording),
            None => IndexResult::planned(&report.plan, &report.known),
        };
        record_previous(&mut result, &report);
        result.record_executables(&report.plan, &report.executables);
        let Some(execution) = &report.execution else {
            return Self {
                result,
                failure: None,
            };
        };
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

    /// Returns the results, and the first failure with the others as notes. If one of several indexes was pushed, the
    /// failure is partial.
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

/// Records which digests the tags had before, and what changes.
fn record_previous(result: &mut IndexResult, report: &Report) {
    let mut states = HashMap::new();
    for target in &report.targets {
        for tag in &target.tags {
            let previous = match report.known.state(&target.location, tag) {
                Some(Some(digest)) => Previous::At(digest.clone()),
                Some(None) => Previous::New,
                None => Previous::Unknown,
            };
            states.insert(format!("{}:{tag}", target.location), previous);
        }
    }
    let size = |digest: &Digest| {
        let entry = (report.plan.entries.iter()).find(|it| it.descriptor.digest == *digest)?;
        entry.content_size()
    };
    let indexes: Vec<PreviousIndex> = (report.previous.iter())
        .map(|manifest| PreviousIndex::new(manifest, size))
        .collect();
    let previous = |reference: &str| states.get(reference).cloned().unwrap_or_default();
    result.record_previous(previous, &indexes);
}

/// Adds the name of the index that failed: the error itself may name only a source.
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
