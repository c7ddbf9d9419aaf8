//! Access to private parsers for the fuzz targets in `fuzz/`.

use super::config::Config;
use super::config_key::ConfigKey;
use super::helper::read_answer;
use super::{Credential, HelperFailure, KeychainError, Location};
use crate::spec::RegistryHost;

/// The content of a `config.json` or `auth.json` for one repository.
pub struct ConfigContent {
    /// The name of the credential helper.
    pub helper: Option<String>,
    pub entries: Vec<ConfigEntry>,
}

/// One entry of `auths`.
pub struct ConfigEntry {
    /// Whether the entry was searched among those limited to a namespace or repository.
    pub is_limited: bool,
    /// The number of path components that its key is limited to; `None` if the key does not match.
    pub fit: Option<usize>,
    pub credential: Option<Credential>,
}

/// Reads a document and finds the entries for a repository.
pub fn read_config(
    document: &[u8],
    location: &Location,
    host: &RegistryHost,
    repository: &str,
) -> Result<ConfigContent, KeychainError> {
    let config = Config::parse(document, location)?;
    let mut entries = Vec::new();
    for is_limited in [true, false] {
        for (key, entry) in config.entries(host, repository, is_limited) {
            entries.push(ConfigEntry {
                is_limited,
                fit: ConfigKey::parse(key).and_then(|key| key.fit(host, repository)),
                credential: entry.credential().ok().flatten(),
            });
        }
    }
    let helper = config.helper(host).map(|choice| choice.name.to_owned());
    Ok(ConfigContent { helper, entries })
}

/// Parses the output of a credential helper.
pub fn read_helper_answer(answer: &[u8]) -> Result<Option<Credential>, HelperFailure> {
    read_answer(answer)
}
