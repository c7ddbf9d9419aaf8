//! The proxies that the environment names, in the words that curl and Go share.

use std::fmt;

use reqwest::NoProxy;

use super::error::TransportError;
use crate::environment::Environment;

/// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, each also in lower case. An address may be
/// `http://`, `https://`, `socks5://` or `socks5h://`, and hold a user name and password.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Named>,
    https: Option<Named>,
    except: Option<String>,
}

/// The variable and its value, which may hold a password.
#[derive(Clone)]
struct Named {
    variable: &'static str,
    address: String,
}

impl Proxies {
    /// What the environment says. The upper-case name goes first, as in Go.
    pub fn of_environment(environment: &Environment) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|variable| {
                let address = environment.var(variable)?.to_owned();
                Some(Named { variable, address })
            })
        };
        Self {
            http: first(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            https: first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            except: first(&["NO_PROXY", "no_proxy"]).map(|named| named.address),
        }
    }

    /// Tells a client about them. Nothing is read from the process.
    pub(super) fn apply(
        &self,
        builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, TransportError> {
        let mut builder = builder.no_proxy();
        let except = || self.except.as_deref().and_then(NoProxy::from_string);
        if let Some(named) = &self.http {
            let proxy = reqwest::Proxy::http(&named.address).map_err(|_| named.unusable())?;
            builder = builder.proxy(proxy.no_proxy(except()));
        }
        if let Some(named) = &self.https {
            let proxy = reqwest::Proxy::https(&named.address).map_err(|_| named.unusable())?;
            builder = builder.proxy(proxy.no_proxy(except()));
        }
        Ok(builder)
    }
}

impl Named {
    fn unusable(&self) -> TransportError {
        TransportError::Proxy {
            variable: self.variable,
        }
    }
}

/// Names the variables only: a value may hold a password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.http.iter().chain(&self.https);
        f.debug_list()
            .entries(named.map(|named| named.variable))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown_and_nonsense_is_named() {
        let environment = Environment::from_iter([("HTTPS_PROXY", "http://u:hunter2@[nonsense")]);
        let proxies = Proxies::of_environment(&environment);
        assert_eq!(format!("{proxies:?}"), r#"["HTTPS_PROXY"]"#);
        let error = proxies.apply(reqwest::Client::builder()).err().unwrap();
        let shown = error.to_string();
        assert!(
            shown.contains("HTTPS_PROXY") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
