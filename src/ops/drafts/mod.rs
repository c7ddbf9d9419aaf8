//! The operations on drafts, the local lists of `docker manifest`.

mod annotate;
mod create;
mod plan;
mod push;
mod remove;

pub use annotate::{Edit, annotate};
pub use create::{CreateOptions, Existing, create};
pub use plan::{find, names, preview};
pub use push::{PushOptions, PushReport, push};
pub use remove::remove;
