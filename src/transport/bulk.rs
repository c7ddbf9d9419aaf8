//! HTTP/1.1 connections for large bodies. Each body has a connection of its own, so that the time of a transfer is set
//! by bandwidth: the kernel's socket buffers grow with the distance, and cost this process no memory. On a shared
//! HTTP/2 connection, the windows of both sides limit all bodies together to so many bytes a round trip.

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
    /// The origin redirects reads of large bodies, so that requests for them are small there.
    redirects: AtomicBool,
    /// The origin does not speak HTTP/1.1.
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

    /// Returns whether requests with a large body, or reads of one, get a connection of their own.
    pub(super) fn is_used(&self, is_read: bool) -> bool {
        let is_redirected = is_read && self.redirects.load(Ordering::Relaxed);
        !is_redirected && !self.is_refused.load(Ordering::Relaxed)
    }

    /// Notes whether the origin redirected the read of a large body.
    pub(super) fn note_redirect(&self, redirects: bool) {
        self.redirects.store(redirects, Ordering::Relaxed);
    }

    /// Notes that the origin refused HTTP/1.1.
    pub(super) fn note_refusal(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// Begins to open a connection to `url`, which the next request takes.
    pub(super) fn open_ahead(&self, url: &Url) {
        // Polled once, the request asks its connector for a connection. The dialer keeps that for `client` and
        // gives this request an error instead.
        let mut request = Box::pin(self.ahead.get(url.clone()).send());
        drop(request.as_mut().now_or_never());
    }
}
