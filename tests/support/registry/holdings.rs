//! Direct access of tests to the content of a registry, without HTTP and without checks.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Registry,
    content::Content,
    store::{Manifest, Snapshot},
};
use crate::support::digest;

impl Registry {
    /// Returns the tags of `repo` and their digests.
    pub fn tags(&self, repo: &str) -> BTreeMap<String, String> {
        let store = self.shared.store();
        store
            .repos
            .get(repo)
            .map(|held| held.tags.clone())
            .unwrap_or_default()
    }

    /// Returns the digest that `tag` points to.
    pub fn tag(&self, repo: &str, tag: &str) -> Option<String> {
        self.tags(repo).get(tag).cloned()
    }

    /// Returns the media type and bytes of the manifest that a tag or digest refers to.
    pub fn manifest(&self, repo: &str, reference: &str) -> Option<(String, Bytes)> {
        let store = self.shared.store();
        let (_, manifest) = store.manifest(repo, reference)?;
        Some((manifest.media_type.clone(), manifest.content.bytes()?))
    }

    /// Returns the JSON document that a tag or digest refers to.
    pub fn document(&self, repo: &str, reference: &str) -> Option<serde_json::Value> {
        self.shared.store().manifest(repo, reference)?.1.document()
    }

    /// Returns whether `repo` has the blob.
    pub fn has_blob(&self, repo: &str, digest: &str) -> bool {
        self.shared.store().blob(repo, digest).is_some()
    }

    /// Returns the bytes of a blob that is in memory.
    pub fn blob(&self, repo: &str, digest: &str) -> Option<Bytes> {
        self.shared.store().blob(repo, digest)?.bytes()
    }

    /// Stores a blob. Returns its digest.
    pub fn put_blob(&self, repo: &str, content: impl Into<Content>) -> String {
        let content = content.into();
        let digest = digest::of(&content, "sha256").expect("content with an end");
        self.put_blob_as(repo, &digest, content);
        digest
    }

    /// Stores a blob under a digest that may be wrong.
    pub fn put_blob_as(&self, repo: &str, digest: &str, content: impl Into<Content>) {
        let mut store = self.shared.store();
        store.repo(repo).blobs.insert(digest.into(), content.into());
    }

    /// Stores a manifest without checks under its digest and a tag. Returns the digest.
    pub fn put_manifest(
        &self,
        repo: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> String {
        let content = Content::from(bytes);
        let digest = digest::of(&content, "sha256").expect("content with an end");
        self.put_manifest_as(repo, tag, &digest, media_type, content);
        digest
    }

    /// Stores a manifest under a digest that may be wrong.
    pub fn put_manifest_as(
        &self,
        repo: &str,
        tag: Option<&str>,
        digest: &str,
        media_type: &str,
        content: impl Into<Content>,
    ) {
        let manifest = Manifest {
            media_type: media_type.into(),
            content: content.into(),
        };
        let mut store = self.shared.store();
        let held = store.repo(repo);
        held.manifests.insert(digest.into(), manifest);
        if let Some(tag) = tag {
            held.tags.insert(tag.into(), digest.into());
        }
    }

    /// Removes a tag, a manifest, or a blob.
    pub fn remove(&self, repo: &str, reference: &str) {
        let mut store = self.shared.store();
        let held = store.repo(repo);
        held.tags.remove(reference);
        held.manifests.remove(reference);
        held.blobs.remove(reference);
    }

    /// Returns the number of uploads that were neither completed nor cancelled.
    pub fn uploads(&self) -> usize {
        self.shared.store().uploads.len()
    }

    /// Returns the visible content, for comparisons before and after a run.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.store().snapshot()
    }

    /// Returns errors in the visible content: tags and manifests that refer to missing content, and bytes with a wrong
    /// digest. The list is empty if there are none.
    pub fn problems(&self) -> Vec<String> {
        self.shared.store().problems()
    }
}
