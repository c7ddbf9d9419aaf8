//! Tests of the test registry with a minimal client. They check the behaviour that the other tests depend on.

mod auth;
mod client;
mod faults;
mod proxy;
mod reading;
mod storage;
mod transport;
mod uploads;
