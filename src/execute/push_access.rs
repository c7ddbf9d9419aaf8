//! Tries the push credentials of several targets before anything is written: if one target refuses, no target is
//! changed. A single target needs no trial, because its refusal changes nothing.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use crate::registry::Access;
use crate::spec::Location;
use crate::store::StoreError;
use crate::stores::Stores;

/// The trials of one run, each made at most once.
pub struct PushAccess<'a> {
    stores: &'a Stores,
    trials: BTreeMap<&'a Location, OnceCell<Result<(), StoreError>>>,
    /// If set, a check of any target makes all trials.
    checks_all: bool,
}

impl<'a> PushAccess<'a> {
    /// Prepares the trials for the targets of one index: one for each repository.
    pub fn new(stores: &'a Stores, targets: &'a [Location]) -> Self {
        let repositories = targets.iter().filter(|it| it.repository().is_some());
        let trials = repositories.map(|location| (location, OnceCell::new()));
        Self {
            stores,
            trials: if targets.len() > 1 {
                trials.collect()
            } else {
                BTreeMap::new()
            },
            checks_all: false,
        }
    }

    /// Prepares the trials for the targets of several indexes: one for the first repository of each registry, because
    /// a file may name hundreds of repositories. All trials are made before the first index is pushed.
    pub fn of_several(stores: &'a Stores, targets: &'a [Location]) -> Self {
        let mut seen = HashSet::new();
        let is_first = |location: &&Location| {
            (location.repository()).is_some_and(|it| seen.insert(it.registry().clone()))
        };
        let trials = targets.iter().filter(is_first);
        let trials: BTreeMap<_, _> = trials.map(|it| (it, OnceCell::new())).collect();
        Self {
            stores,
            trials: if trials.len() > 1 {
                trials
            } else {
                BTreeMap::new()
            },
            checks_all: true,
        }
    }

    /// Tries to push to these targets, all in parallel. Returns the first refusal.
    pub async fn check(
        &self,
        targets: impl IntoIterator<Item = &Location>,
    ) -> Result<(), StoreError> {
        let mut targets: Vec<&Location> = targets.into_iter().collect();
        if self.checks_all && !targets.is_empty() {
            targets = self.trials.keys().copied().collect();
        }
        // Waits for all trials, so that every started upload is known and can be cancelled.
        let tried = join_all(targets.into_iter().map(|target| self.check_one(target))).await;
        tried.into_iter().collect()
    }

    /// Returns the first refusal of the trials that were made.
    pub fn refusal(&self) -> Option<StoreError> {
        let mut outcomes = self.trials.values().filter_map(OnceCell::get);
        outcomes.find_map(|outcome| outcome.clone().err())
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
