//! Sends one request to one host: chooses a connection, and an alternative if the host does not accept the first
//! choice.

use std::time::Duration;

use super::body::{Activity, Body, Stall};
use super::connections::Held;
use super::dial::Protocol;
use super::error::TransportError;
use super::host_client::{Choice, HostClient, Takes};
use super::request::Request;
use super::wait_meter::WaitMeter;

/// The maximum number of times that a request switches to the shared connection: once because it cannot use a bulk
/// connection, and once because the host no longer speaks HTTP/2.
const MAX_SHARES: u32 = 2;

/// A request that got no response.
struct Failure {
    error: TransportError,
    /// Whether no connection could be opened, so that nothing was sent.
    is_unconnected: bool,
}

/// What to do after a failure.
enum Next {
    GiveUp,
    /// Send the request on the shared connection.
    Share,
    /// Send the request again once another request has released its connection.
    Wait,
}

impl HostClient {
    /// Sends a bulk request on a separate connection, and any other request on the shared one. If the host does not
    /// accept another connection, the request uses the shared one or waits until one is released.
    ///
    /// Also returns the connection if it is not shared.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        idle_timeout: Duration,
        meter: &WaitMeter,
    ) -> Result<(reqwest::Response, Option<Held>), TransportError> {
        let is_read = matches!(request.body, Body::Empty);
        let mut may_be_bulk = request.is_bulk;
        let mut shares = 0;
        loop {
            let mut choice = if may_be_bulk {
                self.for_bulk(is_read)
            } else {
                self.shared()
            };
            if self.needs_connection(&choice) && self.connections.are_exhausted() {
                if matches!(choice.takes, Takes::Bulk(_)) && self.can_share() {
                    choice = self.shared();
                } else if request.holds_another {
                    return Err(self.no_further_connection());
                } else {
                    self.wait_for_connection(idle_timeout).await;
                }
            }
            let held = self
                .needs_connection(&choice)
                .then(|| self.connections.hold());
            let failure = match self.try_once(&choice, request, idle_timeout, meter).await {
                Ok(response) => return Ok((response, held)),
                Err(failure) => failure,
            };
            if shares > 0 && failure.is_unconnected {
                // The host is unavailable. This is not a limit on connections.
                self.connections.clear_limit();
            }
            match self.next(&choice, request, &failure, held) {
                Next::Share if shares < MAX_SHARES => {
                    may_be_bulk = false;
                    shares += 1;
                }
                Next::Wait if request.holds_another => return Err(self.no_further_connection()),
                Next::Wait if self.wait_for_connection(idle_timeout).await => {}
                Next::GiveUp | Next::Share | Next::Wait => return Err(failure.error),
            }
        }
    }

    fn no_further_connection(&self) -> TransportError {
        TransportError::NoFurtherConnection {
            host: self.host.clone(),
        }
    }

    /// Waits until a request to the host releases its connection. Returns `false` if no request holds one, or if none
    /// is released within `timeout`.
    async fn wait_for_connection(&self, timeout: Duration) -> bool {
        let released = self.connections.released();
        tokio::time::timeout(timeout, released)
            .await
            .unwrap_or(false)
    }

    /// Returns whether a request may need a separate connection.
    fn needs_connection(&self, choice: &Choice<'_>) -> bool {
        match choice.takes {
            Takes::Bulk(_) => true,
            Takes::Any => !self.can_share(),
            Takes::OnlyHttp2 => false,
        }
    }

    /// Returns whether requests can share a connection.
    fn can_share(&self) -> bool {
        self.dialer.protocol() == Protocol::Http2
    }

    /// Decides what to do after a failure. A request whose body was read cannot be sent again.
    fn next(
        &self,
        choice: &Choice<'_>,
        request: &Request,
        failure: &Failure,
        held: Option<Held>,
    ) -> Next {
        if request.body.is_spent() {
            return Next::GiveUp;
        }
        match choice.takes {
            Takes::OnlyHttp2 if self.dialer.protocol() == Protocol::Http1 => return Next::Share,
            Takes::Bulk(bulk)
                if matches!(failure.error, TransportError::NoCommonProtocol { .. }) =>
            {
                bulk.note_refusal();
                return Next::Share;
            }
            _ => {}
        }
        if !failure.is_unconnected || !failure.error.is_retryable() {
            return Next::GiveUp;
        }
        let may_wait = held.is_some_and(Held::refused);
        match choice.takes {
            // `Any`: another connection, opened at the same time, turned out to speak HTTP/2.
            Takes::Any | Takes::Bulk(_) if self.can_share() => Next::Share,
            _ if may_wait => Next::Wait,
            _ => Next::GiveUp,
        }
    }

    /// Sends a request on the chosen connection.
    async fn try_once(
        &self,
        choice: &Choice<'_>,
        request: &Request,
        idle_timeout: Duration,
        meter: &WaitMeter,
    ) -> Result<reqwest::Response, Failure> {
        let activity = Activity::new(idle_timeout);
        let whole = match &request.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Empty | Body::Stream { .. } => 0,
        };
        // A registry may need a long time to store a body: one more second for each 10 MiB.
        let timeout = idle_timeout + Duration::from_secs(request.body.len() / (10 << 20));
        let builder = choice
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers_to_send());
        let builder = match &request.body {
            Body::Empty => builder,
            body => builder.body(body.to_reqwest(&activity)),
        };
        let host = &self.host;
        let result = tokio::select! {
            result = builder.send() => result.map_err(|error| Failure {
                is_unconnected: error.is_connect(),
                error: TransportError::from_reqwest(&error, host),
            }),
            stall = activity.stalled(timeout) => Err(Failure {
                is_unconnected: false,
                error: match stall {
                    Stall::Idle(seconds) => TransportError::Timeout { host: host.clone(), seconds },
                    Stall::TooSlow(seconds) => TransportError::TooSlow { host: host.clone(), seconds },
                },
            }),
        };
        let (waited, sent) = activity.total();
        meter.add(waited, whole + sent);
        result
    }
}
