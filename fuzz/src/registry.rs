//! Responses of registries.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use polyarch::registry::facade::Response;
use url::Url;

use super::assert_printable;

/// Checks the body of an error response: the text for the message is short and printable.
pub fn error_body(data: &[u8]) {
    let response = Response::new(HeaderMap::new(), Bytes::copy_from_slice(data));
    for shown in response.error_texts() {
        assert_printable(&shown);
        assert!(shown.chars().count() < 400, "{shown}");
    }
}

/// Checks response headers (lines of `name: value`): no header leads to another registry, and no number overflows.
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
    let response = Response::new(headers, Bytes::copy_from_slice(data));
    response.parse_headers();
    if let Err(cause) = response.check_referrers() {
        assert!(!cause.is_empty());
    }
    assert!(!(response.continues_at(1) && response.continues_at(10)));
    if let Some((location, bare)) = response.upload_location() {
        assert_eq!(bare.path(), location.path());
        assert_eq!(bare.scheme(), location.scheme());
        assert_eq!(bare.authority(), location.authority());
    }
    let base = Url::parse("https://registry.example/v2/").expect("a URL");
    if let Some(path) = response.next_page(&base, "team/app") {
        let next = base.join(&format!("team/app/{path}")).expect("a path");
        assert_eq!(next.origin(), base.origin());
        assert!(next.path().starts_with("/v2/team/app/referrers/"), "{next}");
    }
}
