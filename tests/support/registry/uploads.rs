//! Uploads: monolithic, mounted, in chunks, resumed, cancelled.

use http::{HeaderMap, StatusCode, Uri, header, request::Parts};

use super::{
    Role,
    body::{Inbox, Interrupted},
    options::Chunks,
    reply::{self, Reply},
    route,
    server::Shared,
    store::Upload,
};
use crate::support::digest as digests;

/// Handles POST: a mount, a blob in one request, or the start of an upload.
pub async fn post(
    shared: &Shared,
    uri: &Uri,
    repo: &str,
    body: &mut Inbox,
) -> Result<Reply, Interrupted> {
    if let Some(mount) = route::parameter(uri, "mount") {
        let from = route::parameter(uri, "from");
        if let Some(answer) = from.and_then(|from| try_mount(shared, repo, &from, &mount)) {
            return Ok(answer);
        }
    }
    let mut upload = Upload::new(repo, shared.options.discard_uploads);
    if let Some(digest) = route::parameter(uri, "digest") {
        while let Some(data) = body.next().await {
            upload.append(&data?);
        }
        return Ok(finish(shared, upload, &digest));
    }
    let id = format!("{:032x}", fastrand::u128(..));
    let mut answer = progress(shared, StatusCode::ACCEPTED, &id, &upload);
    if let Some(minimum) = shared.options.chunk_minimum {
        reply::set(&mut answer, "oci-chunk-min-length", &minimum.to_string());
    }
    shared.store().uploads.insert(id, upload);
    Ok(answer)
}

/// Handles PATCH: a chunk, or the whole content.
pub async fn patch(
    shared: &Shared,
    parts: &Parts,
    repo: &str,
    id: &str,
    body: &mut Inbox,
) -> Result<Reply, Interrupted> {
    if shared.options.chunks == Chunks::Refused {
        return Ok(reply::error(
            "UNSUPPORTED",
            "chunked uploads are not supported",
        ));
    }
    if let Some(refusal) = refuse(shared, parts, repo, id, true) {
        return Ok(refusal);
    }
    let before = shared.with_upload(id, |upload| {
        upload.patches += 1;
        upload.received
    });
    receive(shared, id, body).await?;
    let status = StatusCode::from_u16(shared.options.patch_status).unwrap_or(StatusCode::ACCEPTED);
    let answer = shared.with_upload(id, |upload| {
        let length = upload.received - before.unwrap_or(0);
        upload.short = shared
            .options
            .chunk_minimum
            .is_some_and(|least| length < least);
        progress(shared, status, id, upload)
    });
    Ok(answer.unwrap_or_else(unknown))
}

/// Handles PUT: the rest of the content, which may be empty, and the digest.
pub async fn put(
    shared: &Shared,
    parts: &Parts,
    repo: &str,
    id: &str,
    body: &mut Inbox,
) -> Result<Reply, Interrupted> {
    let Some(digest) = route::parameter(&parts.uri, "digest") else {
        return Ok(reply::error("DIGEST_INVALID", "no digest given"));
    };
    let ranged = parts.headers.contains_key(header::CONTENT_RANGE);
    if let Some(refusal) = refuse(shared, parts, repo, id, ranged) {
        return Ok(refusal);
    }
    receive(shared, id, body).await?;
    let upload = shared.store().uploads.remove(id);
    Ok(upload.map_or_else(unknown, |upload| finish(shared, upload, &digest)))
}

/// Handles GET: returns the number of received bytes.
pub fn get(shared: &Shared, repo: &str, id: &str) -> Reply {
    match shared.store().uploads.get(id) {
        Some(upload) if upload.repo == repo => progress(shared, StatusCode::NO_CONTENT, id, upload),
        _ => unknown(),
    }
}

/// Handles DELETE: removes the upload.
pub fn delete(shared: &Shared, id: &str) -> Reply {
    match shared.store().uploads.remove(id) {
        Some(_) => reply::status(StatusCode::NO_CONTENT),
        None => unknown(),
    }
}

