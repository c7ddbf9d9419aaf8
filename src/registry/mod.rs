//! The distribution API: repositories as stores of content. The transport sends single requests; this module implements
//! the API, authorization, and workarounds for registries. Each file uses only the files below it in this table.
//!
//! | file | content |
//! | --- | --- |
//! | `registries` | all registries of one run |
//! | `store` | a repository as a `store::Store` |
//! | `referrers` | the list of referrers of a manifest |
//! | `tags` | one manifest under many tags |
//! | `manifests` | manifests: read, looked up, written |
//! | `uploads`, `upload_content` | blobs: uploaded |
//! | `blobs` | blobs: looked up, mounted, downloaded |
//! | `repository`, `state` | a repository, and what this run has done in it |
//! | `client` | calls: authorized, sent, retried |
//! | `refusal` | new credentials for a call that was refused |
//! | `authorizer`, `tokens`, `token_client` | the `Authorization` header of a call |
//! | `endpoint`, `scheme` | one registry, and single requests to it |
//! | `error`, `error_body`, `redactor` | the errors of calls |
//! | `call`, `answer`, `link`, `warning` | requests and answers as data |

mod answer;
mod authorizer;
mod blobs;
mod call;
mod client;
mod endpoint;
mod error;
mod error_body;
#[doc(hidden)]
pub mod facade;
mod link;
mod manifests;
mod redactor;
mod referrers;
mod refusal;
mod registries;
mod repository;
mod scheme;
mod state;
mod store;
mod tags;
mod token_client;
mod tokens;
mod upload;
mod upload_content;
mod uploads;
mod warning;

pub use call::Access;
pub use registries::{Insecure, Registries, RegistrySettings};
pub use repository::RegistryRepository;
