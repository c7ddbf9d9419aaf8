//! All registries of one run: who may be spoken to without certificate checks, which credential goes with
//! which repository, one token for all that a registry is asked.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::authorizer::Authorizer;
use super::host::Host;
use super::repository::RegistryRepository;
use crate::auth::{Candidate, Keychain, Scope};
use crate::hint::Hint;
use crate::spec::{RegistryHost, Repository, limits};
use crate::store::{FailureKind, StoreError};
use crate::sync::Mutex;
use crate::transport::{TlsProfile, Transport};

/// What a run needs a repository for. It decides the scope of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reading.
    Pull,
    /// Writing too.
    Push,
}

/// Which registries are spoken to without certificate checks, and over plain HTTP if they speak no TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Insecure {
    /// None.
    #[default]
    Nobody,
    /// Those that the command names: see [`RegistrySettings::named`].
    Named,
}

/// How the registries of one run are spoken to.
#[derive(Clone, Debug, Default)]
pub struct RegistrySettings {
    /// `--insecure`.
    pub insecure: Insecure,
    /// The registries that the command names; `None`: all that it speaks to. A draft leads to others, whose
    /// certificates are checked whatever was said of its own.
    pub named: Option<BTreeSet<RegistryHost>>,
    /// `--ca-cert`.
    pub ca_cert: Option<PathBuf>,
    /// What the environment says of trust.
    pub tls: TlsProfile,
    /// The most bytes of a manifest.
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
    hosts: Mutex<HashMap<RegistryHost, Arc<Host>>>,
    authorizers: tokio::sync::Mutex<Vec<Arc<Authorizer>>>,
}

impl Registries {
    /// No registry has been spoken to yet.
    pub fn new(transport: Transport, keychain: Keychain, mut settings: RegistrySettings) -> Self {
        if settings.max_manifest == 0 {
            settings.max_manifest = limits::MAX_MANIFEST;
        }
        Self(Arc::new(Inner {
            transport,
            keychain,
            settings,
            hosts: Mutex::default(),
            authorizers: tokio::sync::Mutex::default(),
        }))
    }

    /// A repository that this run will use. Declare all of them before the first request, so that one token
    /// can be asked for all.
    pub async fn repository(
        &self,
        repository: &Repository,
        access: Access,
    ) -> Result<Arc<RegistryRepository>, StoreError> {
        let host = self.host(repository.registry())?;
        let scope = match access {
            Access::Pull => Scope::pull(repository.path()),
            Access::Push => Scope::push(repository.path()),
        };
        let authorizer = self.authorizer(&host, scope).await?;
        Ok(Arc::new(RegistryRepository::new(
            host,
            authorizer,
            repository.clone(),
            self.0.settings.max_manifest,
        )))
    }

    /// Every secret that was read on the way, to be masked in logs.
    pub fn secrets_seen(&self) -> Vec<crate::auth::Secret> {
        self.0.keychain.secrets_seen()
    }

    fn host(&self, registry: &RegistryHost) -> Result<Arc<Host>, StoreError> {
        let mut hosts = self.0.hosts.lock();
        if let Some(host) = hosts.get(registry) {
            return Ok(Arc::clone(host));
        }
        let settings = &self.0.settings;
        let mut tls = settings.tls.clone();
        let is_named = settings.names(registry);
        tls.insecure = is_named && settings.insecure == Insecure::Named;
        tls.ca_cert.clone_from(&settings.ca_cert);
        let host = Host::new(registry.clone(), self.0.transport.clone(), &tls, is_named).map_err(
            |error| {
                StoreError::new(
                    FailureKind::Other,
                    format!("get ready for {registry}"),
                    error.to_string(),
                )
            },
        )?;
        let host = Arc::new(host);
        hosts.insert(registry.clone(), Arc::clone(&host));
        Ok(host)
    }

    /// The authorizer of the credential that belongs to this repository. Repositories of one registry with the
    /// same credential share one, and so one token.
    async fn authorizer(
        &self,
        host: &Arc<Host>,
        scope: Scope,
    ) -> Result<Arc<Authorizer>, StoreError> {
        let registry = host.registry();
        let mut search = self.0.keychain.search(registry, &scope);
        let candidate: Candidate = search
            .next()
            .await
            .map_err(|error| {
                let mut cause = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(link) = source {
                    cause = format!("{cause}: {link}");
                    source = link.source();
                }
                StoreError::new(
                    FailureKind::Unauthorized,
                    format!("find the credentials for {registry}"),
                    cause,
                )
                .hint(Hint::ShowCredentialSearch)
            })?
            .unwrap_or(Candidate {
                credential: crate::auth::Credential::Anonymous,
                origin: crate::auth::Origin::Anonymous,
            });
        let mut authorizers = self.0.authorizers.lock().await;
        if let Some(known) = authorizers
            .iter()
            .find(|known| known.serves(registry, &candidate))
        {
            known.declare(scope);
            return Ok(Arc::clone(known));
        }
        let authorizer = Arc::new(Authorizer::new(Arc::clone(host), candidate, search, scope));
        authorizers.push(Arc::clone(&authorizer));
        Ok(authorizer)
    }
}
