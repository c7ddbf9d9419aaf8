//! `polyarch inspect`: shows a local list or an image in a registry, in Docker's format or others.

use std::process::ExitCode;

use base64::Engine as _;
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::args::{Format, InspectArgs};
use super::context::Context;
use super::failure::{Failure, exit, parse_reference};
use super::shell::print;
use crate::draft::{Draft, Drafts, Entry};
use crate::ops::OpsError;
use crate::ops::drafts::{find, preview};
use crate::plan::docker_json;
use crate::progress::Event;
use crate::registry::Access;
use crate::report::{tree_of_image, tree_of_index, tree_of_other};
use crate::spec::limits::MAX_CONFIG;
use crate::spec::{
    Descriptor, Digest, Family, ImageConfig, Index, JsonStyle, LayoutReference, Location, Manifest,
    MediaType, Platform, Reference, compact_for_go, indent, parse, write,
};
use crate::store::{ManifestName, Store, StoreError};

pub(super) async fn run(
    arguments: &InspectArgs,
    context: &Context<'_>,
) -> Result<ExitCode, Failure> {
    let names = match &arguments.names[..] {
        // Scripts write "$LIST" where there may be none.
        [list, image] if list.is_empty() => std::slice::from_ref(image),
        names => names,
    };
    let output = match names {
        [list, image] => {
            let list = parse_reference(list)?;
            let image = parse_reference(image)?;
            // Without a directory for drafts there are none.
            let draft = match Drafts::locate(context.environment) {
                Ok(drafts) => drafts.load(&list)?,
                Err(_) => None,
            };
            let draft = draft.ok_or_else(|| no_such(&image))?;
            let position = find(&draft, &image)?.ok_or_else(|| no_such(&image))?;
            Subject::of_entry(&draft, &draft.entries[position]).show(arguments)?
        }
        [name, ..] if LayoutReference::is_meant_by(name) => {
            let reference: LayoutReference = name
                .parse()
                .map_err(|error| Failure::new(exit::USAGE, error))?;
            in_layout(&reference, arguments, context)
                .await?
                .show(arguments)?
        }
        [name, ..] => {
            let reference = parse_reference(name)?;
            let subject = match local(&reference, context)? {
                Some(draft) => Subject::of_draft(&draft)?,
                None => remote(&reference, arguments, context).await?,
            };
            subject.show(arguments)?
        }
        [] => return Err(Failure::usage("missing MANIFEST")),
    };
    print(&output)
}

/// Loads the local list of this name. Without a readable directory for drafts, only registries are used.
fn local(name: &Reference, context: &Context<'_>) -> Result<Option<Draft>, Failure> {
    let Ok(drafts) = Drafts::locate(context.environment) else {
        return Ok(None);
    };
    if let Some(cause) = drafts.inaccessible(name) {
        let text = format!("local lists are left out: {cause}");
        context.observed.observe(Event::Warning(&text));
        return Ok(None);
    }
    Ok(drafts.load(name)?)
}

fn no_such(name: &Reference) -> Failure {
    Failure::message(exit::NOT_FOUND, format!("No such manifest: {name}"))
}

/// A manifest to show, with its children if needed.
struct Subject {
    /// From a draft, whose content Docker shows as its JSON encoder writes it.
    is_local: bool,
    reference: String,
    manifest: Manifest,
    /// Includes the fields of the list's entry, or the platform of the config.
    descriptor: Descriptor,
    children: Vec<Child>,
}

struct Child {
    reference: String,
    descriptor: Descriptor,
    manifest: Option<Manifest>,
}

impl Subject {
    fn of_entry(draft: &Draft, entry: &Entry) -> Self {
        Self {
            is_local: true,
            reference: entry.reference.to_string(),
            manifest: entry.manifest.clone(),
            descriptor: shown(draft, entry),
            children: Vec::new(),
        }
    }

    fn of_draft(draft: &Draft) -> Result<Self, Failure> {
        let mut draft = draft.clone();
        draft.docker_order();
        let children = draft.entries.iter().map(|entry| Child {
            reference: entry.reference.to_string(),
            descriptor: shown(&draft, entry),
            manifest: Some(entry.manifest.clone()),
        });
        let manifest = preview(&draft)?.index;
        Ok(Self {
            is_local: true,
            reference: draft.list.to_string(),
            children: children.collect(),
            descriptor: manifest.descriptor(),
            manifest,
        })
    }

    fn show(&self, arguments: &InspectArgs) -> Result<Vec<u8>, Failure> {
        if arguments.raw {
            return Ok(self.manifest.bytes.to_vec());
        }
        if arguments.tree {
            return Ok(self.tree().into_bytes());
        }
        let mut text = match arguments.format {
            Some(Format::Json) => write(&self.summary(), JsonStyle::Docker),
            None if arguments.verbose => self.verbose()?,
            None => match self.manifest.index() {
                Some(index) => docker_json(index, &self.manifest.media_type),
                None if self.is_local => indent(&compact_for_go(&self.manifest.bytes), b"\t"),
                None => indent(&self.manifest.bytes, b"\t"),
            },
        };
        text.push(b'\n');
        Ok(text)
    }

    fn tree(&self) -> String {
        let name = &self.reference;
        match (self.manifest.index(), self.manifest.image()) {
            (Some(index), _) => tree_of_index(name, &self.manifest, index),
            (None, Some(image)) => {
                tree_of_image(name, &self.manifest, image, &self.descriptor.annotations)
            }
            (None, None) => tree_of_other(name, &self.manifest),
        }
    }

