//! What a certificate says it is for, where webpki refuses it before it looks.

/// The object identifier of the extension "extended key usage", in DER.
const EXTENDED_KEY_USAGE: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x25];
/// Servers of TLS.
const SERVER_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// Anything.
const ANY: &[u8] = &[0x06, 0x04, 0x55, 0x1d, 0x25, 0x00];
/// "This extension is critical", which may stand before its value.
const CRITICAL: &[u8] = &[0x01, 0x01, 0xff];

/// Whether a certificate may be a server's: it names no usage, or that one. Looks for the extension instead of
/// reading the whole, so it is only for certificates that the user trusts by name; what is unclear is refused.
pub(super) fn is_for_servers(certificate: &[u8]) -> bool {
    let Some(start) = position(certificate, EXTENDED_KEY_USAGE) else {
        return true;
    };
    let value = &certificate[start + EXTENDED_KEY_USAGE.len()..];
    let value = value.strip_prefix(CRITICAL).unwrap_or(value);
    // An octet string; the usages take less than 128 bytes, so that the length is one.
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
