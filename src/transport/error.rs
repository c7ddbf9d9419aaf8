//! Failures of a request, with causes that are safe to print.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::alert;
use super::guarded_resolver::InternalName;
use super::redirect::RedirectRefused;
use super::retry::{GiveUp, RetryDelay};
use super::tls::is_ca_certificate;
use crate::text::clean;

/// The maximum size of the headers of a response, in bytes.
pub(super) const MAX_HEAD: u64 = 64 << 10;

/// Why a request has no usable response. Hosts include the port if it is not the default one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        host: String,
        cause: String,
        kind: ConnectFailure,
    },
    /// An environment variable does not contain a usable proxy URL. Its value may contain a password.
    #[error("{variable} is not the URL of a proxy (http, https, socks5 or socks5h)")]
    Proxy { variable: &'static str },
    #[error("{host} does not speak TLS")]
    NotTls { host: String },
    /// A certificate that is not trusted, or a handshake that cannot succeed.
    #[error("TLS error with {host}: {cause}")]
    Tls { host: String, cause: String },
    /// The host ended the connection with a TLS alert that a retry cannot change.
    #[error("{host} refused {what} (alert: {alert})")]
    Refused {
        host: String,
        what: &'static str,
        alert: String,
    },
    #[error("{host} supports none of the offered HTTP versions")]
    NoCommonProtocol { host: String },
    /// The host accepts no further connection, and the request may not wait for one.
    #[error("{host} accepts no further connection for the upload")]
    NoFurtherConnection { host: String },
    #[error("no answer from {host} for {seconds} s")]
    Timeout { host: String, seconds: u64 },
    #[error("{host} transferred less than 1 KiB/s for {seconds} s")]
    TooSlow { host: String, seconds: u64 },
    /// The connection ended early, or its content was not HTTP.
    #[error("the connection to {host} was interrupted: {cause}")]
    Broken { host: String, cause: String },
    /// A body or head over its limit, in bytes.
    #[error("{host} sent more than {limit} bytes of {what}")]
    TooLarge {
        host: String,
        what: &'static str,
        limit: u64,
    },
    /// The total size of the bodies that the run reads at the same time exceeds the limit.
    #[error("the response of {host} and other concurrent responses exceed {limit} MiB in total")]
    TooMuchAtOnce { host: String, limit: u64 },
    #[error(transparent)]
    Redirect(#[from] RedirectRefused),
    /// The source of a request body failed.
    #[error("{0}")]
    Source(String),
    /// The last failure, and why there is no further try.
    #[error("{cause} ({reason})")]
    GaveUp { cause: String, reason: GiveUp },
}

/// Why no connection could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFailure {
    UnknownHost,
    /// The port is closed, there is no route, or the name servers fail.
    Unavailable {
        /// The remaining time for which a host that has never accepted a connection is tried.
        retry_within: Option<Duration>,
    },
    Other,
}

impl TransportError {
    /// Returns the values that decide how long to wait after this failure.
    pub fn delay(&self) -> RetryDelay {
        let (lost, longest) = match self {
            Self::Timeout { seconds, .. } | Self::TooSlow { seconds, .. } => {
                (Duration::from_secs(*seconds), None)
            }
            Self::Connect {
                kind: ConnectFailure::Unavailable { retry_within },
                ..
            } => (Duration::ZERO, *retry_within),
            _ => (Duration::ZERO, None),
        };
        RetryDelay {
            retry_after: None,
            lost,
            longest,
        }
    }

    /// Returns whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::TooSlow { .. }
            | Self::Broken { .. }
            | Self::TooMuchAtOnce { .. }
            | Self::NoFurtherConnection { .. }
            | Self::NoCommonProtocol { .. } => true,
            Self::Connect { kind, .. } => *kind != ConnectFailure::UnknownHost,
            Self::NotTls { .. }
            | Self::Tls { .. }
            | Self::Refused { .. }
            | Self::Proxy { .. }
            | Self::TooLarge { .. }
            | Self::Redirect(_)
            | Self::Source(_)
            | Self::GaveUp { .. } => false,
        }
    }

    /// Creates the error for slow responses that exceed the retry budget.
    pub(super) fn slow(host: &str, reason: GiveUp) -> Self {
        Self::GaveUp {
            cause: format!("{host} responds too slowly"),
            reason,
        }
    }

    pub(super) fn too_large_head(host: &str) -> Self {
        Self::TooLarge {
            host: host.to_owned(),
            what: "headers",
            limit: MAX_HEAD,
        }
    }

    /// Converts the error of a request to `host`. Walks the whole chain of causes, since the outer ones are only
    /// "error sending request".
    pub(super) fn from_reqwest(error: &reqwest::Error, host: &str) -> Self {
        let host = host.to_owned();
        let mut causes = Vec::new();
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(link) = next {
            if let Some(failed) = link.downcast_ref::<SourceFailed>() {
                return Self::Source(failed.0.clone());
            }
            if let Some(InternalName(name)) = link.downcast_ref::<InternalName>() {
                return RedirectRefused::Internal(clean(name, 200)).into();
            }
            if let Some(tls) = link.downcast_ref::<rustls::Error>() {
                return match tls {
                    rustls::Error::InvalidMessage(_) => Self::NotTls { host },
                    rustls::Error::AlertReceived(alert) => Self::from_alert(*alert, host),
                    other => Self::Tls {
                        host,
                        cause: clean(&describe_tls(other), 300),
                    },
                };
            }
            if let Some(alert) = alert::in_http2_error(link) {
                return Self::from_alert(alert, host);
            }
            if error.is_request() && is_too_large_head(link) {
                return Self::too_large_head(&host);
            }
            causes.push(link);
            next = cause_of(link);
        }
        let root = causes.last().map_or_else(String::new, ToString::to_string);
        let cause = clean(&root, 200);
        if error.is_connect() {
            if is_broken_handshake(&causes) {
                return Self::Broken { host, cause };
            }
            let is_dns = causes
                .iter()
                .any(|link| link.to_string().contains("dns error"));
            let kind = if is_dns && is_unknown_name(&cause) {
                ConnectFailure::UnknownHost
            } else if is_dns || has_io_kind(&causes, &UNAVAILABLE) {
                ConnectFailure::Unavailable { retry_within: None }
            } else {
                ConnectFailure::Other
            };
            return Self::Connect { host, cause, kind };
        }
        Self::Broken { host, cause }
    }

    fn from_alert(alert: rustls::AlertDescription, host: String) -> Self {
        let named = alert::words(alert);
        if alert == rustls::AlertDescription::NoApplicationProtocol {
            return Self::NoCommonProtocol { host };
        }
        match alert::refused(alert) {
            Some(what) => Self::Refused {
                host,
                what,
                alert: named,
            },
            None => Self::Broken {
                host,
                cause: format!("TLS alert: {named}"),
            },
        }
    }
}

