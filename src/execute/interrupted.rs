//! What is found out when a run is interrupted: how far each target was, and where its tags point.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Change, Landed, Run, TagOutcome, TargetOutcome, unknown};
use crate::interrupt::GRACE;
use crate::plan::TargetPlan;
use crate::registry::Access;
use crate::spec::{LayoutKind, Location, Tag};
use crate::store::{FailureKind, ManifestName, Store, StoreError};

/// A target under way.
pub(super) struct Attempt<'a> {
    pub(super) target: &'a TargetPlan,
    pub(super) outcome: TargetOutcome,
    pub(super) reached: Reached,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nothing that people can see has been written.
    Content,
    /// Tags are being written, or read back.
    Tags,
    /// It is over.
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
    /// Completes the outcomes of targets that were interrupted.
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

    /// Requests that were under way may or may not have been carried out: the registry knows.
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
        // Empty if the answers to the writes had not all come.
        let mut answered = std::mem::take(&mut attempt.outcome.tags).into_iter();
        let tags = attempt.target.tags.iter().zip(found).map(|(tag, found)| {
            let was_there = self.known.points_at(place, tag) == Some(digest);
            let answered = answered.next().map(|tag| tag.change);
            let failed = interruption(place);
            let (change, result) = match (found, answered) {
                (Ok(Ok(now)), _) if now.digest == *digest && was_there => {
                    (Change::None, Ok(Landed::Already))
                }
                (Ok(Ok(now)), _) if now.digest == *digest => (Change::Certain, Ok(Landed::Pushed)),
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

/// What to tell of a tag that is as it was, although a registry may still be carrying out its write.
fn under_way(store: &Arc<dyn Store>, tag: &Tag) -> String {
    format!(
        "{}:{tag} was not changed so far, but its write was under way: look again",
        store.name()
    )
}
