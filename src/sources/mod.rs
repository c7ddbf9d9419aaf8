//! What people write for `publish`, as data: sources, targets, spec files, digest directories, annotation
//! lists, and what docker/metadata-action leaves in the environment. Reads only the files it is told to read;
//! nothing here knows a registry. Whatever goes wrong here is wrong usage (exit code 2).

mod digests;
mod error;
mod lists;
mod metadata;
mod outputs;
mod platforms;
mod spec_document;
mod spec_file;
mod targets;
mod text;

pub use digests::read_digests;
pub use error::SourceError;
pub use lists::{parse_annotate_list, parse_annotations, parse_labels};
pub use metadata::MetadataDefaults;
pub use platforms::{parse_set_platform, set_platforms};
pub use spec_file::{ImageSpec, parse_spec, read_spec};
pub use targets::{TargetForm, TargetSpec, parse_targets};
pub use text::parse_sources;

use crate::spec::{Descriptor, Digest, LayoutReference, Platform, Reference, limits};

/// The most bytes of one argument, variable or file.
const MAX_TEXT: usize = 4 << 20;
/// The most sources, targets or rules in one list.
pub const MAX_ITEMS: usize = limits::MAX_INDEX_ENTRIES;

/// A source as a person wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// As written, for messages. A descriptor is shown by its digest.
    pub text: String,
    /// What it is.
    pub form: SourceForm,
    /// The platform that it is said to have, whatever its config says.
    pub set_platform: Option<Platform>,
}

/// The forms of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceForm {
    /// An image or index in a registry; it has a tag, a digest or both.
    Reference(Reference),
    /// A manifest in each target repository, or in the one that `--image` names.
    Digest(Digest),
    /// The same, with what is known of it: it need not be read.
    Descriptor(Box<Descriptor>),
    /// An image in an OCI layout on disk.
    Layout(LayoutReference),
}

impl SourceSpec {
    fn new(text: &str, form: SourceForm) -> Self {
        Self {
            text: text.to_owned(),
            form,
            set_platform: None,
        }
    }

    fn described(descriptor: Descriptor) -> Self {
        let text = descriptor.digest.to_string();
        Self::new(&text, SourceForm::Descriptor(Box::new(descriptor)))
    }

    /// The digest that the person gave, if any.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.form {
            SourceForm::Reference(reference) => reference.digest(),
            SourceForm::Digest(digest) => Some(digest),
            SourceForm::Descriptor(descriptor) => Some(&descriptor.digest),
            SourceForm::Layout(layout) => layout.digest.as_ref(),
        }
    }
}
