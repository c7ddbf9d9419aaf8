//! `polyarch`: one tag, every architecture.
//!
//! The map of the house. Arrows point downwards only: a room may use the rooms
//! below it, never one above.
//!
//! | room | knows |
//! | --- | --- |
//! | [`environment`] | the process environment, as a value |
//! | [`spec`] | OCI and Docker data; no I/O, knows nobody |
//! | [`auth`] | credentials, where they come from, challenges |

pub mod auth;
pub mod environment;
pub mod spec;
