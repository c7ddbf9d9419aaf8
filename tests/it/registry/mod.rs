//! The test registry itself, driven by a plain client: what the other tests rely on
//! is shown here.

mod auth;
mod client;
mod faults;
mod proxy;
mod reading;
mod storage;
mod transport;
mod uploads;
