//! All registries of one run, with one client for each registry and credential.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::authorizer::Authorizer;
use super::call::Access;
use super::client::Client;
use super::endpoint::Endpoint;
use super::error::search_failed;
use super::repository::RegistryRepository;
use super::state::RepositoryState;
use crate::auth::{Candidate, Credential, Keychain, Origin, Scope, Secret};
use crate::spec::{RegistryHost, Repository, limits};
use crate::store::{FailureKind, StoreError};
use crate::sync::Mutex;
use crate::transport::{TlsProfile, Transport};

/// The insecure registries: their certificates are not checked, and plain HTTP is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Insecure {
    #[default]
    None,
    /// The registries that the command names: see [`RegistrySettings::named`].
    Named,
}

/// The connection settings for all registries of one run.
#[derive(Clone, Debug, Default)]
pub struct RegistrySettings {
    pub insecure: Insecure,
    /// The registries that the command names, or `None` for all. A draft may refer to others, whose certificates are
    /// always checked.
    pub named: Option<BTreeSet<RegistryHost>>,
    /// The trusted authorities.
    pub tls: TlsProfile,
    /// The size limit of a manifest in bytes; 0 for the default.
    pub max_manifest: u64,
}

impl RegistrySettings {
    fn names(&self, registry: &RegistryHost) -> bool {
        self.named
            .as_ref()
            .is_none_or(|named| named.contains(registry))
    }
}

/// The registries of one run. Cheap to clone.
#[derive(Clone)]
pub struct Registries(Arc<Inner>);

struct Inner {
    transport: Transport,
    keychain: Keychain,
    settings: RegistrySettings,
    endpoints: Mutex<HashMap<RegistryHost, Arc<Endpoint>>>,
    states: Mutex<HashMap<Repository, Arc<RepositoryState>>>,
    clients: tokio::sync::Mutex<Vec<Arc<Client>>>,
}

impl Registries {
    pub fn new(transport: Transport, keychain: Keychain, mut settings: RegistrySettings) -> Self {
        if settings.max_manifest == 0 {
            settings.max_manifest = limits::MAX_MANIFEST;
        }
        Self(Arc::new(Inner {
            transport,
            keychain,
            settings,
            endpoints: Mutex::default(),
            states: Mutex::default(),
            clients: tokio::sync::Mutex::default(),
        }))
    }

    /// Returns a repository. All repositories of a run should be opened before the first request, so that one token can
    /// be requested for all of them.
    pub async fn repository(
        &self,
        repository: &Repository,
        access: Access,
    ) -> Result<Arc<RegistryRepository>, StoreError> {
        let endpoint = self.endpoint(repository.registry())?;
        let scope = match access {
            Access::Pull => Scope::pull(repository.path()),
            Access::Push => Scope::push(repository.path()),
        };
        let client = self.client(endpoint, scope).await?;
        let state = Arc::clone(self.0.states.lock().entry(repository.clone()).or_default());
        let max_manifest = self.0.settings.max_manifest;
        let repository = RegistryRepository::new(client, repository.clone(), max_manifest, state);
        Ok(Arc::new(repository))
    }

    /// Returns all secrets that were read in the search for credentials, to be masked in logs.
    pub fn secrets_to_mask(&self) -> Vec<Secret> {
        self.0.keychain.secrets_to_mask()
    }

    fn endpoint(&self, registry: &RegistryHost) -> Result<Arc<Endpoint>, StoreError> {
        let mut endpoints = self.0.endpoints.lock();
        if let Some(endpoint) = endpoints.get(registry) {
            return Ok(Arc::clone(endpoint));
        }
        let settings = &self.0.settings;
        let is_named = settings.names(registry);
        let tls = TlsProfile {
            insecure: is_named && settings.insecure == Insecure::Named,
            ..settings.tls.clone()
        };
        let endpoint = Endpoint::new(registry.clone(), self.0.transport.clone(), &tls, is_named)
            .map_err(|error| {
                let operation = format!("prepare the connection to {registry}");
                StoreError::new(FailureKind::Other, operation, error)
            })?;
        let endpoint = Arc::new(endpoint);
        endpoints.insert(registry.clone(), Arc::clone(&endpoint));
        Ok(endpoint)
    }

    /// Returns the client with the credential for this scope. Repositories of one registry with the same credential
    /// share a client, and so a token.
    async fn client(
        &self,
        endpoint: Arc<Endpoint>,
        scope: Scope,
    ) -> Result<Arc<Client>, StoreError> {
        let registry = endpoint.registry();
        let mut search = self.0.keychain.search(registry, &scope);
        let found = search
            .first()
            .await
            .map_err(|error| search_failed(registry, error))?;
        let candidate = found.unwrap_or(Candidate {
            credential: Credential::Anonymous,
            origin: Origin::Anonymous,
        });
        let mut clients = self.0.clients.lock().await;
        if let Some(client) = clients
            .iter()
            .find(|client| client.serves(registry, &candidate))
        {
            client.authorizer().declare(scope);
            return Ok(Arc::clone(client));
        }
        let authorizer = Authorizer::new(Arc::clone(&endpoint), candidate, search, scope);
        let client = Arc::new(Client::new(endpoint, authorizer));
        clients.push(Arc::clone(&client));
        Ok(client)
    }
}
