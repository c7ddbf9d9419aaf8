//! References in Docker's familiar form: `nginx`, `ghcr.io/o/app:1.2`, `app@sha256:…`.
//! Grammar and messages follow <https://github.com/distribution/reference>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Digest, DigestError, RegistryHost, RegistryHostError};

/// A repository in a registry: where images live, without tag and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: RegistryHost,
    path: String,
}

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// A repository with a tag, a digest, both or neither. Displayed in the full form
/// (`docker.io/library/nginx:latest`), which parses back to the same value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// Why a text is not a reference. The words are Docker's, which scripts may match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text does not have the form of a reference.
    #[error("invalid reference format")]
    Format,
    /// The registry is not a host.
    #[error(transparent)]
    Host(#[from] RegistryHostError),
    /// A repository with capitals.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// A bare image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    ImageId(String),
    /// More than 255 characters of name.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// The digest part is wrong.
    #[error("invalid reference format: {0}")]
    Digest(DigestError),
    /// A tag was given where it does not fit the grammar.
    #[error(
        "invalid tag {0:?}: a tag has 1 to 128 characters of A-Z a-z 0-9 . _ - and does not start with . or -"
    )]
    Tag(String),
}

impl From<DigestError> for ReferenceError {
    fn from(error: DigestError) -> Self {
        Self::Digest(error)
    }
}

impl Repository {
    /// The registry.
    pub fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// The path inside the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The reference of a digest in this repository.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference {
            repository: self.clone(),
            tag: None,
            digest: Some(digest),
        }
    }

    /// The reference of a tag in this repository.
    pub fn with_tag(&self, tag: Tag) -> Reference {
        Reference {
            repository: self.clone(),
            tag: Some(tag),
            digest: None,
        }
    }
}

impl Reference {
    /// Parses and, if there is neither tag nor digest, adds `:latest`, as every Docker command does.
    pub fn parse_or_latest(text: &str) -> Result<Self, ReferenceError> {
        let mut reference: Self = text.parse()?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some(Tag("latest".to_owned()));
        }
        Ok(reference)
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The registry.
    pub fn registry(&self) -> &RegistryHost {
        &self.repository.registry
    }

    /// The tag, if one is named.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, if one is named.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same name, with this digest: `name:tag@digest` if there is a tag.
    #[must_use]
    pub fn at_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Whether `text` names no registry host, so that Docker Hub was meant by default.
    pub fn is_hostless(text: &str) -> bool {
        split_domain(text).0.is_none()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_image_id(text) {
            return Err(ReferenceError::ImageId(text.to_owned()));
        }
        let (registry, remainder) = normalised_parts(text)?;
        let before_colon = remainder.split(':').next().unwrap_or_default();
        if before_colon.to_lowercase() != before_colon {
            let shown = before_colon.chars().take(255).collect();
            return Err(ReferenceError::Uppercase(shown));
        }
        let (rest, digest) = match remainder.split_once('@') {
            Some((rest, digest)) => (rest, Some(parse_digest_part(digest)?)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag.parse().map_err(|_| ReferenceError::Format)?)),
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
        if !is_path(path) {
            return Err(ReferenceError::Format);
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

/// Parses a repository in the familiar form; a tag or digest behind it is an error.
impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference: Reference = text.parse()?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(ReferenceError::Format);
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
            Err(ReferenceError::Tag(text.chars().take(140).collect()))
        }
    }
}

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The domain that `name` starts with, if it names one, and what follows. The first component
/// is a domain if it contains `.` or `:`, is `localhost`, or has a capital, which no repository has.
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

/// The registry and what follows it, with `library/` where Docker Hub's familiar names omit it.
fn normalised_parts(name: &str) -> Result<(RegistryHost, String), ReferenceError> {
    let (registry, rest) = match split_domain(name) {
        (Some(domain), rest) => (domain.parse()?, rest),
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

/// Docker's grammar wants at least 32 hex digits before it looks at the algorithm.
fn parse_digest_part(text: &str) -> Result<Digest, ReferenceError> {
    let (_, hex) = text.split_once(':').ok_or(ReferenceError::Format)?;
    if hex.len() < 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ReferenceError::Format);
    }
    Ok(text.parse()?)
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

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, by hand: the separators between runs of letters and digits.
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

macro_rules! through_text {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ReferenceError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

through_text!(Reference, Tag);

#[cfg(test)]
mod tests;
