//! Moves blobs to the targets: mounts them within a registry, copies them otherwise. Each digest is copied to each
//! registry once; further repositories mount it.

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

/// The buffers of all blobs under way, in KiB. Bounds the memory of a copy.
const BUFFERS: u32 = 4096;
/// The buffers of the largest blobs: six of them at once, which is enough to use the bandwidth of a link.
const MOST_BUFFERS: u32 = BUFFERS / 6;
/// The buffers of the smallest blobs: 128 of them at once, since each takes round trips and little bandwidth.
const LEAST_BUFFERS: u32 = BUFFERS / 128;

/// The first repository of a registry that has a blob, once it has it.
type FirstHome = Arc<OnceCell<Repository>>;

pub(super) struct BlobMover<'a> {
    stores: &'a Stores,
    observed: &'a Observed,
    buffers: Semaphore,
    /// The buffers of a blob, in KiB, at least: `jobs` blobs at once.
    least: u32,
    homes: Mutex<HashMap<(RegistryHost, Digest), FirstHome>>,
}

impl<'a> BlobMover<'a> {
    pub(super) fn new(stores: &'a Stores, observed: &'a Observed, jobs: usize) -> Self {
        Self {
            stores,
            observed,
            buffers: Semaphore::new(BUFFERS as usize),
            least: u32::try_from(jobs).map_or(LEAST_BUFFERS, |jobs| {
                LEAST_BUFFERS.max(BUFFERS / jobs.max(1))
            }),
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
        let kibibytes = u32::try_from(blob.size >> 10).unwrap_or(u32::MAX);
        let buffers = kibibytes.min(MOST_BUFFERS).max(self.least);
        let _buffers = self.buffers.acquire_many(buffers).await;
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
