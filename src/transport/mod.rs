//! The one HTTP client: TLS, connections, timeouts, redirects, limits, retry. Knows how requests
//! travel and what must not leave (secrets, other hosts); knows nothing of registries.

mod body;
mod client;
mod dial;
mod error;
mod limiter;
mod redirect;
mod retry;
mod tls;

pub use body::{Body, Response};
pub use client::{Origin, Request, Transport, TransportSettings};
pub use dial::Protocol;
pub use error::{TransportError, clean};
pub use redirect::{RedirectRefused, check_hop, may_carry_authorization};
pub use retry::{Budget, Retries, RetryAfter, is_retryable_status};
pub use tls::{TlsError, TlsProfile};
