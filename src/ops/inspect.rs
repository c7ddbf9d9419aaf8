//! Reads a local list, one of its entries, or a manifest in a registry or layout.

use futures_util::future::try_join_all;

use super::drafts::{find, preview};
use super::{OpsError, Run};
use crate::draft::{Draft, Drafts, Entry};
use crate::progress::Event;
use crate::registry::Access;
use crate::report::{Inspection, InspectionChild};
use crate::spec::limits::MAX_CONFIG;
use crate::spec::{
    Descriptor, Digest, ImageConfig, LayoutReference, Location, Platform, Reference, parse,
};
use crate::store::{ManifestName, Store, StoreError};

#[derive(Clone, Debug)]
pub struct InspectOptions {
    pub subject: Subject,
    /// Reads the children of an index.
    pub children: bool,
    /// Reads the platform of an image from its config.
    pub platform: bool,
}

#[derive(Clone, Debug)]
pub enum Subject {
    /// The local list with this name or, if there is none, the manifest in the registry.
    Name(Reference),
    /// An entry of a local list.
    Entry {
        list: Reference,
        image: Reference,
    },
    Layout(LayoutReference),
}

/// Reads the subject. Without `drafts` there are no local lists.
pub async fn inspect(
    options: &InspectOptions,
    drafts: Option<&Drafts>,
    run: Run<'_>,
) -> Result<Inspection, OpsError> {
    match &options.subject {
        Subject::Entry { list, image } => {
            let no_image = || OpsError::NoImage {
                image: image.clone(),
            };
            let draft = match drafts {
                Some(drafts) => drafts.load(list)?,
                None => None,
            };
            let draft = draft.ok_or_else(no_image)?;
            let position = find(&draft, image)?.ok_or_else(no_image)?;
            Ok(of_entry(&draft, &draft.entries[position]))
        }
        Subject::Name(name) => match load_local(name, drafts, run)? {
            Some(draft) => of_draft(draft),
            None => in_registry(name, options, run).await,
        },
        Subject::Layout(reference) => in_layout(reference, options, run).await,
    }
}

/// Loads the local list with this name. Without a readable directory for drafts, only registries are used.
fn load_local(
    name: &Reference,
    drafts: Option<&Drafts>,
    run: Run<'_>,
) -> Result<Option<Draft>, OpsError> {
    let Some(drafts) = drafts else {
        return Ok(None);
    };
    if let Some(cause) = drafts.inaccessible(name) {
        let text = format!("local lists are ignored: {cause}");
        run.observed.observe(Event::Warning(&text));
        return Ok(None);
    }
    Ok(drafts.load(name)?)
}

fn of_entry(draft: &Draft, entry: &Entry) -> Inspection {
    Inspection {
        is_local: true,
        reference: entry.reference.to_string(),
        manifest: entry.manifest.clone(),
        descriptor: descriptor(draft, entry),
        children: Vec::new(),
    }
}

fn of_draft(mut draft: Draft) -> Result<Inspection, OpsError> {
    draft.docker_order();
    let children = draft.entries.iter().map(|entry| InspectionChild {
        reference: entry.reference.to_string(),
        descriptor: descriptor(&draft, entry),
        manifest: entry.manifest.clone(),
    });
    let manifest = preview(&draft)?.index;
    Ok(Inspection {
        is_local: true,
        reference: draft.list.to_string(),
        children: children.collect(),
        descriptor: manifest.descriptor(),
        manifest,
    })
}

/// Returns the descriptor of an entry as in the preview of the list.
fn descriptor(draft: &Draft, entry: &Entry) -> Descriptor {
    let mut descriptor = entry.descriptor.clone();
    if draft.exact.is_none() {
        descriptor.platform.get_or_insert_default();
    }
    descriptor
}

async fn in_registry(
    reference: &Reference,
    options: &InspectOptions,
    run: Run<'_>,
) -> Result<Inspection, OpsError> {
    let location = Location::Repository(reference.repository().clone());
    let store = run.stores.open(&location, Access::Pull).await?;
    let at_digest = |digest: &Digest| reference.at_digest(digest.clone()).to_string();
    let (name, shown) = (ManifestName::of(reference), reference.to_string());
    read(store.as_ref(), &name, shown, at_digest, options).await
}

async fn in_layout(
    reference: &LayoutReference,
    options: &InspectOptions,
    run: Run<'_>,
) -> Result<Inspection, OpsError> {
    let name = run.stores.select(reference).await?;
    let location = Location::Layout(reference.layout.clone());
    let store = run.stores.open(&location, Access::Pull).await?;
    let at_digest = |digest: &Digest| format!("{location}@{digest}");
    let shown = reference.to_string();
    read(store.as_ref(), &name, shown, at_digest, options).await
}

/// Reads a manifest, and the children or the platform that the options request.
async fn read(
    store: &dyn Store,
    name: &ManifestName,
    reference: String,
    at_digest: impl Fn(&Digest) -> String,
    options: &InspectOptions,
) -> Result<Inspection, OpsError> {
    let manifest = store.manifest(name).await.map_err(OpsError::of_manifest)?;
    let mut inspection = Inspection {
        is_local: false,
        reference,
        descriptor: manifest.descriptor(),
        children: Vec::new(),
        manifest,
    };
    if let Some(index) = inspection.manifest.index() {
        if options.children {
            let entries = index.manifests.iter();
            let reads = entries.map(|entry| read_child(at_digest(&entry.digest), entry, store));
            inspection.children = try_join_all(reads).await?;
        }
    } else if let Some(image) = inspection.manifest.image()
        && options.platform
        && image.config.size <= MAX_CONFIG
    {
        let bytes = store.blob(&image.config, MAX_CONFIG).await?;
        inspection.descriptor.platform = parse::<ImageConfig>(&bytes).ok().map(Platform::from);
    }
    Ok(inspection)
}

async fn read_child(
    reference: String,
    entry: &Descriptor,
    store: &dyn Store,
) -> Result<InspectionChild, StoreError> {
    let name = ManifestName::Digest(entry.digest.clone());
    Ok(InspectionChild {
        reference,
        descriptor: entry.clone(),
        manifest: store.manifest(&name).await?,
    })
}
