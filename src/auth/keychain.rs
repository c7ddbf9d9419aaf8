//! The search for credentials: lazily from place to place, every file read and every
//! helper run once for the whole run.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::config::{Config, HelperChoice};
use super::explain::{Explanation, Step};
use super::helper::{self, HELPER_TIMEOUT};
use super::memo::Memo;
use super::places::{self, Place, Source};
use super::{
    Candidate, Credential, HelperError, HelperFailure, KeychainError, Location, Origin, Scope,
    Secret, scoped, variables,
};
use crate::environment::Environment;
use crate::spec::RegistryHost;
use crate::sync::Mutex;

/// All credentials that the environment gives access to. Cheap to clone; clones share
/// what was read.
#[derive(Clone)]
pub struct Keychain {
    shared: Arc<Shared>,
}

struct Shared {
    environment: Environment,
    helper_timeout: Duration,
    configs: Memo<PathBuf, Result<Option<Arc<Config>>, KeychainError>>,
    /// By helper and server.
    helpers: Memo<(String, String), Result<Option<Credential>, HelperFailure>>,
    secrets: Mutex<Vec<Secret>>,
}

impl Keychain {
    /// Reads nothing yet.
    pub fn new(environment: &Environment) -> Self {
        Self {
            shared: Arc::new(Shared {
                environment: environment.clone(),
                helper_timeout: HELPER_TIMEOUT,
                configs: Memo::new(),
                helpers: Memo::new(),
                secrets: Mutex::default(),
            }),
        }
    }

    /// Begins a search for a registry and the repository and actions of `scope`.
    pub fn search(&self, host: &RegistryHost, scope: &Scope) -> Search {
        Search {
            keychain: self.clone(),
            host: host.clone(),
            scope: scope.clone(),
            places: places::all(&self.shared.environment).into(),
            yielded: Vec::new(),
        }
    }

    /// The whole search, helpers of every place included, and what came of it.
    pub async fn explain(&self, host: &RegistryHost, scope: &Scope) -> Explanation {
        let mut search = self.search(host, scope);
        let mut steps = Vec::new();
        while let Some((place, finding)) = search.look_at_next().await {
            match finding {
                Ok(Finding::Elsewhere(places)) => search.look_there_first(places),
                Ok(Finding::Candidate(candidate)) => steps.push(Step::found(place, &candidate)),
                Ok(Finding::Nothing(reason)) => steps.push(Step::nothing(place, reason)),
                Err(error) => steps.push(Step::error(place, &error)),
            }
        }
        Explanation::new(search.host.as_str(), scope, steps)
    }

    /// Every secret that was found so far, by any search, to be masked in CI logs.
    pub fn secrets_seen(&self) -> Vec<Secret> {
        self.secrets().clone()
    }

    fn secrets(&self) -> std::sync::MutexGuard<'_, Vec<Secret>> {
        self.shared.secrets.lock()
    }

    fn remember_secret(&self, credential: &Credential) {
        if let Some(secret) = credential.secret() {
            let mut secrets = self.secrets();
            if !secrets.contains(secret) {
                secrets.push(secret.clone());
            }
        }
    }

    async fn config(&self, path: &Path) -> Result<Option<Arc<Config>>, KeychainError> {
        let read = async { Ok(Config::read(path).await?.map(Arc::new)) };
        self.shared.configs.once(path.to_owned(), read).await
    }

    async fn ask_helper(
        &self,
        name: &str,
        server: &str,
    ) -> Result<Option<Credential>, HelperFailure> {
        let Shared {
            environment,
            helper_timeout,
            ..
        } = &*self.shared;
        let answer = helper::ask(name, server, environment, *helper_timeout);
        let key = (name.to_owned(), server.to_owned());
        self.shared.helpers.once(key, answer).await
    }
}

impl std::fmt::Debug for Keychain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keychain").finish_non_exhaustive()
    }
}

/// A search under way. Nothing of a place is read, and no helper of it run, before the
/// places ahead of it have been given out.
#[derive(Debug)]
pub struct Search {
    keychain: Keychain,
    host: RegistryHost,
    scope: Scope,
    places: VecDeque<Place>,
    yielded: Vec<Credential>,
}

/// What a place had.
enum Finding {
    Candidate(Candidate),
    Nothing(&'static str),
    /// More places, to be looked at now.
    Elsewhere(Vec<Place>),
}

impl Search {
    /// The next candidate, best first; anonymous access is the last, `None` follows it.
    /// A credential that another place gave already is passed over.
    ///
    /// After an error the search can be continued: the place that failed is left out.
    pub async fn next(&mut self) -> Result<Option<Candidate>, KeychainError> {
        while let Some((_, finding)) = self.look_at_next().await {
            match finding? {
                Finding::Elsewhere(places) => self.look_there_first(places),
                Finding::Candidate(candidate) if !self.yielded.contains(&candidate.credential) => {
                    self.yielded.push(candidate.credential.clone());
                    return Ok(Some(candidate));
                }
                Finding::Candidate(_) | Finding::Nothing(_) => {}
            }
        }
        Ok(None)
    }

