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

/// The total size of the buffers of all transfers in KiB. It limits the memory of a copy.
const BUFFERS: u32 = 4096;
/// The buffers of a large blob in KiB: six large blobs at the same time are enough to use the full bandwidth.
const MAX_BLOB_BUFFERS: u32 = BUFFERS / 6;
/// The buffers of a small blob in KiB: 128 small blobs are sent at the same time, because each needs several round
/// trips.
const MIN_BLOB_BUFFERS: u32 = BUFFERS / 128;

/// The first repository of a registry that a blob was copied to. Empty until the copy is complete.
type FirstCopy = Arc<OnceCell<Repository>>;

pub(super) struct BlobMover<'a> {
    stores: &'a Stores,
    observed: &'a Observed,
    buffers: Semaphore,
    /// The minimum buffers of a blob in KiB, which limit the transfers to `jobs` blobs.
    min_buffers: u32,
    first_copies: Mutex<HashMap<(RegistryHost, Digest), FirstCopy>>,
}

impl<'a> BlobMover<'a> {
    pub(super) fn new(stores: &'a Stores, observed: &'a Observed, jobs: usize) -> Self {
        Self {
            stores,
            observed,
            buffers: Semaphore::new(BUFFERS as usize),
            min_buffers: u32::try_from(jobs).map_or(MIN_BLOB_BUFFERS, |jobs| {
                MIN_BLOB_BUFFERS.max(BUFFERS / jobs.max(1))
            }),
            first_copies: Mutex::default(),
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
        let first_copy = self.first_copy(repository, transfer);
        let mut copied_here = false;
        let first = first_copy
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
        let buffers = kibibytes.min(MAX_BLOB_BUFFERS).max(self.min_buffers);
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

    fn first_copy(&self, repository: &Repository, transfer: &BlobTransfer) -> FirstCopy {
        let key = (repository.registry().clone(), transfer.blob.digest.clone());
        let mut first_copies = self.first_copies.lock();
        Arc::clone(first_copies.entry(key).or_default())
    }
}
