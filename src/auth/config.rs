//! Parses Docker's `config.json` and Podman's `auth.json`, and selects the entry or helper for a registry and
//! repository.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::config_key::{ConfigKey, docker_key};
use super::file::read_bounded;
use super::{Credential, EntryProblem, KeychainError, Location, Secret};
use crate::spec::RegistryHost;

/// The maximum size of a document in bytes.
pub(super) const MAX_CONFIG: u64 = 1024 * 1024;

/// A base64 decoder that accepts missing padding, since some tools omit it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The parts of a document that concern credentials; everything else is ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Config {
    #[serde(default)]
    auths: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    // Docker Desktop wrote "credSstore" for a while, and Go ignores letter case.
    // https://github.com/google/containerregistry/issues/144
    #[serde(default, rename = "credsStore", alias = "credSstore")]
    store: Option<String>,
}

/// One entry of `auths`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

/// The helper that a document names for a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HelperChoice<'a> {
    /// The name after `docker-credential-`.
    pub(super) name: &'a str,
    /// The server names to pass to it, in this order.
    pub(super) servers: Vec<&'a str>,
}

impl Config {
    /// Reads the file at `path`. Returns `None` if it does not exist.
    pub(super) async fn read(path: &Path) -> Result<Option<Self>, KeychainError> {
        match read_bounded(path, MAX_CONFIG).await? {
            Some(text) => Self::parse(&text, &Location::File(path.into())).map(Some),
            None => Ok(None),
        }
    }

    /// Parses a document. As in Docker, an empty one has no credentials.
    pub(super) fn parse(text: &[u8], location: &Location) -> Result<Self, KeychainError> {
        if text.len() as u64 > MAX_CONFIG {
            return Err(KeychainError::TooLarge {
                location: location.clone(),
                limit: MAX_CONFIG,
            });
        }
        // Editors on Windows write a byte order mark at the beginning.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(text).map_err(|error| KeychainError::NotJson {
            location: location.clone(),
            line: error.line(),
            column: error.column(),
            problem: problem_of(&error),
        })
    }

    /// Returns the entries for a registry and repository with their keys, the most specific first. `limited` selects
    /// the entries of a namespace or repository; otherwise the entries of the whole host are returned.
    pub(super) fn entries<'a>(
        &'a self,
        host: &RegistryHost,
        repository: &str,
        limited: bool,
    ) -> Vec<(&'a str, &'a Entry)> {
        let mut found: Vec<_> = self
            .auths
            .iter()
            .flatten()
            .filter_map(|(key, entry)| {
                let fit = ConfigKey::parse(key)?.fit(host, repository)?;
                (limited == (fit > 0)).then_some((fit, key.as_str(), entry.as_ref()?))
            })
            .collect();
        // The sort is stable: between equal keys the order of the map decides, the same in every run.
        found.sort_by_key(|(fit, key, _)| {
            let exact = *key == docker_key(host);
            (std::cmp::Reverse(*fit), !exact, key.contains("://"))
        });
        found
            .into_iter()
            .map(|(_, key, entry)| (key, entry))
            .collect()
    }

    /// Returns the helper for a registry: from `credHelpers`, else `credsStore`. As in Docker, an empty name in
    /// `credHelpers` means that the registry has no helper.
    pub(super) fn helper<'a>(&'a self, host: &'a RegistryHost) -> Option<HelperChoice<'a>> {
        let usual = docker_key(host);
        let own = self
            .helpers
            .iter()
            .flatten()
            .filter(|(key, _)| ConfigKey::parse(key).is_some_and(|key| key.fit(host, "").is_some()))
            .min_by_key(|(key, _)| (*key != usual, key.contains("://")));
        let (name, servers) = match own {
            // Podman passes the key to its helpers as it is written.
            Some((key, name)) if key != usual => (name, vec![usual, key]),
            Some((_, name)) => (name, vec![usual]),
            None => (self.store.as_ref()?, vec![usual]),
        };
        (!name.is_empty()).then_some(HelperChoice { name, servers })
    }
}

impl Entry {
    /// Returns the credential of the entry. Returns `None` for an empty entry, which Docker writes if a helper stores
    /// the credential.
    pub(super) fn credential(&self) -> Result<Option<Credential>, EntryProblem> {
        if let Some(token) = given(self.registrytoken.as_ref()) {
            return Ok(Some(Credential::Bearer(token)));
        }
        let (username, password) = match given(self.auth.as_ref()) {
            Some(auth) => {
                let (username, password) = decode_auth(&auth)?;
                (username, Some(password))
            }
            None => (
                self.username.clone().unwrap_or_default(),
                given(self.password.as_ref()),
            ),
        };
        let username = Some(username).filter(|name| !name.is_empty());
        if let Some(token) = given(self.identitytoken.as_ref()) {
            return Ok(Some(Credential::IdentityToken { username, token }));
        }
        match (username, password) {
            (_, None) => Ok(None),
            (None, Some(_)) => Err(EntryProblem::NoUsername),
            (Some(username), Some(password)) => Ok(Some(Credential::Basic { username, password })),
        }
    }
}

/// Treats an empty secret as a missing one.
fn given(secret: Option<&Secret>) -> Option<Secret> {
    secret.filter(|secret| !secret.reveal().is_empty()).cloned()
}

/// Decodes base64 of `user:password`; the password may contain colons.
fn decode_auth(auth: &Secret) -> Result<(String, Secret), EntryProblem> {
    // Go ignores line breaks in base64, which some `base64` programs write.
    let compact: Zeroizing<String> =
        Zeroizing::new(auth.reveal().split_ascii_whitespace().collect());
    let decoded = BASE64
        .decode(compact.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| EntryProblem::NotBase64)?;
    let text = std::str::from_utf8(&decoded).map_err(|_| EntryProblem::NotText)?;
    let (username, password) = text.split_once(':').ok_or(EntryProblem::NoColon)?;
    // As in Docker: its old versions padded passwords with NUL.
    Ok((
        username.to_owned(),
        Secret::new(password.trim_matches('\0')),
    ))
}

/// Returns the kind of a JSON error. serde's own message quotes the document, which may contain a secret.
fn problem_of(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "the text ends too early",
        serde_json::error::Category::Data => "a value of the wrong type",
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => {
            "a syntax error in the JSON"
        }
    }
}

#[cfg(test)]
mod tests;
