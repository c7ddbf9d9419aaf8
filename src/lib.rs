//! `polyarch`: one tag, every architecture.
//!
//! The map of the house. Arrows point downwards only: a room may use the rooms
//! below it, never one above.
//!
//! | room | knows |
//! | --- | --- |
//! | [`cli`] | arguments in, exit code out: the only one that knows everybody |
//! | [`report`] | what people and programs are shown |
//! | [`execute`] | plan → places: blobs, manifests, tags, read back |
//! | [`resolve`] | sources → what the planner needs to know of them |
//! | [`sources`] | what people write for `publish`, as data |
//! | [`stores`] | the places of one run, opened once each |
//! | [`plan`] | pure: flatten, filter, annotate, detect conflicts, serialise |
//! | [`registry`] | the distribution API: hosts, authorisation, manifests, blobs |
//! | [`draft`] | local lists between `create` and `push` |
//! | [`layout`] | OCI image layouts on disk, as source and as target |
//! | [`transport`] | the one HTTP client: TLS, connections, redirects, limits, retry |
//! | [`store`] | the interface of a registry or layout, and its error |
//! | [`auth`] | credentials, where they come from, challenges |
//! | [`hint`] | what to try after an error, as data |
//! | [`interrupt`] | somebody wants the run to end early |
//! | [`progress`] | what happens on the way, told to whoever shows it |
//! | [`disk`] | files: atomic writes, locks, bounded reads |
//! | [`text`] | text that is safe to show in a terminal or a log |
//! | [`spec`] | OCI and Docker data; no I/O, knows nobody |
//! | [`address`] | which hosts are inside: this machine, a private network |
//! | [`environment`] | the process environment, as a value |
//! | `sync` | a mutex without poisoning |

pub mod address;
pub mod auth;
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
