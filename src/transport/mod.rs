//! The HTTP client: TLS, connections, timeouts, redirects, limits, retry. Independent of the distribution API.
//!
//! | file | content |
//! | --- | --- |
//! | `settings`, `timeouts`, `proxy`, `tls` | configuration of a run: limits, durations, proxies, trust |
//! | `client`, `request` | sends one request, follows redirects |
//! | `attempt` | sends one request to one host, on a suitable connection |
//! | `host_client`, `bulk` | the clients for one origin: for shared connections, and for large bodies |
//! | `dial`, `connections`, `limiter` | opening connections; how many the host accepts; the number of concurrent requests |
//! | `body`, `response`, `rate` | request bodies, and responses, with limits and a minimum rate |
//! | `error`, `alert` | failures and their causes |
//! | `redirect`, `guarded_resolver` | which URLs and addresses an origin may refer to |
//! | `retry`, `wait_meter` | delays between tries, the retry budget, and the waits that count against it |

mod alert;
mod attempt;
mod body;
mod bulk;
mod client;
mod connections;
mod dial;
mod error;
mod guarded_resolver;
mod host_client;
mod limiter;
mod proxy;
mod rate;
mod redirect;
mod request;
mod response;
mod retry;
mod settings;
mod timeouts;
mod tls;
mod wait_meter;

pub use body::Body;
pub use client::Transport;
pub use dial::Protocol;
pub use error::{ConnectFailure, TransportError};
pub use host_client::authority;
pub use limiter::Permit;
pub use proxy::Proxies;
pub use redirect::{RedirectRefused, check_hop, may_carry_authorization};
pub use request::{Redirects, Request};
pub use response::Response;
pub use retry::{
    Budget, GaveUpAfter, GiveUp, Retries, RetryAfter, RetryDelay, is_retryable_status,
};
pub use settings::TransportSettings;
pub use timeouts::Timeouts;
pub use tls::{TlsError, TlsProfile};
pub use wait_meter::WaitMeter;

/// Bodies of at least this size get separate connections (see [`Request::is_bulk`]). Smaller bodies arrive within one
/// or two round trips on the shared connection; a new connection would take two round trips before the first byte.
pub const BULK_SIZE: u64 = 1 << 20;
