//! The binary from outside: what a person sees, what a pipeline gets, and what is left behind.

mod bench;
mod credentials;
mod errors;
mod hostile;
mod lists;
mod looks;
mod retags;
mod runner;
mod schema;
mod siege;
mod surroundings;
mod trust;
