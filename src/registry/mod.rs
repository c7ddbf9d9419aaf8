//! The distribution API: repositories as places of content. Knows registries, their quirks and how they
//! authorise; the transport below it knows how requests travel.
//!
//! | file | knows |
//! | --- | --- |
//! | `registries` | all registries of one run |
//! | `host` | one registry: its address, and the loop that authorises and retries a call |
//! | `authorizer` | what a credential becomes on the way: Basic, tokens, renewal |
//! | `call` | one request in the terms of the API, and its answer |
//! | `error` | what the answer means to the reader of a log |
//! | `repository` | the operations, as `content::Store` |
//! | `download`, `upload` | blobs |
//! | `referrers` | what refers to a manifest |

mod authorizer;
mod call;
mod download;
mod error;
mod facts;
mod host;
mod referrers;
mod registries;
mod repository;
mod upload;

pub use facts::{Facts, HostFacts};
pub use registries::{Access, Insecure, Registries, RegistrySettings};
pub use repository::RegistryRepository;
