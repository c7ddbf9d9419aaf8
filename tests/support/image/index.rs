//! Indexes and manifest lists, nested and with attestations as buildx makes them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Flavour, Image, Loaded, media, put};
use crate::support::registry::Registry;

/// An index of images and indexes, to be loaded into a registry.
#[derive(Clone, Debug)]
#[must_use]
pub struct Index {
    flavour: Flavour,
    entries: Vec<Entry>,
    attested: bool,
    annotations: Value,
}

#[derive(Clone, Debug)]
enum Entry {
    Image(Image),
    Index(Index),
    Descriptor(Value),
}

impl Index {
    /// Creates an OCI image index without entries.
    pub fn oci() -> Self {
        Self {
            flavour: Flavour::Oci,
            entries: Vec::new(),
            attested: false,
            annotations: Value::Null,
        }
    }

    /// Creates a Docker manifest list without entries.
    pub fn docker() -> Self {
        Self {
            flavour: Flavour::Docker,
            ..Self::oci()
        }
    }

    /// Adds an image for each platform, of the same flavour as the index.
    pub fn of<const N: usize>(self, platforms: [&str; N]) -> Self {
        platforms.iter().fold(self, |index, platform| {
            let flavour = index.flavour;
            index.image(Image::new(platform).flavour(flavour))
        })
    }

    /// Adds an image.
    pub fn image(mut self, image: Image) -> Self {
        self.entries.push(Entry::Image(image));
        self
    }

    /// Adds an index as an entry.
    pub fn nested(mut self, index: Index) -> Self {
        self.entries.push(Entry::Index(index));
        self
    }

    /// Adds an entry without a check whether its content exists.
    pub fn descriptor(mut self, descriptor: Value) -> Self {
        self.entries.push(Entry::Descriptor(descriptor));
        self
    }

    /// Adds an attestation manifest for each image, after all images, as buildx does.
    pub fn attested(mut self) -> Self {
        self.attested = true;
        self
    }

    /// Sets the annotations of the index.
    pub fn annotations(mut self, annotations: Value) -> Self {
        self.annotations = annotations;
        self
    }

    /// Stores all images and the index in `repo`, under `tag` if given.
    pub fn load<'a>(
        &self,
        registry: &Registry,
        repo: &str,
        tag: impl Into<Option<&'a str>>,
    ) -> Loaded {
        let (mut descriptors, mut attestations) = (vec![], vec![]);
        for entry in &self.entries {
            match entry {
                Entry::Image(image) => {
                    let image = image.load(registry, repo, None);
                    descriptors.push(image.descriptor());
                    if self.attested {
                        attestations.push(attestation(registry, repo, &image));
                    }
                }
                Entry::Index(index) => {
                    descriptors.push(index.load(registry, repo, None).descriptor());
                }
                Entry::Descriptor(descriptor) => descriptors.push(descriptor.clone()),
            }
        }
        descriptors.extend(attestations);
        let media_type = match self.flavour {
            Flavour::Docker => media::DOCKER_LIST,
            Flavour::Oci => media::OCI_INDEX,
        };
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": descriptors,
        });
        if !self.annotations.is_null() {
            document["annotations"] = self.annotations.clone();
        }
        put(
            registry,
            repo,
            tag.into(),
            &document,
            Value::Null,
            Vec::new(),
        )
    }
}

/// Stores a provenance attestation for `image`. Returns its entry
/// (<https://docs.docker.com/build/metadata/attestations/attestation-storage/>).
fn attestation(registry: &Registry, repo: &str, image: &Loaded) -> Value {
    let predicate = "https://slsa.dev/provenance/v0.2";
    let hex = image.digest.split_once(':').map_or("", |(_, hex)| hex);
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": predicate,
        "subject": [{"name": "_", "digest": {"sha256": hex}}],
        "predicate": {"builder": {"id": ""}},
    });
    let statement = Bytes::from(statement.to_string());
    let statement_size = statement.len();
    let statement = registry.put_blob(repo, statement);
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [statement]},
    });
    let config = Bytes::from(config.to_string());
    let config_size = config.len();
    let config = registry.put_blob(repo, config);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "digest": config, "size": config_size},
        "layers": [{
            "mediaType": "application/vnd.in-toto+json",
            "digest": statement,
            "size": statement_size,
            "annotations": {"in-toto.io/predicate-type": predicate},
        }],
    });
    let platform = json!({"architecture": "unknown", "os": "unknown"});
    let manifest = put(
        registry,
        repo,
        None,
        &manifest,
        platform,
        vec![config, statement],
    );
    let mut descriptor = manifest.descriptor();
    descriptor["annotations"] = json!({
        "vnd.docker.reference.digest": image.digest,
        "vnd.docker.reference.type": "attestation-manifest",
    });
    descriptor
}
