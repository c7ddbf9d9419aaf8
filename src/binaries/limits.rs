//! Limits of the search, which together keep the process below 64 MiB.

/// The most images that are read at the same time.
pub(super) const IMAGES_AT_ONCE: u32 = 4;

/// A layer that unpacks to more than this many times its size is a bomb; real ones reach about 50.
pub(super) const MAX_UNPACKED_RATIO: u64 = 200;
/// What a layer may unpack to whatever its size, in bytes.
pub(super) const MIN_UNPACKED: u64 = 1 << 30;
/// What the layers of an image may unpack to, in bytes.
pub(super) const MAX_UNPACKED: u64 = 64 << 30;

/// The longest path and link target, in bytes: `PATH_MAX` of Linux.
pub(super) const MAX_PATH: usize = 4096;
/// The most links of one path: that of Linux.
pub(super) const MAX_LINKS: usize = 40;
/// How many programs a command is followed through: init, shell, script, interpreter.
pub(super) const MAX_PROGRAMS: usize = 8;

/// The memory of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// The most files, directories and links of all layers.
    pub(super) files: usize,
    /// The total size of the targets of links, in bytes.
    pub(super) links: usize,
    /// The largest window of zstd, in bytes.
    pub(super) window: u64,
}

/// For images that are read together. The number of files is where the hash table doubles.
pub(super) const SHARED: Budget = Budget {
    files: (1 << 16) / 8 * 7,
    links: 512 << 10,
    window: 8 << 20,
};

/// For an image that exceeds [`SHARED`] and is read alone.
pub(super) const ALONE: Budget = Budget {
    files: (1 << 19) / 8 * 7,
    links: 4 << 20,
    window: 32 << 20,
};
