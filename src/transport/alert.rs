//! What a TLS alert of the other side means: a refusal that will be the same next time, or a failure that may pass.
//! The alerts are those of RFC 8446, section 6.2, and RFC 5246, section 7.2.2.

use std::error::Error;
use std::io;

use rustls::AlertDescription as Alert;

/// What is refused for good, as the object of "refused". `None`: the same may succeed a moment later, since
/// what failed is inside the server, or on the way.
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
            Some("the versions and ciphers of TLS that are spoken here")
        }
        _ => Some("the TLS handshake"),
    }
}

/// The name of an alert as the RFCs write it, with spaces: `BadCertificate` is "bad certificate".
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

/// The alert in an error of HTTP/2: h2 keeps no more of what ended its connection than the text.
pub(super) fn told_by(link: &(dyn Error + 'static)) -> Option<Alert> {
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
    fn what_may_pass_is_no_refusal() {
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
    fn alerts_are_told_in_words() {
        assert_eq!(words(Alert::BadCertificate), "bad certificate");
        assert_eq!(words(Alert::UnknownCA), "unknown ca");
        assert_eq!(words(Alert::InternalError), "internal error");
    }

    #[test]
    fn an_alert_is_found_in_what_http2_keeps_of_it() {
        for alert in [Alert::CertificateRequired, Alert::UnknownCA] {
            let text = rustls::Error::AlertReceived(alert).to_string();
            assert_eq!(told_by(&io::Error::other(text)), Some(alert));
        }
        for other in ["received fatal alert: ", "stream closed", ""] {
            assert_eq!(told_by(&io::Error::other(other)), None);
        }
    }
}
