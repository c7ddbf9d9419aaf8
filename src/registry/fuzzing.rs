//! Fuzz targets of this room: see [`crate::fuzzing`].

#![expect(clippy::missing_panics_doc, reason = "a panic is how a target tells")]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use super::call::Answer;
use super::download::starts_at;
use super::error::Said;
use super::redactor::Redactor;
use super::referrers::{next_page, page_of};
use super::upload::{range_end, without_digest};
use crate::fuzzing::assert_printable;

fn answer(headers: HeaderMap, body: &[u8]) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers,
        url: Url::parse("https://registry.example/v2/team/app/referrers/x").expect("an address"),
        elsewhere: false,
        body: Bytes::copy_from_slice(body),
        redactor: Redactor::default(),
    }
}

/// The body of a refusal: whatever it is, what is redactor of it is short and printable.
pub fn error_body(data: &[u8]) {
    let said = Said::of(&answer(HeaderMap::new(), data));
    for redactor in [&said.code, &said.text] {
        assert_printable(redactor);
        assert!(redactor.chars().count() < 400, "{redactor}");
    }
}

/// The head of an answer, `name: value` lines: none of its fields can lead elsewhere or make a number overflow.
pub fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(100) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        let name = HeaderName::from_bytes(name.trim_ascii());
        let value = HeaderValue::from_bytes(value.trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let answer = answer(headers, data);
    let _ = (answer.retry_after(), answer.digest(), range_end(&answer));
    if let Err(cause) = page_of(&answer) {
        assert!(!cause.is_empty());
    }
    if let Some(range) = answer.header(http::header::CONTENT_RANGE) {
        assert!(!(starts_at(range, 1) && starts_at(range, 10)));
    }
    if let Some(location) = answer.location() {
        let bare = without_digest(location.clone());
        assert_eq!(bare.path(), location.path());
        assert_eq!(bare.scheme(), location.scheme());
        assert_eq!(bare.authority(), location.authority());
    }
    let base = Url::parse("https://registry.example/v2/").expect("an address");
    if let Ok(Some(path)) = next_page(&answer, &base, "team/app") {
        let next = base.join(&format!("team/app/{path}")).expect("a path");
        assert_eq!(next.origin(), base.origin());
        assert!(next.path().starts_with("/v2/team/app/referrers/"), "{next}");
    }
}
