//! A client in an isolated environment: an empty home, only the variables that a test sets, short pauses, and a record
//! of all events.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use polyarch::{
    auth::Keychain,
    environment::Environment,
    progress::{Event, Observer},
    registry::{Access, Insecure, Registries, RegistryRepository, RegistrySettings},
    spec::{Descriptor, Digest, Manifest, MediaType, Repository},
    store::{ManifestName, Store, StoreError},
    transport::{Proxies, Timeouts, TlsProfile, Transport, TransportSettings},
};
use tempfile::TempDir;

use crate::support::registry::{Registry, tls};

/// Short timeouts, so that failures are detected soon.
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    idle: Duration::from_secs(3),
    first_pause: Duration::from_millis(1),
};

/// The settings of a client.
pub(super) struct Builder {
    variables: Vec<(String, String)>,
    pub(super) jobs: usize,
    pub(super) retry_for: Duration,
    pub(super) timeouts: Timeouts,
    pub(super) insecure: Insecure,
    /// Whether the authority of the tests is trusted.
    pub(super) trusts_tests: bool,
    ca: String,
    pub(super) certs_d: Vec<PathBuf>,
    pub(super) max_manifest: u64,
    home: TempDir,
}

/// A client.
pub(super) struct Client {
    registries: Registries,
    pub(super) events: Arc<Events>,
    _home: TempDir,
}

/// All events.
#[derive(Default)]
pub(super) struct Events(Mutex<Vec<String>>);

impl Events {
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Returns the messages of a kind: `notice`, `warning`, `waiting`.
    pub(super) fn of(&self, kind: &str) -> Vec<String> {
        let mut all = self.all();
        all.retain(|line| line.starts_with(kind));
        all
    }
}

impl Observer for Events {
    fn observe(&self, event: Event<'_>) {
        let line = match event {
            Event::Notice(text) => format!("notice {text}"),
            Event::Warning(text) => format!("warning {text}"),
            Event::Waiting {
                doing,
                cause,
                delay,
            } => format!("waiting {delay:?} {doing}: {cause}"),
            Event::Request {
                method,
                url,
                outcome,
                ..
            } => format!("request {method} {url} {outcome}"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            variables: Vec::new(),
            jobs: 16,
            retry_for: Duration::from_secs(5),
            timeouts: TIMEOUTS,
            insecure: Insecure::None,
            trusts_tests: false,
            ca: tls::ca_pem(),
            certs_d: Vec::new(),
            max_manifest: 0,
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Creates settings that trust this registry.
    pub(super) fn of(registry: &Registry) -> Self {
        let mut builder = Self::new();
        builder.trusts_tests = registry.url().starts_with("https");
        builder
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Sets the content of the CA file.
    pub(super) fn ca(mut self, pem: &str) -> Self {
        self.ca = pem.into();
        self
    }

    pub(super) fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub(super) fn retry_for(mut self, time: Duration) -> Self {
        self.retry_for = time;
        self
    }

    pub(super) fn silence(mut self, time: Duration) -> Self {
        self.timeouts.idle = time;
        self
    }

    pub(super) fn insecure(mut self) -> Self {
        self.insecure = Insecure::Named;
        self.trusts_tests = false;
        self
    }

    /// Adds the credentials of `docker login`.
    pub(super) fn login(self, registry: &Registry, user: &str, password: &str) -> Self {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        self.docker_config(&format!(
            r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#,
            registry.host()
        ))
    }

    /// Adds an identity token.
    pub(super) fn identity_token(self, registry: &Registry, token: &str) -> Self {
        let auth = STANDARD.encode("<token>:");
        self.docker_config(&format!(
            r#"{{"auths": {{"{}": {{"auth": "{auth}", "identitytoken": "{token}"}}}}}}"#,
            registry.host()
        ))
    }

    pub(super) fn docker_config(self, json: &str) -> Self {
        let dir = self.home().join(".docker");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.json"), json).unwrap();
        self
    }

    /// Writes the CA file.
    pub(super) fn ca_file(&self) -> PathBuf {
        let path = self.home().join("ca.pem");
        std::fs::write(&path, &self.ca).unwrap();
        path
    }

    pub(super) fn build(self) -> Client {
        let home = self.home().to_str().unwrap().to_owned();
        let environment: Environment = self
            .variables
            .iter()
            .cloned()
            .chain([("HOME".to_owned(), home)])
            .collect();
        let events = Arc::new(Events::default());
        let tls = TlsProfile {
            certs_d: self.certs_d.clone(),
            ..TlsProfile::of_environment(&environment)
        };
        let transport = Transport::new(
            TransportSettings {
                jobs: self.jobs,
                retry_for: self.retry_for,
                tls: tls.clone(),
                proxies: Proxies::of_environment(&environment),
                timeouts: self.timeouts,
            },
            Arc::clone(&events) as _,
        );
        let settings = RegistrySettings {
            insecure: self.insecure.clone(),
            named: None,
            tls: TlsProfile {
                ca_cert: self.trusts_tests.then(|| self.ca_file()),
                ..tls
            },
            max_manifest: self.max_manifest,
        };
        let keychain = Keychain::new(&environment);
        Client {
            registries: Registries::new(transport, keychain, settings),
            events,
            _home: self.home,
        }
    }
}

impl Client {
    /// Creates a client that trusts this registry, without credentials.
    pub(super) fn of(registry: &Registry) -> Self {
        Builder::of(registry).build()
    }

    pub(super) async fn pull(&self, registry: &Registry, path: &str) -> Arc<RegistryRepository> {
        self.open(&format!("{}/{path}", registry.host()), Access::Pull)
            .await
            .unwrap()
    }

    pub(super) async fn push(&self, registry: &Registry, path: &str) -> Arc<RegistryRepository> {
        self.open(&format!("{}/{path}", registry.host()), Access::Push)
            .await
            .unwrap()
    }

    pub(super) async fn open(
        &self,
        name: &str,
        access: Access,
    ) -> Result<Arc<RegistryRepository>, StoreError> {
        let repository: Repository = name.parse().unwrap();
        self.registries.repository(&repository, access).await
    }
}

pub(super) fn tag(text: &str) -> ManifestName {
    ManifestName::Tag(text.parse().unwrap())
}

pub(super) fn digest(text: &str) -> ManifestName {
    ManifestName::Digest(text.parse().unwrap())
}

/// Returns the manifest of an image in a test registry as if the client had read it.
pub(super) fn manifest(loaded: &crate::support::image::Loaded) -> Manifest {
    let media_type = MediaType::new(&loaded.media_type);
    Manifest::parse(loaded.bytes.clone(), &media_type).unwrap()
}

pub(super) fn descriptor(digest: &str, size: u64) -> Descriptor {
    let digest: Digest = digest.parse().unwrap();
    Descriptor::new(MediaType::new("application/octet-stream"), digest, size)
}

/// Reads a blob to its end.
pub(super) async fn read_all(
    store: &dyn Store,
    blob: &Descriptor,
    offset: u64,
) -> Result<Vec<u8>, StoreError> {
    use futures_util::StreamExt as _;
    let mut pieces = store.open_blob(blob, offset).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// Panics if the work does not end in time.
pub(super) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("it hangs")
}
