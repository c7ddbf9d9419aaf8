//! Manifests: GET, HEAD, PUT, DELETE by tag and by digest.

use http::{Method, StatusCode, Uri, header, request::Parts};
use serde_json::{Value, json};

use super::{
    Role,
    body::{Body, Inbox, Interrupted},
    options::DigestHeader,
    reply::{self, Reply},
    route,
    server::Shared,
    store::{self, Manifest, Repository},
};
use crate::support::digest;

/// The maximum size of a manifest (distribution-spec 1.1: at least 4 MiB).
const LIMIT: usize = 4 * 1024 * 1024;

/// Handles GET and HEAD.
pub fn get(shared: &Shared, method: &Method, repo: &str, reference: &str) -> Reply {
    let store = shared.store();
    let Some((digest, manifest)) = store.manifest(repo, reference) else {
        return reply::error("MANIFEST_UNKNOWN", "manifest unknown");
    };
    let mut answer = Reply::new(Body::new(manifest.content.clone()));
    reply::set(
        &mut answer,
        header::CONTENT_TYPE.as_str(),
        &manifest.media_type,
    );
    reply::set(&mut answer, "etag", &format!("\"{digest}\""));
    set_digest(shared, &mut answer, method, digest);
    answer
}

/// Handles PUT.
pub async fn put(
    shared: &Shared,
    parts: &Parts,
    repo: &str,
    reference: &str,
    body: &mut Inbox,
) -> Result<Reply, Interrupted> {
    let Some(bytes) = body.collect(LIMIT).await? else {
        return Ok(reply::error("SIZE_INVALID", "manifest too large"));
    };
    let media_type = parts.headers.get(header::CONTENT_TYPE);
    let media_type = media_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let manifest = Manifest {
        media_type: media_type.to_owned(),
        content: bytes.clone().into(),
    };
    let Some(document) = manifest.document() else {
        return Ok(reply::error("MANIFEST_INVALID", "manifest is not JSON"));
    };
    if let Some(refusal) = refuse(shared, media_type, &document) {
        return Ok(refusal);
    }
    let mut tags = new_tags(shared, &parts.uri, reference);
    let digest = if digest::is_digest(reference) {
        reference.to_owned()
    } else if route::is_tag(reference) {
        tags.insert(0, reference.to_owned());
        digest::sha256(&bytes)
    } else {
        return Ok(reply::error(
            "MANIFEST_INVALID",
            "neither a tag nor a digest",
        ));
    };
    if digest::of(&manifest.content, &digest).as_ref() != Some(&digest) {
        return Ok(reply::error(
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
        ));
    }

    let mut store = shared.store();
    let held = store.repo(repo);
    if let Some(refusal) = refuse_dangling(shared, held, &document) {
        return Ok(refusal);
    }
    let taken = tags.iter().find(|tag| held.tags.contains_key(*tag));
    if let (true, Some(tag)) = (shared.options.immutable_tags, taken) {
        // The message and status of ECR.
        let message = format!(
            "The image tag '{tag}' already exists in the '{repo}' repository and cannot be \
             overwritten because the tag is immutable."
        );
        return Ok(reply::error("TAG_INVALID", &message));
    }
    held.manifests.insert(digest.clone(), manifest);
    for tag in &tags {
        held.tags.insert(tag.clone(), digest.clone());
    }
    drop(store);

    let mut answer = reply::status(StatusCode::CREATED);
    if shared.options.manifest_location {
        let location = shared.location(Role::Registry, &format!("/v2/{repo}/manifests/{digest}"));
        reply::set(&mut answer, "location", &location);
    }
    set_digest(shared, &mut answer, &Method::PUT, &digest);
    if shared.options.tag_parameters && digest::is_digest(reference) {
        for tag in &tags {
            reply::add(&mut answer, "oci-tag", tag);
        }
    }
    let subject = document["subject"]["digest"].as_str();
    if let (true, Some(subject)) = (shared.options.referrers, subject) {
        reply::set(&mut answer, "oci-subject", subject);
    }
    Ok(answer)
}

/// Handles DELETE: removes a tag, or a manifest with all its tags.
pub fn delete(shared: &Shared, repo: &str, reference: &str) -> Reply {
    let mut store = shared.store();
    let held = store.repo(repo);
    let removed = if digest::is_digest(reference) {
        held.tags.retain(|_, digest| digest != reference);
        held.manifests.remove(reference).is_some()
    } else {
        held.tags.remove(reference).is_some()
    };
    if removed {
        reply::status(StatusCode::ACCEPTED)
    } else {
        reply::error("MANIFEST_UNKNOWN", "manifest unknown")
    }
}

/// Returns the tags in the query of a PUT by digest, if the registry supports that.
fn new_tags(shared: &Shared, uri: &Uri, reference: &str) -> Vec<String> {
    if !shared.options.tag_parameters || !digest::is_digest(reference) {
        return Vec::new();
    }
    let parameters = route::query(uri).into_iter();
    parameters
        .filter(|(key, tag)| key == "tag" && route::is_tag(tag))
        .map(|(_, tag)| tag)
        .collect()
}

/// Returns the errors in the document itself.
fn refuse(shared: &Shared, media_type: &str, document: &Value) -> Option<Reply> {
    let accepted = shared.options.media_types.as_ref();
    if accepted.is_some_and(|types| types.iter().all(|accepted| accepted != media_type)) {
        let message = format!("manifest media type {media_type:?} is not supported");
        return Some(reply::error("MANIFEST_INVALID", &message));
    }
    if media_type.is_empty() {
        return Some(reply::error("MANIFEST_INVALID", "no content type"));
    }
    match document.get("mediaType").and_then(Value::as_str) {
        Some(inside) if inside != media_type => {
            let message = format!("mediaType is {inside:?}, content type is {media_type:?}");
            Some(reply::error("MANIFEST_INVALID", &message))
        }
        None if shared.options.media_type_required => Some(reply::error(
            "MANIFEST_INVALID",
            "no mediaType in the manifest",
        )),
        // With either error, two readers could understand the document differently (CVE-2021-41190).
        _ if document.get("manifests").is_some()
            && (document.get("layers").is_some() || document.get("config").is_some()) =>
        {
            Some(reply::error(
                "MANIFEST_INVALID",
                "both an index and a manifest",
            ))
        }
        _ if document["schemaVersion"] != 2 => {
            Some(reply::error("MANIFEST_INVALID", "schemaVersion is not 2"))
        }
        _ => None,
    }
}

/// Returns errors for content that the document refers to and that is missing.
fn refuse_dangling(shared: &Shared, repo: &Repository, document: &Value) -> Option<Reply> {
    let missing = store::missing(repo, document);
    if shared.options.lax || missing.is_empty() {
        return None;
    }
    let all = missing.iter().map(|missing| {
        let (code, message) = if missing.manifest {
            ("MANIFEST_UNKNOWN", "manifest unknown")
        } else {
            ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        };
        json!({"code": code, "message": message, "detail": {"digest": missing.digest}})
    });
    let status = if missing.iter().all(|missing| missing.manifest) {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::BAD_REQUEST
    };
    Some(reply::errors(status, &all.collect::<Vec<_>>()))
}

fn set_digest(shared: &Shared, answer: &mut Reply, method: &Method, digest: &str) {
    let is_sent = match shared.options.digest_header {
        DigestHeader::Always => true,
        DigestHeader::NotOnHead => method != Method::HEAD,
        DigestHeader::Never => false,
    };
    if is_sent {
        reply::set(answer, "docker-content-digest", digest);
    }
}
