//! Limits of the search, which together keep the process below 64 MiB.

/// The maximum number of images that are read at the same time.
pub(super) const MAX_PARALLEL_IMAGES: u32 = 4;

/// The maximum ratio of the unpacked size of a layer to its size. Real layers reach about 50.
pub(super) const MAX_UNPACKED_RATIO: u64 = 200;
/// The unpacked size in bytes that is accepted for every layer.
pub(super) const MIN_UNPACKED: u64 = 1 << 30;
/// The maximum unpacked size of all layers of an image in bytes.
pub(super) const MAX_UNPACKED: u64 = 64 << 30;

/// The maximum length of a path and of a link target in bytes: `PATH_MAX` of Linux.
pub(super) const MAX_PATH: usize = 4096;
/// The maximum number of links in one path, as on Linux.
pub(super) const MAX_LINKS: usize = 40;
/// The maximum number of programs in one command: init, shell, script, interpreter.
pub(super) const MAX_PROGRAMS: usize = 8;

/// The memory of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// The maximum number of files, directories and links in all layers.
    pub(super) files: usize,
    /// The maximum total size of the targets of links in bytes.
    pub(super) links: usize,
    /// The maximum window that a frame of zstd may declare, in bytes.
    pub(super) window: u64,
    /// How much of a window is kept in memory, in bytes. It is a power of two, like the buffer size of the decoder.
    pub(super) history: u64,
}

/// The budget of images that are read in parallel. With more files than this, the hash table would double.
pub(super) const SHARED: Budget = Budget {
    files: (1 << 16) / 8 * 7,
    links: 512 << 10,
    window: 8 << 20,
    history: 8 << 20,
};

/// The budget of an image that exceeds [`SHARED`] and is read alone. A whole window of 64 MiB would not fit into the
/// memory of the process.
pub(super) const ALONE: Budget = Budget {
    files: (1 << 19) / 8 * 7,
    links: 4 << 20,
    window: 64 << 20,
    history: 32 << 20,
};
