//! Lists: the tags of a repository, the referrers of a digest.

use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::{
    Role,
    reply::{self, Reply},
    route,
    server::Shared,
    store::Manifest,
};
use crate::support::digest as digests;

/// Handles `GET tags/list`, in pages.
pub fn tags(shared: &Shared, uri: &Uri, repo: &str) -> Reply {
    let store = shared.store();
    let Some(held) = store.repos.get(repo) else {
        return reply::error("NAME_UNKNOWN", "repository name not known to registry");
    };
    let last = route::parameter(uri, "last").unwrap_or_default();
    let wanted = route::parameter(uri, "n").and_then(|n| n.parse::<usize>().ok());
    let most = match (wanted, shared.options.page) {
        (Some(n), Some(page)) => n.min(page),
        (n, page) => n.or(page).unwrap_or(usize::MAX),
    };
    let rest: Vec<&String> = held.tags.keys().filter(|tag| **tag > last).collect();
    let shown = &rest[..rest.len().min(most)];
    let mut answer = reply::json("application/json", &json!({"name": repo, "tags": shown}));
    if let (Some(last), true) = (shown.last(), shown.len() < rest.len()) {
        let next = format!("/v2/{repo}/tags/list?n={most}&last={last}");
        let next = shared.location(Role::Registry, &next);
        reply::set(&mut answer, "link", &format!("<{next}>; rel=\"next\""));
    }
    answer
}

/// Handles `GET referrers/<digest>`, filtered by `artifactType` if given.
pub fn referrers(shared: &Shared, uri: &Uri, repo: &str, digest: &str) -> Reply {
    if !shared.options.referrers {
        return reply::status(StatusCode::NOT_FOUND);
    }
    if !digests::is_digest(digest) {
        return reply::error("DIGEST_INVALID", "not a digest");
    }
    let wanted = route::parameter(uri, "artifactType");
    let store = shared.store();
    let manifests = store.repos.get(repo).into_iter().flat_map(|r| &r.manifests);
    let found: Vec<Value> = manifests
        .filter_map(|(own, manifest)| referrer(own, manifest, digest))
        .filter(|found| {
            wanted
                .as_ref()
                .is_none_or(|kind| found["artifactType"] == **kind)
        })
        .collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": found});
    let mut answer = reply::json(media_type, &index);
    if wanted.is_some() {
        reply::set(&mut answer, "oci-filters-applied", "artifactType");
    }
    answer
}

/// Returns the descriptor of `manifest`, if `subject` is its subject.
fn referrer(digest: &str, manifest: &Manifest, subject: &str) -> Option<Value> {
    let document = manifest.document()?;
    if document["subject"]["digest"] != subject {
        return None;
    }
    let kind = document.get("artifactType").and_then(Value::as_str);
    let kind = kind.or_else(|| document["config"]["mediaType"].as_str());
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": digest,
        "size": manifest.content.len(),
    });
    if let Some(kind) = kind {
        descriptor["artifactType"] = kind.into();
    }
    if let Some(annotations) = document.get("annotations") {
        descriptor["annotations"] = annotations.clone();
    }
    Some(descriptor)
}
