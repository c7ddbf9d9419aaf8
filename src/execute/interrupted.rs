//! Determines the outcome of an interrupted run: the progress of each target, and the digests of its tags.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Change, Run, TagOutcome, TagStatus, TargetOutcome, unknown};
use crate::interrupt::GRACE;
use crate::plan::TargetPlan;
use crate::registry::Access;
use crate::spec::{LayoutKind, Location, Tag};
use crate::store::{FailureKind, ManifestName, Store, StoreError};

/// A target that is being processed.
pub(super) struct Attempt<'a> {
    pub(super) target: &'a TargetPlan,
    pub(super) outcome: TargetOutcome,
    pub(super) reached: Reached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Content is being written; no tag has moved.
    Content,
    /// Tags are being written, or read back.
    Tags,
    End,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(target: &'a TargetPlan) -> Self {
        Self {
            target,
            outcome: TargetOutcome {
                location: target.location.clone(),
                pushed: Vec::new(),
                has_index: false,
                tags: Vec::new(),
                found: Vec::new(),
                failure: None,
            },
            reached: Reached::Content,
        }
    }

    fn is_archive(&self) -> bool {
        matches!(&self.target.location, Location::Layout(layout) if layout.kind == LayoutKind::Archive)
    }
}

impl Run<'_> {
    /// Completes the outcomes of interrupted targets.
    pub(super) async fn settle_interrupted(&self, attempts: &mut [Attempt<'_>]) {
        join_all(attempts.iter_mut().map(|attempt| async {
            match attempt.reached {
                // An archive is written only at the very end.
                _ if attempt.is_archive() => {
                    attempt.outcome.tags.clear();
                    attempt.outcome.has_index = false;
                    attempt.outcome.failure = Some(interruption(&attempt.target.location));
                }
                Reached::End => {}
                Reached::Content => {
                    attempt.outcome.failure = Some(interruption(&attempt.target.location));
                }
                Reached::Tags => self.settle_tags(attempt).await,
            }
        }))
        .await;
    }

    /// Reads the tags to find out which of the interrupted writes were executed.
    async fn settle_tags(&self, attempt: &mut Attempt<'_>) {
        let location = &attempt.target.location;
        let store = match self.stores.open(location, Access::Push).await {
            Ok(store) => store,
            Err(error) => {
                attempt.outcome.failure = Some(error);
                return;
            }
        };
        if attempt.target.tags.is_empty() {
            attempt.outcome.failure = Some(interruption(location));
            return;
        }
        let looks = attempt.target.tags.iter().map(|tag| {
            let name = ManifestName::Tag(tag.clone());
            let store = Arc::clone(&store);
            async move { timeout(GRACE, store.describe(&name)).await }
        });
        let digest = &self.plan.index.digest;
        let found = join_all(looks).await;
        let kept: Vec<Tag> = (attempt.outcome.found.iter())
            .map(|(tag, _)| tag.clone())
            .collect();
        // Empty unless the registry answered all writes.
        let mut answered = std::mem::take(&mut attempt.outcome.tags).into_iter();
        let tags = attempt.target.tags.iter().zip(found).map(|(tag, found)| {
            if self.known.is_kept(location, tag) || kept.contains(tag) {
                return TagOutcome {
                    tag: tag.clone(),
                    change: Change::None,
                    result: Ok(TagStatus::Kept),
                };
            }
            let had_digest = self.known.points_at(location, tag) == Some(digest);
            let answered = answered.next().map(|tag| tag.change);
            let failed = interruption(location);
            let (change, result) = match (found, answered) {
                (Ok(Ok(now)), _) if now.digest == *digest && had_digest => {
                    (Change::None, Ok(TagStatus::Already))
                }
                (Ok(Ok(now)), _) if now.digest == *digest => {
                    (Change::Certain, Ok(TagStatus::Pushed))
                }
                (_, Some(change)) => (change, Err(failed)),
                (Ok(Err(error)), None) if error.kind != FailureKind::NotFound => {
                    (Change::Unknown, Err(failed.hint(unknown(&store, tag))))
                }
                (Err(_), None) => (Change::Unknown, Err(failed.hint(unknown(&store, tag)))),
                (Ok(_), None) if had_digest => (Change::None, Err(failed)),
                (Ok(_), None) => (Change::Unknown, Err(failed.hint(under_way(&store, tag)))),
            };
            TagOutcome {
                tag: tag.clone(),
                change,
                result,
            }
        });
        attempt.outcome.tags = tags.collect();
        attempt.outcome.has_index = attempt.outcome.tags.iter().all(|tag| tag.result.is_ok());
    }
}

fn interruption(location: &Location) -> StoreError {
    StoreError::new(
        FailureKind::Other,
        format!("publish to {location}"),
        "interrupted",
    )
}

/// Returns the hint for a tag that has not moved yet. Its write may still be executed.
fn under_way(store: &Arc<dyn Store>, tag: &Tag) -> String {
    format!(
        "check {}:{tag} again: it was not changed so far, but its write was in progress",
        store.name()
    )
}
