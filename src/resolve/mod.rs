//! Resolves sources: reads their manifests, platforms and index entries in parallel. Reads nothing that is already
//! known.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all, try_join_all};

use crate::plan::{Node, Source, SourceLocation};
use crate::registry::Access;
use crate::spec::limits::{MAX_CONFIG, MAX_INDEX_DEPTH, MAX_MANIFEST};
use crate::spec::{
    Descriptor, Digest, ImageConfig, ImageManifest, JsonError, LayoutReference, Location, Manifest,
    Platform, PlatformError, attestation, parse,
};
use crate::store::{FailureKind, ManifestName, Store, StoreError};
use crate::stores::Stores;

/// The maximum size in bytes of an artifact's config that is read for a platform. A larger config is a file, not
/// metadata.
const MAX_ARTIFACT_CONFIG: u64 = 64 << 10;
/// The maximum total size in bytes of the manifests of all sources of one index. They are kept in memory until they are
/// written. The manifests of 4,000 typical images have 12 MB.
const MAX_ALL_MANIFESTS: u64 = 12 << 20;

#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error("invalid config: {0}")]
    Json(#[source] JsonError),
    #[error("invalid config: {0}")]
    Platform(#[source] PlatformError),
}

/// A source to resolve.
#[derive(Clone, Debug)]
pub struct SourceRequest {
    /// As the user wrote it.
    pub name: String,
    /// The location of its content, for the plan.
    pub location: SourceLocation,
    pub read_from: Location,
    pub requested: Requested,
    /// Whether the manifest of a descriptor is known to exist in its location.
    pub seen: bool,
    /// Overrides every other platform.
    pub set_platform: Option<Platform>,
    /// Whether all manifests must be read, for example because a target lacks them.
    pub read_all: bool,
}

/// The content that a source refers to.
#[derive(Clone, Debug)]
pub enum Requested {
    /// A manifest in a repository.
    Name(ManifestName),
    /// An image in a layout.
    Layout(LayoutReference),
    /// A descriptor. Nothing is read unless `read_all` is set or the descriptor is incomplete.
    Described(Box<Descriptor>),
}

/// Resolves all sources concurrently and returns them in their order, or the first error.
pub async fn resolve(
    stores: &Stores,
    requests: &[SourceRequest],
) -> Result<Vec<Source>, StoreError> {
    open_all(stores, requests).await?;
    let read = AtomicU64::new(0);
    let sources = requests
        .iter()
        .map(|request| resolve_one(stores, request, &read));
    try_join_all(sources).await
}

/// Resolves all sources concurrently and returns the result of each.
pub async fn resolve_each(
    stores: &Stores,
    requests: &[&SourceRequest],
) -> Result<Vec<Result<Source, StoreError>>, StoreError> {
    open_all(stores, requests.iter().copied()).await?;
    let read = AtomicU64::new(0);
    let sources = requests
        .iter()
        .map(|request| resolve_one(stores, request, &read));
    Ok(join_all(sources).await)
}

/// Opens all repositories before the first request, so that one token covers all of them.
async fn open_all(
    stores: &Stores,
    requests: impl IntoIterator<Item = &SourceRequest>,
) -> Result<(), StoreError> {
    for request in requests {
        stores.open(&request.read_from, Access::Pull).await?;
    }
    Ok(())
}

async fn resolve_one(
    stores: &Stores,
    request: &SourceRequest,
    read: &AtomicU64,
) -> Result<Source, StoreError> {
    let store = stores.open(&request.read_from, Access::Pull).await?;
    let name = match &request.requested {
        Requested::Name(name) => name.clone(),
        Requested::Layout(reference) => stores.select(reference).await?,
        Requested::Described(descriptor) => ManifestName::Digest(descriptor.digest.clone()),
    };
    let given = match &request.requested {
        Requested::Described(descriptor) => Some(descriptor.as_ref()),
        _ => None,
    };
    let reader = Reader {
        store,
        read,
        seen: request.seen,
        read_all: request.read_all,
        platform_known: request.set_platform.as_ref().is_some_and(is_final),
    };
    let root = reader.root(&name, given).await?;
    let set_platform = request.set_platform.clone();
    Ok(Source {
        name: request.name.clone(),
        location: request.location.clone(),
        set_platform: set_platform.map(|platform| completed(platform, &root)),
        root,
    })
}

/// Returns whether a given platform needs nothing from the config. Spec files of manifest-tool omit the variant of arm
/// and the version of Windows.
fn is_final(platform: &Platform) -> bool {
    let lacks_variant = platform.architecture == "arm" && platform.variant.is_empty();
    let lacks_version = platform.os == "windows" && platform.os_version.is_empty();
    !lacks_variant && !lacks_version
}

/// Returns whether an entry of an index has a complete platform or needs none.
fn has_platform(entry: &Descriptor) -> bool {
    entry.platform.as_ref().is_some_and(Platform::is_complete) || attestation::is_attestation(entry)
}

/// Completes a given platform from the platform of the image, if operating system and architecture are equal.
fn completed(mut given: Platform, image: &Node) -> Platform {
    let own = image.config_platform.as_ref();
    if let Some(own) =
        own.filter(|own| own.os == given.os && own.architecture == given.architecture)
    {
        if given.variant.is_empty() {
            given.variant.clone_from(&own.variant);
        }
        if given.os_version.is_empty() {
            given.os_version.clone_from(&own.os_version);
        }
        if given.os_features.is_empty() {
            given.os_features.clone_from(&own.os_features);
        }
    }
    given
}

/// Reads the manifests of one source.
struct Reader<'s> {
    store: Arc<dyn Store>,
    /// The total size of the manifests of all sources so far, in bytes.
    read: &'s AtomicU64,
    seen: bool,
    read_all: bool,
    platform_known: bool,
}

