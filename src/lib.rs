//! `polyarch` publishes multi-platform container images.
//!
//! The library is internal to the program: it makes no semver promise.
//!
//! # Module overview
//!
//! A module may use the modules below it, never one above.
//!
//! | module | content |
//! | --- | --- |
//! | [`cli`] | arguments, rendering, exit codes |
//! | [`ops`] | the operations: publish, copy, check, drafts |
//! | [`report`] | text, JSON, GitHub and GitLab reports of a result |
//! | [`execute`] | plan → stores: blobs, manifests, tags, verification |
//! | [`check`] | checks that everything in an index exists and matches its descriptor |
//! | [`resolve`] | sources → manifests and platforms |
//! | [`sources`] | references, digests, spec files and annotations as the user writes them |
//! | [`stores`] | the open repositories and layouts of one run |
//! | [`plan`] | pure: flatten, filter, annotate, detect conflicts, serialise |
//! | [`binaries`] | the programs in the layers of an image |
//! | [`registry`] | the distribution API: authorisation, manifests, blobs, referrers |
//! | [`draft`] | local lists between `create` and `push` |
//! | [`layout`] | OCI image layouts: directories and archives |
//! | [`auth`] | credentials from files, programs, variables and clouds; challenges, tokens |
//! | [`transport`] | the HTTP client: TLS, connections, redirects, limits, retry |
//! | [`store`] | the interface of a registry or layout, and its error |
//! | [`hint`] | suggestions and facts after an error, as data |
//! | [`interrupt`] | early end of a run by a signal |
//! | [`progress`] | events of a run |
//! | [`disk`] | atomic writes, locks, bounded reads |
//! | [`text`] | text that is safe to show in a terminal or a log |
//! | [`spec`] | OCI and Docker data; no I/O |
//! | [`address`] | loopback and private addresses |
//! | [`environment`] | the process environment as a value |
//! | `sync` | a mutex without poisoning |

pub mod address;
pub mod auth;
pub mod binaries;
pub mod check;
pub mod cli;
pub mod disk;
pub mod draft;
pub mod environment;
pub mod execute;
pub mod hint;
pub mod interrupt;
pub mod layout;
pub mod ops;
pub mod plan;
pub mod progress;
pub mod registry;
pub mod report;
pub mod resolve;
pub mod sources;
pub mod spec;
pub mod store;
pub mod stores;
mod sync;
pub mod text;
pub mod transport;