    fn look_there_first(&mut self, places: Vec<Place>) {
        for place in places.into_iter().rev() {
            self.places.push_front(place);
        }
    }

    async fn look_at_next(&mut self) -> Option<(Place, Result<Finding, KeychainError>)> {
        let place = self.places.pop_front()?;
        let finding = self.look_at(&place).await;
        if let Ok(Finding::Candidate(candidate)) = &finding {
            self.keychain.remember_secret(&candidate.credential);
        }
        Some((place, finding))
    }

    async fn look_at(&self, place: &Place) -> Result<Finding, KeychainError> {
        let environment = &self.keychain.shared.environment;
        let found = match &place.source {
            Source::Variables => {
                variables::find(environment, &self.host, self.scope.repository()).await?
            }
            Source::File(path) => match self.keychain.config(path).await? {
                Some(config) => {
                    self.in_config(&config, &Location::File(path.clone()))
                        .await?
                }
                None => return Ok(Finding::Nothing("no such file")),
            },
            Source::Json(name) => {
                let location = Location::Variable((*name).to_owned());
                let text = environment.var(name).unwrap_or_default();
                let config = Config::parse(text.as_bytes(), &location)?;
                self.in_config(&config, &location).await?
            }
            Source::Scoped(base) => return self.in_scoped(base, place.step).await,
            Source::Ci(provider) if provider.serves(environment, &self.host) => {
                return Ok(match provider.find(environment) {
                    Some(candidate) => Finding::Candidate(candidate),
                    None => Finding::Nothing("not set"),
                });
            }
            Source::Ci(_) => return Ok(Finding::Nothing("not for this registry")),
            Source::Anonymous => Some(Candidate {
                credential: Credential::Anonymous,
                origin: Origin::Anonymous,
            }),
            Source::Absent(reason) => return Ok(Finding::Nothing(reason)),
        };
        Ok(found.map_or(
            Finding::Nothing("nothing for this registry"),
            Finding::Candidate,
        ))
    }

    async fn in_scoped(&self, base: &Path, step: u8) -> Result<Finding, KeychainError> {
        let files = scoped::files(base, &self.host, &self.scope).await?;
        if files.is_empty() {
            return Ok(Finding::Nothing("nothing for this registry"));
        }
        let places = files.into_iter().map(|path| Place::file(step, path));
        Ok(Finding::Elsewhere(places.collect()))
    }

    /// Inside a document: entries of the repository or its namespaces, then the helper of
    /// the registry, then entries of the registry. Where the helper has nothing, an
    /// entry may still be left from the time before there was a helper.
    async fn in_config(
        &self,
        config: &Config,
        location: &Location,
    ) -> Result<Option<Candidate>, KeychainError> {
        if let Some(candidate) = self.in_entries(config, location, true)? {
            return Ok(Some(candidate));
        }
        if let Some(choice) = config.helper(&self.host)
            && let Some(candidate) = self.in_helper(&choice, location).await?
        {
            return Ok(Some(candidate));
        }
        self.in_entries(config, location, false)
    }

    fn in_entries(
        &self,
        config: &Config,
        location: &Location,
        limited: bool,
    ) -> Result<Option<Candidate>, KeychainError> {
        for (key, entry) in config.entries(&self.host, self.scope.repository(), limited) {
            let credential = entry
                .credential()
                .map_err(|problem| KeychainError::BadEntry {
                    location: location.clone(),
                    key: key.to_owned(),
                    problem,
                })?;
            if let Some(credential) = credential {
                return Ok(Some(Candidate {
                    credential,
                    origin: Origin::Entry {
                        location: location.clone(),
                        key: key.to_owned(),
                    },
                }));
            }
        }
        Ok(None)
    }

    async fn in_helper(
        &self,
        choice: &HelperChoice<'_>,
        location: &Location,
    ) -> Result<Option<Candidate>, KeychainError> {
        let program = helper::program_name(choice.name);
        for server in &choice.servers {
            let answer = self
                .keychain
                .ask_helper(choice.name, server)
                .await
                .map_err(|failure| HelperError {
                    program: program.clone(),
                    server: (*server).to_owned(),
                    location: location.clone(),
                    failure,
                })
                .map_err(|error| KeychainError::Helper(Box::new(error)))?;
            if let Some(credential) = answer {
                return Ok(Some(Candidate {
                    credential,
                    origin: Origin::Helper {
                        program,
                        server: (*server).to_owned(),
                        location: location.clone(),
                    },
                }));
            }
        }
        Ok(None)
    }
}

#[cfg(all(test, unix))]
mod tests;
