//! The outcome of an interrupted run: how far each target was, and where its tags point.

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
                // An archive appears at the very end.
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

    /// Asks the registry which of the interrupted writes were carried out.
    async fn settle_tags(&self, attempt: &mut Attempt<'_>) {
        let place = &attempt.target.location;
        let store = match self.stores.open(place, Access::Push).await {
            Ok(store) => store,
            Err(error) => {
                attempt.outcome.failure = Some(error);
                return;
            }
        };
        if attempt.target.tags.is_empty() {
            attempt.outcome.failure = Some(interruption(place));
            return;
        }
        let looks = attempt.target.tags.iter().map(|tag| {
            let name = ManifestName::Tag(tag.clone());
            let store = Arc::clone(&store);
            async move { timeout(GRACE, store.describe(&name)).await }
        });
        let digest = &self.plan.index.digest;
        let found = join_all(looks).await;
        // Empty if not all writes were answered.
        let mut answered = std::mem::take(&mut attempt.outcome.tags).into_iter();
        let tags = attempt.target.tags.iter().zip(found).map(|(tag, found)| {
            if self.known.is_kept(place, tag) {
                return TagOutcome {
                    tag: tag.clone(),
                    change: Change::None,
                    result: Ok(TagStatus::Kept),
                };
            }
            let was_there = self.known.points_at(place, tag) == Some(digest);
            let answered = answered.next().map(|tag| tag.change);
            let failed = interruption(place);
            let (change, result) = match (found, answered) {
                (Ok(Ok(now)), _) if now.digest == *digest && was_there => {
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
                (Ok(_), None) if was_there => (Change::None, Err(failed)),
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

fn interruption(place: &Location) -> StoreError {
    StoreError::new(
        FailureKind::Other,
        format!("publish to {place}"),
        "interrupted",
    )
}

/// The hint for a tag that has not moved, although its write may still be carried out.
fn under_way(store: &Arc<dyn Store>, tag: &Tag) -> String {
    format!(
        "{}:{tag} was not changed so far, but its write was in progress: check it again",
        store.name()
    )
}
