//! What a blob or manifest consists of: bytes in memory, or a pattern that is
//! repeated up to any length, or endlessly, without taking memory.

use bytes::Bytes;

/// How many bytes a pattern yields at a time.
const BLOCK: usize = 64 * 1024;

/// The bytes of a blob or manifest.
#[derive(Clone, Debug)]
pub enum Content {
    /// Kept in memory.
    Bytes(Bytes),
    /// A block repeated until `len` bytes have been sent; endlessly without `len`.
    Repeat {
        /// The block; never empty.
        block: Bytes,
        /// How many bytes there are in all.
        len: Option<u64>,
    },
    /// An upload that was hashed, counted and thrown away: it exists for HEAD and
    /// for manifests that refer to it, but cannot be read.
    Discarded {
        /// How many bytes were uploaded.
        len: u64,
    },
}

impl Content {
    /// `len` bytes that look random and follow from `seed`, without keeping them.
    pub fn virtual_bytes(seed: u64, len: u64) -> Self {
        Self::Repeat {
            block: random_bytes(seed, BLOCK),
            len: Some(len),
        }
    }

    /// Never ends.
    pub fn endless() -> Self {
        Self::Repeat {
            block: Bytes::from(vec![b' '; BLOCK]),
            len: None,
        }
    }

    /// How many bytes there are; `None` if there is no end.
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Repeat { len, .. } => *len,
            Self::Discarded { len } => Some(*len),
        }
    }

    /// Some bytes from offset `at` on; `None` at the end.
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

    /// All bytes, where they are in memory.
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

/// `len` bytes that look random (`SplitMix64`), the same for the same `seed` on every
/// machine, and must not change, since digests in snapshots depend on them.
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
