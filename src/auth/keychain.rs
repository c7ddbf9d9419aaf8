//! The search for credentials, source by source. Every file is read and every helper runs at most once in a run.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::cloud::{CloudClient, CloudError, CloudSource, Lookup};
use super::config::{Config, HelperChoice};
use super::explain::{Explanation, Step};
use super::memo::Memo;
use super::places::{self, Place, Source};
use super::secret::SecretLog;
use super::{
    Candidate, Credential, HelperError, HelperFailure, KeychainError, Location, Origin, Scope,
    Secret, helper, process, scoped, variables,
};
use crate::environment::Environment;
use crate::progress::Event;
use crate::spec::RegistryHost;
use crate::text::with_causes;
use crate::transport::Transport;

/// All credentials that the environment gives access to. Cheap to clone; clones share the results.
#[derive(Clone)]
pub struct Keychain {
    shared: Arc<Shared>,
}

struct Shared {
    environment: Environment,
    helper_timeout: Duration,
    configs: Memo<PathBuf, Result<Option<Arc<Config>>, KeychainError>>,
    /// The key is the helper and the server.
    helpers: Memo<(String, String), Result<Option<Credential>, HelperFailure>>,
    secrets: Arc<SecretLog>,
    /// `user:password`, whose base64 form is the `Authorization` header and `auth` in `config.json`.
    pairs: SecretLog,
    /// `None`: clouds are not called.
    cloud: Option<CloudClient>,
    cloud_results: Memo<CloudSource, Result<Lookup<Candidate>, CloudError>>,
}

impl Keychain {
    pub fn new(environment: &Environment) -> Self {
        Self::of(environment, None)
    }

    /// Creates a keychain that includes the credentials of clouds. The clouds are called over `transport`.
    pub fn with_clouds(environment: &Environment, transport: Transport) -> Self {
        Self::of(environment, Some(transport))
    }

    fn of(environment: &Environment, transport: Option<Transport>) -> Self {
        let secrets = Arc::<SecretLog>::default();
        let cloud = transport
            .map(|transport| CloudClient::new(environment, transport, Arc::clone(&secrets)));
        Self {
            shared: Arc::new(Shared {
                environment: environment.clone(),
                helper_timeout: process::TIMEOUT,
                configs: Memo::new(),
                helpers: Memo::new(),
                secrets,
                pairs: SecretLog::default(),
                cloud,
                cloud_results: Memo::new(),
            }),
        }
    }

    /// Begins a search for a registry and the repository and actions of `scope`.
    pub fn search(&self, host: &RegistryHost, scope: &Scope) -> Search {
        Search {
            keychain: self.clone(),
            host: host.clone(),
            scope: scope.clone(),
            places: places::all(&self.shared.environment, host).into(),
            yielded: Vec::new(),
        }
    }

    /// Runs the complete search, helpers included, and returns the result of every source.
    pub async fn explain(&self, host: &RegistryHost, scope: &Scope) -> Explanation {
        let mut search = self.search(host, scope);
        let mut steps = Vec::new();
        while let Some((place, finding)) = search.advance().await {
            match finding {
                Ok(Finding::More(places)) => search.read_next(places),
                Ok(Finding::Candidate(candidate)) => steps.push(Step::found(place, &candidate)),
                Ok(Finding::Nothing(reason)) => steps.push(Step::nothing(place, reason)),
                Err(error) => steps.push(Step::error(place, &error)),
            }
        }
        Explanation::new(search.host.as_str(), scope, steps)
    }

    /// Returns every secret that any search has found so far.
    pub fn secrets_seen(&self) -> Vec<Secret> {
        self.shared.secrets.all()
    }

    /// Returns the secrets to be masked in CI logs: those found so far, alone and together with their user.
    pub fn secrets_to_mask(&self) -> Vec<Secret> {
        let mut all = self.secrets_seen();
        all.extend(self.shared.pairs.all());
        all
    }

    fn remember_secret(&self, credential: &Credential) {
        if let Some(secret) = credential.secret() {
            self.shared.secrets.add(secret);
        }
        if let Credential::Basic { username, password } = credential {
            let pair = format!("{username}:{}", password.reveal());
            self.shared.pairs.add(&Secret::new(pair));
        }
    }

    async fn config(&self, path: &Path) -> Result<Option<Arc<Config>>, KeychainError> {
        let read = async { Ok(Config::read(path).await?.map(Arc::new)) };
        self.shared.configs.once(path.to_owned(), read).await
    }

