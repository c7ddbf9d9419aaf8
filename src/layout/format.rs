//! The files of a layout that are not blobs: `oci-layout` and `index.json`.

use bytes::Bytes;
use serde::Deserialize;

use super::error::LayoutError;
use crate::spec::{self, BYTE_ORDER_MARK, Manifest, MediaType};

const LAYOUT_VERSION: &str = "1.0.0";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciLayout {
    image_layout_version: String,
}

/// Checks the content of `oci-layout`.
pub fn check_version(bytes: &[u8]) -> Result<(), LayoutError> {
    let found: OciLayout = spec::parse(bytes)?;
    if found.image_layout_version == LAYOUT_VERSION {
        return Ok(());
    }
    let shown: String = found.image_layout_version.chars().take(40).collect();
    Err(LayoutError::Version {
        found: shown,
        expected: LAYOUT_VERSION,
    })
}

/// Returns the content of a new `oci-layout`.
pub(super) fn version_file() -> Vec<u8> {
    format!(r#"{{"imageLayoutVersion":"{LAYOUT_VERSION}"}}"#).into_bytes()
}

/// Parses `index.json`. A byte order mark is removed: no digest refers to the bytes of this file.
pub fn parse_index(bytes: Vec<u8>) -> Result<Manifest, LayoutError> {
    let text = Bytes::from(bytes);
    let text = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => text.slice_ref(rest),
        None => text,
    };
    let manifest =
        Manifest::parse(text, &MediaType::default()).map_err(LayoutError::InvalidIndex)?;
    match manifest.index() {
        Some(_) => Ok(manifest),
        None => Err(LayoutError::NotAnIndex),
    }
}
