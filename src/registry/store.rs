//! A repository as a [`Store`].

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::call::Outcome;
use super::repository::RegistryRepository;
use crate::spec::{Descriptor, Digest, Manifest, Repository, Tag};
use crate::store::{BlobStream, ManifestName, Store, StoreFuture};

impl Store for RegistryRepository {
    fn name(&self) -> String {
        self.repository.to_string()
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.repository)
    }

    fn describe<'a>(&'a self, name: &'a ManifestName) -> StoreFuture<'a, Descriptor> {
        self.describe_manifest(name).boxed()
    }

    fn manifest<'a>(&'a self, name: &'a ManifestName) -> StoreFuture<'a, Manifest> {
        self.read_manifest(name).boxed()
    }

    fn blob<'a>(&'a self, blob: &'a Descriptor, limit: u64) -> StoreFuture<'a, Bytes> {
        self.read_blob(blob, limit).boxed()
    }

    fn open_blob<'a>(&'a self, blob: &'a Descriptor, offset: u64) -> StoreFuture<'a, BlobStream> {
        self.stream_blob(blob, offset).boxed()
    }

    fn has_blob<'a>(&'a self, blob: &'a Descriptor) -> StoreFuture<'a, bool> {
        self.find_blob(blob).boxed()
    }

    fn mount_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: &'a Repository,
    ) -> StoreFuture<'a, bool> {
        self.mount(blob, from).boxed()
    }

    fn copy_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: Arc<dyn Store>,
        progress: &'a (dyn Fn(u64) + Send + Sync),
    ) -> StoreFuture<'a, ()> {
        self.upload(blob, from, progress).boxed()
    }

    fn put_manifest<'a>(&'a self, manifest: &'a Manifest) -> StoreFuture<'a, ()> {
        async {
            let written = self.put_under_digest(manifest).await?;
            self.list_with_subject(manifest, written).await
        }
        .boxed()
    }

    fn put_tags<'a>(
        &'a self,
        manifest: &'a Manifest,
        tags: &'a [Tag],
    ) -> BoxFuture<'a, Vec<Outcome<()>>> {
        async {
            let written = self.put_under_tags(manifest, tags).await;
            let listed = match written.iter().flatten().next() {
                Some(first) => self.list_with_subject(manifest, *first).await,
                None => Ok(()),
            };
            let results = written.into_iter();
            results
                .map(|result| result.and_then(|_| listed.clone()))
                .collect()
        }
        .boxed()
    }

    fn try_push(&self) -> StoreFuture<'_, ()> {
        self.try_upload().boxed()
    }

    fn end_trial(&self) -> BoxFuture<'_, ()> {
        self.cancel_trial().boxed()
    }

    fn abandon(&self) -> BoxFuture<'_, ()> {
        self.cancel_uploads().boxed()
    }

    fn referrers<'a>(&'a self, subject: &'a Digest) -> StoreFuture<'a, Vec<Descriptor>> {
        self.list_referrers(subject).boxed()
    }
}
