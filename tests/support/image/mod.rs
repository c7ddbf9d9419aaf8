//! Builders of small, valid images and indexes. The same description gives the same bytes on every machine.

mod index;
mod layer;
mod signature;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    digest, gzip,
    registry::{Content, Registry, random_bytes},
};

pub use self::{
    index::Index,
    layer::{LayerBuilder, elf},
    signature::{referrer, sign},
};

/// Media types by their usual names.
pub mod media {
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub const OCI_LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
}

/// The family of media types of an image or index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Docker's schema 2.
    Docker,
    /// OCI.
    Oci,
}

/// One single-platform image, to be loaded into a registry.
#[derive(Clone, Debug)]
#[must_use]
pub struct Image {
    flavour: Flavour,
    os: String,
    architecture: String,
    variant: Option<String>,
    os_version: Option<String>,
    os_features: Vec<String>,
    layers: Vec<Layer>,
    seed: u64,
    annotations: Value,
    /// The field `config` of its config.
    execution: Option<Value>,
}

#[derive(Clone, Debug)]
enum Layer {
    File(usize),
    Virtual(u64),
    /// Media type and content.
    Given(&'static str, Content),
}

/// A manifest or index that is stored in a registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Its platform, in the form for an index entry; null for an index.
    pub platform: Value,
    /// The digests of its config and layers, in this order; empty for an index.
    pub blobs: Vec<String>,
}

impl Loaded {
    /// Returns the descriptor of an entry in an index.
    pub fn descriptor(&self) -> Value {
        let mut descriptor = json!({
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.bytes.len(),
        });
        if !self.platform.is_null() {
            descriptor["platform"] = self.platform.clone();
        }
        descriptor
    }
}

impl Image {
    /// Creates an OCI image for `os/architecture[/variant]` with one layer of 100 bytes. Its content depends only on
    /// the platform and on [`Self::seed`].
    pub fn new(platform: &str) -> Self {
        let mut parts = platform.split('/').map(str::to_owned);
        Self {
            flavour: Flavour::Oci,
            os: parts.next().expect("os/architecture"),
            architecture: parts.next().expect("os/architecture"),
            variant: parts.next(),
            os_version: None,
            os_features: Vec::new(),
            layers: vec![Layer::File(100)],
            seed: 0,
            annotations: Value::Null,
            execution: None,
        }
    }

    /// Uses Docker's media types.
    pub fn docker(mut self) -> Self {
        self.flavour = Flavour::Docker;
        self
    }

    /// Uses the media types of `flavour`.
    pub fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// Sets `os.version` in the config.
    pub fn os_version(mut self, version: &str) -> Self {
        self.os_version = Some(version.into());
        self
    }

    /// Sets `os.features` in the config.
    pub fn os_features<F: Into<String>>(mut self, features: impl IntoIterator<Item = F>) -> Self {
        self.os_features = features.into_iter().map(Into::into).collect();
        self
    }

    /// Sets one layer for each size: a gzipped tar with one file of this size in bytes.
    pub fn layers(mut self, sizes: &[usize]) -> Self {
        self.layers = sizes.iter().copied().map(Layer::File).collect();
        self
    }

    /// Sets one layer for each size in bytes. The bytes are generated and use no memory; they are not a valid tar.
    pub fn virtual_layers(mut self, sizes: &[u64]) -> Self {
        self.layers = sizes.iter().copied().map(Layer::Virtual).collect();
        self
    }

