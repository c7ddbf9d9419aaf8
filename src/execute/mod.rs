//! Executes a plan: pushes blobs, then images, then attestations, then the index under every tag, and finally reads
//! every tag back. Targets are processed in parallel. Each tag has a separate result.

mod blobs;
mod interrupted;
mod outcome;
mod push_access;
mod referrers;
mod survey;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join_all, try_join_all};

use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::plan::{Plan, Stage, TargetPlan};
use crate::progress::{Event, Observed};
use crate::registry::Access;
use crate::spec::{Digest, Location, Tag};
use crate::store::{FailureKind, ManifestName, Operation, Store, StoreError};
use crate::stores::Stores;
use blobs::BlobMover;
use interrupted::{Attempt, Reached};
pub use outcome::{Change, Execution, TagOutcome, TagStatus, TargetOutcome};
pub use push_access::PushAccess;
pub use referrers::copy_referrers;
pub use survey::{Survey, survey};

#[derive(Clone, Debug)]
pub struct ExecuteOptions {
    /// Read every tag back.
    pub verify: bool,
    /// The maximum number of transfers at the same time.
    pub jobs: usize,
    pub interrupt: Interrupt,
    /// No tag is written if this tag has moved.
    pub base: Option<Base>,
    pub if_exists: IfExists,
}

/// The policy for a tag that points to another digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfExists {
    /// Moves the tag.
    #[default]
    Replace,
    /// Does not move the tag.
    Keep,
    /// Fails, if possible before anything is pushed.
    Refuse,
}

/// The tag that the plan appends to.
#[derive(Clone, Debug)]
pub struct Base {
    pub location: Location,
    pub tag: Tag,
    /// The digest of the tag; `None` if it did not exist.
    pub digest: Option<Digest>,
}

/// Executes a plan until it is done or interrupted. Failures are part of the result. Returns an error only if a
/// location cannot be opened. After a failure, uploads may still be open: call [`Stores::abandon`] once nothing else
/// uses the stores.
pub async fn execute(
    plan: &Plan,
    stores: &Stores,
    known: &Survey,
    options: &ExecuteOptions,
    observed: &Observed,
) -> Result<Execution, StoreError> {
    for target in &plan.targets {
        stores.open(&target.location, Access::Push).await?;
    }
    // All repositories are opened before the first request, so that one token is enough.
    for transfer in plan.targets.iter().flat_map(|target| &target.blobs) {
        stores.open(&transfer.from, Access::Pull).await?;
    }
    let run = Run {
        plan,
        stores,
        known,
        options,
        observed,
        mover: BlobMover::new(stores, observed, options.jobs),
        base_moved: AtomicBool::new(false),
    };
    let mut attempts: Vec<Attempt> = plan.targets.iter().map(Attempt::new).collect();
    let interrupted = tokio::select! {
        () = run.all(&mut attempts) => None,
        signal = options.interrupt.happened() => Some(signal),
    };
    if interrupted.is_some() {
        tokio::join!(run.settle_interrupted(&mut attempts), stores.abandon());
    }
    let targets = attempts.into_iter().map(|attempt| attempt.outcome);
    Ok(Execution {
        targets: targets.collect(),
        interrupted,
        base_moved: run.base_moved.into_inner(),
    })
}

struct Run<'a> {
    plan: &'a Plan,
    stores: &'a Stores,
    known: &'a Survey,
    options: &'a ExecuteOptions,
    observed: &'a Observed,
    mover: BlobMover<'a>,
    base_moved: AtomicBool,
}

