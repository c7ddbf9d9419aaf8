//! What this run remembers of one repository: what it has pushed there, uploads that stand open.

use std::collections::{HashMap, HashSet};

use url::Url;

use crate::spec::Digest;
use crate::sync::Mutex;

/// Shared by everyone who uses the repository in this run.
#[derive(Default)]
pub(super) struct RepositoryState {
    state: Mutex<State>,
    /// Held while the fallback tag of a subject is read and written.
    pub(super) fallback: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Paths behind the repository's name: `manifests/<tag>`, `blobs/<digest>`.
    pushed: HashSet<String>,
    open_uploads: HashMap<Digest, Url>,
    /// Uploads under way, each under a number of its own.
    under_way: HashMap<u64, Url>,
    uploads_so_far: u64,
    waited_in_vain: bool,
}

impl RepositoryState {
    /// Something is there from now on, though not everywhere in the registry need know it at once.
    pub(super) fn pushed(&self, path: String) {
        self.state().pushed.insert(path);
    }

    /// Whether this run has put something under this path.
    pub(super) fn has_pushed(&self, path: &str) -> bool {
        self.state().pushed.contains(path)
    }

    /// Whether this run has put anything here.
    pub(super) fn has_pushed_anything(&self) -> bool {
        !self.state().pushed.is_empty()
    }

    /// A refusal that passes as a rule did not, however often the same was sent again.
    pub(super) fn waited_in_vain(&self) {
        self.state().waited_in_vain = true;
    }

    /// Whether that has happened here.
    pub(super) fn has_waited_in_vain(&self) -> bool {
        self.state().waited_in_vain
    }

    /// The registry opened an upload in place of a mount (202), to be used for the copy.
    pub(super) fn keep_upload(&self, digest: Digest, location: Url) {
        self.state().open_uploads.insert(digest, location);
    }

    /// The upload that stands open for a blob.
    pub(super) fn take_upload(&self, digest: &Digest) -> Option<Url> {
        self.state().open_uploads.remove(digest)
    }

    /// An upload is under way. It counts as abandoned until [`Self::upload_ended`].
    pub(super) fn upload_began(&self) -> u64 {
        let mut state = self.state();
        state.uploads_so_far += 1;
        state.uploads_so_far
    }

    /// Where an upload stands now.
    pub(super) fn upload_at(&self, upload: u64, location: &Url) {
        self.state().under_way.insert(upload, location.clone());
    }

    /// The registry has no upload of this number open any more.
    pub(super) fn upload_ended(&self, upload: u64) {
        self.state().under_way.remove(&upload);
    }

    /// All uploads that stand open; they are forgotten here.
    pub(super) fn take_uploads(&self) -> Vec<Url> {
        let mut state = self.state();
        let offered: Vec<Url> = state.open_uploads.drain().map(|(_, url)| url).collect();
        let under_way = state.under_way.drain().map(|(_, url)| url);
        under_way.chain(offered).collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock()
    }
}
