//! Planning of arbitrary documents and options.

use std::collections::HashMap;

use bytes::Bytes;

use polyarch::plan::{
    Attestations, MediaTypeChoice, Node, OnDuplicate, Options, Plan, PlannedEntry, Source, Style,
    Target, copy, docker_json, image_of,
};
use polyarch::spec::limits::MAX_INDEX_ENTRIES;
use polyarch::spec::{
    Descriptor, Digest, ImageConfig, Location, Manifest, MediaType, Platform, parse,
};

use super::{parts, text};

/// Checks that planning returns an error or an index that matches its plan. The first part of the input contains the
/// options; the other parts are documents of a registry.
pub fn plan(data: &[u8]) {
    let parts = parts(data);
    let Some((choices, documents)) = parts.split_first() else {
        return;
    };
    let Some(options) = text(choices).and_then(options) else {
        return;
    };
    let registry = Documents::new(documents);
    let sources = registry.sources();
    let targets = [
        target("ghcr.io/o/a", &["1", "2"]),
        target("docker.io/o/b", &[]),
    ];
    if let Ok(plan) = polyarch::plan::plan(&sources, &targets, &options) {
        check(&plan);
        flattened_again(&plan, &options);
    }
    if let Some(source) = sources.first() {
        if let Ok(plan) = copy(source, &targets) {
            assert_eq!(&plan.index.digest, source.root.digest());
        }
        for platform in &options.platforms {
            let _ = image_of(source, platform);
        }
    }
}

fn check(plan: &Plan) {
    assert!(plan.index.digest.matches(&plan.index.bytes));
    let read = Manifest::parse(plan.index.bytes.clone(), &MediaType::default());
    assert_eq!(read.ok().as_ref(), Some(&plan.index));
    let index = plan.index.index().expect("the plan of an index");
    assert!(!index.manifests.is_empty() && index.manifests.len() <= MAX_INDEX_ENTRIES);
    let _ = docker_json(index, &plan.index.media_type);
    for target in &plan.targets {
        for transfer in &target.manifests {
            assert!(transfer.manifest.digest.matches(&transfer.manifest.bytes));
        }
    }
}

/// Checks that planning a planned index again returns the same bytes.
fn flattened_again(plan: &Plan, options: &Options) {
    if plan.exact {
        return;
    }
    let child = |entry: &PlannedEntry| Node {
        descriptor: entry.descriptor.clone(),
        manifest: entry.manifest.clone(),
        seen: true,
        config_platform: None,
        children: Vec::new(),
    };
    let root = Node::index(plan.index.clone(), plan.entries.iter().map(child).collect());
    let options = Options {
        on_duplicate: OnDuplicate::Keep,
        style: options.style,
        ..Options::default()
    };
    let again = polyarch::plan::plan(&[source(root)], &[], &options).expect("a planned index");
    assert!(again.exact);
    assert_eq!(again.index, plan.index);
}

/// Parses options: one per word; any other word is a platform or an annotation.
fn options(text: &str) -> Option<Options> {
    let mut options = Options::default();
    for word in text.split_ascii_whitespace().take(20) {
        match word {
            "oci" => options.media_type = MediaTypeChoice::Oci,
            "docker-list" => options.media_type = MediaTypeChoice::Docker,
            "docker" => options.style = Style::Docker,
            "drop" => options.attestations = Attestations::Drop,
            "keep" => options.on_duplicate = OnDuplicate::Keep,
            "replace" => options.on_duplicate = OnDuplicate::Replace,
            "warn" => options.on_duplicate = OnDuplicate::Warn,
            _ if word.contains('=') => options.annotations.push(word.parse().ok()?),
            _ => options.platforms.push(word.parse().ok()?),
        }
    }
    Some(options)
}

struct Documents {
    manifests: Vec<Manifest>,
    configs: HashMap<Digest, Platform>,
}

impl Documents {
    fn new(parts: &[&[u8]]) -> Self {
        let read = |part: &&[u8]| {
            Manifest::parse(Bytes::copy_from_slice(part), &MediaType::default()).ok()
        };
        let config = |part: &&[u8]| {
            let config: ImageConfig = parse(part).ok()?;
            Some((Digest::sha256(part), config.into()))
        };
        Self {
            manifests: parts.iter().filter_map(read).take(50).collect(),
            configs: parts.iter().filter_map(config).collect(),
        }
    }

    /// Returns a source for each manifest that no index names.
    fn sources(&self) -> Vec<Source> {
        let indexes = self.manifests.iter().filter_map(Manifest::index);
        let named: Vec<&Digest> = indexes
            .flat_map(|index| &index.manifests)
            .map(|entry| &entry.digest)
            .collect();
        let roots = self.manifests.iter();
        let roots = roots.filter(|manifest| !named.contains(&&manifest.digest));
        roots.map(|root| source(self.node(root, 0))).collect()
    }

    fn node(&self, manifest: &Manifest, depth: usize) -> Node {
        match (manifest.index(), manifest.image()) {
            (Some(index), _) => {
                let entries = index.manifests.iter().take(200);
                let children = entries.map(|entry| self.child(entry, depth)).collect();
                Node::index(manifest.clone(), children)
            }
            (None, image) => {
                let config = image.and_then(|image| self.configs.get(&image.config.digest));
                Node::image(manifest.clone(), config.cloned())
            }
        }
    }

    fn child(&self, entry: &Descriptor, depth: usize) -> Node {
        let known = self
            .manifests
            .iter()
            .find(|manifest| manifest.digest == entry.digest);
        match known.filter(|_| depth < 3) {
            Some(manifest) => Node {
                descriptor: entry.clone(),
                ..self.node(manifest, depth + 1)
            },
            None => Node::described(entry.clone()),
        }
    }
}

fn source(root: Node) -> Source {
    Source {
        name: "source".to_owned(),
        location: location("ghcr.io/o/a").into(),
        root,
        set_platform: None,
    }
}

fn location(repository: &str) -> Location {
    Location::Repository(repository.parse().expect("a repository"))
}

fn target(repository: &str, tags: &[&str]) -> Target {
    Target {
        location: location(repository),
        tags: tags.iter().map(|tag| tag.parse().expect("a tag")).collect(),
    }
}
