//! Publishes indexes: resolve, plan, check, execute, verify.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::oneshot;

use super::append::{MAX_APPEND_ROUNDS, notice, was_overwritten};
use super::job::{IfExists, Job};
use super::{OpsError, Run};
use crate::binaries::Executable;
use crate::check::{CheckLevel, check, executables};
use crate::execute::{
    ExecuteOptions, Execution, PushAccess, Survey, copy_referrers, execute, survey,
};
use crate::hint::Hint;
use crate::plan::{
    self, MediaTypeChoice, Options, Plan, PlanError, Source, SourceLocation, Target,
};
use crate::progress::Event;
use crate::registry::Access;
use crate::sources::{SourceForm, SourceSpec};
use crate::spec::{Digest, Location, Manifest};
use crate::store::FailureKind;
use crate::stores::Stores;

/// The maximum number of indexes that are published at the same time. With four images each, they send 128 requests.
const MAX_PARALLEL_JOBS: usize = 32;

/// The result of one index: its plan and, unless this is a dry run, the execution of the plan.
#[derive(Debug)]
pub struct Report {
    pub plan: Plan,
    pub targets: Vec<Target>,
    /// `None` for a dry run.
    pub execution: Option<Execution>,
    /// The digests of the tags before the run.
    pub known: Survey,
    /// The manifests of the tags before the run.
    pub previous: Vec<Manifest>,
    /// The verified executables of each entry of the plan.
    pub executables: Vec<Vec<Executable>>,
    /// The failure to copy all referrers.
    pub referrers_failure: Option<OpsError>,
}

impl Report {
    /// Returns whether everything that was requested was done.
    fn is_complete(&self) -> bool {
        let execution = self.execution.as_ref();
        execution.is_none_or(Execution::is_complete) && self.referrers_failure.is_none()
    }
}

/// One of several indexes that could not be planned.
#[derive(Debug)]
pub struct Unplanned {
    pub targets: Vec<Target>,
    pub error: OpsError,
}

/// A plan with its sources and the state of its targets.
struct Planned {
    plan: Plan,
    sources: Vec<Source>,
    /// The digests of the tags before the run.
    known: Survey,
    /// The digest of the index that the job appends to.
    base_digest: Option<Digest>,
    /// The manifests of the tags before the run, if they were read after a wait for sources.
    previous: Option<Vec<Manifest>>,
    /// The verified executables of each entry of the plan.
    executables: Vec<Vec<Executable>>,
}

impl Planned {
    fn into_report(self, targets: Vec<Target>) -> Report {
        Report {
            plan: self.plan,
            targets,
            execution: None,
            known: self.known,
            previous: self.previous.unwrap_or_default(),
            executables: self.executables,
            referrers_failure: None,
        }
    }
}

/// A function that plans an index from resolved sources.
pub(super) type Planner = fn(&[Source], &[Target], &Options) -> Result<Plan, PlanError>;

/// Publishes one index.
pub async fn publish(job: Job, run: Run<'_>) -> Result<Report, OpsError> {
    Box::pin(job.run_alone(run, plan::plan)).await
}

/// Publishes several indexes, which share tokens. If a registry refuses the push credentials, fails before any tag is
/// changed.
pub async fn publish_all(
    jobs: Vec<Job>,
    run: Run<'_>,
) -> Result<Vec<Result<Report, Unplanned>>, OpsError> {
    for job in &jobs {
        job.declare_targets(run.stores).await;
    }
    for job in &jobs {
        job.declare_sources(run.stores).await;
    }
    let written = jobs.iter().filter(|job| !job.dry_run);
    let locations: Vec<Location> = written.flat_map(Job::locations).collect();
    let access = &PushAccess::of_several(run.stores, &locations);
    let reports = jobs.into_iter().map(|job| async move {
        let targets = job.targets.clone();
        let report = job.run(run, plan::plan, access).await;
        report.map_err(|error| Unplanned { targets, error })
    });
    let reports = futures_util::stream::iter(reports).buffered(MAX_PARALLEL_JOBS);
    let reports: Vec<_> = reports.collect().await;
    let is_complete = |it: &Result<Report, _>| it.as_ref().is_ok_and(Report::is_complete);
    if !reports.iter().all(is_complete) {
        // Not earlier, because other indexes of the run may use the uploads.
        run.stores.abandon().await;
    }
    match access.refusal() {
        Some(error) => Err(error.hint(Hint::Unchanged).into()),
        None => Ok(reports),
    }
}

impl Job {
    /// Creates a job that only reads one source.
    pub(super) fn of_source(source: SourceSpec) -> Self {
        Self {
            sources: vec![source],
            targets: Vec::new(),
            image: None,
            append: false,
            wait: Duration::ZERO,
            if_exists: IfExists::Replace,
            read_all: false,
            options: Options::default(),
            default_annotations: false,
            referrers: false,
            dry_run: true,
            verify: false,
            check: CheckLevel::None,
            jobs: 1,
        }
    }

