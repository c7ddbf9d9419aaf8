//! What is found out when a run is interrupted: how far each target was, and where its tags point.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Change, Landed, Run, TagOutcome, TargetOutcome, unknown};
use crate::content::{FailureKind, ManifestName, StoreError};
use crate::interrupt::GRACE;
use crate::plan::{Place, TargetPlan};
use crate::registry::Access;

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
                place: target.place.clone(),
                pushed: Vec::new(),
                has_index: false,
                tags: Vec::new(),
                failure: None,
            },
            reached: Reached::Content,
        }
    }

    fn is_archive(&self) -> bool {
        matches!(&self.target.place, Place::Layout(name) if name.starts_with("oci-archive:"))
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
                    attempt.outcome.failure = Some(interruption(&attempt.target.place));
                }
                Reached::End => {}
                Reached::Content => {
                    attempt.outcome.failure = Some(interruption(&attempt.target.place));
                }
                Reached::Tags => self.settle_tags(attempt).await,
            }
        }))
        .await;
    }

    /// Requests that were under way may or may not have been carried out: the registry knows.
    async fn settle_tags(&self, attempt: &mut Attempt<'_>) {
        let place = &attempt.target.place;
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
        let tags = attempt.target.tags.iter().zip(found).map(|(tag, found)| {
            let was_there = self.known.points_at(place, tag) == Some(digest);
            let mut change = Change::None;
            let result = match found {
                Ok(Ok(now)) if now.digest == *digest && was_there => Ok(Landed::Already),
                Ok(Ok(now)) if now.digest == *digest => {
                    change = Change::Certain;
                    Ok(Landed::Pushed)
                }
                Ok(Ok(_)) => Err(interruption(place)),
                Ok(Err(error)) if error.kind == FailureKind::NotFound => Err(interruption(place)),
                Ok(Err(_)) | Err(_) => {
                    change = Change::Unknown;
                    Err(interruption(place).hint(unknown(&store, tag)))
                }
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

fn interruption(place: &Place) -> StoreError {
    StoreError::new(
        FailureKind::Other,
        format!("publish to {place}"),
        "interrupted",
    )
}
