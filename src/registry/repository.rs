//! A repository as a place of content. Its operations are in the files beside; mounts are here.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};

use super::authorizer::Authorizer;
use super::call::{Answer, Call, Outcome};
use super::host::Host;
use super::manifest::reference;
use super::state::RepositoryState;
use crate::spec::{Descriptor, Digest, Manifest, Repository, Tag};
use crate::store::{BlobStream, ManifestName, Operation, Store, StoreError};

/// A repository in a registry.
pub struct RegistryRepository {
    pub(super) host: Arc<Host>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) repository: Repository,
    pub(super) max_manifest: u64,
    pub(super) state: Arc<RepositoryState>,
}

impl RegistryRepository {
    pub(super) fn new(
        host: Arc<Host>,
        authorizer: Arc<Authorizer>,
        repository: Repository,
        max_manifest: u64,
    ) -> Self {
        Self {
            state: host.state(repository.path()),
            host,
            authorizer,
            repository,
            max_manifest,
        }
    }

    pub(super) fn call(
        &self,
        method: Method,
        path: String,
        operation: impl Into<Operation>,
    ) -> Call {
        Call::new(&self.repository, method, path, operation)
    }

    pub(super) async fn exchange(
        &self,
        call: &Call,
        what: &'static str,
        limit: u64,
    ) -> Outcome<Answer> {
        self.host
            .exchange(&self.authorizer, call, what, limit)
            .await
    }

    pub(super) fn refused(&self, call: &Call, answer: &Answer) -> StoreError {
        Host::refused(&self.authorizer, call, answer)
    }

    pub(super) fn shown(&self, name: &ManifestName) -> String {
        format!("{}{name}", self.repository)
    }

    pub(super) fn manifest_call(
        &self,
        method: Method,
        name: &ManifestName,
        operation: impl Into<Operation>,
    ) -> Call {
        let path = format!("manifests/{}", reference(name));
        let call = self.call(method, path, operation);
        if call.is_read() {
            call.accepting_manifests()
        } else {
            call
        }
    }

    async fn mount(&self, blob: &Descriptor, from: &Repository) -> Outcome<bool> {
        // A registry that is told a `from` of another host may well have a repository of that name.
        if from.registry() != self.repository.registry() {
            return Ok(false);
        }
        let doing = format!("mount {} from {from} into {}", blob.digest, self.repository);
        let path = format!("blobs/uploads/?mount={}&from={}", blob.digest, from.path());
        let mut call = self.call(Method::POST, path, doing);
        call.is_offer = true;
        call.reads = Some(from.clone());
        let answer = self.exchange(&call, "an answer", 64 << 10).await?;
        match answer.status {
            StatusCode::CREATED => {
                self.state.pushed(format!("blobs/{}", blob.digest));
                Ok(true)
            }
            StatusCode::ACCEPTED => {
                if let Some(location) = answer.location() {
                    self.state.keep_upload(blob.digest.clone(), location);
                }
                Ok(false)
            }
            // A mount is an offer: what refuses it may still take a copy.
            status if status.is_client_error() => Ok(false),
            _ => Err(self.refused(&call, &answer)),
        }
    }
}

impl Store for RegistryRepository {
    fn name(&self) -> String {
        self.repository.to_string()
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.repository)
    }

    fn describe<'a>(&'a self, name: &'a ManifestName) -> BoxFuture<'a, Outcome<Descriptor>> {
        self.describe_manifest(name).boxed()
    }

    fn manifest<'a>(&'a self, name: &'a ManifestName) -> BoxFuture<'a, Outcome<Manifest>> {
        self.read_manifest(name).boxed()
    }

    fn blob<'a>(&'a self, blob: &'a Descriptor, limit: u64) -> BoxFuture<'a, Outcome<Bytes>> {
        self.read_blob(blob, limit).boxed()
    }

    fn open_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        offset: u64,
    ) -> BoxFuture<'a, Outcome<BlobStream>> {
        self.stream_blob(blob, offset).boxed()
    }

    fn has_blob<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Outcome<bool>> {
        self.knows_blob(blob).boxed()
    }

    fn mount_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: &'a Repository,
    ) -> BoxFuture<'a, Outcome<bool>> {
        self.mount(blob, from).boxed()
    }

    fn copy_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: Arc<dyn Store>,
        progress: &'a (dyn Fn(u64) + Send + Sync),
    ) -> BoxFuture<'a, Outcome<()>> {
        self.upload(blob, from, progress).boxed()
    }

    fn put_manifest<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Outcome<()>> {
        self.put_under_digest(manifest).boxed()
    }

    fn put_tags<'a>(
        &'a self,
        manifest: &'a Manifest,
        tags: &'a [Tag],
    ) -> BoxFuture<'a, Vec<Outcome<()>>> {
        self.put_each_tag(manifest, tags).boxed()
    }

    fn abandon(&self) -> BoxFuture<'_, ()> {
        self.cancel_uploads().boxed()
    }

    fn referrers<'a>(&'a self, subject: &'a Digest) -> BoxFuture<'a, Outcome<Vec<Descriptor>>> {
        self.list_referrers(subject).boxed()
    }
}