    /// Opens the repositories of the targets, so that one token is enough for all jobs of a run. A failure is reported
    /// when the job runs.
    async fn declare_targets(&self, stores: &Stores) {
        if !self.dry_run {
            let targets = self.targets.iter().map(|target| &target.location);
            for location in targets.filter(|location| location.repository().is_some()) {
                let _ = stores.open(location, Access::Push).await;
            }
        }
    }

    /// Opens the repositories that are read, after the targets of all jobs.
    async fn declare_sources(&self, stores: &Stores) {
        for source in &self.sources {
            if let SourceForm::Reference(reference) = &source.form {
                let location = Location::Repository(reference.repository().clone());
                let _ = stores.open(&location, Access::Pull).await;
            }
        }
    }

    /// Runs the only job of a run, and cancels unfinished uploads after a failure.
    pub(super) async fn run_alone(
        self,
        run: Run<'_>,
        planner: Planner,
    ) -> Result<Report, OpsError> {
        let locations = self.locations();
        let tried = if self.dry_run { &[][..] } else { &locations };
        let access = PushAccess::new(run.stores, tried);
        let report = Box::pin(self.run(run, planner, &access)).await;
        if !report.as_ref().is_ok_and(Report::is_complete) {
            run.stores.abandon().await;
        }
        report
    }

    async fn run(
        mut self,
        run: Run<'_>,
        planner: Planner,
        access: &PushAccess<'_>,
    ) -> Result<Report, OpsError> {
        let work = Box::pin(self.make_plan(run, planner, access));
        let mut current = run.unless_interrupted(work).await?;
        if self.dry_run {
            return Ok(current.into_report(self.targets));
        }
        let executing = Box::pin(self.execute(&current, run));
        let (execution, ()) = tokio::join!(executing, access.end());
        let mut execution = execution?;
        let mut rounds = 1;
        while let Some(base) = self.base(current.base_digest.as_ref())
            && was_overwritten(&execution, &base, &current.plan, run).await?
        {
            let name = format!("{}:{}", base.location, base.tag);
            if rounds == MAX_APPEND_ROUNDS {
                return Err(OpsError::BaseKeepsMoving { name });
            }
            rounds += 1;
            let text = format!("another job has changed {name}: planning again");
            run.observed.observe(Event::Notice(&text));
            let work = Box::pin(self.make_plan(run, planner, access));
            current = run.unless_interrupted(work).await?;
            execution = self.execute(&current, run).await?;
        }
        for target in &execution.targets {
            for (tag, digest) in &target.found {
                current.known.record_created(&target.location, tag, digest);
            }
        }
        let sources = std::mem::take(&mut current.sources);
        let mut report = current.into_report(self.targets);
        if self.referrers && execution.is_complete() {
            let copying = Box::pin(copy_all_referrers(&report.plan, &sources, run));
            if let Err(error) = run.unless_interrupted(copying).await {
                let text = format!("failed to copy all referrers: {error}");
                run.observed.observe(Event::Warning(&text));
                report.referrers_failure = Some(error);
            }
        }
        report.execution = Some(execution);
        Ok(report)
    }

    async fn execute(&self, planned: &Planned, run: Run<'_>) -> Result<Execution, OpsError> {
        let options = ExecuteOptions {
            verify: self.verify,
            jobs: self.jobs,
            interrupt: run.interrupt.clone(),
            base: self.base(planned.base_digest.as_ref()),
            if_exists: self.if_exists,
        };
        let (plan, known) = (&planned.plan, &planned.known);
        Ok(execute(plan, run.stores, known, &options, run.observed).await?)
    }

    fn locations(&self) -> Vec<Location> {
        let targets = self.targets.iter();
        targets.map(|target| target.location.clone()).collect()
    }

    /// Resolves, plans and checks. In parallel, reads the current digests of the tags, and their manifests.
    async fn make_plan(
        &mut self,
        run: Run<'_>,
        planner: Planner,
        access: &PushAccess<'_>,
    ) -> Result<Planned, OpsError> {
        let stores = run.stores;
        if !self.dry_run {
            for target in &self.targets {
                // A new layout is created after planning, so that a refused plan creates no files.
                if Stores::may_exist(&target.location) {
                    stores.open(&target.location, Access::Push).await?;
                }
            }
        }
        let (sender, known) = oneshot::channel();
        let looks_at_tags = self.looks_at_tags();
        let (targets, dry_run) = (self.targets.clone(), self.dry_run);
        let surveying = async {
            let survey = if looks_at_tags {
                survey(stores, &targets, dry_run).await
            } else {
                Survey::default()
            };
            let _ = sender.send(survey.clone());
            // A new tag is always written; an existing tag may already have the planned digest.
            let is_new = |target: &&Target| {
                let mut tags = target.tags.iter();
                tags.any(|tag| survey.points_at(&target.location, tag).is_none())
            };
            let written = targets.iter().filter(is_new).map(|it| &it.location);
            // Runs in parallel with reading configs and checking, which need a round trip too.
            let (previous, tried) = tokio::join!(survey.previous(stores), access.check(written));
            tried.map_err(|error| error.hint(Hint::Unchanged))?;
            Ok(previous)
        };
        let work = self.plan_and_check(run, planner, known, access);
        let (mut current, previous) = tokio::try_join!(work, surveying)?;
        current.previous.get_or_insert(previous);
        Ok(current)
    }