impl Run<'_> {
    async fn all(&self, attempts: &mut [Attempt<'_>]) {
        let targets = attempts.iter_mut().map(|attempt| self.target(attempt));
        join_all(targets).await;
        if let Err(error) = self.stores.finish().await {
            // Nothing was published in an archive that could not be written.
            for attempt in attempts {
                let outcome = &mut attempt.outcome;
                if matches!(outcome.location, Location::Layout(_)) && outcome.failure.is_none() {
                    outcome.has_index = false;
                    outcome.tags.clear();
                    outcome.failure = Some(error.clone());
                }
            }
        }
    }

    async fn target(&self, attempt: &mut Attempt<'_>) {
        match self.fill(attempt).await {
            Ok(()) => {
                let outcome = &mut attempt.outcome;
                outcome.has_index = outcome.tags.iter().all(|tag| tag.result.is_ok());
            }
            Err(error) => attempt.outcome.failure = Some(error),
        }
        attempt.reached = Reached::End;
    }

    async fn fill(&self, attempt: &mut Attempt<'_>) -> Result<(), StoreError> {
        let (target, outcome) = (attempt.target, &mut attempt.outcome);
        let store = self.stores.open(&target.location, Access::Push).await?;
        let digest = &self.plan.index.digest;
        let mut missing: Vec<Tag> = target
            .tags
            .iter()
            .filter(|tag| self.known.points_at(&target.location, tag) != Some(digest))
            .filter(|tag| !self.known.is_kept(&target.location, tag))
            .cloned()
            .collect();
        let complete = !target.tags.is_empty() && missing.is_empty();
        if !complete {
            self.move_content(target, &store, outcome).await?;
            self.check_base().await?;
            self.leave_created(&store, &mut missing, outcome).await?;
        }
        attempt.reached = Reached::Tags;
        if target.tags.is_empty() {
            store.put_manifest(&self.plan.index).await?;
        }
        let mut pushed = store.put_tags(&self.plan.index, &missing).await;
        self.name_absent(&store, &mut pushed).await;
        let unknown = self.recheck_failed(&store, &missing, &mut pushed).await;
        let mut pushed = pushed.into_iter();
        for tag in &target.tags {
            let result = if missing.contains(tag) {
                pushed.next().unwrap_or(Ok(())).map(|()| TagStatus::Pushed)
            } else if self.known.is_kept(&target.location, tag) || outcome.has_found(tag) {
                Ok(TagStatus::Kept)
            } else {
                Ok(TagStatus::Already)
            };
            let change = match result {
                Ok(TagStatus::Pushed) => Change::Certain,
                Err(ref error) if error.was_written => Change::Certain,
                Err(_) if unknown.contains(tag) => Change::Unknown,
                _ => Change::None,
            };
            outcome.tags.push(TagOutcome {
                tag: tag.clone(),
                change,
                result,
            });
        }
        if self.options.verify {
            self.verify(&store, outcome).await?;
        }
        self.report_tags(&store, outcome);
        Ok(())
    }

    /// Reads the base again immediately before a write: the distribution API has no conditional write.
    async fn check_base(&self) -> Result<(), StoreError> {
        let Some(base) = &self.options.base else {
            return Ok(());
        };
        let store = self.stores.open(&base.location, Access::Pull).await?;
        let now = match store.describe(&ManifestName::Tag(base.tag.clone())).await {
            Ok(now) => Some(now.digest),
            Err(error) if error.kind == FailureKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if now == base.digest {
            return Ok(());
        }
        self.base_moved.store(true, Ordering::Relaxed);
        let name = format!("{}:{}", base.location, base.tag);
        Err(StoreError::new(
            FailureKind::Refused,
            Operation::new("append to", name),
            "another job has changed it",
        ))
    }

    /// Reads the tags again right before their write if existing tags must not be moved: another job may have created
    /// them since the survey. Removes the tags that exist, or returns an error if the options refuse them.
    async fn leave_created(
        &self,
        store: &Arc<dyn Store>,
        tags: &mut Vec<Tag>,
        outcome: &mut TargetOutcome,
    ) -> Result<(), StoreError> {
        if self.options.if_exists == IfExists::Replace {
            return Ok(());
        }
        let looks = tags.iter().map(|tag| async {
            match store.describe(&ManifestName::Tag(tag.clone())).await {
                Ok(found) => Ok(Some((tag.clone(), found.digest))),
                Err(error) if error.kind == FailureKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        let created: Vec<_> = try_join_all(looks).await?.into_iter().flatten().collect();
        tags.retain(|tag| created.iter().all(|(other, _)| other != tag));
        let digest = &self.plan.index.digest;
        let other = created.into_iter().filter(|(_, found)| found != digest);
        outcome.found = other.collect();
        match outcome.found.first() {
            Some((tag, found)) if self.options.if_exists == IfExists::Refuse => {
                let name = format!("{}:{tag}", store.name());
                Err(StoreError::new(
                    FailureKind::Refused,
                    Operation::new("publish", name),
                    format!(
                        "another job has created it with the digest {}",
                        found.short()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Reads the tags whose write failed without a response: the registry may have executed it. Returns the tags that
    /// cannot be read.
    async fn recheck_failed(
        &self,
        store: &Arc<dyn Store>,
        tags: &[Tag],
        results: &mut [Result<(), StoreError>],
    ) -> Vec<Tag> {
        let looks = tags.iter().zip(results).map(|(tag, result)| async move {
            let failed = |result: &StoreError| result.kind == FailureKind::Unavailable;
            if !result.as_ref().is_err_and(failed) {
                return None;
            }
            let name = ManifestName::Tag(tag.clone());
            match store.describe(&name).await {
                Ok(now) if now.digest == self.plan.index.digest => *result = Ok(()),
                Ok(_) => {}
                Err(error) if error.kind == FailureKind::NotFound => {}
                Err(_) => {
                    if let Err(error) = result {
                        error.hints.push(unknown(store, tag));
                    }
                    return Some(tag.clone());
                }
            }
            None
        });
        join_all(looks).await.into_iter().flatten().collect()
    }

    /// Adds the names of missing images to the errors: a registry that refuses an index because of missing images
    /// usually does not name them.
    async fn name_absent(&self, store: &Arc<dyn Store>, results: &mut [Result<(), StoreError>]) {
        let may_lack =
            |error: &StoreError| matches!(error.kind, FailureKind::NotFound | FailureKind::Other);
        let refused = |result: &Result<(), StoreError>| result.as_ref().is_err_and(may_lack);
        if !results.iter().any(refused) {
            return;
        }
        let looks = self.plan.entries.iter().map(|entry| async {
            let digest = &entry.descriptor.digest;
            let is_absent = if entry.descriptor.media_type.is_blob() {
                store
                    .has_blob(&entry.descriptor)
                    .await
                    .is_ok_and(|has| !has)
            } else {
                let found = store.describe(&ManifestName::Digest(digest.clone())).await;
                found.is_err_and(|error| error.kind == FailureKind::NotFound)
            };
            is_absent.then(|| format!("{digest} (from {})", entry.source))
        });
        let absent: Vec<String> = join_all(looks).await.into_iter().flatten().collect();
        if let Some(first) = absent.first() {
            let more = match absent.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let hint = format!(
                "push {first}{more} to {} first: it is missing there",
                store.name()
            );
            for error in results
                .iter_mut()
                .filter_map(|result| result.as_mut().err())
            {
                if may_lack(error) {
                    error.kind = FailureKind::NotFound;
                }
                error.hints.push(hint.clone().into());
            }
        }
    }

    /// Transfers blobs, then manifests stage by stage: GitLab's registry refuses an attestation before its image.
    async fn move_content(
        &self,
        target: &TargetPlan,
        store: &Arc<dyn Store>,
        outcome: &mut TargetOutcome,
    ) -> Result<(), StoreError> {
        let name = store.name();
        self.mover.move_all(target, store).await?;
        let mut stages: Vec<Stage> = target
            .manifests
            .iter()
            .map(|transfer| transfer.stage)
            .collect();
        stages.dedup();
        for stage in stages {
            let puts = target
                .manifests
                .iter()
                .filter(|transfer| transfer.stage == stage)
                .map(|transfer| async {
                    store.put_manifest(&transfer.manifest).await?;
                    self.observed.observe(Event::ManifestDone {
                        digest: &transfer.manifest.digest,
                        target: &name,
                    });
                    Ok::<_, StoreError>(())
                });
            try_join_all(puts).await?;
        }
        outcome.pushed = target
            .manifests
            .iter()
            .map(|transfer| transfer.manifest.digest.clone())
            .collect();
        Ok(())
    }

    /// Reads every published tag back and compares the bytes.
    async fn verify(
        &self,
        store: &Arc<dyn Store>,
        outcome: &mut TargetOutcome,
    ) -> Result<(), StoreError> {
        if outcome.tags.is_empty() {
            let name = ManifestName::Digest(self.plan.index.digest.clone());
            return self.read_back(store, &name).await;
        }
        let checks = outcome.tags.iter().map(|tag| async {
            match &tag.result {
                Ok(status) if *status != TagStatus::Kept => {
                    self.read_back(store, &ManifestName::Tag(tag.tag.clone()))
                        .await
                }
                _ => Ok(()),
            }
        });
        let results = join_all(checks).await;
        for (tag, result) in outcome.tags.iter_mut().zip(results) {
            if let Err(error) = result {
                tag.result = Err(error);
            }
        }
        Ok(())
    }

    async fn read_back(
        &self,
        store: &Arc<dyn Store>,
        name: &ManifestName,
    ) -> Result<(), StoreError> {
        let shown = format!("{}{name}", store.name());
        let found = store
            .manifest(name)
            .await
            .map_err(|error| match error.kind {
                // The registry accepted the index, so this does not mean that a source is missing.
                FailureKind::NotFound => StoreError {
                    kind: FailureKind::Refused,
                    operation: Operation::new("verify", shown.clone()),
                    ..error
                },
                _ => error,
            })?;
        if found.bytes != self.plan.index.bytes || found.media_type != self.plan.index.media_type {
            return Err(StoreError::new(
                FailureKind::Refused,
                Operation::new("verify", shown),
                format!(
                    "it has the digest {} ({}) instead of {} ({})",
                    found.digest, found.media_type, self.plan.index.digest, self.plan.index.media_type
                ),
            )
            .hint("check whether another job pushes the same tag, or whether a cache in front of the registry is stale"));
        }
        self.observed.observe(Event::Verified { reference: &shown });
        Ok(())
    }

    fn report_tags(&self, store: &Arc<dyn Store>, outcome: &TargetOutcome) {
        for tag in &outcome.tags {
            if let Ok(status) = tag.result
                && status != TagStatus::Kept
            {
                self.observed.observe(Event::TagDone {
                    reference: &format!("{}:{}", store.name(), tag.tag),
                    digest: &self.plan.index.digest,
                    already: status == TagStatus::Already,
                });
            }
        }
    }
}

/// Returns the note about a tag that cannot be read.
fn unknown(store: &Arc<dyn Store>, tag: &Tag) -> Hint {
    Hint::Note(format!(
        "it is unknown whether {}:{tag} was changed",
        store.name()
    ))
}
