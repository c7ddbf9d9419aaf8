//! The content of a blob or manifest: bytes in memory, or a pattern that is repeated up to any length, or endlessly,
//! without using memory for it.

use bytes::Bytes;

/// The size of a piece of a pattern, in bytes.
const BLOCK: usize = 64 * 1024;

/// The bytes of a blob or manifest.
#[derive(Clone, Debug)]
pub enum Content {
    /// Kept in memory.
    Bytes(Bytes),
    /// A block that is repeated until `len` bytes were sent, or endlessly if `len` is `None`.
    Repeat {
        /// The block; never empty.
        block: Bytes,
        /// The total number of bytes.
        len: Option<u64>,
    },
    /// An upload that was hashed and counted but not stored. HEAD and manifests that refer to it find it, but it cannot
    /// be read.
    Discarded {
        /// The number of uploaded bytes.
        len: u64,
    },
}

impl Content {
    /// Creates `len` pseudo-random bytes that depend on `seed`, without storing them.
    pub fn virtual_bytes(seed: u64, len: u64) -> Self {
        Self::Repeat {
            block: random_bytes(seed, BLOCK),
            len: Some(len),
        }
    }

    /// Creates endless content.
    pub fn endless() -> Self {
        Self::Repeat {
            block: Bytes::from(vec![b' '; BLOCK]),
            len: None,
        }
    }

    /// Returns the number of bytes, or `None` for endless content.
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Repeat { len, .. } => *len,
            Self::Discarded { len } => Some(*len),
        }
    }

    /// Returns some bytes from offset `at` on, or `None` at the end.
    pub fn chunk(&self, at: u64) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(at).ok()?;
                let end = bytes.len().min(start.saturating_add(BLOCK));
                (start < end).then(|| bytes.slice(start..end))
            }
            Self::Repeat { block, len } => {
                let left = len.map_or(u64::MAX, |len| len.saturating_sub(at));
                let from = usize::try_from(at % block.len() as u64).ok()?;
                let size = usize::try_from(left)
                    .unwrap_or(BLOCK)
                    .min(block.len() - from);
                (size > 0).then(|| block.slice(from..from + size))
            }
            Self::Discarded { .. } => None,
        }
    }

    /// Returns all bytes if they are in memory.
    pub fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::Repeat { .. } | Self::Discarded { .. } => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// Returns `len` pseudo-random bytes (`SplitMix64`), which are the same for the same `seed` on every machine. The
/// algorithm must not change, since digests in snapshots depend on it.
pub fn random_bytes(seed: u64, len: usize) -> Bytes {
    let mut state = seed;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out.extend((word ^ (word >> 31)).to_le_bytes());
    }
    out.truncate(len);
    out.into()
}
