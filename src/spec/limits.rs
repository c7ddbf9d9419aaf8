//! Limits on input and output that several modules share. A limit of one module is defined in that module.

/// The largest manifest or index that is read by default and the largest that is written, in bytes. Registries must
/// accept this size and may refuse more:
/// <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests>.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// The largest image config that is read, in bytes.
pub const MAX_CONFIG: u64 = 4 << 20;
/// The maximum number of entries of an index.
pub const MAX_INDEX_ENTRIES: usize = 10_000;
/// How deep indexes may be nested.
pub const MAX_INDEX_DEPTH: usize = 3;
/// The deepest nesting of JSON that is read. Go's limit is 10,000; real documents have about ten levels.
pub const MAX_JSON_DEPTH: usize = 64;
/// The longest field of a platform, in bytes.
pub const MAX_PLATFORM_FIELD: usize = 256;
/// The maximum number of `os.features` of a platform.
pub const MAX_OS_FEATURES: usize = 64;
/// The total size of the annotations and URLs of a descriptor, in bytes.
pub const MAX_DESCRIPTOR_TEXT: usize = 64 << 10;
/// The largest extension header (PAX or GNU) of a tar archive, in bytes. Typical headers have a few hundred bytes.
pub const MAX_TAR_EXTENSION: u64 = 1 << 20;
