//! Blobs: GET with ranges and redirects, HEAD, DELETE.

use http::{HeaderMap, Method, StatusCode, header};

use super::{
    Role,
    body::Body,
    content::Content,
    reply::{self, Reply},
    server::Shared,
};
use crate::support::digest as digests;

/// Handles GET and HEAD on the host with `role`.
pub fn get(
    shared: &Shared,
    role: Role,
    method: &Method,
    headers: &HeaderMap,
    repo: &str,
    digest: &str,
) -> Reply {
    if !digests::is_digest(digest) {
        return reply::error("DIGEST_INVALID", "not a digest");
    }
    let Some(content) = shared.store().blob(repo, digest).cloned() else {
        return reply::error("BLOB_UNKNOWN", "blob unknown to registry");
    };
    let head = method == Method::HEAD;
    if matches!(content, Content::Discarded { .. }) && !head {
        return reply::error("BLOB_UNKNOWN", "the blob was discarded after its upload");
    }
    if role == Role::Cdn && headers.contains_key(header::AUTHORIZATION) {
        // S3 does the same for a signed URL: "Only one auth mechanism allowed".
        return reply::error_with(
            StatusCode::BAD_REQUEST,
            "InvalidArgument",
            "credentials are not allowed here",
        );
    }
    let is_redirected = shared.options.blobs_site.is_some() && role == Role::Registry && !head;
    if is_redirected {
        let mut answer = reply::status(StatusCode::TEMPORARY_REDIRECT);
        let url = format!(
            "{}/v2/{repo}/blobs/{digest}?signature=1",
            shared.url(Role::Cdn)
        );
        reply::set(&mut answer, "location", &url);
        return answer;
    }
    let mut answer = ranged(shared, headers, content);
    reply::set(&mut answer, "content-type", "application/octet-stream");
    reply::set(&mut answer, "docker-content-digest", digest);
    answer
}

/// Handles DELETE.
pub fn delete(shared: &Shared, repo: &str, digest: &str) -> Reply {
    match shared.store().repo(repo).blobs.remove(digest) {
        Some(_) => reply::status(StatusCode::ACCEPTED),
        None => reply::error("BLOB_UNKNOWN", "blob unknown to registry"),
    }
}

/// Returns the whole `content`, or the requested range (RFC 9110, 14).
fn ranged(shared: &Shared, headers: &HeaderMap, content: Content) -> Reply {
    let mut body = Body::new(content);
    let range = headers.get(header::RANGE).filter(|_| shared.options.ranges);
    let range = range.and_then(|value| value.to_str().ok());
    let (Some(range), Some(len)) = (range, body.len()) else {
        let mut answer = Reply::new(body);
        if shared.options.ranges {
            reply::set(&mut answer, "accept-ranges", "bytes");
        }
        return answer;
    };
    let Some((first, last)) = parse_range(range, len) else {
        let mut answer = reply::error_with(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "RANGE_INVALID",
            "no such range",
        );
        reply::set(&mut answer, "content-range", &format!("bytes */{len}"));
        return answer;
    };
    body.at = first;
    body.end = Some(last + 1);
    let mut answer = Reply::new(body);
    *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    reply::set(
        &mut answer,
        "content-range",
        &format!("bytes {first}-{last}/{len}"),
    );
    answer
}

/// Returns the first and last byte of a single range within `len` bytes.
fn parse_range(text: &str, len: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = if first.is_empty() {
        let count: u64 = last.parse().ok()?;
        (len.saturating_sub(count), len.checked_sub(1)?)
    } else {
        let first: u64 = first.parse().ok()?;
        let last = if last.is_empty() {
            u64::MAX
        } else {
            last.parse().ok()?
        };
        (first, last.min(len.checked_sub(1)?))
    };
    (first <= last).then_some((first, last))
}
