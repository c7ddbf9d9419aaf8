//! Digests for the test registry. They are computed without the library, so that a mistake in the library is detected.

use sha2::{Digest as _, Sha256, Sha512};
use std::fmt::Write as _;

use super::registry::Content;

/// Returns the digest `sha256:<hex>` of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Returns the digest `sha512:<hex>` of `bytes`.
pub fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex(&Sha512::digest(bytes)))
}

/// Returns whether `text` is a well-formed sha256 or sha512 digest.
pub fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the digest of `content` in the algorithm that `wanted` names. Returns `None` for endless content, and for
/// content whose bytes were not stored.
pub fn of(content: &Content, wanted: &str) -> Option<String> {
    content.len()?;
    let mut hasher = Hasher::new(wanted);
    let mut at = 0;
    while let Some(chunk) = content.chunk(at) {
        hasher.update(&chunk);
        at += chunk.len() as u64;
    }
    (Some(at) == content.len()).then(|| hasher.finish())
}

/// Computes a digest incrementally.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Box<Sha256>),
    /// SHA-512.
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// Creates a hasher for the algorithm of `digest`, which may also be the name of the algorithm. The default is
    /// SHA-256.
    pub fn new(digest: &str) -> Self {
        if digest.starts_with("sha512") {
            Self::Sha512(Box::default())
        } else {
            Self::Sha256(Box::default())
        }
    }

    /// Hashes further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest `<algorithm>:<hex>`.
    pub fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => format!("sha256:{}", hex(&hasher.finalize())),
            Self::Sha512(hasher) => format!("sha512:{}", hex(&hasher.finalize())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
