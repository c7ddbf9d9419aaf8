//! Plans the exact copy of a source, which is an image or an index.

use std::sync::Arc;

use crate::spec::{Annotations, Manifest, Platform, attestation};

use super::entry::Sources;
use super::error::PlanError;
use super::findings;
use super::input::{Node, Options, Source, Target};
use super::output::{Plan, PlannedEntry, Stage};
use super::planner::plan;
use super::transfer::{self, Content};

/// Plans to copy `source` to `targets` byte for byte. Unlike [`plan`], a single image does not become an index.
pub fn copy(source: &Source, targets: &[Target]) -> Result<Plan, PlanError> {
    let manifest = source
        .root
        .manifest
        .as_ref()
        .ok_or_else(|| PlanError::NotRead {
            source_name: source.name.clone(),
            digest: source.root.digest().clone(),
        })?;
    if manifest.index().is_some() {
        return plan(std::slice::from_ref(source), targets, &Options::default());
    }
    let sources = [source];
    let all = Sources {
        all: &sources,
        has_base: false,
    };
    let contents = [Content {
        node: &source.root,
        source: 0,
        stage: Stage::Image,
    }];
    let mut descriptor = source.root.descriptor.clone();
    descriptor.platform = source.root.platform();
    Ok(Plan {
        index: Manifest::clone(manifest),
        exact: true,
        entries: vec![PlannedEntry {
            descriptor,
            source: source.name.clone(),
            location: source.location.clone(),
            manifest: Some(Arc::clone(manifest)),
            seen: source.root.seen,
            subject: None,
        }],
        index_descriptor: Annotations::new(),
        targets: transfer::transfers(&contents, &sources, targets)?,
        notices: findings::foreign_layers(&contents, all)
            .into_iter()
            .collect(),
    })
}

/// Returns the image for `platform` in `source`: the first matching entry of an index, as clients select it, or a
/// matching image.
pub fn image_of(source: &Source, platform: &Platform) -> Result<Source, PlanError> {
    let images = images(&source.root);
    let fits = |image: &&Node| {
        let own = image.platform();
        own.is_some_and(|own| own.satisfies(platform))
    };
    let image = images
        .iter()
        .copied()
        .find(fits)
        .ok_or_else(|| PlanError::MissingPlatforms {
            missing: vec![platform.clone()],
            found: images.iter().filter_map(|image| image.platform()).collect(),
        })?;
    Ok(Source {
        name: format!("{} ({platform})", source.name),
        location: source.location.clone(),
        root: image.clone(),
        set_platform: None,
    })
}

fn images(node: &Node) -> Vec<&Node> {
    if node.is_index() {
        node.children.iter().flat_map(images).collect()
    } else if attestation::is_attestation(&node.descriptor) {
        Vec::new()
    } else {
        vec![node]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Location, MediaType, Repository};
    use bytes::Bytes;

    #[test]
    fn a_copied_image_does_not_become_an_index() {
        let json = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
        let manifest = Manifest::parse(Bytes::from(json), &MediaType::default()).unwrap();
        let location = |name: &str| Location::from(name.parse::<Repository>().unwrap());
        let source = Source {
            name: "a.io/a:1".to_owned(),
            location: location("a.io/a").into(),
            root: Node::image(manifest.clone(), None),
            set_platform: None,
        };
        let target = Target {
            location: location("b.io/b"),
            tags: vec!["1".parse().unwrap()],
        };
        let plan = copy(&source, &[target]).unwrap();
        assert_eq!(plan.index.bytes, manifest.bytes);
        assert_eq!(plan.targets[0].blobs.len(), 1);
        assert!(!plan.targets[0].blobs[0].mountable);
    }
}
