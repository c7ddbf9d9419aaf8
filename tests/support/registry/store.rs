//! What a registry holds: repositories with manifests, tags and blobs, and the
//! uploads under way. No HTTP.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::BytesMut;
use serde_json::Value;

use super::content::Content;
use crate::support::digest::{self, Hasher};

/// A manifest or index as it was put.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The content type it was put with.
    pub media_type: String,
    /// Its bytes.
    pub content: Content,
}

impl Manifest {
    /// The document, if it is one.
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
    /// The digest that a tag or digest stands for, and its manifest.
    pub fn resolve(&self, reference: &str) -> Option<(&str, &Manifest)> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        let (digest, manifest) = self.manifests.get_key_value(digest)?;
        Some((digest, manifest))
    }
}

/// An upload under way.
pub struct Upload {
    /// Where to.
    pub repo: String,
    /// How many bytes have arrived.
    pub received: u64,
    /// Whether the last chunk was under the announced minimum: none may follow it.
    pub short: bool,
    /// How many PATCH requests there were.
    pub patches: u64,
    kept: Kept,
}

enum Kept {
    All(BytesMut),
    Hash(Hasher),
}

impl Upload {
    /// An empty upload; `discard` keeps the hash alone.
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

    /// Takes further bytes.
    pub fn append(&mut self, data: &[u8]) {
        self.received += data.len() as u64;
        match &mut self.kept {
            Kept::All(bytes) => bytes.extend_from_slice(data),
            Kept::Hash(hasher) => hasher.update(data),
        }
    }

    /// The content, if its digest is `digest`.
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

/// Everything a registry holds.
#[derive(Default)]
pub struct Store {
    /// Repositories by name.
    pub repos: BTreeMap<String, Repository>,
    /// Uploads by id.
    pub uploads: HashMap<String, Upload>,
}

/// What can be seen from outside, to be compared before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// `repo:tag` to digest.
    pub tags: BTreeMap<String, String>,
    /// `repo@digest` of each manifest.
    pub manifests: BTreeSet<String>,
    /// `repo@digest` of each blob.
    pub blobs: BTreeSet<String>,
}

impl Store {
    /// The repository, made if it is new.
    pub fn repo(&mut self, name: &str) -> &mut Repository {
        self.repos.entry(name.into()).or_default()
    }

    /// What `reference` stands for in `repo`.
    pub fn manifest(&self, repo: &str, reference: &str) -> Option<(&str, &Manifest)> {
        self.repos.get(repo)?.resolve(reference)
    }

    /// A blob of `repo`.
    pub fn blob(&self, repo: &str, digest: &str) -> Option<&Content> {
        self.repos.get(repo)?.blobs.get(digest)
    }

    /// What can be seen from outside.
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

    /// Errors in the visible content: bytes that do not have their digest, tags
    /// and manifests that point to nothing.
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

/// A reference to something the repository does not have.
pub struct Missing {
    /// The missing digests.
    pub digest: String,
    /// Whether it would be a manifest.
    pub manifest: bool,
}

/// What `document` refers to and `repo` does not have. Layers with `urls`, and those
/// that may not be distributed, need not be there (image-spec, layer.md).
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
