//! The one HTTP client: TLS, connections, timeouts, redirects, limits, retry. Knows how requests
//! travel and what must not leave (secrets, other hosts); knows nothing of registries.
//!
//! | file | knows |
//! | --- | --- |
//! | `settings`, `proxy`, `tls` | what a run allows: patience, ways out, trust |
//! | `client`, `host_client` | the way of one request; the way to one host |
//! | `dial`, `limiter` | connections, and how many requests at once |
//! | `body`, `error`, `alert` | what comes back, and what can go wrong |
//! | `redirect` | where a request may be sent on to |
//! | `retry` | when to try again |

mod alert;
mod body;
mod client;
mod dial;
mod error;
mod guarded_resolver;
mod host_client;
mod limiter;
mod proxy;
mod redirect;
mod retry;
mod settings;
mod tls;

pub use body::{Body, Response};
pub use client::{Request, Transport};
pub use dial::Protocol;
pub use error::TransportError;
pub use proxy::Proxies;
pub use redirect::{RedirectRefused, check_hop, may_carry_authorization};
pub use retry::{Budget, Retries, RetryAfter, is_retryable_status};
pub use settings::{Timeouts, TransportSettings};
pub use tls::{TlsError, TlsProfile};
