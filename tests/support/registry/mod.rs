//! An OCI registry in the test process. It implements the distribution specification 1.1 completely; tests can add
//! faults.
//!
//! | file | contains |
//! | --- | --- |
//! | `options`, `accounts` | the options of a registry |
//! | `server`, `link`, `tls`, `delay` | connections |
//! | `visit`, `route`, `auth`, `token` | the handling of a request |
//! | `manifests`, `blobs`, `uploads`, `listing` | the endpoints |
//! | `store`, `holdings`, `content`, `body`, `reply` | stored content and answers |
//! | `script`, `perform` | faults |
//! | `log` | the recorded requests |

mod accounts;
mod auth;
mod blobs;
mod body;
mod content;
pub mod delay;
mod holdings;
mod link;
mod listing;
mod log;
mod manifests;
mod options;
mod perform;
mod reply;
mod route;
mod script;
mod server;
mod store;
pub mod tls;
mod token;
mod uploads;
mod visit;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, OnceLock, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use http::Method;
use tokio::{runtime::Runtime, task::AbortHandle};

use self::{
    delay::DelayLine,
    server::{Host, Shared},
};
use super::digest;

pub use self::{
    accounts::{Accounts, Bearer, TokenField},
    content::{Content, random_bytes},
    log::Recorded,
    options::{Builder, Chunks, DigestHeader, Options, Scheme, Site},
    route::Class,
    script::{Fault, Rule, Seen},
    server::Greeting,
    store::Snapshot,
};

/// The purpose of a host of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The registry itself.
    Registry,
    /// Issues tokens.
    Token,
    /// Serves blobs after a redirect.
    Cdn,
    /// Accepts uploads.
    Upload,
}

/// A running registry. It stops when dropped.
pub struct Registry {
    shared: Arc<Shared>,
    host: String,
    address: SocketAddr,
    lines: Vec<DelayLine>,
    tasks: Vec<AbortHandle>,
}

impl Registry {
    /// Returns the builder of a registry.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts a registry over plain HTTP that permits all requests.
    pub async fn plain() -> Self {
        Self::builder().start().await
    }

    async fn start(options: Options) -> Self {
        let sites = [
            (Role::Registry, Some(options.site.clone())),
            (Role::Token, token_site(&options)),
            (Role::Cdn, options.blobs_site.clone()),
            (Role::Upload, options.uploads_site.clone()),
        ];
        let (latency, bandwidth) = (options.latency, options.bandwidth);
        let client_certificates = options.client_certificates;
        let shared = Arc::new(Shared::new(options));
        let (mut urls, mut hosts, mut lines, mut tasks) = (vec![], vec![], vec![], vec![]);
        for (role, site) in sites {
            let Some(site) = site else { continue };
            let certified = client_certificates && role == Role::Registry;
            let protocols: &[&str] = match site.scheme {
                Scheme::Http => &[],
                Scheme::TlsHttp1 => &["http/1.1"],
                Scheme::TlsHttp2 => &["h2", "http/1.1"],
                Scheme::TlsOnlyHttp2 => &["h2"],
            };
            let tls = (!protocols.is_empty()).then(|| tls::acceptor(protocols, certified));
            let host = Host::bind(role, site.ip, tls).await;
            let mut address = host.address;
            if let Some(latency) = latency {
                let line = DelayLine::start(site.ip, address, latency, bandwidth).await;
                address = line.address;
                lines.push(line);
            }
            let name = site.name.unwrap_or_else(|| site.ip.to_string());
            let authority = format!("{name}:{}", address.port());
            let scheme = if site.scheme == Scheme::Http {
                "http"
            } else {
                "https"
            };
            urls.push((role, format!("{scheme}://{authority}")));
            hosts.push((host, authority, address));
        }
        let _ = shared.urls.set(urls);
        let (host, address) = (hosts[0].1.clone(), hosts[0].2);
        for (host, _, _) in hosts {
            tasks.push(tokio::spawn(host.serve(Arc::clone(&shared))).abort_handle());
        }
        Self {
            shared,
            host,
            address,
            lines,
            tasks,
        }
    }

