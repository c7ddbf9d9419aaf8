//! The planner writes the same bytes as `docker buildx imagetools create`. The output of buildx is stored in
//! `tests/fixtures/buildx`, with the command for each case and the script that ran it.

use std::collections::HashMap;

use bytes::Bytes;
use polyarch::plan::{Node, OnDuplicate, Options, Source, plan};
use polyarch::spec::{Descriptor, Digest, ImageConfig, Manifest, MediaType, Platform, Repository};
use serde::Deserialize;

/// An image as it is stored in the fixtures.
#[derive(Deserialize)]
struct Image {
    digest: Digest,
    manifest: String,
    config: Option<String>,
    children: Vec<String>,
}

/// A command of buildx and its output.
#[derive(Deserialize)]
struct Case {
    name: String,
    command: String,
    sources: Vec<String>,
    #[serde(default)]
    annotations: Vec<String>,
    #[serde(default)]
    platforms: Vec<String>,
    append: Option<String>,
    printed: String,
}

struct Images(HashMap<String, Image>);

impl Images {
    fn load() -> Self {
        Self(serde_json::from_str(include_str!("../fixtures/buildx/images.json")).unwrap())
    }

    /// Parses a source: a tag, `@tag` for the digest of a tag, or a descriptor.
    fn source(&self, text: &str) -> Source {
        let root = if text.starts_with('{') {
            let descriptor: Descriptor = serde_json::from_str(text).unwrap();
            let mut named = self
                .0
                .iter()
                .filter(|(_, image)| image.digest == descriptor.digest);
            let mut node = self.node(named.next().unwrap().0);
            node.descriptor = descriptor;
            node
        } else {
            self.node(text.trim_start_matches('@'))
        };
        Source {
            name: text.to_owned(),
            location: "registry.example/o/app"
                .parse::<Repository>()
                .unwrap()
                .into(),
            root,
            set_platform: None,
        }
    }

    fn node(&self, tag: &str) -> Node {
        let image = &self.0[tag];
        let bytes = Bytes::copy_from_slice(image.manifest.as_bytes());
        let manifest = Manifest::parse(bytes, &MediaType::default()).unwrap();
        assert_eq!(manifest.digest, image.digest);
        let Some(index) = manifest.index() else {
            let config = image.config.as_ref().unwrap();
            let config: ImageConfig = serde_json::from_str(config).unwrap();
            return Node::image(manifest, Some(Platform::from(config)));
        };
        let child = |(tag, descriptor): (&String, &Descriptor)| Node {
            descriptor: descriptor.clone(),
            config_platform: None,
            ..self.node(tag)
        };
        let children = image
            .children
            .iter()
            .zip(&index.manifests)
            .map(child)
            .collect();
        Node::index(manifest, children)
    }
}

#[test]
fn the_bytes_equal_the_bytes_of_buildx() {
    let images = Images::load();
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../fixtures/buildx/cases.json")).unwrap();
    assert!(cases.len() > 40);
    for case in cases {
        let sources: Vec<_> = case
            .sources
            .iter()
            .map(|text| images.source(text))
            .collect();
        let options = Options {
            platforms: case
                .platforms
                .iter()
                .map(|text| text.parse().unwrap())
                .collect(),
            annotations: case
                .annotations
                .iter()
                .map(|text| text.parse().unwrap())
                .collect(),
            append: case.append.as_deref().map(|tag| images.source(tag)),
            // buildx does not check this.
            on_duplicate: OnDuplicate::Keep,
            ..Options::default()
        };
        let plan = plan(&sources, &[], &options).unwrap();
        let written = String::from_utf8(plan.index.bytes.to_vec()).unwrap();
        let printed = case.printed.strip_suffix('\n').unwrap();
        assert_eq!(written, printed, "{}: {}", case.name, case.command);
    }
}
