//! What can go wrong on the way, in words that are safe to print.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::alert;
use super::guarded_resolver::LeadsInside;
use super::redirect::RedirectRefused;
use crate::text::clean;

/// The most bytes of headers in an answer.
pub(super) const MAX_HEAD: u64 = 64 << 10;

/// Why a request has no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nobody listens, or the name is unknown.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system said.
        cause: String,
        /// Whether there is no host of this name.
        dns: bool,
    },
    /// The environment names a proxy by something that is no address. The value may hold a password.
    #[error("{variable} is not the address of a proxy")]
    Proxy {
        /// The variable.
        variable: &'static str,
    },
    /// The other side speaks no TLS at all.
    #[error("{host} does not speak TLS")]
    NotTls {
        /// Host and port.
        host: String,
    },
    /// A certificate that is not trusted, or a handshake that cannot succeed.
    #[error("TLS error with {host}: {cause}")]
    Tls {
        /// Host and port.
        host: String,
        /// What is wrong.
        cause: String,
    },
    /// The other side ended the connection with a TLS alert that says no for good.
    #[error("{host} refused {what} (alert: {alert})")]
    Refused {
        /// Host and port.
        host: String,
        /// What it does not take.
        what: &'static str,
        /// Its alert.
        alert: String,
    },
    /// Nothing was heard for too long.
    #[error("no answer from {host} for {seconds} s")]
    Timeout {
        /// Host and port.
        host: String,
        /// The limit.
        seconds: u64,
    },
    /// The connection broke, or what came over it was no HTTP.
    #[error("the connection to {host} broke: {cause}")]
    Broken {
        /// Host and port.
        host: String,
        /// What happened.
        cause: String,
    },
    /// A body or head over its limit.
    #[error("{host} sent more than {limit} bytes of {what}")]
    TooLarge {
        /// Host and port.
        host: String,
        /// What was too large.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// A redirect that must not be followed.
    #[error(transparent)]
    Redirect(#[from] RedirectRefused),
    /// The content that was to be sent could not be read.
    #[error("{0}")]
    Source(String),
    /// The retry budget of the run is used up, or the other side asked for too long a pause.
    #[error("{cause} ({given_up})")]
    GaveUp {
        /// The last failure.
        cause: String,
        /// Why no further try is made.
        given_up: String,
    },
}

impl TransportError {
    /// How long nothing was heard, where that is what went wrong.
    pub fn lost(&self) -> Duration {
        match self {
            Self::Timeout { seconds, .. } => Duration::from_secs(*seconds),
            _ => Duration::ZERO,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Broken { .. } => true,
            Self::Connect { dns, .. } => !dns,
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

    pub(super) fn too_large_head(host: &str) -> Self {
        Self::TooLarge {
            host: host.to_owned(),
            what: "headers",
            limit: MAX_HEAD,
        }
    }

    /// What `error` of a request to `host` means. Walks the whole chain, since the outer layers
    /// say no more than "error sending request".
    pub(super) fn from_reqwest(error: &reqwest::Error, host: &str) -> Self {
        let host = host.to_owned();
        let mut causes = Vec::new();
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(link) = next {
            if let Some(failed) = link.downcast_ref::<SourceFailed>() {
                return Self::Source(failed.0.clone());
            }
            if let Some(LeadsInside(name)) = link.downcast_ref::<LeadsInside>() {
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
            if let Some(alert) = alert::told_by(link) {
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
            let dns = causes
                .iter()
                .any(|link| link.to_string().contains("dns error"))
                && is_unknown_name(&cause);
            return Self::Connect { host, cause, dns };
        }
        Self::Broken { host, cause }
    }

    fn from_alert(alert: rustls::AlertDescription, host: String) -> Self {
        let named = alert::words(alert);
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

/// Whether the system says for certain that there is no such host: a name server that does not answer may do
/// so a moment later. The texts are those of glibc, musl and macOS.
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

/// The error of a request body whose source failed: carried through the HTTP stack, so that it is
/// told apart from a connection that broke.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct SourceFailed(pub(super) String);

/// What is behind an error. An `io::Error` hides what it wraps from `source()`.
fn cause_of<'a>(link: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match link.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => link.source(),
    }
}

/// The texts of hyper (HTTP/1.1) and h2, for an error that came before the body: a head over the limit has no
/// error of its own there.
fn is_too_large_head(link: &(dyn Error + 'static)) -> bool {
    let text = link.to_string();
    text.contains("message head is too large")
        || text == "stream error detected: unspecific protocol error detected"
        || text.contains("too_many_continuations")
}

/// A connection that was accepted and then closed: the other side may be starting or stopping.
fn is_broken_handshake(causes: &[&(dyn Error + 'static)]) -> bool {
    causes.iter().any(|link| {
        link.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
            )
        })
    })
}

fn describe_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "the certificate is signed by an authority that is not trusted here".to_owned()
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

    #[test]
    fn a_tls_error_is_found_through_nested_io_errors() {
        let tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls.clone()));
        let inner = cause_of(cause_of(&nested).unwrap()).unwrap();
        assert_eq!(inner.downcast_ref::<rustls::Error>(), Some(&tls));
        let plain = io::Error::from(io::ErrorKind::Other);
        assert!(cause_of(&plain).is_none());
    }
}
