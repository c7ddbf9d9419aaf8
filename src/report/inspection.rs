//! The formats of `inspect`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::tree::{tree_of_image, tree_of_index, tree_of_other};
use crate::plan::docker_json;
use crate::spec::{
    Descriptor, Family, JsonStyle, Manifest, MediaType, compact_for_go, indent, write,
};

/// A manifest to display, with its children if they were read.
#[derive(Debug)]
pub struct Inspection {
    /// The manifest comes from a draft. Docker prints its content as Go's JSON encoder writes it.
    pub is_local: bool,
    pub reference: String,
    pub manifest: Manifest,
    /// The descriptor of the entry in the list, or a descriptor with the platform of the config.
    pub descriptor: Descriptor,
    pub children: Vec<InspectionChild>,
}

#[derive(Debug)]
pub struct InspectionChild {
    pub reference: String,
    pub descriptor: Descriptor,
    pub manifest: Manifest,
}

impl Inspection {
    /// Returns the output of `docker manifest inspect`: the manifest, indented.
    pub fn docker(&self) -> Vec<u8> {
        let bytes = &self.manifest.bytes;
        match self.manifest.index() {
            Some(index) => docker_json(index, &self.manifest.media_type),
            None if self.is_local => indent(&compact_for_go(bytes), b"\t"),
            None => indent(bytes, b"\t"),
        }
    }

    /// Returns the output of `docker manifest inspect -v`: one object, or for an index an array of objects.
    pub fn docker_verbose(&self) -> Result<Vec<u8>, serde_json::Error> {
        let compact = if self.manifest.index().is_some() {
            let children = self.children.iter();
            let items = children
                .map(|it| Verbose::new(&it.reference, &it.descriptor, &it.manifest))
                .collect::<Result<Vec<_>, _>>()?;
            serde_json::to_vec(&items)?
        } else {
            let item = Verbose::new(&self.reference, &self.descriptor, &self.manifest)?;
            serde_json::to_vec(&item)?
        };
        Ok(indent(&compact_for_go(&compact), b"\t"))
    }

    pub fn tree(&self) -> String {
        let name = &self.reference;
        match (self.manifest.index(), self.manifest.image()) {
            (Some(index), _) => tree_of_index(name, &self.manifest, index),
            (None, Some(image)) => {
                tree_of_image(name, &self.manifest, image, &self.descriptor.annotations)
            }
            (None, None) => tree_of_other(name, &self.manifest),
        }
    }

    /// Returns the summary as JSON.
    pub fn json(&self) -> Vec<u8> {
        let index = self.manifest.index();
        let of_entry = Some(&self.descriptor.annotations).filter(|it| !it.is_empty());
        let summary = json!({
            "reference": self.reference,
            "digest": self.manifest.digest,
            "mediaType": self.manifest.media_type,
            "size": self.manifest.bytes.len(),
            "platform": self.descriptor.platform,
            "manifests": index.map(|index| &index.manifests),
            "annotations": index.map(|index| &index.annotations).or(of_entry),
        });
        write(&summary, JsonStyle::Docker)
    }
}

/// An object with the field order of Docker's struct. The content is embedded byte for byte.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Verbose<'a> {
    r#ref: &'a str,
    descriptor: &'a Descriptor,
    raw: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_v2_manifest: Option<&'a RawValue>,
    #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
    oci_manifest: Option<&'a RawValue>,
}

impl<'a> Verbose<'a> {
    fn new(
        reference: &'a str,
        descriptor: &'a Descriptor,
        manifest: &'a Manifest,
    ) -> Result<Self, serde_json::Error> {
        let content: &RawValue = serde_json::from_slice(&manifest.bytes)?;
        let is_docker = manifest.media_type.manifest_family() == Some(Family::Docker)
            || manifest.media_type.as_str() == MediaType::DOCKER_LIST;
        Ok(Self {
            r#ref: reference,
            descriptor,
            raw: STANDARD.encode(&manifest.bytes),
            schema_v2_manifest: is_docker.then_some(content),
            oci_manifest: (!is_docker).then_some(content),
        })
    }
}
