//! Blobs on their way to the targets: mounted where one registry has them, else streamed through. Each digest
//! goes to each registry once; a second repository there mounts it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::{OnceCell, Semaphore};

use crate::plan::{BlobTransfer, TargetPlan};
use crate::progress::{BlobOutcome, Event, Observed};
use crate::registry::Access;
use crate::spec::{Digest, RegistryHost, Repository};
use crate::store::{Store, StoreError};
use crate::stores::Stores;
use crate::sync::Mutex;

/// From this size on a blob counts as large: few of them are moved at once, because each holds buffers.
const LARGE: u64 = 4 << 20;
/// How many places a large blob takes.
const LARGE_WEIGHT: u32 = 4;
/// All places: four large blobs at once, or sixteen small ones.
const PLACES: usize = 16;

/// The repository of a registry that has a blob first; set once it is there.
type FirstHome = Arc<OnceCell<Repository>>;

pub(super) struct BlobMover<'a> {
    stores: &'a Stores,
    observed: &'a Observed,
    places: Semaphore,
    homes: Mutex<HashMap<(RegistryHost, Digest), FirstHome>>,
}

impl<'a> BlobMover<'a> {
    pub(super) fn new(stores: &'a Stores, observed: &'a Observed, jobs: usize) -> Self {
        Self {
            stores,
            observed,
            places: Semaphore::new(PLACES.min(jobs.max(LARGE_WEIGHT as usize))),
            homes: Mutex::default(),
        }
    }

    pub(super) async fn move_all(
        &self,
        target: &TargetPlan,
        store: &Arc<dyn Store>,
    ) -> Result<(), StoreError> {
        try_join_all(
            target
                .blobs
                .iter()
                .map(|transfer| self.move_one(transfer, store)),
        )
        .await?;
        Ok(())
    }

    async fn move_one(
        &self,
        transfer: &BlobTransfer,
        store: &Arc<dyn Store>,
    ) -> Result<(), StoreError> {
        let name = store.name();
        let done = |how: BlobOutcome<'_>| {
            self.observed.observe(Event::BlobDone {
                blob: &transfer.blob,
                target: &name,
                how,
            });
        };
        let from = self.stores.open(&transfer.from, Access::Pull).await?;
        if transfer.mountable
            && let Some(source) = from.repository()
            && store.mount_blob(&transfer.blob, source).await?
        {
            done(BlobOutcome::Mounted(&source.to_string()));
            return Ok(());
        }
        let Some(repository) = store.repository() else {
            return self.copy(transfer, &from, store).await;
        };
        let home = self.home(repository, transfer);
        let mut copied_here = false;
        let first = home
            .get_or_try_init(|| async {
                copied_here = true;
                self.copy(transfer, &from, store).await?;
                Ok::<_, StoreError>(repository.clone())
            })
            .await?;
        if copied_here || first == repository {
            return Ok(());
        }
        if store.mount_blob(&transfer.blob, first).await? {
            done(BlobOutcome::Mounted(&first.to_string()));
            return Ok(());
        }
        self.copy(transfer, &from, store).await
    }

    async fn copy(
        &self,
        transfer: &BlobTransfer,
        from: &Arc<dyn Store>,
        store: &Arc<dyn Store>,
    ) -> Result<(), StoreError> {
        let name = store.name();
        let blob = &transfer.blob;
        let weight = if blob.size >= LARGE { LARGE_WEIGHT } else { 1 };
        let _place = self.places.acquire_many(weight).await;
        let how = if store.has_blob(blob).await? {
            BlobOutcome::Exists
        } else {
            let progress = |done: u64| {
                self.observed.observe(Event::BlobBytes {
                    blob,
                    target: &name,
                    done,
                });
            };
            store.copy_blob(blob, Arc::clone(from), &progress).await?;
            BlobOutcome::Pushed
        };
        self.observed.observe(Event::BlobDone {
            blob,
            target: &name,
            how,
        });
        Ok(())
    }

    fn home(&self, repository: &Repository, transfer: &BlobTransfer) -> FirstHome {
        let key = (repository.registry().clone(), transfer.blob.digest.clone());
        let mut homes = self.homes.lock();
        Arc::clone(homes.entry(key).or_default())
    }
}
