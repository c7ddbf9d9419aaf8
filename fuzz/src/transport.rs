//! Redirects.

use url::Url;

use polyarch::address::is_internal;
use polyarch::text::clean;
use polyarch::transport::{check_hop, may_carry_authorization};

use super::{assert_printable, text};

/// Checks a `Location` header: only allowed targets are used, headers are sent only to them, and the displayed text is
/// safe to print.
pub fn redirect(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let shown = clean(text, 100);
    assert_printable(&shown);
    assert!(shown.chars().count() <= 101);
    for from in [
        "https://registry.example/v2/a/blobs/x",
        "http://10.0.0.1:5000/v2/",
    ] {
        let from = Url::parse(from).expect("an address");
        let Ok(to) = from.join(text) else { continue };
        if check_hop(&from, &to).is_err() {
            continue;
        }
        assert!(to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http"));
        assert!(to.username().is_empty() && to.password().is_none());
        let host = to.host().expect("a host");
        assert!(!is_internal(&host) || from.host() == to.host());
        if may_carry_authorization(&from, &to) {
            assert_eq!(from.origin(), to.origin());
        }
    }
}
