//! http or https: where both are allowed, the first answer decides. On this machine plain HTTP is tried first,
//! as Docker's users expect of `localhost:5000`; where the user said `--insecure`, TLS is.

use http::{StatusCode, header};
use url::Url;

use super::call::Answer;
use crate::spec::RegistryHost;
use crate::sync::Mutex;

/// The two addresses of a registry, and which one is right.
pub(super) struct Schemes {
    secure: Url,
    plain: Url,
    allows_plain: bool,
    state: Mutex<State>,
}

struct State {
    tls: bool,
    /// An answer has shown that this is right, or there is nothing left to try.
    settled: bool,
    switched: bool,
}

impl Schemes {
    pub(super) fn new(registry: &RegistryHost, insecure: bool, expects_tls: bool) -> Self {
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{}/v2/", registry.endpoint()))
                .expect("a parsed registry host is the host of an address")
        };
        let is_loopback = registry.is_loopback();
        Self {
            secure: parse("https"),
            plain: parse("http"),
            allows_plain: is_loopback || insecure,
            state: Mutex::new(State {
                tls: !is_loopback || expects_tls,
                settled: false,
                switched: false,
            }),
        }
    }

    pub(super) fn secure(&self) -> &Url {
        &self.secure
    }

    /// Whether plain HTTP may be spoken. Where it is not allowed it is never spoken.
    pub(super) fn allows_plain(&self) -> bool {
        self.allows_plain
    }

    /// The address as far as is known.
    pub(super) fn base(&self) -> Url {
        if self.state().tls {
            self.secure.clone()
        } else {
            self.plain.clone()
        }
    }

    /// Goes over from the scheme of `failed` to the other, if that is allowed and no answer has decided already;
    /// from there back again, once. `true`: try again. Requests that failed side by side all come here; the
    /// first one switches.
    pub(super) fn switch(&self, failed: &Url) -> bool {
        let mut state = self.state();
        if (failed.scheme() == "https") != state.tls {
            return self.allows_plain;
        }
        if !self.allows_plain || state.settled {
            return false;
        }
        state.tls = !state.tls;
        state.settled = state.switched;
        state.switched = true;
        true
    }

    /// An answer came from `asked`.
    pub(super) fn settle(&self, asked: &Url) {
        let mut state = self.state();
        if !state.settled {
            state.settled = true;
            state.tls = asked.scheme() == "https";
        }
    }

    /// A TLS server that was spoken to in the clear: Go's answers 400 without any header, nginx 400 with HTML.
    pub(super) fn is_tls_server(&self, asked: &Url, answer: &Answer) -> bool {
        asked.scheme() == "http"
            && answer.status == StatusCode::BAD_REQUEST
            && !self.state().settled
            && answer
                .header(header::CONTENT_TYPE)
                .is_none_or(|text| text.starts_with("text/html"))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes(host: &str, insecure: bool, expects_tls: bool) -> Schemes {
        Schemes::new(&host.parse().unwrap(), insecure, expects_tls)
    }

    #[test]
    fn plain_first_on_this_machine_only() {
        assert_eq!(
            schemes("localhost:5000", false, false).base().scheme(),
            "http"
        );
        assert_eq!(
            schemes("localhost:5000", false, true).base().scheme(),
            "https"
        );
        assert_eq!(schemes("a.io", true, false).base().scheme(), "https");
        let strict = schemes("a.io", false, false);
        assert!(!strict.switch(&strict.base()));
        assert_eq!(strict.base().scheme(), "https");
    }

    #[test]
    fn there_and_back_and_no_further() {
        let schemes = schemes("a.io", true, false);
        let (secure, plain) = (schemes.secure.clone(), schemes.plain.clone());
        assert!(schemes.switch(&secure));
        // A second request failed at the same time: it goes along.
        assert!(schemes.switch(&secure));
        assert_eq!(schemes.base(), plain);
        assert!(schemes.switch(&plain));
        assert_eq!(schemes.base(), secure);
        assert!(!schemes.switch(&secure));
    }

    #[test]
    fn an_answer_decides() {
        let schemes = schemes("localhost:5000", false, false);
        schemes.settle(&schemes.base());
        assert!(!schemes.switch(&schemes.base()));
    }
}