/// The failures of a connection that the system reports without delay.
const UNAVAILABLE: [io::ErrorKind; 3] = [
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkUnreachable,
];

/// Returns whether the system reports that the host does not exist, as opposed to a failure of a name server. The texts
/// are from glibc, musl and macOS.
fn is_unknown_name(cause: &str) -> bool {
    [
        "not known",
        "does not resolve",
        "nodename nor servname",
        "No address associated",
        "Name has no usable address",
    ]
    .iter()
    .any(|text| cause.contains(text))
}

/// The error of a request body whose source failed. It passes through the HTTP stack, which distinguishes it from a
/// broken connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct SourceFailed(pub(super) String);

/// Returns the cause of an error. An `io::Error` hides the error that it wraps from `source()`.
fn cause_of<'a>(link: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match link.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => link.source(),
    }
}

/// Matches the texts of hyper (HTTP/1.1) and h2 for an error before the body: they have no error type for a head over
/// the limit.
fn is_too_large_head(link: &(dyn Error + 'static)) -> bool {
    let text = link.to_string();
    text.contains("message head is too large")
        || text == "stream error detected: unspecific protocol error detected"
        || text.contains("too_many_continuations")
}

/// Returns whether the connection was accepted and then closed: the host may be starting or stopping.
fn is_broken_handshake(causes: &[&(dyn Error + 'static)]) -> bool {
    let kinds = [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionAborted,
    ];
    has_io_kind(causes, &kinds)
}

fn has_io_kind(causes: &[&(dyn Error + 'static)], kinds: &[io::ErrorKind]) -> bool {
    causes.iter().any(|link| {
        link.downcast_ref::<io::Error>()
            .is_some_and(|error| kinds.contains(&error.kind()))
    })
}

fn describe_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "the certificate is signed by an unknown authority".to_owned()
        }
        rustls::Error::InvalidCertificate(certificate) if is_ca_certificate(certificate) => {
            "the certificate is a CA certificate, which is not trusted for a server".to_owned()
        }
        rustls::Error::InvalidCertificate(
            Certificate::Expired | Certificate::ExpiredContext { .. },
        ) => "the certificate has expired".to_owned(),
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "the certificate is for another host name".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::transport::TlsProfile;

    /// A resolver whose name servers do not answer.
    struct FailingNameServer;

    impl reqwest::dns::Resolve for FailingNameServer {
        fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
            Box::pin(async {
                Err(
                    "failed to lookup address information: Temporary failure in name resolution"
                        .into(),
                )
            })
        }
    }

    #[tokio::test]
    async fn a_failing_name_server_makes_a_host_unavailable() {
        let tls = TlsProfile::of_environment(&Environment::default());
        let tls = tls.setup("registry.test").unwrap();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.config)
            .dns_resolver(std::sync::Arc::new(FailingNameServer))
            .build()
            .unwrap();
        let error = client.get("http://registry.test/").send().await;
        let error = TransportError::from_reqwest(&error.unwrap_err(), "registry.test");
        let TransportError::Connect { kind, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*kind, ConnectFailure::Unavailable { retry_within: None });
        assert!(error.is_retryable());
    }

    #[test]
    fn a_tls_error_is_found_in_nested_io_errors() {
        let tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls.clone()));
        let inner = cause_of(cause_of(&nested).unwrap()).unwrap();
        assert_eq!(inner.downcast_ref::<rustls::Error>(), Some(&tls));
        let plain = io::Error::from(io::ErrorKind::Other);
        assert!(cause_of(&plain).is_none());
    }
}
