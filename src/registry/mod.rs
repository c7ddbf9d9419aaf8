//! The distribution API: repositories as places of content. Knows registries, their quirks and how they
//! authorise; the transport below it knows how requests travel.
//!
//! | file | knows |
//! | --- | --- |
//! | `registries` | all registries of one run |
//! | `host` | one registry: the loop that authorises and retries a call |
//! | `scheme` | http or https |
//! | `state` | what this run has done to a repository |
//! | `authorizer` | what a credential becomes on the way: Basic, tokens; what a refusal asks for |
//! | `token_client` | the talk with a token server |
//! | `call` | one request in the terms of the API, and its answer |
//! | `error` | what the answer means to the reader of a log |
//! | `repository` | the operations, as `store::Store` |
//! | `manifest`, `tags` | manifests: read, looked up, written; under many tags |
//! | `download`, `upload`, `upload_content` | blobs |
//! | `referrers` | what refers to a manifest |

mod authorizer;
mod call;
mod download;
mod error;
#[doc(hidden)]
pub mod facade;
mod host;
mod link;
mod manifest;
mod redactor;
mod referrers;
mod registries;
mod repository;
mod scheme;
mod state;
mod tags;
mod token_client;
mod upload;
mod upload_content;

pub use registries::{Access, Insecure, Registries, RegistrySettings};
pub use repository::RegistryRepository;
