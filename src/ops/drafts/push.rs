//! Pushes a draft.

use super::plan::plan_of;
use crate::binaries::Executable;
use crate::check::{CheckLevel, check, executables};
use crate::draft::{Draft, Drafts, Entry};
use crate::execute::{ExecuteOptions, Execution, IfExists, PushAccess, Survey, execute};
use crate::hint::Hint;
use crate::ops::{OpsError, Run};
use crate::plan::{Plan, Target};
use crate::progress::Event;
use crate::registry::Access;
use crate::spec::{Location, Reference, attestation};

#[derive(Clone, Debug)]
pub struct PushOptions {
    pub list: Reference,
    pub targets: Vec<Target>,
    /// Removes the draft after a push without failures.
    pub purge: bool,
    pub verify: bool,
    /// The checks before a tag moves.
    pub check: CheckLevel,
    /// The maximum number of transfers at the same time.
    pub jobs: usize,
}

#[derive(Debug)]
pub struct PushReport {
    pub plan: Plan,
    pub execution: Execution,
    /// The verified executables of each entry of the plan.
    pub executables: Vec<Vec<Executable>>,
    /// The failure to remove the draft.
    pub purge_failure: Option<OpsError>,
}

/// Pushes a draft to its targets, and removes it afterwards if `options.purge` is set.
pub async fn push(
    options: &PushOptions,
    drafts: &Drafts,
    run: Run<'_>,
) -> Result<PushReport, OpsError> {
    let draft = load(&options.list, drafts)?;
    let plan = plan_of(&draft, &options.targets)?;
    run.observe_notices(&plan.notices);
    let targets: Vec<Location> = (options.targets.iter())
        .map(|target| target.location.clone())
        .collect();
    let access = PushAccess::new(run.stores, &targets);
    let checking = Box::pin(check_before_push(&plan, options, &targets, &access, run));
    let executables = match run.unless_interrupted(checking).await {
        Ok(executables) => executables,
        Err(error) => {
            run.stores.abandon().await;
            return Err(error);
        }
    };
    let execute_options = ExecuteOptions {
        verify: options.verify,
        jobs: options.jobs,
        interrupt: run.interrupt.clone(),
        base: None,
        if_exists: IfExists::Replace,
    };
    let known = Survey::default();
    let executing = execute(&plan, run.stores, &known, &execute_options, run.observed);
    let (execution, ()) = tokio::join!(Box::pin(executing), access.end());
    let execution = execution?;
    if !execution.is_complete() {
        run.stores.abandon().await;
    }
    let purge_failure = if options.purge && execution.is_complete() {
        purge(drafts, &draft, run).err()
    } else {
        None
    };
    Ok(PushReport {
        plan,
        execution,
        executables,
        purge_failure,
    })
}

/// Loads a draft that can be pushed.
fn load(list: &Reference, drafts: &Drafts) -> Result<Draft, OpsError> {
    let draft = drafts.load(list)?;
    let draft = draft.ok_or_else(|| OpsError::NoDraft { list: list.clone() })?;
    check_platforms(&draft)?;
    Ok(draft)
}

/// Checks the images of the plan at the requested level, and tries the push credentials.
async fn check_before_push(
    plan: &Plan,
    options: &PushOptions,
    targets: &[Location],
    access: &PushAccess<'_>,
    run: Run<'_>,
) -> Result<Vec<Vec<Executable>>, OpsError> {
    // Requests the scopes of all repositories first, so that one token is enough.
    for target in targets {
        run.stores.open(target, Access::Push).await?;
    }
    for transfer in plan.targets.iter().flat_map(|target| &target.blobs) {
        run.stores.open(&transfer.from, Access::Pull).await?;
    }
    let (checked, tried) = tokio::join!(
        Box::pin(check(&plan.entries, targets, options.check, run.stores)),
        access.check(targets)
    );
    let checked = checked.and_then(|checked| tried.map(|()| checked));
    let checked = checked.map_err(|error| error.hint(Hint::Unchanged))?;
    for notice in checked.iter().flat_map(|entry| &entry.notices) {
        run.observed.observe(Event::Notice(notice));
    }
    Ok(executables(&plan.entries, checked))
}

/// Removes the draft that was pushed, unless another process has changed it meanwhile.
fn purge(drafts: &Drafts, pushed: &Draft, run: Run<'_>) -> Result<(), OpsError> {
    let is_other = |draft: &Draft| draft != pushed;
    let left = drafts.update(&pushed.list, |now| Ok::<_, OpsError>(now.filter(is_other)))?;
    if left.is_some() {
        let list = &pushed.list;
        let text = format!("{list} was changed during the push, so it is not removed");
        run.observed.observe(Event::Warning(&text));
    }
    Ok(())
}

/// Refuses entries without a platform, as `docker manifest push` does.
fn check_platforms(draft: &Draft) -> Result<(), OpsError> {
    let is_incomplete = |entry: &&Entry| {
        let platform = entry.descriptor.platform.as_ref();
        let is_complete = platform
            .is_some_and(|platform| !platform.os.is_empty() && !platform.architecture.is_empty());
        !is_complete && !attestation::is_attestation(&entry.descriptor) && draft.exact.is_none()
    };
    match draft.entries.iter().find(is_incomplete) {
        None => Ok(()),
        Some(entry) => Err(OpsError::EntryWithoutPlatform {
            list: draft.list.to_string(),
            entry: entry.reference.to_string(),
        }),
    }
}
