//! HTTP/1.1 connections for large bodies. Each body has a separate connection, so that only bandwidth limits its
//! transfer: the kernel enlarges the socket buffers for long round trips, and they use no memory of this process. On a
//! shared HTTP/2 connection, the flow-control windows limit the total of all bodies to a fixed number of bytes for each
//! round trip.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use url::Url;

use super::dial::Dialer;

/// The clients for large bodies to one origin.
pub(super) struct Bulk {
    pub(super) client: reqwest::Client,
    /// Opens connections for `client` and never sends a request: its own pool stays empty.
    pub(super) ahead: reqwest::Client,
    pub(super) dialer: Dialer,
    /// Whether the origin redirects reads of large bodies. Such a request has a small response at this origin.
    redirects: AtomicBool,
    /// Whether the origin does not speak HTTP/1.1.
    is_refused: AtomicBool,
}

impl Bulk {
    pub(super) fn new(client: reqwest::Client, ahead: reqwest::Client, dialer: Dialer) -> Self {
        Self {
            client,
            ahead,
            dialer,
            redirects: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
        }
    }

    /// Returns whether a request with a large body, or the read of one, gets a separate connection.
    pub(super) fn is_used(&self, is_read: bool) -> bool {
        let is_redirected = is_read && self.redirects.load(Ordering::Relaxed);
        !is_redirected && !self.is_refused.load(Ordering::Relaxed)
    }

    /// Records whether the origin redirected the read of a large body.
    pub(super) fn note_redirect(&self, redirects: bool) {
        self.redirects.store(redirects, Ordering::Relaxed);
    }

    /// Records that the origin refused HTTP/1.1.
    pub(super) fn note_refusal(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// Begins to open a connection to `url`, which the next request takes.
    pub(super) fn open_ahead(&self, url: &Url) {
        // Polling the request once makes it ask its connector for a connection. The dialer keeps the connection for
        // `client` and returns an error to this request.
        let mut request = Box::pin(self.ahead.get(url.clone()).send());
        drop(request.as_mut().now_or_never());
    }
}
