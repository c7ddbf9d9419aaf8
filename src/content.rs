//! What a place that holds content offers, whether it is a repository in a registry or an OCI
//! image layout on disk: the one interface that `resolve` and `execute` see. Knows `spec` only.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::hint::Hint;
use crate::spec::{Descriptor, Digest, Manifest, Repository, Tag};

/// The content of a blob as it arrives. Not yet verified: whoever consumes it to the end hashes it.
pub type BlobStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// The most manifests that may refer to one, directly or not.
pub const MAX_REFERRERS: usize = 10_000;

/// A place where manifests and blobs lie under their digests, and tags name manifests.
///
/// Every read of a manifest or config is verified against the digest that it was asked by; every
/// write is verified against the digest that its descriptor says.
pub trait Store: Send + Sync {
    /// What people call this place: `ghcr.io/o/app`, `oci:./build`.
    fn name(&self) -> String;

    /// The repository that this is, or `None` for a layout. Blobs can be mounted between two
    /// repositories of the same registry.
    fn repository(&self) -> Option<&Repository>;

    /// What a name points at: media type, digest and size, without the content where the place
    /// can tell them without it.
    fn describe<'a>(
        &'a self,
        name: &'a ManifestName,
    ) -> BoxFuture<'a, Result<Descriptor, StoreError>>;

    /// The manifest under a name.
    fn manifest<'a>(
        &'a self,
        name: &'a ManifestName,
    ) -> BoxFuture<'a, Result<Manifest, StoreError>>;

    /// A whole small blob, such as a config: at most `limit` bytes, verified.
    fn blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        limit: u64,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>>;

    /// The content of a blob from byte `offset` on. Goes on by itself where a connection breaks.
    fn open_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        offset: u64,
    ) -> BoxFuture<'a, Result<BlobStream, StoreError>>;

    /// Whether a blob is here.
    fn has_blob<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Makes a blob of `from`, another repository of the same registry, available here without moving
    /// its bytes. `false`: the registry did not, so it must be copied.
    fn mount_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: &'a Repository,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Copies a blob from another place, hashing every byte on its way. `progress` is told the number
    /// of bytes that have arrived so far: it falls back when part of the work must be done again.
    fn copy_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: Arc<dyn Store>,
        progress: &'a (dyn Fn(u64) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Stores a manifest under its digest.
    fn put_manifest<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Stores a manifest under tags, all at once. One result a tag, in their order.
    fn put_tags<'a>(
        &'a self,
        manifest: &'a Manifest,
        tags: &'a [Tag],
    ) -> BoxFuture<'a, Vec<Result<(), StoreError>>>;

    /// Lets go of what was begun here and will not be finished. As good as it can.
    fn abandon(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// The manifests that refer to `subject`, as far as this place can tell: at most [`MAX_REFERRERS`]. Their
    /// descriptors need not say more than type, digest, size and type of artifact.
    fn referrers<'a>(
        &'a self,
        subject: &'a Digest,
    ) -> BoxFuture<'a, Result<Vec<Descriptor>, StoreError>>;
}

/// How a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ManifestName {
    /// By digest: what comes is compared with it.
    Digest(Digest),
    /// By tag.
    Tag(Tag),
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => write!(f, "@{digest}"),
            Self::Tag(tag) => write!(f, ":{tag}"),
        }
    }
}

/// What went wrong at a place, told so that the reader of a log knows what to do.
///
/// Displayed as `failed to <doing>: <cause>`; hints are data, printed after the error.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// Decides the exit code, and whether something else may be tried.
    pub kind: FailureKind,
    /// What was being done, to what: `read the manifest of ghcr.io/o/app:1`.
    pub doing: String,
    /// What the other side said or did, safe to print.
    pub cause: String,
    /// What to try.
    pub hints: Vec<Hint>,
    /// The other side did take what was written; what went wrong came afterwards.
    pub was_written: bool,
}

/// The kinds of failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No credentials, or bad ones.
    Unauthorized,
    /// Good credentials without the permission.
    Denied,
    /// There is no such content.
    NotFound,
    /// Content that is not what was asked for, or that must not be used.
    Refused,
    /// The registry or the network kept failing after all retries.
    Unavailable,
    /// Anything else.
    Other,
}

impl StoreError {
    /// An error without hints.
    pub fn new(kind: FailureKind, doing: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            kind,
            doing: doing.into(),
            cause: cause.into(),
            hints: Vec::new(),
            was_written: false,
        }
    }

    /// The same, where the other side did take what was written.
    #[must_use]
    pub fn after_writing(mut self) -> Self {
        self.was_written = true;
        self
    }

    /// Adds something to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}: {}", self.doing, self.cause)
    }
}

impl std::error::Error for StoreError {}
