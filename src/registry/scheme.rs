//! The scheme of a registry: HTTPS, or plain HTTP where it is allowed. The first answer decides which one is used. For
//! loopback addresses plain HTTP is tried first, as Docker's users expect for `localhost:5000`. For insecure registries
//! it is tried last.

use http::{StatusCode, header};
use url::Url;

use super::answer::Answer;
use crate::spec::RegistryHost;
use crate::sync::Mutex;

/// The addresses of a registry for both schemes.
pub(super) struct Schemes {
    secure: Url,
    plain: Url,
    allows_plain: bool,
    state: Mutex<State>,
}

struct State {
    uses_tls: bool,
    /// Whether an answer has confirmed the scheme, or both schemes have failed.
    is_settled: bool,
    has_switched: bool,
}

impl Schemes {
    pub(super) fn new(registry: &RegistryHost, insecure: bool, expects_tls: bool) -> Self {
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{}/v2/", registry.endpoint()))
                .expect("a registry host is a valid host of a URL")
        };
        let is_loopback = registry.is_loopback();
        Self {
            secure: parse("https"),
            plain: parse("http"),
            allows_plain: is_loopback || insecure,
            state: Mutex::new(State {
                uses_tls: !is_loopback || expects_tls,
                is_settled: false,
                has_switched: false,
            }),
        }
    }

    pub(super) fn secure(&self) -> &Url {
        &self.secure
    }

    /// Returns whether plain HTTP may be used.
    pub(super) fn allows_plain(&self) -> bool {
        self.allows_plain
    }

    /// Returns the address that the next request uses.
    pub(super) fn base(&self) -> Url {
        if self.state.lock().uses_tls {
            self.secure.clone()
        } else {
            self.plain.clone()
        }
    }

    /// Switches from the scheme of `failed` to the other one, and back again once, if plain HTTP is allowed and no
    /// answer has decided yet. Returns whether to try again. If concurrent requests fail, only the first one switches.
    pub(super) fn switch(&self, failed: &Url) -> bool {
        let mut state = self.state.lock();
        if (failed.scheme() == "https") != state.uses_tls {
            return self.allows_plain;
        }
        if !self.allows_plain || state.is_settled {
            return false;
        }
        state.uses_tls = !state.uses_tls;
        state.is_settled = state.has_switched;
        state.has_switched = true;
        true
    }

    /// Records that an answer came from `url`, which decides the scheme.
    pub(super) fn settle(&self, url: &Url) {
        let mut state = self.state.lock();
        if !state.is_settled {
            state.is_settled = true;
            state.uses_tls = url.scheme() == "https";
        }
    }

    /// Returns whether a TLS server answered a request in plain HTTP: Go answers 400 without headers, nginx 400 with HTML.
    pub(super) fn is_tls_server(&self, url: &Url, answer: &Answer) -> bool {
        url.scheme() == "http"
            && answer.status == StatusCode::BAD_REQUEST
            && !self.state.lock().is_settled
            && answer
                .header(header::CONTENT_TYPE)
                .is_none_or(|text| text.starts_with("text/html"))
    }
}
