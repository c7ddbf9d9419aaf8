//! The state of one repository in this run: written content and open uploads.

use std::collections::{HashMap, HashSet};

use url::Url;

use crate::spec::{Digest, Repository};
use crate::sync::Mutex;

/// The state of one repository in this run, shared by all its users.
#[derive(Default)]
pub(super) struct RepositoryState {
    state: Mutex<State>,
    /// Locked while the fallback tag of a subject is read and written.
    pub(super) fallback: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The written content, as paths below the repository's name: `manifests/<tag>`, `blobs/<digest>`.
    pushed: HashSet<String>,
    /// Uploads that the registry opened instead of a mount.
    offered_uploads: HashMap<Digest, Url>,
    /// Blobs that were mounted, with the repository that has them.
    mounted: HashMap<Digest, Repository>,
    /// The current locations of running uploads, by number.
    running_uploads: HashMap<u64, Url>,
    uploads_so_far: u64,
    /// The upload that was started to check the push permission.
    trial: Option<Url>,
    retries_did_not_help: bool,
}

impl RepositoryState {
    /// Records that this run has written content, which may not be visible everywhere in the registry at once.
    pub(super) fn record_push(&self, path: String) {
        self.state.lock().pushed.insert(path);
    }

    pub(super) fn has_pushed(&self, path: &str) -> bool {
        self.state.lock().pushed.contains(path)
    }

    pub(super) fn has_pushed_anything(&self) -> bool {
        !self.state.lock().pushed.is_empty()
    }

    /// Records that an error which is usually temporary was still returned after all retries.
    pub(super) fn record_failed_retries(&self) {
        self.state.lock().retries_did_not_help = true;
    }

    pub(super) fn retries_did_not_help(&self) -> bool {
        self.state.lock().retries_did_not_help
    }

    /// Stores the upload that the registry opened instead of a mount (202). The copy of the blob uses it.
    pub(super) fn keep_offered_upload(&self, digest: Digest, location: Url) {
        self.state.lock().offered_uploads.insert(digest, location);
    }

    pub(super) fn take_offered_upload(&self, digest: &Digest) -> Option<Url> {
        self.state.lock().offered_uploads.remove(digest)
    }

    /// Records that the registry has accepted a mount.
    pub(super) fn record_mount(&self, digest: Digest, from: Repository) {
        self.state.lock().mounted.insert(digest, from);
    }

    /// Removes the record of a mount, and returns the repository that has the blob.
    pub(super) fn take_mount(&self, digest: &Digest) -> Option<Repository> {
        self.state.lock().mounted.remove(digest)
    }

    /// Returns the number of a new upload. The upload is cancelled at the end of the run unless [`Self::end_upload`]
    /// was called.
    pub(super) fn begin_upload(&self) -> u64 {
        let mut state = self.state.lock();
        state.uploads_so_far += 1;
        state.uploads_so_far
    }

    pub(super) fn move_upload(&self, number: u64, location: &Url) {
        self.state
            .lock()
            .running_uploads
            .insert(number, location.clone());
    }

    pub(super) fn end_upload(&self, number: u64) {
        self.state.lock().running_uploads.remove(&number);
    }

    /// Stores the upload that was started to check the push permission, until it is cancelled.
    pub(super) fn keep_trial(&self, location: Option<Url>) {
        self.state.lock().trial = location;
    }

    pub(super) fn take_trial(&self) -> Option<Url> {
        self.state.lock().trial.take()
    }

    /// Removes and returns the locations of all open uploads.
    pub(super) fn take_open_uploads(&self) -> Vec<Url> {
        let mut state = self.state.lock();
        let mut open: Vec<Url> = state.trial.take().into_iter().collect();
        open.extend(state.offered_uploads.drain().map(|(_, url)| url));
        open.extend(state.running_uploads.drain().map(|(_, url)| url));
        open
    }
}
