//! Checks that the programs of an image match its platform. Reads the layers from the top, as a stream, until the
//! programs that a container starts are found. Compares the machine in their headers with the declared platform.

mod archive;
mod command;
mod error;
mod executable;
mod limits;
mod search;
mod tree;
mod unpack;

use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, mpsc};

use self::command::{Command, Config, Programs};
use self::error::{LayerError, Limit};
use self::executable::Content;
pub use self::executable::{Fit, Format};
use self::limits::{ALONE, Budget, MAX_PARALLEL_IMAGES, SHARED};
use self::search::{Layer, Search};
use crate::spec::limits::MAX_CONFIG;
use crate::spec::{Descriptor, Digest, Hasher, ImageManifest, Platform, parse};
use crate::store::{BlobStream, Store, StoreError};
use crate::text::Printable;

/// The number of parts of a layer that wait to be unpacked.
const QUEUED_PARTS: usize = 4;

/// Reads the executables of images, a few images at a time.
#[derive(Debug)]
pub struct Binaries {
    images: Semaphore,
}

/// The results for the executables of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The files that are executed first, and that the platform runs.
    pub verified: Vec<Executable>,
    /// The reason why the first wrong file does not match: `/app is x86-64, not arm64`.
    pub wrong: Option<String>,
    /// Notices, for example about an image that could not be verified, or about 32-bit code.
    pub notices: Vec<String>,
}

/// An executable file of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// With all links resolved.
    pub path: String,
    /// `None` for a script.
    pub format: Option<Format>,
}

/// An error while reading an image.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The content is not a valid image.
    #[error("{0}")]
    Damaged(String),
}

/// The result of a search within a budget.
enum SearchResult {
    Done(Findings),
    /// The image needs more memory.
    Exceeded(Limit),
}

impl Default for Binaries {
    fn default() -> Self {
        Self {
            images: Semaphore::new(MAX_PARALLEL_IMAGES as usize),
        }
    }
}

impl Binaries {
    /// Reads an image until it is known whether `platform`, or by default the platform of its config, runs it. An
    /// artifact that is not an image has no findings. An image that exceeds the shared memory budget is read again,
    /// alone.
    pub async fn inspect(
        &self,
        store: &Arc<dyn Store>,
        image: &ImageManifest,
        platform: Option<&Platform>,
    ) -> Result<Findings, BinariesError> {
        if !image.config.media_type.is_image_config() {
            return Ok(Findings::default());
        }
        let permit = self.images.acquire().await;
        let config = store.blob(&image.config, MAX_CONFIG).await?;
        let config: Config = parse(&config)
            .map_err(|error| BinariesError::Damaged(format!("invalid config: {error}")))?;
        let (own, command) = config.split();
        let platform = platform.filter(|platform| !platform.is_unknown());
        let platform = platform.unwrap_or(&own).normalised();
        let Some(command) = command else {
            return Ok(Findings::unverified("it has no entrypoint and no command"));
        };
        let command = Arc::new(command);
        if let SearchResult::Done(findings) =
            read(store, image, &platform, &command, SHARED).await?
        {
            return Ok(findings);
        }
        drop(permit);
        let _all_permits = self.images.acquire_many(MAX_PARALLEL_IMAGES).await;
        match read(store, image, &platform, &command, ALONE).await? {
            SearchResult::Done(findings) => Ok(findings),
            SearchResult::Exceeded(limit) => Ok(Findings::unverified(&limit.to_string())),
        }
    }
}

/// Reads the layers from the top.
async fn read(
    store: &Arc<dyn Store>,
    image: &ImageManifest,
    platform: &Platform,
    command: &Arc<Command>,
    budget: Budget,
) -> Result<SearchResult, BinariesError> {
    let mut search = Search::new(Arc::clone(command), platform.clone(), budget);
    for layer in image.layers.iter().rev() {
        if let Some(reason) = unreadable(layer) {
            let text = format!("its layer {} {reason}", layer.digest.short());
            return Ok(SearchResult::Done(search.findings().or_unverified(&text)));
        }
        let (next, outcome) = read_layer(store, layer, search).await?;
        search = next;
        match outcome {
            Ok(true) => break,
            Ok(false) => {}
            Err(LayerError::Limit(limit)) => return Ok(SearchResult::Exceeded(limit)),
            Err(error) => {
                let layer = layer.digest.short();
                return Err(BinariesError::Damaged(format!(
                    "its layer {layer}: {error}"
                )));
            }
        }
    }
    Ok(SearchResult::Done(search.findings()))
}

