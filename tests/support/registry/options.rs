//! The options of a registry.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{
    Registry,
    accounts::{Accounts, Bearer},
    script::Rule,
};

/// The protocol of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/1.1 in plain text.
    Http,
    /// TLS, HTTP/1.1 only.
    TlsHttp1,
    /// TLS, HTTP/2 preferred.
    TlsHttp2,
    /// TLS, HTTP/2 only.
    TlsOnlyHttp2,
}

/// One host of a registry: its own host, or a separate one for tokens, blobs or uploads.
#[derive(Clone, Debug)]
pub struct Site {
    pub(super) scheme: Scheme,
    pub(super) ip: IpAddr,
    pub(super) name: Option<String>,
}

impl Site {
    /// Creates a host on 127.0.0.1 with this scheme.
    pub fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            ip: Ipv4Addr::LOCALHOST.into(),
            name: None,
        }
    }

    /// Uses another address of the loopback network, such as 127.0.0.2.
    #[must_use]
    pub fn ip(mut self, ip: &str) -> Self {
        self.ip = ip.parse().expect("an IP address");
        self
    }

    /// Uses a name (`localhost`, `auth.test`) instead of its address in URLs.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// The authentication of clients.
#[derive(Clone, Debug)]
pub enum Auth {
    /// No authentication: all requests are permitted.
    None,
    /// A password with each request.
    Basic(Accounts),
    /// Tokens of a token server.
    Bearer(Box<Bearer>),
}

/// The answers about manifests that have the header `Docker-Content-Digest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestHeader {
    /// All answers.
    Always,
    /// All answers except to HEAD.
    NotOnHead,
    /// No answer.
    Never,
}

/// How uploads in several requests are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// Chunks must be in order, as the specification requires.
    Accepted,
    /// One PATCH with the whole content is accepted; chunks are answered with 416 (Google).
    WholeOnly,
    /// Every PATCH is answered with 405: only monolithic uploads.
    Refused,
}

/// The options of a registry.
#[allow(clippy::struct_excessive_bools, reason = "independent options")]
pub struct Options {
    pub(super) site: Site,
    pub(super) client_certificates: bool,
    pub(super) latency: Option<Duration>,
    pub(super) bandwidth: Option<u64>,
    pub(super) most_connections: Option<usize>,
    pub(super) http2_window: Option<u32>,
    pub(super) http2_streams: Option<u32>,
    pub(super) auth: Auth,
    pub(super) challenges: Option<Vec<String>>,
    pub(super) lax: bool,
    pub(super) mounts: bool,
    pub(super) chunks: Chunks,
    pub(super) chunk_minimum: Option<u64>,
    pub(super) patch_status: u16,
    pub(super) discard_uploads: bool,
    pub(super) ranges: bool,
    pub(super) page: Option<usize>,
    pub(super) referrers: bool,
    pub(super) tag_parameters: bool,
    pub(super) absolute_locations: bool,
    pub(super) location_query: bool,
    pub(super) manifest_location: bool,
    pub(super) uploads_site: Option<Site>,
    pub(super) blobs_site: Option<Site>,
    pub(super) digest_header: DigestHeader,
    pub(super) immutable_tags: bool,
    pub(super) media_types: Option<Vec<String>>,
    pub(super) media_type_required: bool,
    pub(super) rate_limit: Option<usize>,
    pub(super) rules: Vec<Rule>,
}

/// Configures a registry and starts it.
#[must_use]
pub struct Builder {
    options: Options,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            options: Options {
                site: Site::new(Scheme::Http),
                client_certificates: false,
                latency: None,
                bandwidth: None,
                most_connections: None,
                http2_window: None,
                http2_streams: None,
                auth: Auth::None,
                challenges: None,
                lax: false,
                mounts: true,
                chunks: Chunks::Accepted,
                chunk_minimum: None,
                patch_status: 202,
                discard_uploads: false,
                ranges: true,
                page: None,
                referrers: true,
                tag_parameters: false,
                absolute_locations: false,
                location_query: false,
                manifest_location: true,
                uploads_site: None,
                blobs_site: None,
                digest_header: DigestHeader::Always,
                immutable_tags: false,
                media_types: None,
                media_type_required: false,
                rate_limit: None,
                rules: Vec::new(),
            },
        }
    }
}

impl Builder {
    /// Starts the registry as tasks of the current runtime.
    pub async fn start(self) -> Registry {
        Registry::start(self.options).await
    }

    /// Starts the registry on separate threads, for tests that are not async.
    pub fn start_in_background(self) -> Registry {
        Registry::start_in_background(self.options)
    }

    /// Uses TLS with HTTP/2. The default is plain HTTP/1.1.
    pub fn tls(self) -> Self {
        self.with(|options| options.site.scheme = Scheme::TlsHttp2)
    }

    /// Uses TLS with HTTP/1.1 only.
    pub fn tls_http1(self) -> Self {
        self.with(|options| options.site.scheme = Scheme::TlsHttp1)
    }

    /// Sets the scheme.
    pub fn scheme(self, scheme: Scheme) -> Self {
        self.with(|options| options.site.scheme = scheme)
    }

    /// Listens on another loopback address.
    pub fn ip(self, ip: &str) -> Self {
        self.with(|options| options.site = options.site.clone().ip(ip))
    }

    /// Uses `name`, such as `localhost`, instead of its address in URLs.
    pub fn name(self, name: &str) -> Self {
        self.with(|options| options.site = options.site.clone().name(name))
    }

    /// Requires a client certificate of [`super::tls::client_identity`].
    pub fn client_certificates(self) -> Self {
        self.with(|options| options.client_certificates = true)
    }

