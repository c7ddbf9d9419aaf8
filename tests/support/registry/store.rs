//! The content of a registry: repositories with manifests, tags and blobs, and running uploads. No HTTP.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::BytesMut;
use serde_json::Value;

use super::content::Content;
use crate::support::digest::{self, Hasher};

/// A manifest or index as it was pushed.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The content type of the push.
    pub media_type: String,
    /// Its bytes.
    pub content: Content,
}

impl Manifest {
    /// Parses the manifest. Returns `None` if it is not JSON.
    pub fn document(&self) -> Option<Value> {
        serde_json::from_slice(&self.content.bytes()?).ok()
    }
}

/// One repository.
#[derive(Default)]
pub struct Repository {
    /// Manifests by digest.
    pub manifests: BTreeMap<String, Manifest>,
    /// Digests by tag.
    pub tags: BTreeMap<String, String>,
    /// Blobs by digest.
    pub blobs: BTreeMap<String, Content>,
}

impl Repository {
    /// Returns the digest that a tag or digest refers to, and its manifest.
    pub fn resolve(&self, reference: &str) -> Option<(&str, &Manifest)> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        let (digest, manifest) = self.manifests.get_key_value(digest)?;
        Some((digest, manifest))
    }
}

/// A running upload.
pub struct Upload {
    /// The repository of the upload.
    pub repo: String,
    /// The number of bytes that were received.
    pub received: u64,
    /// Whether the last chunk was smaller than the minimum. No chunk may follow it.
    pub short: bool,
    /// The number of PATCH requests.
    pub patches: u64,
    kept: Kept,
}

enum Kept {
    All(BytesMut),
    Hash(Hasher),
}

impl Upload {
    /// Creates an empty upload. With `discard`, only the hash is stored.
    pub fn new(repo: &str, discard: bool) -> Self {
        Self {
            repo: repo.into(),
            received: 0,
            short: false,
            patches: 0,
            kept: if discard {
                Kept::Hash(Hasher::new("sha256"))
            } else {
                Kept::All(BytesMut::new())
            },
        }
    }

    /// Appends bytes.
    pub fn append(&mut self, data: &[u8]) {
        self.received += data.len() as u64;
        match &mut self.kept {
            Kept::All(bytes) => bytes.extend_from_slice(data),
            Kept::Hash(hasher) => hasher.update(data),
        }
    }

    /// Returns the content if its digest is `digest`.
    pub fn finish(self, digest: &str) -> Option<Content> {
        let (actual, content) = match self.kept {
            Kept::All(bytes) => {
                let content = Content::from(bytes.freeze());
                (digest::of(&content, digest)?, content)
            }
            Kept::Hash(hasher) => (hasher.finish(), Content::Discarded { len: self.received }),
        };
        (actual == digest).then_some(content)
    }
}

/// The content of a registry.
#[derive(Default)]
pub struct Store {
    /// Repositories by name.
    pub repos: BTreeMap<String, Repository>,
    /// Uploads by id.
    pub uploads: HashMap<String, Upload>,
}

/// The visible content, for comparisons before and after a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The digest of each `repo:tag`.
    pub tags: BTreeMap<String, String>,
    /// All manifests as `repo@digest`.
    pub manifests: BTreeSet<String>,
    /// All blobs as `repo@digest`.
    pub blobs: BTreeSet<String>,
}

impl Store {
    /// Returns the repository, which is created if it does not exist.
    pub fn repo(&mut self, name: &str) -> &mut Repository {
        self.repos.entry(name.into()).or_default()
    }

    /// Returns the manifest that `reference` refers to in `repo`.
    pub fn manifest(&self, repo: &str, reference: &str) -> Option<(&str, &Manifest)> {
        self.repos.get(repo)?.resolve(reference)
    }

    /// Returns a blob of `repo`.
    pub fn blob(&self, repo: &str, digest: &str) -> Option<&Content> {
        self.repos.get(repo)?.blobs.get(digest)
    }

    /// Returns the visible content.
    pub fn snapshot(&self) -> Snapshot {
        let mut all = Snapshot::default();
        for (name, repo) in &self.repos {
            let tags = repo.tags.iter();
            all.tags
                .extend(tags.map(|(tag, digest)| (format!("{name}:{tag}"), digest.clone())));
            let within = |digest: &String| format!("{name}@{digest}");
            all.manifests.extend(repo.manifests.keys().map(within));
            all.blobs.extend(repo.blobs.keys().map(within));
        }
        all
    }

    /// Returns errors in the visible content: bytes with a wrong digest, and tags and manifests that refer to missing
    /// content.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, repo) in &self.repos {
            for (tag, digest) in &repo.tags {
                if !repo.manifests.contains_key(digest) {
                    problems.push(format!("{name}:{tag} points to nothing ({digest})"));
                }
            }
            for (digest, manifest) in &repo.manifests {
                if digest::of(&manifest.content, digest).is_some_and(|actual| actual != *digest) {
                    problems.push(format!("{name}@{digest} has other bytes"));
                }
                let missing = manifest.document().map(|json| missing(repo, &json));
                problems.extend(missing.unwrap_or_default().iter().map(|missing| {
                    format!(
                        "{name}@{digest} refers to {}, which is missing",
                        missing.digest
                    )
                }));
            }
            let blobs = repo.blobs.iter();
            problems.extend(
                blobs
                    .filter(|(digest, content)| {
                        digest::of(content, digest).is_some_and(|actual| actual != **digest)
                    })
                    .map(|(digest, _)| format!("blob {name}@{digest} has other bytes")),
            );
        }
        problems
    }
}

/// A reference to content that the repository does not have.
pub struct Missing {
    /// The missing digests.
    pub digest: String,
    /// Whether the missing content is a manifest.
    pub manifest: bool,
}

/// Returns the content that `document` refers to and that `repo` does not have. Layers with `urls` and
/// non-distributable layers may be missing (image-spec, layer.md).
pub fn missing(repo: &Repository, document: &Value) -> Vec<Missing> {
    let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
    let text = |descriptor: &Value, name: &str| descriptor[name].as_str().unwrap_or("").to_owned();
    let config = document.get("config").cloned();
    let blobs = list("layers").into_iter().filter(|layer| {
        let media_type = text(layer, "mediaType");
        layer.get("urls").is_none()
            && !media_type.contains("nondistributable")
            && !media_type.contains("foreign")
    });
    let blobs = config
        .into_iter()
        .chain(blobs)
        .map(|descriptor| text(&descriptor, "digest"))
        .filter(|digest| !repo.blobs.contains_key(digest))
        .map(|digest| Missing {
            digest,
            manifest: false,
        });
    let children = list("manifests").into_iter();
    let children = children
        .map(|descriptor| text(&descriptor, "digest"))
        // Registries accept an index whose entries are blobs, as caches of BuildKit are.
        .filter(|digest| !repo.manifests.contains_key(digest) && !repo.blobs.contains_key(digest))
        .map(|digest| Missing {
            digest,
            manifest: true,
        });
    blobs.chain(children).collect()
}
