//! Maps requests to endpoints (distribution-spec 1.1, "Endpoints").

use http::{Method, Uri};

use super::Role;

/// The class of a request, for rules and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Ping,
    ManifestGet,
    ManifestHead,
    ManifestPut,
    ManifestDelete,
    BlobGet,
    BlobHead,
    BlobDelete,
    UploadPost,
    UploadPatch,
    UploadPut,
    UploadGet,
    UploadDelete,
    Tags,
    Referrers,
    Token,
    /// A blob on the host that blob requests are redirected to.
    Redirected,
    Other,
}

/// The paths of token servers: the usual one, and the ones of public registries.
const TOKEN_PATHS: [&str; 5] = [
    "/token",
    "/token/",
    "/v2/token",
    "/oauth2/token",
    "/oauth2/exchange",
];

/// An endpoint with its parameters, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Ping,
    Manifest { repo: String, reference: String },
    Blob { repo: String, digest: String },
    Uploads { repo: String },
    Upload { repo: String, id: String },
    Tags { repo: String },
    Referrers { repo: String, digest: String },
    Token,
    Unknown,
}

impl Endpoint {
    /// Reads the path of `uri`.
    pub fn of(uri: &Uri) -> Self {
        let path = decode(uri.path());
        if TOKEN_PATHS.contains(&path.as_str()) {
            return Self::Token;
        }
        let Some(rest) = path.strip_prefix("/v2") else {
            return Self::Unknown;
        };
        if rest.is_empty() || rest == "/" {
            return Self::Ping;
        }
        let rest = rest.trim_start_matches('/');
        if let Some(repo) = rest.strip_suffix("/tags/list") {
            return Self::Tags { repo: repo.into() };
        }
        if let Some((repo, id)) = rest.rsplit_once("/blobs/uploads/") {
            let repo = repo.into();
            return match id {
                "" => Self::Uploads { repo },
                _ => Self::Upload {
                    repo,
                    id: id.into(),
                },
            };
        }
        if let Some(repo) = rest.strip_suffix("/blobs/uploads") {
            return Self::Uploads { repo: repo.into() };
        }
        let mut parts = rest.rsplitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(last), Some("manifests"), Some(repo)) => Self::Manifest {
                repo: repo.into(),
                reference: last.into(),
            },
            (Some(last), Some("blobs"), Some(repo)) => Self::Blob {
                repo: repo.into(),
                digest: last.into(),
            },
            (Some(last), Some("referrers"), Some(repo)) => Self::Referrers {
                repo: repo.into(),
                digest: last.into(),
            },
            _ => Self::Unknown,
        }
    }

    /// Returns the class of a request with `method` on a host of this role.
    pub fn class(&self, role: Role, method: &Method) -> Class {
        match (self, method.as_str()) {
            (Self::Blob { .. }, "GET") if role == Role::Cdn => Class::Redirected,
            (Self::Ping, _) => Class::Ping,
            (Self::Manifest { .. }, "GET") => Class::ManifestGet,
            (Self::Manifest { .. }, "HEAD") => Class::ManifestHead,
            (Self::Manifest { .. }, "PUT") => Class::ManifestPut,
            (Self::Manifest { .. }, "DELETE") => Class::ManifestDelete,
            (Self::Blob { .. }, "GET") => Class::BlobGet,
            (Self::Blob { .. }, "HEAD") => Class::BlobHead,
            (Self::Blob { .. }, "DELETE") => Class::BlobDelete,
            (Self::Uploads { .. }, "POST") => Class::UploadPost,
            (Self::Upload { .. }, "PATCH") => Class::UploadPatch,
            (Self::Upload { .. }, "PUT") => Class::UploadPut,
            (Self::Upload { .. }, "GET") => Class::UploadGet,
            (Self::Upload { .. }, "DELETE") => Class::UploadDelete,
            (Self::Tags { .. }, "GET") => Class::Tags,
            (Self::Referrers { .. }, "GET") => Class::Referrers,
            (Self::Token, _) => Class::Token,
            _ => Class::Other,
        }
    }

    /// Returns the repository of the endpoint.
    pub fn repo(&self) -> Option<&str> {
        match self {
            Self::Manifest { repo, .. }
            | Self::Blob { repo, .. }
            | Self::Uploads { repo }
            | Self::Upload { repo, .. }
            | Self::Tags { repo }
            | Self::Referrers { repo, .. } => Some(repo),
            Self::Ping | Self::Token | Self::Unknown => None,
        }
    }
}

/// Returns the parameters of a query, in order, decoded.
pub fn query(uri: &Uri) -> Vec<(String, String)> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}

/// Returns the first parameter with this name.
pub fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let found = query(uri).into_iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value)
}

/// Returns whether `name` is a valid repository name.
pub fn is_repository(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(is_component)
}

/// Returns whether a text matches `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = text.starts_with(plain) && text.ends_with(plain);
    let mut separators = text.split(plain).filter(|separator| !separator.is_empty());
    ends && separators
        .all(|text| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-'))
}

/// Returns whether `text` is a valid tag.
pub fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&text.len())
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

/// Resolves `%xx` in a path.
fn decode(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%');
        let byte = escaped
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}
