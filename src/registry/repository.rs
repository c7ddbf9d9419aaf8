//! A repository in a registry, and how its requests are built. The other files contain the operations.

use std::sync::Arc;

use http::Method;

use super::answer::Answer;
use super::call::Call;
use super::client::Client;
use super::state::RepositoryState;
use crate::spec::{Descriptor, Repository};
use crate::store::{ManifestName, Operation, StoreError};

/// A repository in a registry.
pub struct RegistryRepository {
    pub(super) client: Arc<Client>,
    pub(super) repository: Repository,
    /// The size limit of a manifest in bytes.
    pub(super) max_manifest: u64,
    pub(super) state: Arc<RepositoryState>,
}

impl RegistryRepository {
    pub(super) fn new(
        client: Arc<Client>,
        repository: Repository,
        max_manifest: u64,
        state: Arc<RepositoryState>,
    ) -> Self {
        Self {
            client,
            repository,
            max_manifest,
            state,
        }
    }

    /// Creates a call to `path` below the repository's name.
    pub(super) fn call(
        &self,
        method: Method,
        path: String,
        operation: impl Into<Operation>,
    ) -> Call {
        let has_pushed = self.state.has_pushed(&path);
        let mut call = Call::new(&self.repository, method, path, operation);
        call.reads_own_write = call.is_read() && has_pushed;
        call
    }

    pub(super) fn manifest_call(
        &self,
        method: Method,
        name: &ManifestName,
        action: &'static str,
    ) -> Call {
        let operation = Operation::new(action, format!("{}{name}", self.repository));
        let call = self.call(method, manifest_path(name), operation);
        if call.is_read() {
            call.accepting_manifests()
        } else {
            call
        }
    }

    pub(super) fn blob_call(&self, method: Method, blob: &Descriptor, verb: &str) -> Call {
        let action = format!("{verb} blob {} of", blob.digest.short());
        let operation = Operation::new(action, self.repository.to_string());
        self.call(method, format!("blobs/{}", blob.digest), operation)
    }

    pub(super) fn refused(&self, call: &Call, answer: &Answer) -> StoreError {
        self.client.refused(call, answer)
    }
}

/// Returns the path of a manifest below the repository's name.
pub(super) fn manifest_path(name: &ManifestName) -> String {
    match name {
        ManifestName::Digest(digest) => format!("manifests/{digest}"),
        ManifestName::Tag(tag) => format!("manifests/{tag}"),
    }
}
