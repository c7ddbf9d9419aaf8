//! An OCI registry in process, for tests: whole by the distribution specification
//! 1.1, with faults where a test scripts them.
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

/// What a host of a registry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The registry itself.
    Registry,
    /// Hands out tokens.
    Token,
    /// Serves blobs that requests are redirected to.
    Cdn,
    /// Takes uploads.
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
    /// Describes a registry, to be started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A registry over plain HTTP that permits everything.
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
        // Not block_on: the caller may be on a runtime's thread itself.
        let (send, receive) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let _ = send.send(Self::start(options).await);
        });
        receive.recv().expect("the registry starts")
    }

    /// `127.0.0.1:5000`: what references to it begin with.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `http://127.0.0.1:5000`
    pub fn url(&self) -> String {
        self.shared.url(Role::Registry)
    }

    /// The base URL of its host for `role`; its own if it has none.
    pub fn url_of(&self, role: Role) -> String {
        self.shared.url(role)
    }

    /// Where it listens (the delay line, if there is one).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host/repo:tag`, or `host/repo@digest` where `reference` is a digest.
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

    /// Forgets all rules.
    pub fn clear_rules(&self) {
        self.shared.script.clear();
    }

    /// How often each rule was applied, in the order of adding.
    pub fn fired(&self) -> Vec<usize> {
        self.shared.script.fired()
    }

    /// How many rules have not yet been applied as often as they should (at least once,
    /// if without a limit).
    pub fn pending_rules(&self) -> usize {
        self.shared.script.pending()
    }

    /// Sets what happens to the next `count` connections, on any of its hosts.
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

    /// Every access token that was ever issued, to search for.
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

    /// Every request so far, in the order of arrival, on all of its hosts.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.requests()
    }

    /// How many requests of `class` there were.
    pub fn count(&self, class: Class) -> usize {
        self.count_where(|request| request.class == class)
    }

    /// How many requests `pick` picks.
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

    /// How many connections were refused: see [`Builder::most_connections`].
    pub fn refused_connections(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// How many requests of `method` there were.
    pub fn count_method(&self, method: &Method) -> usize {
        self.count_where(|request| request.method == method)
    }

    /// The requests that try to change something.
    pub fn writes(&self) -> Vec<Recorded> {
        let mut requests = self.requests();
        requests.retain(Recorded::writes);
        requests
    }

    /// The connections that carried requests.
    pub fn connections(&self) -> BTreeSet<u64> {
        self.requests()
            .iter()
            .map(|request| request.connection)
            .collect()
    }

    /// The most requests that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.shared.gauge.most()
    }

    /// Forgets the requests and the most at once.
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

/// An address where nothing listens, and nothing will: it is held for as long as the tests run.
pub fn closed_address() -> SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any).expect("a free port");
    let address = socket.local_addr().expect("a bound socket");
    std::mem::forget(socket);
    address
}
