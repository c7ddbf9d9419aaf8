//! One source.

use super::error::SourceError;
use crate::spec::{Descriptor, Digest, LayoutReference, Platform, Reference};

/// A source as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// The text for messages: as written, or the digest of a descriptor.
    pub text: String,
    pub form: SourceForm,
    /// Overrides the platform in the config.
    pub set_platform: Option<Platform>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceForm {
    /// An image or index in a registry; it has a tag, a digest or both.
    Reference(Reference),
    /// A manifest in each target repository, or in the repository of `--image`.
    Digest(Digest),
    /// A digest with size, media type and possibly platform, so that the manifest need not be read.
    Descriptor(Box<Descriptor>),
    /// An image in an OCI layout on disk.
    Layout(LayoutReference),
}

impl SourceSpec {
    pub(super) fn new(text: &str, form: SourceForm) -> Self {
        Self {
            text: text.to_owned(),
            form,
            set_platform: None,
        }
    }

    pub(super) fn described(descriptor: Descriptor) -> Self {
        let text = descriptor.digest.to_string();
        Self::new(&text, SourceForm::Descriptor(Box::new(descriptor)))
    }

    /// Returns the digest that the source contains.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.form {
            SourceForm::Reference(reference) => reference.digest(),
            SourceForm::Digest(digest) => Some(digest),
            SourceForm::Descriptor(descriptor) => Some(&descriptor.digest),
            SourceForm::Layout(layout) => layout.digest.as_ref(),
        }
    }
}

/// Parses a single source that is not JSON. A reference without tag means `latest`, as in every Docker command.
pub(super) fn parse_one(text: &str) -> Result<SourceSpec, SourceError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SourceError::Empty);
    }
    let form = if LayoutReference::is_meant_by(text) {
        SourceForm::Layout(text.parse()?)
    } else if is_digest_like(text) {
        SourceForm::Digest(text.parse()?)
    } else {
        let reference = Reference::parse_or_latest(text)
            .map_err(|reason| SourceError::reference("source", text, reason))?;
        SourceForm::Reference(reference)
    };
    Ok(SourceSpec::new(text, form))
}

/// Returns whether a text begins like a digest. `sha256:abc` would be a valid reference, but is never intended as one.
pub(super) fn is_digest_like(text: &str) -> bool {
    text.split_once(':').is_some_and(|(name, _)| {
        name.strip_prefix("sha").is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// Returns whether a text begins like JSON, unlike a reference such as `[::1]:5000/app`.
pub(super) fn starts_json(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('[') else {
        return text.starts_with('{');
    };
    let is_address = inside.split_once(']').is_some_and(|(address, _)| {
        address.contains(':')
            && address
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
    });
    !is_address
}
