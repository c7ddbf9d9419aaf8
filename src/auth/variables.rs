//! Credentials in polyarch's own variables: `POLYARCH_REGISTRY`, `…_USERNAME`, `…_PASSWORD`, `…_PASSWORD_FILE`,
//! `…_TOKEN`, and further sets with a number (`…_2`). The same names with the prefix `PLUGIN_` are the form of settings
//! in Woodpecker and Drone.
//!
//! Variables with the same prefix and number form a group. Groups are never mixed: the password of one registry must
//! not be sent to another.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::config_key::ConfigKey;
use super::credential::without_newline;
use super::file::{FileError, read_bounded};
use super::secret_variables::{PREFIXES, is_cloud_secret};
use super::{Candidate, Credential, KeychainError, Origin, Secret};
use crate::environment::Environment;
use crate::spec::RegistryHost;

const REGISTRY: &str = "REGISTRY";
const USERNAME: &str = "USERNAME";
const PASSWORD: &str = "PASSWORD";
const PASSWORD_FILE: &str = "PASSWORD_FILE";
const TOKEN: &str = "TOKEN";
const FIELDS: [&str; 5] = [REGISTRY, USERNAME, PASSWORD, PASSWORD_FILE, TOKEN];

/// The maximum size of a password file in bytes. JSON keys of service accounts have a few kilobytes.
const MAX_PASSWORD: u64 = 64 * 1024;

/// Returns the passwords and tokens in variables, for all registries and clouds, and each password with its user name
/// (`user:password`).
pub fn secrets_in_variables(environment: &Environment) -> Vec<Secret> {
    let groups = groups(environment);
    let values = groups
        .iter()
        .flat_map(|group| [PASSWORD, TOKEN].map(|field| group.value(field)));
    let of_clouds = environment
        .with_prefix("")
        .filter(|(name, _)| is_cloud_secret(name))
        .map(|(_, value)| value);
    let pairs = groups.iter().filter_map(|group| {
        let (username, password) = (group.value(USERNAME)?, group.value(PASSWORD)?);
        // As in `Authorization: Basic` and in Docker's config.json.
        Some(Secret::new(format!(
            "{username}:{}",
            without_newline(password)
        )))
    });
    values
        .flatten()
        .chain(of_clouds)
        .map(|text| Secret::new(without_newline(text)))
        .chain(pairs)
        .collect()
}

/// Returns the credential for a registry and repository. If several match, the most specific registry takes
/// precedence, then the lower number.
///
/// A user name, password or token without a registry is an error for every registry.
pub(super) async fn find(
    environment: &Environment,
    host: &RegistryHost,
    repository: &str,
) -> Result<Option<Candidate>, KeychainError> {
    let mut best: Option<(usize, Group)> = None;
    for group in groups(environment) {
        let Some(key) = group.registry()? else {
            continue;
        };
        let Some(fit) = key.fit(host, repository) else {
            continue;
        };
        // Of equal matches, the first group takes precedence.
        if group.has_credential()
            && best
                .as_ref()
                .is_none_or(|(fit_so_far, _)| fit > *fit_so_far)
        {
            best = Some((fit, group));
        }
    }
    match best {
        Some((_, group)) => group.candidate().await.map(Some),
        None => Ok(None),
    }
}

/// The variables with one prefix and number.
struct Group<'a> {
    environment: &'a Environment,
    prefix: &'static str,
    /// The suffix of the group: "" or a number such as "_2".
    suffix: String,
}

/// Returns every group with at least one variable, ordered by number; the group without a number comes first.
fn groups(environment: &Environment) -> Vec<Group<'_>> {
    let mut found = BTreeSet::new();
    for (rank, prefix) in PREFIXES.iter().enumerate() {
        for (rest, _) in environment.with_prefix(prefix) {
            let suffix = FIELDS.iter().find_map(|field| {
                let suffix = rest.strip_prefix(field)?;
                Some((number_of(suffix)?, suffix))
            });
            if let Some((number, suffix)) = suffix {
                found.insert((number, rank, suffix));
            }
        }
    }
    found
        .into_iter()
        .map(|(_, rank, suffix)| Group {
            environment,
            prefix: PREFIXES[rank],
            suffix: suffix.to_owned(),
        })
        .collect()
}

