//! Credentials and registry authorisation.
//!
//! | file | content |
//! | --- | --- |
//! | `places` | the sources of credentials, in order |
//! | `keychain` | the search |
//! | `variables`, `ci` | environment variables |
//! | `config`, `scoped` | files of Docker, buildx and Podman |
//! | `helper`, `process` | `docker-credential-*` programs |
//! | `cloud` | credentials of AWS, Google and Azure |
//! | `config_key` | matches keys of files with registries |
//! | `explain` | the result of every source, for `polyarch auth` |
//! | `challenge`, `scope`, `token_request`, `token`, `realm`, `well_known` | the token protocol |

mod challenge;
mod ci;
mod cloud;
mod config;
mod config_key;
mod credential;
mod error;
mod explain;
#[doc(hidden)]
pub mod facade;
mod file;
#[cfg(all(test, unix))]
mod fixture;
mod helper;
mod keychain;
mod memo;
mod origin;
mod places;
mod process;
mod realm;
mod scope;
mod scoped;
mod secret;
mod secret_variables;
mod token;
mod token_request;
mod variables;
mod well_known;

pub use challenge::{Challenge, Scheme, parse_challenges};
pub use cloud::{CloudError, ecr_region, needed_grant};
pub use credential::{Candidate, Credential};
pub use error::{EntryProblem, HelperError, KeychainError};
pub use explain::{Explanation, Outcome, Step};
pub use file::FileError;
pub use keychain::{Keychain, Search};
pub use origin::{Location, Origin};
pub use process::HelperFailure;
pub use realm::{Realm, RealmError, TokenServer};
pub use scope::{Scope, ScopeError};
pub use secret::Secret;
pub use token::{MAX_TOKEN_ANSWER, Token, TokenError};
pub use token_request::TokenRequest;
pub use variables::secrets_in_variables;
pub use well_known::known_token_server;

/// Returns whether a text consists of the characters of a part of a host name.
fn is_label(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_part)
}
