//! References, platforms, annotations and documents.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use polyarch::spec::limits::MAX_INDEX_ENTRIES;
use polyarch::spec::{
    AnnotationRule, Descriptor, Digest, ImageConfig, JsonStyle, Manifest, MediaType, Platform,
    Reference, RegistryHost, Repository, Tag, compact_for_go, indent, parse, write,
};

use super::text;

/// Checks that a reference is the same after it is written and read again, and that its parts cannot change other parts
/// of a URL.
pub fn reference(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(host) = text.parse::<RegistryHost>() {
        address(&host, "a");
    }
    let _ = text.parse::<Tag>();
    let _ = text.parse::<Repository>();
    let _ = Reference::is_hostless(text);
    let Ok(reference) = text.parse::<Reference>() else {
        return;
    };
    let again = reference.to_string().parse::<Reference>();
    assert_eq!(again.as_ref(), Ok(&reference));
    address(reference.registry(), reference.repository().path());
    if let Some(tag) = reference.tag() {
        assert!(!tag.as_str().contains(['/', '?', '#', '%', ':', '@']));
    }
}

fn address(host: &RegistryHost, path: &str) {
    let address = format!("https://{}/v2/{path}/manifests/x", host.endpoint());
    let url = Url::parse(&address).expect("a parsed host is the host of an address");
    assert_eq!(url.path(), format!("/v2/{path}/manifests/x"));
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(url.query().is_none() && url.fragment().is_none());
}

/// Checks that a digest consists only of its algorithm and hex digits.
pub fn digest(data: &[u8]) {
    let computed = Digest::sha256(data);
    assert_eq!(computed.to_string().parse().as_ref(), Ok(&computed));
    let Some(text) = text(data) else { return };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
        assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(digest.short().len(), 12);
    }
}

/// Checks that a platform is the same after it is written and read again.
pub fn platform(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(platform) = text.parse::<Platform>() {
        let again: Platform = platform.to_string().parse().expect("a written platform");
        assert_eq!(again, platform);
        assert_eq!(again.key(), platform.key());
        assert_eq!(platform.normalised(), platform);
        assert!(platform.satisfies(&platform));
    }
    if let Ok(platform) = parse::<Platform>(data) {
        let normal = platform.normalised();
        assert_eq!(normal.normalised(), normal);
        assert_eq!(normal.key(), platform.key());
        let _ = (platform.to_string(), platform.is_unknown());
    }
}

/// Checks that an annotation has a value and a key that is not empty.
pub fn annotation(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(rule) = text.parse::<AnnotationRule>() {
        assert!(!rule.key.is_empty());
        assert!(text.ends_with(&rule.value));
    }
}

/// Checks that indenting and compacting JSON as Go does it keeps the document.
pub fn json(data: &[u8]) {
    let (indented, compact) = (indent(data, b"  "), compact_for_go(data));
    let Ok(value) = parse::<Value>(data) else {
        return;
    };
    if data.starts_with(b"\xef\xbb\xbf") {
        return;
    }
    assert_eq!(parse::<Value>(&indented).ok().as_ref(), Some(&value));
    assert_eq!(parse::<Value>(&compact).ok().as_ref(), Some(&value));
    for style in [JsonStyle::Docker, JsonStyle::Oci] {
        let written = write(&value, style);
        assert_eq!(parse::<Value>(&written).ok().as_ref(), Some(&value));
    }
}

/// Checks that an accepted manifest has the digest of its bytes, one kind and bounded lists, and is the same after it
/// is written and read again.
pub fn manifest(data: &[u8]) {
    let _ = parse::<ImageConfig>(data).map(Platform::from);
    let types = [
        "",
        MediaType::OCI_INDEX,
        MediaType::OCI_MANIFEST,
        MediaType::DOCKER_LIST,
        MediaType::DOCKER_MANIFEST,
        "application/json",
    ];
    let read = types.map(|media_type| {
        Manifest::parse(Bytes::copy_from_slice(data), &MediaType::new(media_type)).ok()
    });
    for manifest in read.iter().flatten() {
        assert!(manifest.digest.matches(data));
        assert!(!manifest.media_type.is_empty());
        assert_eq!(manifest.descriptor().size, data.len() as u64);
        let _ = manifest.subject();
        if let Some(image) = manifest.image() {
            let blobs = image.blobs();
            assert!(blobs.iter().all(|blob| !blob.is_foreign()));
            let digests: HashSet<_> = blobs.iter().map(|blob| &blob.digest).collect();
            assert_eq!(digests.len(), blobs.len());
            image.layers.iter().for_each(embedded);
        }
        if let Some(index) = manifest.index() {
            assert!(manifest.image().is_none());
            assert!(index.manifests.len() <= MAX_INDEX_ENTRIES);
            index.manifests.iter().for_each(embedded);
            let written = write(index, JsonStyle::Oci);
            let again =
                Manifest::parse(written.into(), &manifest.media_type).expect("a written index");
            assert_eq!(again.index(), Some(index));
        }
    }
}

fn embedded(descriptor: &Descriptor) {
    if let Some(content) = descriptor.embedded() {
        assert!(descriptor.digest.matches(&content));
    }
}
