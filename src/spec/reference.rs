//! References in Docker's familiar form: `nginx`, `ghcr.io/o/app:1.2`, `app@sha256:…`.
//! Grammar and messages follow <https://github.com/distribution/reference>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Digest, DigestError, RegistryHost, RegistryHostError};
use crate::text::shortened;

/// A repository in a registry, without tag and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: RegistryHost,
    path: String,
}

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// A repository with a tag, a digest, both or neither. Displayed in full (`docker.io/library/nginx:latest`), which parses
/// to the same value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// Why a text is not a valid reference. Displayed in Docker's words, which scripts may match;
/// [`ReferenceError::explanation`] is more specific.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid reference format")]
    Format(FormatError),
    #[error(transparent)]
    Host(#[from] RegistryHostError),
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// An image ID without a repository.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    ImageId(String),
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    #[error("invalid reference format: {0}")]
    Digest(DigestError),
    /// A text that should be a tag on its own.
    #[error("{}", FormatError::Tag(.0.clone()))]
    Tag(String),
}

/// The part of a reference that is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("the reference is empty")]
    Empty,
    #[error("{0:?} is not a registry host")]
    Host(String),
    #[error("the repository name is missing")]
    NoRepository,
    #[error(
        "invalid repository name {0:?}: a name has components of a-z and 0-9, separated by / . _ __ or -"
    )]
    Repository(String),
    #[error(
        "invalid tag {0:?}: a tag has 1 to 128 characters of A-Z a-z 0-9 . _ - and does not start with . or -"
    )]
    Tag(String),
    #[error(transparent)]
    Digest(DigestError),
    #[error("a repository without tag and digest is expected")]
    NotARepository,
}

impl ReferenceError {
    /// Returns which part of the reference is invalid and why.
    pub fn explanation(&self) -> String {
        match self {
            Self::Format(error) => error.to_string(),
            Self::Uppercase(_) => "the repository name must be lowercase".to_owned(),
            Self::Digest(error) => error.to_string(),
            _ => self.to_string(),
        }
    }
}

impl Repository {
    pub fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// Returns the path in the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference {
            repository: self.clone(),
            tag: None,
            digest: Some(digest),
        }
    }

    pub fn with_tag(&self, tag: Tag) -> Reference {
        Reference {
            repository: self.clone(),
            tag: Some(tag),
            digest: None,
        }
    }
}

impl Reference {
    /// Parses a reference and adds `:latest` if it has neither tag nor digest, as every Docker command does.
    pub fn parse_or_latest(text: &str) -> Result<Self, ReferenceError> {
        let mut reference: Self = text.parse()?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some(Tag("latest".to_owned()));
        }
        Ok(reference)
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    pub fn registry(&self) -> &RegistryHost {
        &self.repository.registry
    }

    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns this reference with another digest; the tag is kept.
    #[must_use]
    pub fn at_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Returns whether `text` has no registry host, so that it refers to Docker Hub.
    pub fn is_hostless(text: &str) -> bool {
        split_domain(text).0.is_none()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ReferenceError::Format(FormatError::Empty));
        }
        if is_image_id(text) {
            return Err(ReferenceError::ImageId(text.to_owned()));
        }
        let (registry, remainder) = normalised_parts(text)?;
        let before_colon = remainder.split(':').next().unwrap_or_default();
        if before_colon.to_lowercase() != before_colon {
            return Err(ReferenceError::Uppercase(shortened(before_colon, 255)));
        }
        let (rest, digest) = match remainder.split_once('@') {
            Some((rest, digest)) => (rest, Some(parse_digest_part(digest)?)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(parse_tag_part(tag)?)),
            None => (rest, None),
        };
        let repository = Repository::new(registry, path)?;
        Ok(Self {
            repository,
            tag,
            digest,
        })
    }
}

impl Repository {
    fn new(registry: RegistryHost, path: &str) -> Result<Self, ReferenceError> {
        if path.is_empty() || path == "library/" {
            return Err(ReferenceError::Format(FormatError::NoRepository));
        }
        if !is_path(path) {
            let path = shortened(path, 255);
            return Err(ReferenceError::Format(FormatError::Repository(path)));
        }
        if registry.as_str().len() + 1 + path.len() > 255 {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self {
            registry,
            path: path.to_owned(),
        })
    }
}

/// Parses a repository in the familiar form; a tag or digest is an error.
impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference: Reference = text.parse()?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(ReferenceError::Format(FormatError::NotARepository));
        }
        Ok(reference.repository)
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let mut bytes = text.bytes();
        let valid = text.len() <= 128
            && bytes.next().is_some_and(is_word)
            && bytes.all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Tag(shortened(text, 140)))
        }
    }
}

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Splits a name into its domain, if there is one, and the rest. The first component is a domain if it contains `.` or
/// `:`, is `localhost`, or has an upper-case letter.
fn split_domain(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.to_lowercase() != first =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

/// Returns the registry and the rest of the name, with the `library/` that familiar names omit.
fn normalised_parts(name: &str) -> Result<(RegistryHost, String), ReferenceError> {
    let (registry, rest) = match split_domain(name) {
        (Some(domain), rest) => (parse_host(domain)?, rest),
        (None, rest) => (RegistryHost::docker_hub(), rest),
    };
    let is_familiar = registry.is_docker_hub() && !rest.contains('/');
    let rest = if is_familiar {
        format!("library/{rest}")
    } else {
        rest.to_owned()
    };
    Ok((registry, rest))
}

fn parse_tag_part(text: &str) -> Result<Tag, ReferenceError> {
    text.parse().map_err(|error| match error {
        ReferenceError::Tag(text) => ReferenceError::Format(FormatError::Tag(text)),
        other => other,
    })
}

fn parse_host(text: &str) -> Result<RegistryHost, ReferenceError> {
    text.parse().map_err(|error| match error {
        RegistryHostError::Format => {
            ReferenceError::Format(FormatError::Host(shortened(text, 255)))
        }
        RegistryHostError::Address(_) => error.into(),
    })
}

/// Parses the digest of a reference. Docker's grammar requires at least 32 hex digits before it checks algorithm and
/// length.
fn parse_digest_part(text: &str) -> Result<Digest, ReferenceError> {
    let hex = text.split_once(':').map_or("", |(_, hex)| hex);
    let has_digits = hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.parse().map_err(|error: DigestError| {
        if has_digits {
            ReferenceError::Digest(error)
        } else {
            ReferenceError::Format(FormatError::Digest(error))
        }
    })
}

fn is_image_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// Matches `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` by the separators between runs of letters and digits.
fn is_path_component(text: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let edges_fit = bytes.first().is_some_and(|byte| is_alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| is_alphanumeric(*byte));
    edges_fit
        && text
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
            })
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
