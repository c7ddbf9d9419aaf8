//! The registry client against the test registry, through the interface that other modules use: `store::Store`.

mod alerts;
mod auth;
mod blobs;
mod certs_d;
mod counts;
mod credential_safety;
mod faults;
mod fixture;
mod manifests;
mod peculiar;
mod proxy;
mod referrers;
mod schemes;
mod tags;
mod uploads;
mod waits;

use polyarch::report::Wording;
use polyarch::store::StoreError;

/// Returns the hints of an error as a command line shows them.
fn shown_hints(error: &StoreError) -> String {
    Wording::default().render_all(&error.hints).join("\n")
}