    /// Adds latency to each host; see [`super::delay`].
    pub fn latency(self, round_trip: Duration) -> Self {
        self.with(|options| options.latency = Some(round_trip))
    }

    /// Limits the bandwidth of each host in each direction, in bytes per second.
    pub fn bandwidth(self, bytes_per_second: u64) -> Self {
        self.with(|options| options.bandwidth = Some(bytes_per_second))
    }

    /// Limits the number of connections to each host; further connections are reset.
    pub fn most_connections(self, count: usize) -> Self {
        self.with(|options| options.most_connections = Some(count))
    }

    /// Limits the HTTP/2 windows of each stream and of each connection to this many bytes, for data from clients.
    pub fn http2_window(self, bytes: u32) -> Self {
        self.with(|options| options.http2_window = Some(bytes))
    }

    /// Limits the number of concurrent requests over each HTTP/2 connection.
    pub fn http2_streams(self, count: u32) -> Self {
        self.with(|options| options.http2_streams = Some(count))
    }

    /// Requires a password.
    pub fn basic(self, accounts: Accounts) -> Self {
        self.with(|options| options.auth = Auth::Basic(accounts))
    }

    /// Requires a token.
    pub fn bearer(self, bearer: Bearer) -> Self {
        self.with(|options| options.auth = Auth::Bearer(Box::new(bearer)))
    }

    /// Sets the `WWW-Authenticate` headers of a 401. `{realm}`, `{service}` and `{scope}` are replaced.
    pub fn challenges<const N: usize>(self, headers: [&str; N]) -> Self {
        let headers = headers.map(str::to_owned).to_vec();
        self.with(|options| options.challenges = Some(headers))
    }

    /// Accepts manifests whose blobs and children it does not have.
    pub fn lax(self) -> Self {
        self.with(|options| options.lax = true)
    }

    /// Answers each mount with 202, as if the parameter were not supported.
    pub fn without_mounts(self) -> Self {
        self.with(|options| options.mounts = false)
    }

    /// Sets how uploads in several requests are handled.
    pub fn chunks(self, chunks: Chunks) -> Self {
        self.with(|options| options.chunks = chunks)
    }

    /// Sends and enforces `OCI-Chunk-Min-Length`.
    pub fn chunk_minimum(self, bytes: u64) -> Self {
        self.with(|options| options.chunk_minimum = Some(bytes))
    }

    /// Answers PATCH with this status instead of 202 (ECR: 201).
    pub fn patch_status(self, status: u16) -> Self {
        self.with(|options| options.patch_status = status)
    }

    /// Hashes uploads (SHA-256) without storing them: HEAD finds them, GET does not.
    pub fn discard_uploads(self) -> Self {
        self.with(|options| options.discard_uploads = true)
    }

    /// Ignores `Range` in requests for blobs: always answers 200 with the whole blob.
    pub fn without_ranges(self) -> Self {
        self.with(|options| options.ranges = false)
    }

    /// Lists at most this many tags in one page, even if `n` is larger.
    pub fn page(self, tags: usize) -> Self {
        self.with(|options| options.page = Some(tags))
    }

    /// Disables the referrers API: answers 404, and sends no `OCI-Subject`.
    pub fn without_referrers(self) -> Self {
        self.with(|options| options.referrers = false)
    }

    /// Supports `PUT manifests/<digest>?tag=a&tag=b` and answers it with `OCI-Tag`.
    pub fn tag_parameters(self) -> Self {
        self.with(|options| options.tag_parameters = true)
    }

    /// Sends an absolute URL in `Location` instead of a path.
    pub fn absolute_locations(self) -> Self {
        self.with(|options| options.absolute_locations = true)
    }

    /// Adds a query to the `Location` of an upload. It changes with each answer, and clients must return it unchanged.
    pub fn location_query(self) -> Self {
        self.with(|options| options.location_query = true)
    }

    /// Sends no `Location` after a PUT of a manifest (ECR).
    pub fn without_manifest_location(self) -> Self {
        self.with(|options| options.manifest_location = false)
    }

    /// Continues uploads on another host, which requires no credentials.
    pub fn uploads_at(self, site: Site) -> Self {
        self.with(|options| options.uploads_site = Some(site))
    }

    /// Redirects GET of a blob (307) to another host, which refuses credentials.
    pub fn blobs_at(self, site: Site) -> Self {
        self.with(|options| options.blobs_site = Some(site))
    }

    /// Sets which answers about manifests have the header `Docker-Content-Digest`.
    pub fn digest_header(self, when: DigestHeader) -> Self {
        self.with(|options| options.digest_header = when)
    }

    /// Refuses any write to an existing tag, even of the manifest that the tag points to (ECR).
    pub fn immutable_tags(self) -> Self {
        self.with(|options| options.immutable_tags = true)
    }

    /// Accepts only manifests of these media types.
    pub fn media_types<const N: usize>(self, types: [&str; N]) -> Self {
        let types = types.map(str::to_owned).to_vec();
        self.with(|options| options.media_types = Some(types))
    }

    /// Refuses manifests without `mediaType` in the document (ECR).
    pub fn media_type_required(self) -> Self {
        self.with(|options| options.media_type_required = true)
    }

    /// Limits the number of requests per second; further requests are answered with 429.
    pub fn rate_limit(self, per_second: usize) -> Self {
        self.with(|options| options.rate_limit = Some(per_second))
    }

    /// Adds a rule to the script of faults.
    pub fn rule(self, rule: Rule) -> Self {
        self.with(|options| options.rules.push(rule))
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }
}