    /// Sets these layers, lowest first. Each is a tar with any compression.
    pub fn given_layers(
        mut self,
        layers: impl IntoIterator<Item = (&'static str, Content)>,
    ) -> Self {
        let layers = layers.into_iter();
        self.layers = layers
            .map(|(media_type, content)| Layer::Given(media_type, content))
            .collect();
        self
    }

    /// Sets entrypoint, command and variables in the field `config` of the config.
    pub fn execution(mut self, execution: Value) -> Self {
        self.execution = Some(execution);
        self
    }

    /// Changes the content: images of one platform with different seeds have different content.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets annotations in the manifest (OCI only).
    pub fn annotations(mut self, annotations: Value) -> Self {
        self.annotations = annotations;
        self
    }

    /// Stores the blobs and the manifest in `repo`, under `tag` if given.
    pub fn load<'a>(
        &self,
        registry: &Registry,
        repo: &str,
        tag: impl Into<Option<&'a str>>,
    ) -> Loaded {
        let (mut layers, mut diff_ids, mut blobs) = (vec![], vec![], vec![]);
        for number in 0..self.layers.len() {
            let (media_type, content, diff_id) = self.layer(number);
            let size = content.len();
            let digest = registry.put_blob(repo, content);
            diff_ids.push(diff_id.unwrap_or_else(|| digest.clone()));
            layers.push(json!({"mediaType": media_type, "size": size, "digest": digest}));
            blobs.push(digest);
        }
        let config = Bytes::from(self.config(&diff_ids).to_string());
        let (manifest_type, config_type) = match self.flavour {
            Flavour::Docker => (media::DOCKER_MANIFEST, media::DOCKER_CONFIG),
            Flavour::Oci => (media::OCI_MANIFEST, media::OCI_CONFIG),
        };
        let size = config.len();
        let config = registry.put_blob(repo, config);
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": {"mediaType": config_type, "size": size, "digest": config},
            "layers": layers,
        });
        if !self.annotations.is_null() {
            manifest["annotations"] = self.annotations.clone();
        }
        blobs.insert(0, config);
        put(
            registry,
            repo,
            tag.into(),
            &manifest,
            self.platform(),
            blobs,
        )
    }

    /// Returns the platform in the form for an index entry.
    pub fn platform(&self) -> Value {
        let mut platform = json!({"architecture": self.architecture, "os": self.os});
        if let Some(version) = &self.os_version {
            platform["os.version"] = version.clone().into();
        }
        if !self.os_features.is_empty() {
            platform["os.features"] = self.os_features.clone().into();
        }
        if let Some(variant) = &self.variant {
            platform["variant"] = variant.clone().into();
        }
        platform
    }

    fn config(&self, diff_ids: &[String]) -> Value {
        let mut config = self.platform();
        config["created"] = "2024-01-01T00:00:00Z".into();
        let default = || json!({"Env": ["PATH=/bin"], "Cmd": [format!("/{}", self.seed)]});
        config["config"] = self.execution.clone().unwrap_or_else(default);
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let history = diff_ids.iter();
        config["history"] = history
            .map(|_| json!({"created": "2024-01-01T00:00:00Z", "created_by": "COPY . /"}))
            .collect();
        config
    }

    /// Returns the media type and content of a layer, and the digest of its tar if it is different.
    fn layer(&self, number: usize) -> (&'static str, Content, Option<String>) {
        let seed = self.content_seed(number);
        match &self.layers[number] {
            Layer::Given(media_type, content) => (media_type, content.clone(), None),
            Layer::Virtual(size) => (
                media::OCI_LAYER_TAR,
                Content::virtual_bytes(seed, *size),
                None,
            ),
            Layer::File(size) => {
                let tar = tar_of(&format!("file-{number}"), &random_bytes(seed, *size));
                let media_type = match self.flavour {
                    Flavour::Docker => media::DOCKER_LAYER,
                    Flavour::Oci => media::OCI_LAYER,
                };
                let packed = Content::from(gzip::store(&tar));
                (media_type, packed, Some(digest::sha256(&tar)))
            }
        }
    }

    fn content_seed(&self, number: usize) -> u64 {
        let text = format!("{} {} {number}", self.platform(), self.seed);
        // FNV-1a. Any stable hash is sufficient.
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// Stores a document as a manifest of the media type in its field `mediaType`.
fn put(
    registry: &Registry,
    repo: &str,
    tag: Option<&str>,
    document: &Value,
    platform: Value,
    blobs: Vec<String>,
) -> Loaded {
    let bytes = Bytes::from(format!("{document:#}"));
    let media_type = document["mediaType"]
        .as_str()
        .expect("a media type")
        .to_owned();
    let digest = registry.put_manifest(repo, tag, &media_type, bytes.clone());
    Loaded {
        media_type,
        digest,
        bytes,
        platform,
        blobs,
    }
}

/// Returns a tar archive with one file.
fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut header, name, content)
        .expect("writing to memory");
    archive.into_inner().expect("writing to memory")
}
