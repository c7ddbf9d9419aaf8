//! Tries the push credentials of several targets before anything is written: if one target refuses, no target is
//! changed. A single target needs no trial, because its refusal changes nothing.

use std::collections::HashMap;

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use crate::registry::Access;
use crate::spec::Location;
use crate::store::StoreError;
use crate::stores::Stores;

/// The trials of one run, each made at most once.
pub struct PushAccess<'a> {
    stores: &'a Stores,
    trials: HashMap<&'a Location, OnceCell<Result<(), StoreError>>>,
}

impl<'a> PushAccess<'a> {
    /// Prepares the trials for all targets of a run.
    pub fn new(stores: &'a Stores, targets: &'a [Location]) -> Self {
        let repositories = targets.iter().filter(|it| it.repository().is_some());
        let trials = repositories.map(|location| (location, OnceCell::new()));
        Self {
            stores,
            trials: if targets.len() > 1 {
                trials.collect()
            } else {
                HashMap::new()
            },
        }
    }

    /// Tries to push to these targets, all in parallel. Returns the first refusal.
    pub async fn check(
        &self,
        targets: impl IntoIterator<Item = &Location>,
    ) -> Result<(), StoreError> {
        // Waits for all trials, so that every started upload is known and can be cancelled.
        let tried = join_all(targets.into_iter().map(|target| self.check_one(target))).await;
        tried.into_iter().collect()
    }

    async fn check_one(&self, target: &Location) -> Result<(), StoreError> {
        let Some(trial) = self.trials.get(target) else {
            return Ok(());
        };
        let outcome = trial.get_or_init(|| async {
            let store = self.stores.open(target, Access::Push).await?;
            store.try_push().await
        });
        outcome.await.clone()
    }

    /// Cancels the uploads of the trials.
    pub async fn end(&self) {
        if !self.trials.is_empty() {
            self.stores.end_trials().await;
        }
    }
}
