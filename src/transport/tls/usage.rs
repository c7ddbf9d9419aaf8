//! The extended key usage of a certificate that webpki refuses before it reads the usage.

/// The DER object identifier of the extension "extended key usage".
const EXTENDED_KEY_USAGE: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x25];
/// The usage "TLS server".
const SERVER_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// The usage "any".
const ANY: &[u8] = &[0x06, 0x04, 0x55, 0x1d, 0x25, 0x00];
/// The flag "critical", which may precede the value.
const CRITICAL: &[u8] = &[0x01, 0x01, 0xff];

/// Returns whether a server may use a certificate: the certificate has no usage extension, or it allows this usage.
/// Searches for the extension without parsing the certificate. This is sufficient for a certificate that the user
/// trusts; unclear certificates are refused.
pub(super) fn is_for_servers(certificate: &[u8]) -> bool {
    let Some(start) = position(certificate, EXTENDED_KEY_USAGE) else {
        return true;
    };
    let value = &certificate[start + EXTENDED_KEY_USAGE.len()..];
    let value = value.strip_prefix(CRITICAL).unwrap_or(value);
    // The value is an octet string. The usages are shorter than 128 bytes, so the length is one byte.
    let [0x04, length @ 0..0x80, rest @ ..] = value else {
        return false;
    };
    let usages = rest.get(..usize::from(*length)).unwrap_or_default();
    [SERVER_AUTH, ANY]
        .iter()
        .any(|usage| position(usages, usage).is_some())
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