/// Searches layers in memory, the top one first, for the programs of a config. Each layer is a list of parts, as they
/// arrive. For fuzzing.
pub fn search_layers(config: &[u8], layers: &[Vec<bytes::Bytes>]) -> Result<Findings, String> {
    let config: Config = parse(config).map_err(|error| error.to_string())?;
    let (platform, command) = config.split();
    let platform = platform.normalised();
    let command = Arc::new(command.ok_or("no command")?);
    let search = |budget: Budget| {
        let mut search = Search::new(Arc::clone(&command), platform.clone(), budget);
        for layer in layers {
            let size = layer.iter().map(|part| part.len() as u64).sum();
            if search.layer(Layer::of(layer.clone()), size)? {
                break;
            }
        }
        Ok(search.findings())
    };
    let found = match search(SHARED) {
        Err(LayerError::Limit(_)) => search(ALONE),
        found => found,
    };
    found.map_err(|error| error.to_string())
}

/// Returns why a layer is not read.
fn unreadable(layer: &Descriptor) -> Option<&'static str> {
    if layer.media_type.as_str().ends_with("+encrypted") {
        return Some("is encrypted");
    }
    (!layer.urls.is_empty()).then_some("is not in the registry")
}

/// Searches one layer. Returns the search, and whether it has ended.
async fn read_layer(
    store: &Arc<dyn Store>,
    layer: &Descriptor,
    mut search: Search,
) -> Result<(Search, Result<bool, LayerError>), BinariesError> {
    let content = store.open_blob(layer, 0).await?;
    let (sender, receiver) = mpsc::channel(QUEUED_PARTS);
    let size = layer.size;
    let searching = tokio::task::spawn_blocking(move || {
        let outcome = search.layer(Layer::new(receiver), size);
        (search, outcome)
    });
    let hasher = Hasher::new(layer.digest.algorithm());
    let (digest, searched) = tokio::join!(forward(content, sender, hasher), searching);
    // A broken download takes precedence: in the search, it only looks like a truncated layer.
    let digest = digest?;
    let (search, outcome) = match searched {
        Ok(searched) => searched,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    match digest {
        Some(digest) if digest != layer.digest => Err(BinariesError::Damaged(format!(
            "its layer {} has the digest {digest}",
            layer.digest
        ))),
        _ => Ok((search, outcome)),
    }
}

/// Forwards a layer as it arrives. Returns its digest, or `None` if the search ended before the layer.
async fn forward(
    mut content: BlobStream,
    sender: mpsc::Sender<bytes::Bytes>,
    mut hasher: Hasher,
) -> Result<Option<Digest>, StoreError> {
    while let Some(part) = content.next().await {
        let part = part?;
        hasher.update(&part);
        if sender.send(part).await.is_err() {
            return Ok(None);
        }
    }
    Ok(Some(hasher.finish()))
}

impl Findings {
    fn unverified(reason: &str) -> Self {
        Self {
            notices: vec![format!("not verified: {reason}")],
            ..Self::default()
        }
    }

    /// Replaces the notices of a search that could not be finished, unless it has found a wrong file.
    fn or_unverified(self, reason: &str) -> Self {
        if self.wrong.is_some() {
            return self;
        }
        Self {
            verified: self.verified,
            ..Self::unverified(reason)
        }
    }

    /// Compares the programs with the platform.
    fn of(programs: &Programs, platform: &Platform) -> Self {
        let mut findings = Self::default();
        for file in &programs.files {
            let path = Printable(&file.path);
            let format = match file.content {
                Content::Program(format) => format,
                Content::Script(_) => {
                    findings.add(&file.path, None);
                    continue;
                }
                Content::Other => {
                    findings
                        .notices
                        .push(format!("not verified: {path} is not an executable"));
                    continue;
                }
            };
            match format.fit(platform) {
                Some(Fit::Exact) => findings.add(&file.path, Some(format)),
                Some(Fit::Compatible) => {
                    findings.add(&file.path, Some(format));
                    let text = format!(
                        "{path} is {format}, which {} can run",
                        platform.architecture
                    );
                    findings.notices.push(text);
                }
                Some(Fit::Wrong) => {
                    let contradiction = format.contradiction(platform);
                    let text = || format!("{path} is {contradiction}");
                    findings.wrong.get_or_insert_with(text);
                }
                None => {
                    let text =
                        format!("not verified: the executable format of {platform} is unknown");
                    if !findings.notices.contains(&text) {
                        findings.notices.push(text);
                    }
                }
            }
        }
        if let Some(missing) = &programs.missing {
            let missing = Printable(missing);
            let text = format!("not verified: {missing} is not in its layers");
            findings.notices.push(text);
        }
        findings
    }

    fn add(&mut self, path: &str, format: Option<Format>) {
        self.verified.push(Executable {
            path: path.to_owned(),
            format,
        });
    }
}

#[cfg(test)]
mod tests;
