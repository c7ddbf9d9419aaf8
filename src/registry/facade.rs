//! Access to private parsers for the fuzz targets in `fuzz/`.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use url::Url;

use super::answer::Answer;
use super::blobs::starts_at;
use super::error_body::RegistryError;
use super::redactor::Redactor;
use super::referrers::{next_page, page_of};
use super::upload::{range_end, without_digest};

/// A response of a registry to a request for referrers.
pub struct Response(Answer);

impl Response {
    pub fn new(headers: HeaderMap, body: Bytes) -> Self {
        let url = "https://registry.example/v2/team/app/referrers/x";
        Self(Answer {
            status: StatusCode::OK,
            headers,
            url: Url::parse(url).expect("a valid URL"),
            from_other_origin: false,
            body,
            redactor: Redactor::default(),
        })
    }

    /// Returns the texts of an error body that appear in messages.
    pub fn error_texts(&self) -> [String; 2] {
        let error = RegistryError::of(&self.0);
        [error.code, error.text]
    }

    /// Parses the headers whose values are used without a check.
    pub fn parse_headers(&self) {
        let _ = (self.0.retry_delay(), self.0.digest(), range_end(&self.0));
    }

    /// Parses the body as a page of referrers.
    pub fn check_referrers(&self) -> Result<(), String> {
        page_of(&self.0).map(|_| ())
    }

    /// Returns whether `Content-Range` starts at `position`.
    pub fn continues_at(&self, position: u64) -> bool {
        let range = self.0.header(header::CONTENT_RANGE);
        range.is_some_and(|range| starts_at(range, position))
    }

    /// Returns the URL of an upload, and the same URL without a digest.
    pub fn upload_location(&self) -> Option<(Url, Url)> {
        let location = self.0.location()?;
        Some((location.clone(), without_digest(location)))
    }

    /// Returns the path of the next page below `base`.
    pub fn next_page(&self, base: &Url, repository: &str) -> Option<String> {
        next_page(&self.0, base, repository).ok().flatten()
    }
}
