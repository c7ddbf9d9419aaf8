//! What is known of registries from earlier: nothing secret, nothing that matters for correctness. A wrong
//! fact costs a request, a right one saves a round trip.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::spec::RegistryHost;
use crate::sync::Mutex;

/// What is known of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// It speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// It speaks HTTP/2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http2: Option<bool>,
    /// How it authorises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// It takes several tags in one `PUT` (`OCI-Tag`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub many_tags: Option<bool>,
}

/// How a registry authorises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authorization {
    /// It lets anyone in.
    None,
    /// Name and password with each request.
    Basic,
    /// A token of a token server.
    Bearer {
        /// The address of the token server.
        realm: String,
        /// The name under which it knows the registry.
        service: Option<String>,
    },
}

/// The facts of all registries, shared by one run. Kept between runs by whoever owns a cache.
#[derive(Clone, Debug, Default)]
pub struct Facts(Arc<Mutex<BTreeMap<RegistryHost, HostFacts>>>);

impl Facts {
    /// Starts with what was known before.
    pub fn new(known: BTreeMap<RegistryHost, HostFacts>) -> Self {
        Self(Arc::new(Mutex::new(known)))
    }

    /// What is known of all registries now.
    pub fn all(&self) -> BTreeMap<RegistryHost, HostFacts> {
        self.lock().clone()
    }

    pub(super) fn of(&self, host: &RegistryHost) -> HostFacts {
        self.lock().get(host).cloned().unwrap_or_default()
    }

    pub(super) fn learn(&self, host: &RegistryHost, lesson: impl FnOnce(&mut HostFacts)) {
        lesson(self.lock().entry(host.clone()).or_default());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<RegistryHost, HostFacts>> {
        self.0.lock()
    }
}