    /// Calls a cloud once for each source. There is one source for each region.
    async fn cloud(&self, source: &CloudSource) -> Result<Finding, KeychainError> {
        let Some(client) = &self.shared.cloud else {
            return Ok(Finding::nothing("not available"));
        };
        // Boxed, since the large future of a cloud request would otherwise be part of every future of the registry client.
        let find = Box::pin(source.find(client));
        let found = self.shared.cloud_results.once(source.clone(), find).await?;
        Ok(match found {
            Lookup::Found(candidate) => Finding::Candidate(candidate),
            Lookup::Nothing(reason) => Finding::Nothing(reason),
        })
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

/// A search in progress. A source is read only after all sources before it were returned.
pub struct Search {
    keychain: Keychain,
    host: RegistryHost,
    scope: Scope,
    places: VecDeque<Place>,
    yielded: Vec<Credential>,
}

/// The result of one source.
enum Finding {
    Candidate(Candidate),
    Nothing(Cow<'static, str>),
    /// More sources, to be read next.
    More(Vec<Place>),
}

impl Finding {
    fn nothing(reason: &'static str) -> Self {
        Self::Nothing(Cow::Borrowed(reason))
    }
}

impl Search {
    /// Returns the first candidate like [`Search::next`], but does not call a cloud. If the next source is a cloud, the
    /// candidate is [`Credential::Deferred`], and [`Search::next`] then calls the cloud. So these calls do not delay
    /// requests to other registries.
    pub async fn first(&mut self) -> Result<Option<Candidate>, KeychainError> {
        self.until(|place| matches!(place.source, Source::Cloud(_)))
            .await
    }

    /// Returns the next candidate, the best first. Anonymous access is the last one, followed by `None`. A credential
    /// that was returned already is skipped.
    ///
    /// After an error the search can continue; the source that failed is skipped.
    pub async fn next(&mut self) -> Result<Option<Candidate>, KeychainError> {
        self.until(|_| false).await
    }

    /// Returns the next candidate, or a deferred one before the first source that `defers`.
    async fn until(
        &mut self,
        defers: impl Fn(&Place) -> bool,
    ) -> Result<Option<Candidate>, KeychainError> {
        loop {
            if let Some(place) = self.places.front().filter(|place| defers(place)) {
                return Ok(Some(Candidate {
                    credential: Credential::Deferred,
                    origin: Origin::Cloud(place.name.clone()),
                }));
            }
            let Some((place, finding)) = self.advance().await else {
                return Ok(None);
            };
            let finding = match finding {
                Err(KeychainError::Cloud(error)) if !self.scope.allows("push") => {
                    self.skip_cloud(&place, &error);
                    continue;
                }
                finding => finding?,
            };
            match finding {
                Finding::More(places) => self.read_next(places),
                Finding::Candidate(candidate) if !self.yielded.contains(&candidate.credential) => {
                    self.yielded.push(candidate.credential.clone());
                    return Ok(Some(candidate));
                }
                Finding::Candidate(_) | Finding::Nothing(_) => {}
            }
        }
    }

    /// Reports that a cloud did not return a credential. Public content can be read without one.
    fn skip_cloud(&self, place: &Place, error: &CloudError) {
        if let Some(client) = &self.keychain.shared.cloud {
            let message = format!("skipped {}: {}", place.name, with_causes(error));
            client
                .transport()
                .observed()
                .observe(Event::Notice(&message));
        }
    }

    fn read_next(&mut self, places: Vec<Place>) {
        for place in places.into_iter().rev() {
            self.places.push_front(place);
        }
    }

    async fn advance(&mut self) -> Option<(Place, Result<Finding, KeychainError>)> {
        let place = self.places.pop_front()?;
        let finding = self.read(&place).await;
        if let Ok(Finding::Candidate(candidate)) = &finding {
            self.keychain.remember_secret(&candidate.credential);
        }
        Some((place, finding))
    }

    async fn read(&self, place: &Place) -> Result<Finding, KeychainError> {
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
                None => return Ok(Finding::nothing("no such file")),
            },
            Source::Json(name) => {
                let location = Location::Variable((*name).to_owned());
                let text = environment.var(name).unwrap_or_default();
                let config = Config::parse(text.as_bytes(), &location)?;
                self.in_config(&config, &location).await?
            }
            Source::Scoped(base) => return self.in_scoped(base).await,
            Source::Ci(provider) if provider.serves(environment, &self.host) => {
                return Ok(match provider.find(environment) {
                    Some(candidate) => Finding::Candidate(candidate),
                    None => Finding::nothing("not set"),
                });
            }
            Source::Ci(_) => return Ok(Finding::nothing("not for this registry")),
            Source::Anonymous => Some(Candidate {
                credential: Credential::Anonymous,
                origin: Origin::Anonymous,
            }),
            Source::Cloud(source) => return Box::pin(self.keychain.cloud(source)).await,
            Source::Absent(reason) => return Ok(Finding::nothing(reason)),
        };
        Ok(found.map_or(
            Finding::nothing("nothing for this registry"),
            Finding::Candidate,
        ))
    }

    async fn in_scoped(&self, base: &Path) -> Result<Finding, KeychainError> {
        let files = scoped::files(base, &self.host, &self.scope).await?;
        if files.is_empty() {
            return Ok(Finding::nothing("nothing for this registry"));
        }
        let places = files.into_iter().map(Place::file);
        Ok(Finding::More(places.collect()))
    }

    /// Searches a document: entries of the repository or its namespaces, then the helper of the registry, then entries
    /// of the registry, which may be older than the helper.
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
