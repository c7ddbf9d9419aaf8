//! What this run has done in one repository: content that it wrote, uploads that are open.

use std::collections::{HashMap, HashSet};
use std::sync::MutexGuard;

use url::Url;

use crate::spec::{Digest, Repository};
use crate::sync::Mutex;

/// The state of one repository, shared by all its users in this run.
#[derive(Default)]
pub(super) struct RepositoryState {
    state: Mutex<State>,
    /// Held while the fallback tag of a subject is read and written.
    pub(super) fallback: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Paths below the repository's name: `manifests/<tag>`, `blobs/<digest>`.
    pushed: HashSet<String>,
    /// Uploads that the registry opened in place of a mount.
    offered_uploads: HashMap<Digest, Url>,
    /// Blobs that were mounted, with the repository that has them.
    mounted: HashMap<Digest, Repository>,
    /// The current locations of running uploads, by number.
    running_uploads: HashMap<u64, Url>,
    uploads_so_far: u64,
    /// The upload that was begun to try the credentials.
    trial: Option<Url>,
    retries_did_not_help: bool,
}

impl RepositoryState {
    /// Records that this run has written content, which may not be visible everywhere in the registry at once.
    pub(super) fn record_push(&self, path: String) {
        self.state().pushed.insert(path);
    }

    pub(super) fn has_pushed(&self, path: &str) -> bool {
        self.state().pushed.contains(path)
    }

    pub(super) fn has_pushed_anything(&self) -> bool {
        !self.state().pushed.is_empty()
    }

    /// Records that a refusal which is usually temporary stayed after all retries.
    pub(super) fn record_vain_retries(&self) {
        self.state().retries_did_not_help = true;
    }

    pub(super) fn retries_did_not_help(&self) -> bool {
        self.state().retries_did_not_help
    }

    /// Keeps the upload that the registry opened in place of a mount (202), for the copy of the blob.
    pub(super) fn keep_offered_upload(&self, digest: Digest, location: Url) {
        self.state().offered_uploads.insert(digest, location);
    }

    pub(super) fn take_offered_upload(&self, digest: &Digest) -> Option<Url> {
        self.state().offered_uploads.remove(digest)
    }

    /// Records that the registry has accepted a mount.
    pub(super) fn record_mount(&self, digest: Digest, from: Repository) {
        self.state().mounted.insert(digest, from);
    }

    /// Removes the record of a mount, and returns the repository that has the blob.
    pub(super) fn take_mount(&self, digest: &Digest) -> Option<Repository> {
        self.state().mounted.remove(digest)
    }

    /// Returns the number of a new upload. It is cancelled with the run until [`Self::end_upload`].
    pub(super) fn begin_upload(&self) -> u64 {
        let mut state = self.state();
        state.uploads_so_far += 1;
        state.uploads_so_far
    }

    pub(super) fn move_upload(&self, number: u64, location: &Url) {
        self.state()
            .running_uploads
            .insert(number, location.clone());
    }

    pub(super) fn end_upload(&self, number: u64) {
        self.state().running_uploads.remove(&number);
    }

    /// Keeps the upload that was begun to try the credentials, until it is cancelled.
    pub(super) fn keep_trial(&self, location: Option<Url>) {
        self.state().trial = location;
    }

    pub(super) fn take_trial(&self) -> Option<Url> {
        self.state().trial.take()
    }

    /// Removes and returns the locations of all open uploads.
    pub(super) fn take_open_uploads(&self) -> Vec<Url> {
        let mut state = self.state();
        let mut open: Vec<Url> = state.trial.take().into_iter().collect();
        open.extend(state.offered_uploads.drain().map(|(_, url)| url));
        open.extend(state.running_uploads.drain().map(|(_, url)| url));
        open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