/// Returns the number of a suffix such as "_2", 0 for an empty suffix, `None` for any other text.
fn number_of(suffix: &str) -> Option<u32> {
    if suffix.is_empty() {
        return Some(0);
    }
    let digits = suffix.strip_prefix('_')?;
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok()).flatten()
}

impl Group<'_> {
    fn name(&self, field: &str) -> String {
        format!("{}{field}{}", self.prefix, self.suffix)
    }

    fn value(&self, field: &str) -> Option<&str> {
        self.environment.var(&self.name(field))
    }

    /// Returns the first variable that is set, except the registry.
    fn any_given(&self) -> Option<&'static str> {
        FIELDS
            .into_iter()
            .filter(|field| *field != REGISTRY)
            .find(|field| self.value(field).is_some())
    }

    /// Returns whether a variable other than the registry is set. A registry alone is not a credential, since the input
    /// of the action has a default.
    fn has_credential(&self) -> bool {
        self.any_given().is_some()
    }

    /// Returns the registry of the group; `None` if no variable is set.
    fn registry(&self) -> Result<Option<ConfigKey>, KeychainError> {
        match (self.value(REGISTRY), self.any_given()) {
            (Some(registry), _) => {
                ConfigKey::parse(registry)
                    .map(Some)
                    .ok_or_else(|| KeychainError::NotARegistry {
                        variable: self.name(REGISTRY),
                    })
            }
            (None, Some(given)) => Err(self.missing(given, REGISTRY)),
            (None, None) => Ok(None),
        }
    }

    fn missing(&self, given: &str, missing: &str) -> KeychainError {
        KeychainError::MissingVariable {
            given: self.name(given),
            missing: self.name(missing),
        }
    }

    async fn candidate(&self) -> Result<Candidate, KeychainError> {
        let secret_field = self.secret_field()?;
        if secret_field == TOKEN {
            let token = without_newline(self.value(TOKEN).unwrap_or_default());
            return Ok(Candidate {
                credential: Credential::Bearer(Secret::new(token)),
                origin: Origin::Variables(vec![self.name(TOKEN)]),
            });
        }
        let username = self
            .value(USERNAME)
            .ok_or_else(|| self.missing(secret_field, USERNAME))?;
        let password = if secret_field == PASSWORD {
            Secret::new(without_newline(self.value(PASSWORD).unwrap_or_default()))
        } else {
            self.password_from_file().await?
        };
        Ok(Candidate {
            credential: Credential::Basic {
                username: username.to_owned(),
                password,
            },
            origin: Origin::Variables(vec![self.name(USERNAME), self.name(secret_field)]),
        })
    }

    /// Returns which of the three variables for a secret is set. Fails unless exactly one is set.
    fn secret_field(&self) -> Result<&'static str, KeychainError> {
        let mut given = [PASSWORD, PASSWORD_FILE, TOKEN]
            .into_iter()
            .filter(|field| self.value(field).is_some());
        let first = given
            .next()
            .ok_or_else(|| self.missing(USERNAME, PASSWORD))?;
        match given.next() {
            Some(second) => Err(KeychainError::ConflictingVariables {
                first: self.name(first),
                second: self.name(second),
            }),
            None => Ok(first),
        }
    }

    async fn password_from_file(&self) -> Result<Secret, KeychainError> {
        let path = PathBuf::from(self.value(PASSWORD_FILE).unwrap_or_default());
        let unreadable = |kind: std::io::ErrorKind| FileError::unreadable(&path, kind);
        // A file that a variable names must exist.
        let text = read_bounded(&path, MAX_PASSWORD)
            .await?
            .ok_or_else(|| unreadable(std::io::ErrorKind::NotFound))?;
        let text =
            std::str::from_utf8(&text).map_err(|_| unreadable(std::io::ErrorKind::InvalidData))?;
        let password = without_newline(text);
        if password.is_empty() {
            return Err(KeychainError::EmptyFile {
                path,
                variable: self.name(PASSWORD_FILE),
            });
        }
        Ok(Secret::new(password))
    }
}

#[cfg(test)]
mod tests;
