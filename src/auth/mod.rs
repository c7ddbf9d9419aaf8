//! Credentials: where they come from and how they are kept from being printed.
//! Knows no HTTP: the registry room asks for a credential and sends it.

mod secret;

pub use secret::Secret;
