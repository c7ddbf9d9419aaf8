//! The commands of the binary: output, exit codes, and what remains in the home directory and in registries.

mod audit;
mod credentials;
mod drafts;
mod environment;
mod errors;
mod github;
mod hostile;
mod insecure;
mod inspect;
mod lists;
mod retags;
mod schema;
