//! The interface of a location that stores content, which is a repository in a registry or an OCI image layout on disk,
//! and its error. `resolve` and `execute` access locations only through this interface.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::hint::Hint;
use crate::spec::{Descriptor, Digest, Manifest, Reference, Repository, Tag};
use crate::text::with_causes;

/// The content of a blob as it arrives. It is not verified: the consumer hashes it.
pub type BlobStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// A future with the result of an operation of a [`Store`].
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The maximum number of direct and indirect referrers of a manifest.
pub const MAX_REFERRERS: usize = 10_000;

/// Stores manifests and blobs by digest, and tags that name manifests.
///
/// Every read of a manifest or config is verified against the requested digest; every write is verified
/// against the digest in the descriptor.
pub trait Store: Send + Sync {
    /// Returns the name for messages: `ghcr.io/o/app`, `oci:./build`.
    fn name(&self) -> String;

    /// Returns the repository, or `None` for a layout. Blobs can be mounted between two repositories
    /// of the same registry.
    fn repository(&self) -> Option<&Repository>;

    /// Returns media type, digest and size of a manifest, if possible without reading its content.
    fn describe<'a>(&'a self, name: &'a ManifestName) -> StoreFuture<'a, Descriptor>;

    /// Reads a manifest.
    fn manifest<'a>(&'a self, name: &'a ManifestName) -> StoreFuture<'a, Manifest>;

    /// Reads a small blob, such as a config: at most `limit` bytes, verified.
    fn blob<'a>(&'a self, blob: &'a Descriptor, limit: u64) -> StoreFuture<'a, Bytes>;

    /// Streams a blob from byte `offset` on, and resumes after a broken connection.
    fn open_blob<'a>(&'a self, blob: &'a Descriptor, offset: u64) -> StoreFuture<'a, BlobStream>;

    /// Returns whether a blob exists.
    fn has_blob<'a>(&'a self, blob: &'a Descriptor) -> StoreFuture<'a, bool>;

    /// Mounts a blob of `from`, another repository of the same registry. Returns `false` if the registry
    /// did not mount it, so that it must be copied.
    fn mount_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: &'a Repository,
    ) -> StoreFuture<'a, bool>;

    /// Copies a blob from another store and hashes every byte. `progress` receives the number of bytes that
    /// have arrived so far; it decreases when part of the work must be repeated.
    fn copy_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: Arc<dyn Store>,
        progress: &'a (dyn Fn(u64) + Send + Sync),
    ) -> StoreFuture<'a, ()>;

    /// Stores a manifest under its digest.
    fn put_manifest<'a>(&'a self, manifest: &'a Manifest) -> StoreFuture<'a, ()>;

    /// Stores a manifest under tags, all in parallel. Returns one result for each tag, in their order.
    fn put_tags<'a>(
        &'a self,
        manifest: &'a Manifest,
        tags: &'a [Tag],
    ) -> BoxFuture<'a, Vec<Result<(), StoreError>>>;

    /// Checks whether content may be pushed, without writing any. Fails only if access is refused. Any other failure is
    /// reported later, when the content itself is pushed.
    fn try_push(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Cancels the upload that [`Self::try_push`] has started. Best effort.
    fn end_trial(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Cancels uploads that were started and will not be finished. Best effort.
    fn abandon(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Lists the manifests that refer to `subject`, at most [`MAX_REFERRERS`]. Their descriptors may have only
    /// media type, digest, size and artifact type.
    fn referrers<'a>(&'a self, subject: &'a Digest) -> StoreFuture<'a, Vec<Descriptor>>;
}

/// A digest or a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ManifestName {
    Digest(Digest),
    Tag(Tag),
}

impl ManifestName {
    /// Returns the name in a reference. A digest takes precedence over a tag; the default is `latest`.
    ///
    /// # Panics
    ///
    /// Never: `latest` is a valid tag.
    pub fn of(reference: &Reference) -> Self {
        match (reference.digest(), reference.tag()) {
            (Some(digest), _) => Self::Digest(digest.clone()),
            (None, Some(tag)) => Self::Tag(tag.clone()),
            (None, None) => Self::Tag("latest".parse().expect("latest is a valid tag")),
        }
    }
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => write!(f, "@{digest}"),
            Self::Tag(tag) => write!(f, ":{tag}"),
        }
    }
}

/// A failed operation of a [`Store`].
///
/// Displayed as `failed to <operation> <object>: <cause>`; hints are data, rendered after the error.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// Determines the exit code, and whether an alternative may be tried.
    pub kind: FailureKind,
    pub operation: Operation,
    /// The meaning of the cause, such as `not logged in`; empty if the cause is clear without it.
    pub headline: &'static str,
    /// The cause, safe to print: an error of the module that failed, or a plain text.
    pub source: Arc<dyn Error + Send + Sync>,
    pub hints: Vec<Hint>,
    /// The registry or layout accepted the write; a later step failed.
    pub was_written: bool,
    /// The content may not exist: the registry refuses access to missing content instead of reporting it as missing.
    pub may_be_missing: bool,
}

/// An action and its object: `read` and `ghcr.io/o/app:1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub action: Cow<'static, str>,
    /// The name of a manifest, blob or repository; empty if the action names it.
    pub object: String,
}

/// The kinds of failure that callers distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Missing or wrong credentials.
    Unauthorized,
    /// Valid credentials without the permission.
    Denied,
    NotFound,
    /// Content that is not what was requested, or that must not be used.
    Refused,
    /// The registry or the network still failed after all retries.
    Unavailable,
    Other,
}

impl Operation {
    pub fn new(action: impl Into<Cow<'static, str>>, object: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            object: object.into(),
        }
    }
}

impl From<String> for Operation {
    fn from(action: String) -> Self {
        Self::new(action, "")
    }
}

impl From<&'static str> for Operation {
    fn from(action: &'static str) -> Self {
        Self::new(action, "")
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.action)?;
        if !self.object.is_empty() {
            write!(f, " {}", self.object)?;
        }
        Ok(())
    }
}

impl StoreError {
    pub fn new(
        kind: FailureKind,
        operation: impl Into<Operation>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            operation: operation.into(),
            headline: "",
            source: Arc::from(cause.into()),
            hints: Vec::new(),
            was_written: false,
            may_be_missing: false,
        }
    }

    /// Returns the cause in one line.
    pub fn cause(&self) -> String {
        let cause = with_causes(&*self.source);
        match self.headline {
            "" => cause,
            headline => format!("{headline}: {cause}"),
        }
    }

    /// Returns whether the object does not exist, or may not exist, so that it may be created later.
    pub fn is_missing(&self) -> bool {
        self.kind == FailureKind::NotFound || self.may_be_missing
    }

    /// Marks that the registry or layout accepted the write.
    #[must_use]
    pub fn after_writing(mut self) -> Self {
        self.was_written = true;
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}: {}", self.operation, self.cause())
    }
}

impl Error for StoreError {}
