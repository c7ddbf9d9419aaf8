//! The test registry itself, driven by a plain client: what the other tests rely on
//! is shown here.

mod client;
mod storage;