    fn looks_at_tags(&self) -> bool {
        self.verify || self.if_exists != IfExists::Replace
    }

    async fn plan_and_check(
        &mut self,
        run: Run<'_>,
        planner: Planner,
        known: oneshot::Receiver<Survey>,
        access: &PushAccess<'_>,
    ) -> Result<Planned, OpsError> {
        let stores = run.stores;
        let (sources, append, known) =
            tokio::join!(self.resolve(run), self.resolve_append(stores), known);
        let (sources, has_waited) = sources?;
        let (append, start) = append?;
        let mut known = known.unwrap_or_default();
        let mut previous = None;
        if has_waited && self.looks_at_tags() {
            // Other jobs may have moved the tags during the wait.
            known = survey(stores, &self.targets, self.dry_run).await;
            previous = Some(known.previous(stores).await);
        }
        let base_digest = append.as_ref().map(|base| base.root.digest().clone());
        self.options.append = append;
        let mut plan = self.plan(&sources, planner)?;
        plan.notices.splice(0..0, start);
        run.observe_notices(&plan.notices);
        self.check_failures(&known, run)?;
        self.check_tags(&plan.index.digest, &mut known)?;
        let targets = self.locations();
        let incomplete = (self.targets.iter())
            .filter(|target| !known.is_complete(target, &plan.index.digest))
            .map(|target| &target.location);
        let (checked, tried) = tokio::join!(
            Box::pin(check(&plan.entries, &targets, self.check, stores)),
            access.check(incomplete)
        );
        let checked = checked.and_then(|checked| tried.map(|()| checked));
        let checked = checked.map_err(|error| error.hint(Hint::Unchanged))?;
        for notice in checked.iter().flat_map(|entry| &entry.notices) {
            run.observed.observe(Event::Notice(notice));
        }
        let executables = executables(&plan.entries, checked);
        Ok(Planned {
            plan,
            sources,
            known,
            base_digest,
            previous,
            executables,
        })
    }

    /// Refuses targets whose credentials are rejected, and targets whose tags must be known but are not.
    fn check_failures(&self, known: &Survey, run: Run<'_>) -> Result<(), OpsError> {
        for error in &known.failures {
            let is_refusal = matches!(error.kind, FailureKind::Unauthorized | FailureKind::Denied);
            let is_anonymous = error.hints.iter().any(Hint::is_missing_credentials);
            let must_know = self.if_exists != IfExists::Replace;
            let ends_run = if self.dry_run {
                is_refusal && !is_anonymous
            } else {
                must_know || error.kind == FailureKind::Unauthorized
            };
            if ends_run {
                return Err(error.clone().hint(Hint::Unchanged).into());
            }
            if self.dry_run {
                run.observed.observe(Event::Warning(&error.to_string()));
            }
        }
        Ok(())
    }

    /// Refuses tags that must not move, or marks them as kept.
    fn check_tags(&self, digest: &Digest, known: &mut Survey) -> Result<(), OpsError> {
        for target in &self.targets {
            for tag in &target.tags {
                let now = known.points_at(&target.location, tag);
                let Some(now) = now.filter(|now| *now != digest) else {
                    continue;
                };
                match self.if_exists {
                    IfExists::Replace => {}
                    IfExists::Keep => known.keep(&target.location, tag),
                    IfExists::Refuse => {
                        return Err(OpsError::TagExists {
                            name: format!("{}:{tag}", target.location),
                            digest: now.clone(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Plans the index. A Docker manifest list cannot have annotations. If they come only from the environment (where
    /// metadata-action sets them in every job), this is no error: the plan is an OCI index instead.
    fn plan(&mut self, sources: &[Source], planner: Planner) -> Result<Plan, OpsError> {
        let is_auto = self.options.media_type == MediaTypeChoice::Auto;
        match planner(sources, &self.targets, &self.options) {
            Err(PlanError::AnnotationOnDockerList { .. })
                if is_auto && self.default_annotations =>
            {
                self.options.media_type = MediaTypeChoice::Oci;
                let mut plan = planner(sources, &self.targets, &self.options)?;
                plan.notices.insert(0, notice(
                    "the result is an OCI index, because a Docker manifest list cannot have the annotations from the environment".to_owned(),
                ));
                Ok(plan)
            }
            outcome => Ok(outcome?),
        }
    }
}

async fn copy_all_referrers(plan: &Plan, sources: &[Source], run: Run<'_>) -> Result<(), OpsError> {
    let roots: Vec<(SourceLocation, Digest)> = sources
        .iter()
        .map(|source| (source.location.clone(), source.root.digest().clone()))
        .collect();
    Ok(copy_referrers(plan, &roots, run.stores, run.observed).await?)
}
