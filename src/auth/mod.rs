//! Credentials: where they come from, how they are kept from being printed, and the
//! texts of registry authorisation (challenges, scopes, tokens, realms). Knows no HTTP:
//! the registry room asks for a credential and sends it.
//!
//! | file | knows |
//! | --- | --- |
//! | `places` | the order of the search |
//! | `keychain` | the search itself, and what has been read already |
//! | `variables`, `ci` | the environment variables that hold credentials |
//! | `config`, `scoped` | the files of Docker, buildx and Podman |
//! | `helper` | the `docker-credential-*` programs |
//! | `config_key` | which key of a file belongs to which registry |
//! | `explain` | the whole search as data, for `polyarch auth` |
//! | `challenge`, `scope`, `token_request`, `token`, `realm`, `well_known` | what is said between client and registry |

mod challenge;
mod ci;
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
mod realm;
mod scope;
mod scoped;
mod secret;
mod token;
mod token_request;
mod variables;
mod well_known;

pub use challenge::{Challenge, Scheme, parse_challenges};
pub use credential::{Candidate, Credential};
pub use error::{EntryProblem, HelperError, HelperFailure, KeychainError};
pub use explain::{Explanation, Outcome, Step};
pub use keychain::{Keychain, Search};
pub use origin::{Location, Origin};
pub use realm::{Realm, RealmError};
pub use scope::{Scope, ScopeError};
pub use secret::Secret;
pub use token::{MAX_TOKEN_ANSWER, Token, TokenError};
pub use token_request::{TokenForm, TokenRequest};
pub use variables::secrets_in_variables;
pub use well_known::{WellKnownRealm, well_known_realm};
