//! The open repositories and layouts of one run. Each location is opened once.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::interrupt::GRACE;
use crate::layout::Layout;
use crate::registry::{Access, Registries};
use crate::spec::{LayoutReference, Location};
use crate::store::{ManifestName, Store, StoreError};

/// The stores of one run.
pub struct Stores {
    registries: Registries,
    open: Mutex<HashMap<Location, Open>>,
}

#[derive(Clone)]
enum Open {
    Repository(Arc<dyn Store>, Access),
    Layout(Arc<Layout>),
}

impl Open {
    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Repository(store, _) => Arc::clone(store),
            Self::Layout(layout) => Arc::clone(layout) as Arc<dyn Store>,
        }
    }

    /// Returns whether the store can be used with `access`. A repository that was opened for reading must be opened
    /// again for writing, because it needs a token with push access.
    fn allows(&self, access: Access) -> bool {
        match self {
            Self::Repository(_, opened) => *opened >= access,
            Self::Layout(_) => true,
        }
    }
}

impl Stores {
    pub fn new(registries: Registries) -> Self {
        Self {
            registries,
            open: Mutex::default(),
        }
    }

    pub fn registries(&self) -> &Registries {
        &self.registries
    }

    /// Opens a location once. Open targets before sources, and all of them before the first request: then one token is
    /// enough, and a layout that is both source and target is opened for writing.
    pub async fn open(
        &self,
        location: &Location,
        access: Access,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let mut open = self.open.lock().await;
        if let Some(known) = open.get(location).filter(|known| known.allows(access)) {
            return Ok(known.store());
        }
        let opened = match location {
            Location::Repository(repository) => {
                let repository = self.registries.repository(repository, access).await?;
                Open::Repository(repository, access)
            }
            Location::Layout(layout) => {
                let layout = match access {
                    Access::Pull => Layout::open(layout).await?,
                    Access::Push => Layout::create(layout).await?,
                };
                Open::Layout(Arc::new(layout))
            }
        };
        let store = opened.store();
        open.insert(location.clone(), opened);
        Ok(store)
    }

    /// Returns whether a location may exist: `false` for a layout that is not on disk. Opens nothing.
    pub fn may_exist(location: &Location) -> bool {
        match location {
            Location::Layout(layout) => layout.path.exists(),
            Location::Repository(_) => true,
        }
    }

    /// Returns the manifest that a reference to a layout selects: by digest, by tag, or as the only image.
    pub async fn select(&self, reference: &LayoutReference) -> Result<ManifestName, StoreError> {
        let location = Location::Layout(reference.layout.clone());
        self.open(&location, Access::Pull).await?;
        let layout = match self.open.lock().await.get(&location) {
            Some(Open::Layout(layout)) => Arc::clone(layout),
            _ => Arc::new(Layout::open(&reference.layout).await?),
        };
        layout.select(reference).await
    }

    /// Cancels the uploads that tried the credentials, within [`GRACE`]. Best effort.
    pub async fn end_trials(&self) {
        let stores: Vec<_> = self.open.lock().await.values().map(Open::store).collect();
        let all = join_all(stores.iter().map(|store| store.end_trial()));
        drop(tokio::time::timeout(GRACE, all).await);
    }

    /// Cancels unfinished uploads within [`GRACE`]. Best effort.
    pub async fn abandon(&self) {
        let stores: Vec<_> = self.open.lock().await.values().map(Open::store).collect();
        let all = join_all(stores.iter().map(|store| store.abandon()));
        drop(tokio::time::timeout(GRACE, all).await);
    }

    /// Moves written archives to their final paths.
    pub async fn finish(&self) -> Result<(), StoreError> {
        for open in self.open.lock().await.values() {
            if let Open::Layout(layout) = open {
                layout.finish().await?;
            }
        }
        Ok(())
    }
}
