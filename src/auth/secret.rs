//! A string that cannot be printed.

use zeroize::Zeroizing;

use crate::sync::Mutex;

/// A password or token. It has no `Display`, its `Debug` prints stars, and its memory is cleared on drop. Only
/// [`Secret::reveal`] returns the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Every secret that was read, to be masked in logs.
#[derive(Default)]
pub(super) struct SecretLog(Mutex<Vec<Secret>>);

impl SecretLog {
    pub(super) fn add(&self, secret: &Secret) {
        let mut secrets = self.0.lock();
        if !secrets.contains(secret) {
            secrets.push(secret.clone());
        }
    }

    pub(super) fn all(&self) -> Vec<Secret> {
        self.0.lock().clone()
    }
}

/// The message of a deserialisation error may quote the text: show its position only.
impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
