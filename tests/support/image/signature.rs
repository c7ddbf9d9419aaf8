//! Attachments of images: signatures by tag, referrers by subject.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Loaded, media, put};
use crate::support::registry::Registry;

/// The empty config of an artifact (image-spec 1.1, "Guidance for an Empty Descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Stores a signature of `digest` under the tag `sha256-<hex>.sig`, as cosign does. Returns the tag and the manifest of
/// the signature.
pub fn sign(registry: &Registry, repo: &str, digest: &str) -> (String, Loaded) {
    let payload = json!({"critical": {
        "identity": {"docker-reference": repo},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }, "optional": null});
    let payload = Bytes::from(payload.to_string());
    let size = payload.len();
    let payload = registry.put_blob(repo, payload);
    let config = json!({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": [payload]}});
    let config = Bytes::from(config.to_string());
    let config_size = config.len();
    let config = registry.put_blob(repo, config);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "digest": config, "size": config_size},
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": payload,
            "size": size,
            "annotations": {"dev.cosignproject.cosign/signature": "MEUCIQ=="},
        }],
    });
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let blobs = vec![config, payload];
    let loaded = put(registry, repo, Some(&tag), &manifest, Value::Null, blobs);
    (tag, loaded)
}

/// Stores an artifact of `kind` with this subject.
pub fn referrer(registry: &Registry, repo: &str, subject: &Loaded, kind: &str) -> Loaded {
    let empty = registry.put_blob(repo, Bytes::from_static(b"{}"));
    let content = Bytes::from(format!("{kind} of {}", subject.digest));
    let size = content.len();
    let content = registry.put_blob(repo, content);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "artifactType": kind,
        "config": {"mediaType": EMPTY, "digest": empty, "size": 2},
        "layers": [{"mediaType": kind, "digest": content, "size": size}],
        "subject": {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": subject.bytes.len(),
        },
    });
    let blobs = vec![empty, content];
    put(registry, repo, None, &manifest, Value::Null, blobs)
}
