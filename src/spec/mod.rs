//! OCI and Docker data types: digests, references, platforms, descriptors, manifests and indexes, and their JSON form.
//! No I/O; depends on `text` only.

mod annotation;
mod bounded;
mod descriptor;
mod digest;
mod json;
mod layout_reference;
pub mod limits;
mod location;
mod manifest;
mod media_type;
mod platform;
mod platform_names;
mod reference;
mod registry_host;

pub use annotation::{AnnotationLevel, AnnotationRule, AnnotationRuleError};
pub use descriptor::{Annotations, Descriptor, ImageConfig};
pub use digest::{Algorithm, Digest, DigestError, Hasher, to_hex};
pub use json::{
    BYTE_ORDER_MARK, JsonError, JsonStyle, compact_for_go, indent, parse, parse_own, write,
};
pub use layout_reference::{LayoutKind, LayoutPath, LayoutReference, LayoutReferenceError};
pub use location::Location;
pub use manifest::{Document, ImageManifest, Index, Manifest, ManifestError, attestation};
pub use media_type::{Family, MediaType};
pub use platform::{Platform, PlatformError};
pub(crate) use platform_names::nearest;
pub use reference::{FormatError, Reference, ReferenceError, Repository, Tag};
pub use registry_host::{RegistryHost, RegistryHostError};

/// Converts types from and to their text, for serde.
macro_rules! through_text {
    ($($name:ty: $error:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

through_text!(
    Digest: DigestError,
    Reference: ReferenceError,
    RegistryHost: RegistryHostError,
    Tag: ReferenceError
);
