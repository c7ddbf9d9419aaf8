//! The places of one run, opened once each: repositories of registries, layouts on disk.
//! `resolve` and `execute` find here what the plan calls by name.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::content::{FailureKind, ManifestName, Store, StoreError};
use crate::interrupt::GRACE;
use crate::layout::{Layout, LayoutReference};
use crate::plan::Place;
use crate::registry::{Access, Registries};

/// The open places of one run.
pub struct Stores {
    registries: Registries,
    open: Mutex<HashMap<Place, Open>>,
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

    /// A repository that was opened for reading is opened once more for writing: its token must be for that.
    fn allows(&self, access: Access) -> bool {
        match self {
            Self::Repository(_, opened) => *opened >= access,
            Self::Layout(_) => true,
        }
    }
}

impl Stores {
    /// Nothing is open yet.
    pub fn new(registries: Registries) -> Self {
        Self {
            registries,
            open: Mutex::default(),
        }
    }

    /// The registries behind the repositories.
    pub fn registries(&self) -> &Registries {
        &self.registries
    }

    /// Opens a place, once. Targets (`Access::Push`) are to be opened before sources, and all of them before
    /// the first request, so that one token serves all and a layout that is both is opened for writing.
    pub async fn open(&self, place: &Place, access: Access) -> Result<Arc<dyn Store>, StoreError> {
        let mut open = self.open.lock().await;
        if let Some(known) = open.get(place).filter(|known| known.allows(access)) {
            return Ok(known.store());
        }
        let opened = match place {
            Place::Repository(repository) => {
                let repository = self.registries.repository(repository, access).await?;
                Open::Repository(repository, access)
            }
            Place::Layout(name) => {
                let reference: LayoutReference = name.parse().map_err(|error| {
                    StoreError::new(
                        FailureKind::Other,
                        format!("open {name}"),
                        format!("{error}"),
                    )
                })?;
                let layout = match access {
                    Access::Pull => Layout::open(&reference).await?,
                    Access::Push => Layout::create(&reference).await?,
                };
                Open::Layout(Arc::new(layout))
            }
            Place::Targets => {
                return Err(StoreError::new(
                    FailureKind::Other,
                    "open a place",
                    "a bare digest lies in no place of its own",
                ));
            }
        };
        let store = opened.store();
        open.insert(place.clone(), opened);
        Ok(store)
    }

    /// Whether there may be something at a place: `false` for a layout that is not on disk. Nothing is opened.
    pub fn may_exist(&self, place: &Place) -> bool {
        match place {
            Place::Layout(name) => name
                .parse::<LayoutReference>()
                .map_or(true, |reference| reference.path.exists()),
            Place::Repository(_) | Place::Targets => true,
        }
    }

    /// What a layout's reference means in it: its digest, its tag, or its only image.
    pub async fn select(&self, reference: &LayoutReference) -> Result<ManifestName, StoreError> {
        let place = Place::Layout(reference.place().to_string());
        self.open(&place, Access::Pull).await?;
        let layout = match self.open.lock().await.get(&place) {
            Some(Open::Layout(layout)) => Arc::clone(layout),
            _ => Arc::new(Layout::open(reference).await?),
        };
        layout.select(reference).await
    }

    /// Lets go of what was begun anywhere and will not be finished, within [`GRACE`].
    pub async fn abandon(&self) {
        let stores: Vec<_> = self.open.lock().await.values().map(Open::store).collect();
        let all = join_all(stores.iter().map(|store| store.abandon()));
        drop(tokio::time::timeout(GRACE, all).await);
    }

    /// Makes what was written to archives appear under their names.
    pub async fn finish(&self) -> Result<(), StoreError> {
        for open in self.open.lock().await.values() {
            if let Open::Layout(layout) = open {
                layout.finish().await?;
            }
        }
        Ok(())
    }
}
