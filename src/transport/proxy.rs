//! Proxies from the environment, with the variables of curl and Go.

use reqwest::NoProxy;
use url::Url;

use super::error::TransportError;
use crate::environment::Environment;

/// The proxy protocols that reqwest supports.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, each also in lower case. A proxy URL may contain a user
/// name and password. A proxy URL without a scheme uses HTTP.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Variable>,
    https: Option<Variable>,
    except: Option<String>,
}

/// A variable and its value, which may contain a password.
#[derive(Clone)]
struct Variable {
    name: &'static str,
    value: String,
}

impl Proxies {
    /// Reads the variables. The upper-case name has priority, as in Go.
    pub fn of_environment(environment: &Environment) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = environment.var(name)?.to_owned();
                Some(Variable { name, value })
            })
        };
        Self {
            http: first(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            https: first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            except: first(&["NO_PROXY", "no_proxy"]).map(|variable| variable.value),
        }
    }

    /// Configures the proxies of a client for the origin of `url`. Nothing is read from the process environment.
    pub(super) fn apply(
        &self,
        url: &Url,
        builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, TransportError> {
        let mut builder = builder.no_proxy();
        let except = || NoProxy::from_string(&self.exceptions_for(url));
        if let Some(variable) = &self.http {
            let proxy = reqwest::Proxy::http(variable.proxy_url()?);
            let proxy = proxy.map_err(|_| variable.unusable())?;
            builder = builder.proxy(proxy.no_proxy(except()));
        }
        if let Some(variable) = &self.https {
            let proxy = reqwest::Proxy::https(variable.proxy_url()?);
            let proxy = proxy.map_err(|_| variable.unusable())?;
            builder = builder.proxy(proxy.no_proxy(except()));
        }
        Ok(builder)
    }

    /// Returns the entries of `NO_PROXY` that apply to the port of `url`. The ports are removed, since reqwest does not
    /// support them.
    fn exceptions_for(&self, url: &Url) -> String {
        let port = url.port_or_known_default();
        let entries = self.except.as_deref().unwrap_or_default().split(',');
        let applying = entries.filter_map(|entry| {
            let (host, entry_port) = split_port(entry.trim());
            (entry_port.is_none() || entry_port == port).then_some(host)
        });
        applying.collect::<Vec<_>>().join(",")
    }
}

/// Splits `host:port` and `[address]:port`. Any other text, such as an IPv6 address without brackets, has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = entry.rsplit_once(':') else {
        return (entry, None);
    };
    let unbracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match port.parse() {
        Ok(port) if unbracketed.is_some() || !host.contains(':') => {
            (unbracketed.unwrap_or(host), Some(port))
        }
        _ => (entry, None),
    }
}

impl Variable {
    fn proxy_url(&self) -> Result<Url, TransportError> {
        let text = if self.value.contains("://") {
            self.value.clone()
        } else {
            format!("http://{}", self.value)
        };
        Url::parse(&text)
            .ok()
            .filter(|url| SCHEMES.contains(&url.scheme()) && url.has_host())
            .ok_or_else(|| self.unusable())
    }

    fn unusable(&self) -> TransportError {
        TransportError::Proxy {
            variable: self.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn apply(value: &str) -> Result<(), TransportError> {
        let environment = Environment::from_iter([("HTTPS_PROXY", value)]);
        Proxies::of_environment(&environment)
            .apply(&url("https://a.example/"), reqwest::Client::builder())
            .map(drop)
    }

    #[test]
    fn a_proxy_has_a_known_scheme_or_none() {
        for value in [
            "ftp://u:hunter2@proxy.example",
            "socks6://u:hunter2@proxy.example",
            "https://",
            "mailto:hunter2",
        ] {
            let message = apply(value).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
        for value in [
            "proxy.example:3128",
            "http://u:p@proxy.example",
            "https://proxy.example",
            "socks5h://127.0.0.1:1080",
        ] {
            apply(value).unwrap();
        }
    }

    #[test]
    fn entries_of_no_proxy_apply_to_their_port() {
        let environment = Environment::from_iter([(
            "NO_PROXY",
            "a.example:5000, .b.example,[::1]:5000,fd00::1,10.0.0.0/8,*:443",
        )]);
        let proxies = Proxies::of_environment(&environment);
        for (to, exceptions) in [
            (
                "http://x:5000/",
                "a.example,.b.example,::1,fd00::1,10.0.0.0/8",
            ),
            ("https://x/", ".b.example,fd00::1,10.0.0.0/8,*"),
        ] {
            assert_eq!(proxies.exceptions_for(&url(to)), exceptions);
        }
    }
}
