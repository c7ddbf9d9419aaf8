//! User input for `publish` as data: sources, targets, spec files, digest directories, annotation lists, and the
//! variables of docker/metadata-action. Reads only the files that the user names; never contacts a registry. Every
//! error is a usage error.

mod digests;
mod error;
mod hints;
mod limits;
mod lines;
mod metadata;
mod outputs;
mod platforms;
mod source;
mod source_list;
mod spec_document;
mod spec_file;
mod targets;

pub use digests::read_digests;
pub use error::SourceError;
pub use hints::reference_hints;
pub use limits::MAX_ITEMS;
pub use lines::{parse_annotations, parse_labels, parse_set_platforms, refuse_duplicates};
pub use metadata::MetadataDefaults;
pub use platforms::{parse_set_platform, set_platforms};
pub use source::{SourceForm, SourceSpec};
pub use source_list::parse_sources;
pub use spec_file::{ImageSpec, parse_spec, read_spec};
pub use targets::{TargetForm, TargetSpec, parse_targets};
