//! A source with one blob. The blob arrives in given pieces, and the last one may be an error.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, StreamExt, stream};
use polyarch::spec::{Descriptor, Digest, Manifest, Repository, Tag};
use polyarch::store::{BlobStream, FailureKind, ManifestName, Store, StoreError};

/// The pieces in order.
type Pieces = Vec<Result<Bytes, StoreError>>;

pub(crate) struct BrokenSource(Mutex<Pieces>);

impl BrokenSource {
    pub(crate) fn pieces(pieces: Pieces) -> Self {
        Self(Mutex::new(pieces))
    }
}

fn nothing<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, StoreError>> {
    let error = StoreError::new(
        FailureKind::NotFound,
        "read from the broken source",
        "it has one blob",
    );
    ready(Err(error)).boxed()
}

impl Store for BrokenSource {
    fn name(&self) -> String {
        "a broken source".to_owned()
    }

    fn repository(&self) -> Option<&Repository> {
        None
    }

    fn describe<'a>(
        &'a self,
        _: &'a ManifestName,
    ) -> BoxFuture<'a, Result<Descriptor, StoreError>> {
        nothing()
    }

    fn manifest<'a>(&'a self, _: &'a ManifestName) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        nothing()
    }

    fn blob<'a>(&'a self, _: &'a Descriptor, _: u64) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        nothing()
    }

    fn open_blob<'a>(
        &'a self,
        _: &'a Descriptor,
        _: u64,
    ) -> BoxFuture<'a, Result<BlobStream, StoreError>> {
        let pieces = std::mem::take(&mut *self.0.lock().unwrap());
        ready(Ok(stream::iter(pieces).boxed())).boxed()
    }

    fn has_blob<'a>(&'a self, _: &'a Descriptor) -> BoxFuture<'a, Result<bool, StoreError>> {
        nothing()
    }

    fn mount_blob<'a>(
        &'a self,
        _: &'a Descriptor,
        _: &'a Repository,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        nothing()
    }

    fn copy_blob<'a>(
        &'a self,
        _: &'a Descriptor,
        _: Arc<dyn Store>,
        _: &'a (dyn Fn(u64) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        nothing()
    }

    fn put_manifest<'a>(&'a self, _: &'a Manifest) -> BoxFuture<'a, Result<(), StoreError>> {
        nothing()
    }

    fn put_tags<'a>(
        &'a self,
        _: &'a Manifest,
        _: &'a [Tag],
    ) -> BoxFuture<'a, Vec<Result<(), StoreError>>> {
        ready(Vec::new()).boxed()
    }

    fn referrers<'a>(
        &'a self,
        _: &'a Digest,
    ) -> BoxFuture<'a, Result<Vec<Descriptor>, StoreError>> {
        nothing()
    }
}
