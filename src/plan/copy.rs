//! The plan of a source that is passed on as it is, be it an image or an index.

use std::sync::Arc;

use crate::spec::{Annotations, Manifest, Platform, attestation};

use super::select::Sources;
use super::transfer::{self, Content, Stage};
use super::{Node, Options, Plan, PlanError, PlannedEntry, Source, Target, notice, plan};

/// Plans to put `source` at `targets` byte for byte. Unlike [`plan`], a single image stays one.
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
        notices: notice::foreign_layers(&contents, all).into_iter().collect(),
    })
}

/// The part of `source` that is the image for `platform`: of an index the first entry that fits, as clients
/// choose; an image itself if it fits.
pub fn image_of(source: &Source, platform: &Platform) -> Result<Source, PlanError> {
    let images = images(&source.root);
    let fits = |image: &&Node| {
        let said = image.platform();
        said.is_some_and(|said| said.satisfies(platform))
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
    fn an_image_stays_an_image() {
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