    fn start_in_background(options: Options) -> Self {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        let runtime = RUNTIME.get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(2).enable_all().build();
            runtime.expect("a runtime with two threads")
        });
        // `block_on` cannot be used, since the caller may be on a thread of a runtime.
        let (send, receive) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let _ = send.send(Self::start(options).await);
        });
        receive.recv().expect("the registry starts")
    }

    /// Returns the host and port for references, such as `127.0.0.1:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the base URL, such as `http://127.0.0.1:5000`.
    pub fn url(&self) -> String {
        self.shared.url(Role::Registry)
    }

    /// Returns the base URL of the host with `role`, or of the registry itself if there is no such host.
    pub fn url_of(&self, role: Role) -> String {
        self.shared.url(role)
    }

    /// Returns the address for clients (of the proxy that adds latency, if there is one).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the reference `host/repo:tag`, or `host/repo@digest` if `reference` is a digest.
    pub fn reference(&self, repo: &str, reference: &str) -> String {
        let separator = if digest::is_digest(reference) {
            '@'
        } else {
            ':'
        };
        format!("{}/{repo}{separator}{reference}", self.host)
    }

    // Faults.

    /// Adds a rule to the script of faults.
    pub fn rule(&self, rule: Rule) {
        self.shared.script.add(rule);
    }

    /// Removes all rules.
    pub fn clear_rules(&self) {
        self.shared.script.clear();
    }

    /// Returns how often each rule was applied, in the order in which the rules were added.
    pub fn fired(&self) -> Vec<usize> {
        self.shared.script.fired()
    }

    /// Returns the number of rules that were not applied as often as required (at least once for a rule without a
    /// limit).
    pub fn pending_rules(&self) -> usize {
        self.shared.script.pending()
    }

    /// Sets the treatment of the next `count` connections, on any host of the registry.
    pub fn greet(&self, count: usize, greeting: Greeting) {
        let mut greetings = self
            .shared
            .greetings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        greetings.extend(std::iter::repeat_n(greeting, count));
    }

    /// Invalidates every token that was issued so far.
    pub fn expire_tokens(&self) {
        self.shared.tokens().expire();
    }

    /// Advances the clock for the lifetime of tokens.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Returns all access tokens that were issued, so that tests can search for them.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.shared.tokens().all()
    }

    /// Sets the latency of new connections; only for a registry that was started with
    /// [`Builder::latency`].
    pub fn set_latency(&self, round_trip: Duration) {
        assert!(!self.lines.is_empty(), "started without a delay line");
        for line in &self.lines {
            line.set(round_trip);
        }
    }

    // Requests.

    /// Returns all requests so far to all hosts of the registry, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.requests()
    }

    /// Returns the number of requests of `class`.
    pub fn count(&self, class: Class) -> usize {
        self.count_where(|request| request.class == class)
    }

    /// Returns the number of requests that match `pick`.
    pub fn count_where(&self, pick: impl Fn(&Recorded) -> bool) -> usize {
        self.requests()
            .iter()
            .filter(|request| pick(request))
            .count()
    }

    /// Waits until a condition holds, at most half a minute.
    #[track_caller]
    pub fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "requests: {:#?}",
                self.requests()
            );
            std::thread::sleep(perform::POLLING);
        }
    }

    /// Returns the number of refused connections: see [`Builder::most_connections`].
    pub fn refused_connections(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Returns the number of requests with `method`.
    pub fn count_method(&self, method: &Method) -> usize {
        self.count_where(|request| request.method == method)
    }

    /// Returns the requests that are writes.
    pub fn writes(&self) -> Vec<Recorded> {
        let mut requests = self.requests();
        requests.retain(Recorded::writes);
        requests
    }

    /// Returns the connections that carried requests.
    pub fn connections(&self) -> BTreeSet<u64> {
        self.requests()
            .iter()
            .map(|request| request.connection)
            .collect()
    }

    /// Returns the maximum number of concurrent requests.
    pub fn most_at_once(&self) -> usize {
        self.shared.gauge.most()
    }

    /// Removes all recorded requests, and resets the maximum of concurrent requests.
    pub fn clear(&self) {
        self.shared.log.clear();
        self.shared.gauge.reset();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn token_site(options: &Options) -> Option<Site> {
    match &options.auth {
        options::Auth::Bearer(bearer) => bearer.site.clone(),
        options::Auth::None | options::Auth::Basic(_) => None,
    }
}

/// Returns an address with a closed port. The port is reserved for as long as the tests run.
pub fn closed_address() -> SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any).expect("a free port");
    let address = socket.local_addr().expect("a bound socket");
    std::mem::forget(socket);
    address
}