impl Reader<'_> {
    async fn root(
        &self,
        name: &ManifestName,
        given: Option<&Descriptor>,
    ) -> Result<Node, StoreError> {
        if let Some(descriptor) = given {
            if self.is_sufficient(descriptor) {
                return Ok(Node {
                    seen: self.seen,
                    ..Node::described(descriptor.clone())
                });
            }
            return self.entry(descriptor, 0).await;
        }
        if self.platform_known && !self.read_all {
            let descriptor = self.store.describe(name).await?;
            if !descriptor.media_type.is_index() {
                return Ok(Node {
                    seen: true,
                    ..Node::described(descriptor)
                });
            }
        }
        let manifest = self.store.manifest(name).await?;
        self.count(&manifest.digest, manifest.bytes.len() as u64)?;
        self.node(manifest, None, 0).await
    }

    /// Returns whether an entry can be planned without reading it.
    fn is_sufficient(&self, entry: &Descriptor) -> bool {
        let is_index = entry.media_type.is_index();
        // A size outside this range is wrong. Reading the manifest reports it.
        let has_size = entry.media_type.manifest_family().is_none()
            || (1..=MAX_MANIFEST).contains(&entry.size);
        let has_platform = self.platform_known
            || has_platform(entry)
            // Other content is copied unchanged.
            || entry.media_type.manifest_family().is_none();
        !self.read_all && !is_index && has_platform && has_size
    }

    async fn entry(&self, descriptor: &Descriptor, depth: usize) -> Result<Node, StoreError> {
        let name = ManifestName::Digest(descriptor.digest.clone());
        // Counted before reading: all entries of an index are read in parallel.
        self.count(&descriptor.digest, descriptor.size)?;
        let manifest = self.store.manifest(&name).await?;
        check_against(&manifest, descriptor, &self.store.name())?;
        self.node(manifest, Some(descriptor), depth).await
    }

    fn node<'a>(
        &'a self,
        manifest: Manifest,
        given: Option<&'a Descriptor>,
        depth: usize,
    ) -> BoxFuture<'a, Result<Node, StoreError>> {
        async move {
            let mut node = if let Some(index) = manifest.index() {
                if depth >= MAX_INDEX_DEPTH {
                    return Err(self.refused(
                        &manifest.digest,
                        format!("indexes are nested deeper than {MAX_INDEX_DEPTH} levels"),
                    ));
                }
                let children = self.children(&index.manifests, depth + 1).await?;
                Node::index(manifest, children)
            } else {
                let platform = match manifest.image() {
                    Some(image) if self.needs_config(given) => {
                        self.config_platform(&manifest, image).await?
                    }
                    _ => None,
                };
                Node::image(manifest, platform)
            };
            if let Some(descriptor) = given {
                node.descriptor = descriptor.clone();
            }
            Ok(node)
        }
        .boxed()
    }

    /// Adds a manifest of `size` bytes to the total.
    fn count(&self, digest: &Digest, size: u64) -> Result<(), StoreError> {
        // A descriptor may declare any size; no manifest over the limit is read.
        let size = size.min(MAX_MANIFEST);
        if self.read.fetch_add(size, Ordering::Relaxed) + size <= MAX_ALL_MANIFESTS {
            return Ok(());
        }
        let limit = MAX_ALL_MANIFESTS >> 20;
        let cause = format!("the manifests of all sources exceed {limit} MiB");
        Err(self.refused(digest, cause))
    }

    /// Reads the entries of an index that the plan needs. Creates no futures for the others, because an index may have
    /// 10,000 entries.
    async fn children(
        &self,
        entries: &[Descriptor],
        depth: usize,
    ) -> Result<Vec<Node>, StoreError> {
        let is_read =
            |entry: &&Descriptor| !entry.media_type.is_blob() && !self.is_sufficient(entry);
        let reads = entries.iter().filter(is_read);
        let read = try_join_all(reads.map(|entry| self.entry(entry, depth))).await?;
        let mut read = read.into_iter();
        let node_of = |entry| {
            if is_read(&entry) {
                read.next()
            } else {
                Some(Node::described(entry.clone()))
            }
        };
        Ok(entries.iter().filter_map(node_of).collect())
    }

    fn needs_config(&self, given: Option<&Descriptor>) -> bool {
        let has_platform = given.is_some_and(has_platform);
        !self.platform_known && !has_platform
    }

    /// Reads the platform in a config of any type. The config of an artifact need not be JSON.
    async fn config_platform(
        &self,
        manifest: &Manifest,
        image: &ImageManifest,
    ) -> Result<Option<Platform>, StoreError> {
        let is_of_image = image.config.media_type.is_image_config();
        if !is_of_image && image.config.size > MAX_ARTIFACT_CONFIG {
            return Ok(None);
        }
        let bytes = self.store.blob(&image.config, MAX_CONFIG).await?;
        let platform = parse::<ImageConfig>(&bytes).map_err(ConfigError::Json);
        let platform = platform.and_then(|config| {
            let platform = Platform::from(config);
            platform.check_limits().map_err(ConfigError::Platform)?;
            Ok(platform)
        });
        match platform {
            Ok(platform) => Ok(Some(platform)),
            Err(error) if is_of_image => Err(self.refused(&manifest.digest, error)),
            Err(_) => Ok(None),
        }
    }

    fn refused(
        &self,
        digest: &Digest,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::new(
            FailureKind::Refused,
            format!("read {}@{digest}", self.store.name()),
            cause,
        )
    }
}

/// Refuses a descriptor whose size or media type differs from its content.
fn check_against(
    manifest: &Manifest,
    descriptor: &Descriptor,
    store_name: &str,
) -> Result<(), StoreError> {
    let wrong = |what: &str, declared: String, found: String| {
        StoreError::new(
            FailureKind::Refused,
            format!("use {store_name}@{}", descriptor.digest),
            format!("its descriptor declares the {what} {declared}, the registry has {found}"),
        )
    };
    let size = manifest.bytes.len() as u64;
    if size != descriptor.size {
        return Err(wrong("size", descriptor.size.to_string(), size.to_string()));
    }
    if !descriptor.media_type.is_empty() && descriptor.media_type != manifest.media_type {
        return Err(wrong(
            "media type",
            descriptor.media_type.to_string(),
            manifest.media_type.to_string(),
        ));
    }
    Ok(())
}
