//! The registry client against the test registry, through the interface that the rest of the
//! house sees: `content::Store`.

mod alerts;
mod auth;
mod blobs;
mod certs_d;
mod counts;
mod credential_safety;
mod faults;
mod manifests;
mod memory;
mod proxy;
mod referrers;
mod room;
mod schemes;
mod tags;
mod uploads;
