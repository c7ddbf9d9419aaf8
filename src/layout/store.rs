//! Implements [`Store`] for a layout: adds the operation to errors, and streams blobs.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;

use super::directory::Part;
use super::error::LayoutError;
use super::region::{CHUNK, Content};
use super::{Layout, blocking};
use crate::spec::{Descriptor, Digest, Manifest, Repository, Tag};
use crate::store::{BlobStream, ManifestName, Operation, Store, StoreError, StoreFuture};

/// The number of pieces of a blob that wait for the disk.
const QUEUED_PARTS: usize = 2;

impl Store for Layout {
    fn name(&self) -> String {
        self.location.to_string()
    }

    fn repository(&self) -> Option<&Repository> {
        None
    }

    fn describe<'a>(&'a self, name: &'a ManifestName) -> StoreFuture<'a, Descriptor> {
        let wanted = name.clone();
        let operation = move || Operation::new("find", format!("{}{name}", self.location));
        Box::pin(self.read(operation, move |backend| backend.describe(&wanted)))
    }

    fn manifest<'a>(&'a self, name: &'a ManifestName) -> StoreFuture<'a, Manifest> {
        let wanted = name.clone();
        let operation = move || Operation::new("read", format!("{}{name}", self.location));
        Box::pin(self.read(operation, move |backend| backend.manifest(&wanted)))
    }

    fn blob<'a>(&'a self, blob: &'a Descriptor, limit: u64) -> StoreFuture<'a, Bytes> {
        let wanted = blob.clone();
        let operation = move || self.on_blob("read", blob);
        Box::pin(self.read(operation, move |backend| backend.blob(&wanted, limit)))
    }

    fn open_blob<'a>(&'a self, blob: &'a Descriptor, offset: u64) -> StoreFuture<'a, BlobStream> {
        Box::pin(async move {
            let wanted = blob.clone();
            let operation = self.on_blob("read", blob);
            let opened = self.read(
                || operation.clone(),
                move |backend| match backend.locate(&wanted.digest)? {
                    Some(region) => {
                        region.expect_size(wanted.size)?;
                        Ok(Ok(region.content(offset)?))
                    }
                    None => embedded(&wanted, offset).map(Err),
                },
            );
            Ok(match opened.await? {
                Ok(content) => stream_of(content, operation.clone()),
                Err(bytes) => stream::iter([Ok(bytes)]).boxed(),
            })
        })
    }

    fn has_blob<'a>(&'a self, blob: &'a Descriptor) -> StoreFuture<'a, bool> {
        let wanted = blob.clone();
        let operation = move || self.on_blob("look for", blob);
        Box::pin(self.read(operation, move |backend| backend.has_blob(&wanted)))
    }

    fn mount_blob<'a>(
        &'a self,
        _blob: &'a Descriptor,
        _from: &'a Repository,
    ) -> StoreFuture<'a, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn copy_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: Arc<dyn Store>,
        progress: &'a (dyn Fn(u64) + Send + Sync),
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut content = from.open_blob(blob, 0).await?;
            let (sender, mut receiver) = mpsc::channel(QUEUED_PARTS);
            let wanted = blob.clone();
            let written = self.write(move |directory| directory.receive(&wanted, &mut receiver));
            let read = async move {
                let mut arrived = 0;
                while let Some(chunk) = content.next().await {
                    let chunk = chunk?;
                    arrived += chunk.len() as u64;
                    // If the writer has ended, it returns the error.
                    if !send(&sender, chunk).await {
                        return Ok(());
                    }
                    progress(arrived);
                }
                let _ = sender.send(Part::End).await;
                Ok(())
            };
            let (read, written) = futures_util::future::join(read, written).await;
            read?;
            written.map_err(|error| {
                let from = from.name();
                error.during(format!("{} from {from}", self.on_blob("copy", blob)))
            })
        })
    }

    fn put_manifest<'a>(&'a self, manifest: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let stored = manifest.clone();
            let written = self.write(move |directory| directory.put_manifest(&stored));
            written
                .await
                .map_err(|error| error.during(format!("write {}", self.with(manifest))))
        })
    }

    fn put_tags<'a>(
        &'a self,
        manifest: &'a Manifest,
        tags: &'a [Tag],
    ) -> BoxFuture<'a, Vec<Result<(), StoreError>>> {
        Box::pin(async move {
            if tags.is_empty() {
                return Vec::new();
            }
            let (stored, names) = (manifest.clone(), tags.to_vec());
            let written = self.write(move |directory| directory.put_entries(&stored, &names));
            // One index.json contains all tags: they are written together or not at all.
            let written = written.await.map_err(|error| error.during("write"));
            let result = |tag: &Tag| {
                written.clone().map_err(|error| StoreError {
                    operation: Operation::new("write", format!("{}:{tag}", self.location)),
                    ..error
                })
            };
            tags.iter().map(result).collect()
        })
    }

    fn referrers<'a>(&'a self, subject: &'a Digest) -> StoreFuture<'a, Vec<Descriptor>> {
        let wanted = subject.clone();
        let operation = move || {
            let subject = format!("{}@{subject}", self.location);
            Operation::new("list the referrers of", subject)
        };
        Box::pin(self.read(operation, move |backend| backend.referrers(&wanted)))
    }
}

impl Layout {
    fn on_blob(&self, verb: &str, blob: &Descriptor) -> Operation {
        let action = format!("{verb} blob {} of", blob.digest.short());
        Operation::new(action, self.location.to_string())
    }
}

/// Sends bytes to the writer in pieces of bounded size. Returns `false` if the writer has ended.
async fn send(sender: &mpsc::Sender<Part>, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        let part = bytes.split_to(bytes.len().min(CHUNK));
        if sender.send(Part::Bytes(part)).await.is_err() {
            return false;
        }
    }
    true
}

/// Returns the content embedded in a descriptor.
fn embedded(blob: &Descriptor, offset: u64) -> Result<Bytes, LayoutError> {
    let bytes = blob
        .embedded()
        .ok_or_else(|| LayoutError::Absent(blob.digest.clone()))?;
    let start = usize::try_from(offset).ok().filter(|at| *at <= bytes.len());
    match start {
        Some(start) => Ok(Bytes::from(bytes).split_off(start)),
        None => Err(LayoutError::OutOfRange {
            offset,
            length: bytes.len() as u64,
        }),
    }
}

fn stream_of(content: Content, operation: Operation) -> BlobStream {
    let next = move |mut content: Content| {
        let operation = operation.clone();
        async move {
            let read = blocking(move || {
                let chunk = content.next_chunk()?;
                Ok(chunk.map(|chunk| (chunk, content)))
            });
            read.await.map_err(|error| error.during(operation))
        }
    };
    stream::try_unfold(content, next).boxed()
}
