//! The meaning of a TLS alert from the peer: a lasting refusal, or a temporary failure. See RFC 8446, section 6.2, and
//! RFC 5246, section 7.2.2.

use std::error::Error;
use std::io;

use rustls::AlertDescription as Alert;

/// Returns what the peer refuses with an alert, for a message such as "refused the client certificate". Returns `None`
/// for a failure inside the server or in transit, after which a retry may succeed.
pub(super) fn refused(alert: Alert) -> Option<&'static str> {
    match alert {
        Alert::CloseNotify
        | Alert::UserCanceled
        | Alert::InternalError
        | Alert::BadRecordMac
        | Alert::DecryptionFailed
        | Alert::RecordOverflow
        | Alert::DecompressionFailure
        | Alert::Unknown(_) => None,
        Alert::CertificateRequired | Alert::NoCertificate => {
            Some("a connection without a client certificate")
        }
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::CertificateUnobtainable
        | Alert::UnknownCA
        | Alert::DecryptError => Some("the client certificate"),
        Alert::AccessDenied => Some("access"),
        Alert::UnrecognisedName => Some("the host name"),
        Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            Some("the TLS versions and ciphers of this client")
        }
        _ => Some("the TLS handshake"),
    }
}

/// Returns the name of an alert in words: `BadCertificate` is "bad certificate".
pub(super) fn words(alert: Alert) -> String {
    let mut words = String::new();
    let mut was_small = false;
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && was_small {
            words.push(' ');
        }
        was_small = letter.is_ascii_lowercase();
        words.push(letter);
    }
    words.to_ascii_lowercase()
}

/// Finds the alert in an error of h2, which keeps only the text of the error that ended its connection.
pub(super) fn in_http2_error(link: &(dyn Error + 'static)) -> Option<Alert> {
    let io = link.downcast_ref::<io::Error>()?;
    let text = io.to_string();
    let name = text.strip_prefix("received fatal alert: ")?;
    (0..=u8::MAX)
        .map(Alert::from)
        .find(|alert| format!("{alert:?}") == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_failures_are_not_refusals() {
        for passing in [
            Alert::InternalError,
            Alert::UserCanceled,
            Alert::CloseNotify,
            Alert::Unknown(200),
        ] {
            assert_eq!(refused(passing), None, "{passing:?}");
        }
        for (lasting, what) in [
            (
                Alert::CertificateRequired,
                "a connection without a client certificate",
            ),
            (Alert::BadCertificate, "the client certificate"),
            (Alert::UnknownCA, "the client certificate"),
            (Alert::AccessDenied, "access"),
            (Alert::HandshakeFailure, "the TLS handshake"),
            (Alert::NoApplicationProtocol, "the TLS handshake"),
        ] {
            assert_eq!(refused(lasting), Some(what));
        }
    }

    #[test]
    fn alerts_are_named_in_words() {
        assert_eq!(words(Alert::BadCertificate), "bad certificate");
        assert_eq!(words(Alert::UnknownCA), "unknown ca");
        assert_eq!(words(Alert::InternalError), "internal error");
    }

    #[test]
    fn an_alert_is_found_in_an_http2_error() {
        for alert in [Alert::CertificateRequired, Alert::UnknownCA] {
            let text = rustls::Error::AlertReceived(alert).to_string();
            assert_eq!(in_http2_error(&io::Error::other(text)), Some(alert));
        }
        for other in ["received fatal alert: ", "stream closed", ""] {
            assert_eq!(in_http2_error(&io::Error::other(other)), None);
        }
    }
}