/// Stores the bytes as they arrive, so that the bytes of a broken request are kept.
async fn receive(shared: &Shared, id: &str, body: &mut Inbox) -> Result<(), Interrupted> {
    while let Some(data) = body.next().await {
        let data = data?;
        shared.with_upload(id, |upload| upload.append(&data));
    }
    Ok(())
}

/// Returns the error if the request cannot continue the upload. `chunk` is true if the request contains a chunk.
fn refuse(shared: &Shared, parts: &Parts, repo: &str, id: &str, chunk: bool) -> Option<Reply> {
    let store = shared.store();
    let Some(upload) = store.uploads.get(id).filter(|upload| upload.repo == repo) else {
        return Some(unknown());
    };
    if shared.options.location_query {
        let shown = route::parameter(&parts.uri, "_state");
        if shown != Some(state(id, upload)) {
            return Some(reply::error(
                "BLOB_UPLOAD_INVALID",
                "not the latest upload location",
            ));
        }
    }
    let taken = !chunk || chunk_fits(shared, &parts.headers, upload);
    let refusal = || progress(shared, StatusCode::RANGE_NOT_SATISFIABLE, id, upload);
    (!taken).then(refusal)
}

/// Returns whether chunks are allowed and this chunk is in order.
fn chunk_fits(shared: &Shared, headers: &HeaderMap, upload: &Upload) -> bool {
    let range = headers.get(header::CONTENT_RANGE);
    if shared.options.chunks == Chunks::WholeOnly {
        return range.is_none() && upload.patches == 0;
    }
    let Some(range) = range else {
        return !upload.short;
    };
    let in_order = parse_range(range.to_str().unwrap_or("")).is_some_and(|(first, last)| {
        first == upload.received && length(headers).is_none_or(|n| n == last + 1 - first)
    });
    in_order && !upload.short
}

/// Parses `first-last`, both inclusive, without a unit (distribution-spec 1.1, "Pushing a blob in chunks").
fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    (first <= last).then_some((first, last))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn try_mount(shared: &Shared, repo: &str, from: &str, digest: &str) -> Option<Reply> {
    if !shared.options.mounts {
        return None;
    }
    let mut store = shared.store();
    let content = store.blob(from, digest)?.clone();
    store.repo(repo).blobs.insert(digest.into(), content);
    Some(created(shared, repo, digest))
}

fn finish(shared: &Shared, upload: Upload, digest: &str) -> Reply {
    let repo = upload.repo.clone();
    if !digests::is_digest(digest) {
        return reply::error("DIGEST_INVALID", "not a digest");
    }
    let Some(content) = upload.finish(digest) else {
        return reply::error(
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
        );
    };
    shared
        .store()
        .repo(&repo)
        .blobs
        .insert(digest.into(), content);
    created(shared, &repo, digest)
}

fn created(shared: &Shared, repo: &str, digest: &str) -> Reply {
    let mut answer = reply::status(StatusCode::CREATED);
    let location = shared.location(Role::Registry, &format!("/v2/{repo}/blobs/{digest}"));
    reply::set(&mut answer, "location", &location);
    reply::set(&mut answer, "docker-content-digest", digest);
    answer
}

/// Returns the state of the upload: `Location`, `Range`, and the name of the upload.
fn progress(shared: &Shared, status: StatusCode, id: &str, upload: &Upload) -> Reply {
    let mut answer = reply::status(status);
    let mut path = format!("/v2/{}/blobs/uploads/{id}", upload.repo);
    if shared.options.location_query {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("_state", &state(id, upload));
        path = format!("{path}?{}", query.finish());
    }
    reply::set(
        &mut answer,
        "location",
        &shared.location(Role::Upload, &path),
    );
    // "0-0" means no byte as well as one byte, as in distribution.
    let range = format!("0-{}", upload.received.saturating_sub(1));
    reply::set(&mut answer, "range", &range);
    reply::set(&mut answer, "docker-upload-uuid", id);
    answer
}

/// Returns the state in the query of a location. It changes with each answer, and contains characters that a wrong
/// implementation would change.
fn state(id: &str, upload: &Upload) -> String {
    format!("{id}/{}+a=b&c%20d", upload.received)
}

fn unknown() -> Reply {
    reply::error("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}