    fn summary(&self) -> serde_json::Value {
        let index = self.manifest.index();
        let of_entry = Some(&self.descriptor.annotations).filter(|it| !it.is_empty());
        json!({
            "reference": self.reference,
            "digest": self.manifest.digest,
            "mediaType": self.manifest.media_type,
            "size": self.manifest.bytes.len(),
            "platform": self.descriptor.platform,
            "manifests": index.map(|index: &Index| &index.manifests),
            "annotations": index.map(|index| &index.annotations).or(of_entry),
        })
    }

    /// `docker manifest inspect -v`: one object, or for a list an array of them.
    fn verbose(&self) -> Result<Vec<u8>, Failure> {
        let compact = if self.manifest.index().is_some() {
            let items = self
                .children
                .iter()
                .filter_map(|child| Some((child, child.manifest.as_ref()?)))
                .map(|(child, manifest)| {
                    Verbose::new(&child.reference, &child.descriptor, manifest)
                })
                .collect::<Result<Vec<_>, _>>()?;
            serde_json::to_vec(&items)
        } else {
            let (name, manifest) = (&self.reference, &self.manifest);
            serde_json::to_vec(&Verbose::new(name, &self.descriptor, manifest)?)
        };
        let compact = compact.map_err(|error| Failure::new(exit::FAILURE, error))?;
        Ok(indent(&compact_for_go(&compact), b"\t"))
    }
}

/// Returns the descriptor of an entry as the shown list has it.
fn shown(draft: &Draft, entry: &Entry) -> Descriptor {
    let mut descriptor = entry.descriptor.clone();
    if draft.exact.is_none() {
        descriptor.platform.get_or_insert_default();
    }
    descriptor
}

/// Has the field order of Docker's struct; the content is embedded byte for byte.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Verbose<'a> {
    r#ref: &'a str,
    descriptor: &'a Descriptor,
    raw: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_v2_manifest: Option<Box<RawValue>>,
    #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
    oci_manifest: Option<Box<RawValue>>,
}

impl<'a> Verbose<'a> {
    fn new(
        reference: &'a str,
        descriptor: &'a Descriptor,
        manifest: &Manifest,
    ) -> Result<Self, Failure> {
        let content: Box<RawValue> = serde_json::from_slice(&manifest.bytes)
            .map_err(|error| Failure::new(exit::REFUSED, error))?;
        let is_docker = manifest.media_type.manifest_family() == Some(Family::Docker)
            || manifest.media_type.as_str() == MediaType::DOCKER_LIST;
        let (schema_v2_manifest, oci_manifest) = if is_docker {
            (Some(content), None)
        } else {
            (None, Some(content))
        };
        Ok(Self {
            r#ref: reference,
            descriptor,
            raw: base64::engine::general_purpose::STANDARD.encode(&manifest.bytes),
            schema_v2_manifest,
            oci_manifest,
        })
    }
}

async fn remote(
    reference: &Reference,
    arguments: &InspectArgs,
    context: &Context<'_>,
) -> Result<Subject, Failure> {
    let stores = context.stores(&arguments.connection);
    let location = Location::Repository(reference.repository().clone());
    let store = stores.open(&location, Access::Pull).await?;
    let name = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => ManifestName::Digest(digest.clone()),
        (None, Some(tag)) => ManifestName::Tag(tag.clone()),
        (None, None) => unreachable!("a reference without a tag was given :latest"),
    };
    let at_digest = |digest: &Digest| reference.at_digest(digest.clone()).to_string();
    read(
        store.as_ref(),
        &name,
        reference.to_string(),
        at_digest,
        arguments,
    )
    .await
}

async fn in_layout(
    reference: &LayoutReference,
    arguments: &InspectArgs,
    context: &Context<'_>,
) -> Result<Subject, Failure> {
    let stores = context.stores(&arguments.connection);
    let name = stores.select(reference).await?;
    let location = Location::Layout(reference.layout.clone());
    let store = stores.open(&location, Access::Pull).await?;
    let at_digest = |digest: &Digest| format!("{location}@{digest}");
    read(
        store.as_ref(),
        &name,
        reference.to_string(),
        at_digest,
        arguments,
    )
    .await
}

/// Reads a manifest and the children that are shown.
async fn read(
    store: &dyn Store,
    name: &ManifestName,
    reference: String,
    at_digest: impl Fn(&Digest) -> String,
    arguments: &InspectArgs,
) -> Result<Subject, Failure> {
    let manifest = store.manifest(name).await.map_err(OpsError::of_manifest)?;
    let mut subject = Subject {
        is_local: false,
        reference,
        descriptor: manifest.descriptor(),
        children: Vec::new(),
        manifest,
    };
    let needs_more = arguments.verbose || arguments.format.is_some();
    if let Some(index) = subject.manifest.index() {
        if arguments.verbose {
            let reads = index
                .manifests
                .iter()
                .map(|entry| read_child(at_digest(&entry.digest), entry, store));
            subject.children = try_join_all(reads).await?;
        }
    } else if let Some(image) = subject.manifest.image()
        && needs_more
        && image.config.size <= MAX_CONFIG
    {
        let bytes = store.blob(&image.config, MAX_CONFIG).await?;
        subject.descriptor.platform = parse::<ImageConfig>(&bytes).ok().map(Platform::from);
    }
    Ok(subject)
}

async fn read_child(
    reference: String,
    entry: &Descriptor,
    store: &dyn Store,
) -> Result<Child, StoreError> {
    let name = ManifestName::Digest(entry.digest.clone());
    Ok(Child {
        reference,
        descriptor: entry.clone(),
        manifest: Some(store.manifest(&name).await?),
    })
}
