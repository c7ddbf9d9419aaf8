//! Digests as the registry of the tests computes them: independent of the
//! library's own, so that one cannot confirm the other's mistake.

use sha2::{Digest as _, Sha256, Sha512};
use std::fmt::Write as _;

use super::registry::Content;

/// `sha256:<hex>` of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// `sha512:<hex>` of `bytes`.
pub fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex(&Sha512::digest(bytes)))
}

/// Whether `text` is a well-formed sha256 or sha512 digest.
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

/// The digest of `content` in the algorithm that `wanted` names. `None` for
/// content without an end, or whose bytes were not kept.
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

/// A running digest.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Box<Sha256>),
    /// SHA-512.
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// In the algorithm of `digest` (or algorithm name); SHA-256 unless it is sha512.
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

    /// `<algorithm>:<hex>` of what was hashed.
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
