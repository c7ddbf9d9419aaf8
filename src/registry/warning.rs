//! Warnings of a registry:
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#warnings>.

use http::{HeaderMap, HeaderValue, header};

use crate::text::{clean, unquoted};

/// The maximum size of a header that is read, in bytes.
const MAX_HEADER: usize = 4 << 10;
/// The maximum number of characters of a warning that are shown.
const MAX_SHOWN: usize = 500;

/// Returns the texts of all `Warning` headers with the code 299, safe to print.
pub(super) fn warnings(headers: &HeaderMap) -> impl Iterator<Item = String> + '_ {
    headers.get_all(header::WARNING).iter().filter_map(text_of)
}

/// Parses `299 - "text"`.
fn text_of(value: &HeaderValue) -> Option<String> {
    let value = value.as_bytes();
    if value.len() > MAX_HEADER {
        return None;
    }
    let value = String::from_utf8_lossy(value);
    let (_agent, quoted) = value.strip_prefix("299 ")?.trim_start().split_once(' ')?;
    let (text, rest) = unquoted(quoted.trim_start().strip_prefix('"')?);
    let text = clean(&text, MAX_SHOWN);
    (rest.is_some() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&[u8]]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WARNING, HeaderValue::from_bytes(value).unwrap());
        }
        warnings(&headers).collect()
    }

    #[test]
    fn the_text_of_code_299_is_read() {
        let two = texts(&[br#"299 - "moved""#, br#"299 a.io:1 "b" "date""#]);
        assert_eq!(two, ["moved", "b"]);
        assert_eq!(texts(&[br#"299 - "a \"b\" c""#]), [r#"a "b" c"#]);
    }

    #[test]
    fn other_codes_and_malformed_headers_are_ignored() {
        let long = format!(r#"299 - "{}""#, "x".repeat(MAX_HEADER));
        for value in [
            r#"110 - "stale""#,
            "299 -",
            "299 - moved",
            r#"299 - "moved"#,
            r#"299 - """#,
            &long,
        ] {
            assert!(texts(&[value.as_bytes()]).is_empty(), "{value}");
        }
    }

    #[test]
    fn warnings_are_safe_to_print() {
        let hostile = texts(&[b"299 - \"a\x80\xe2\x80\xae b\""]);
        assert!(!hostile[0].contains('\u{202e}'), "{hostile:?}");
        let long = format!(r#"299 - "{}""#, "x".repeat(4000));
        let long = texts(&[long.as_bytes()]);
        assert!(long[0].chars().count() <= MAX_SHOWN + 1);
    }
}
