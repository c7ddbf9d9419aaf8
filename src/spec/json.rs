//! JSON that is byte-identical to Go's: indentation, escaping, and re-indentation that keeps numbers, the order of keys
//! and duplicate keys.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::limits::MAX_JSON_DEPTH;

pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The maximum number of values in a document. A value takes two bytes in JSON and about a hundred in memory. An index
/// of 10,000 entries has about 80,000 values, or 110,000 with two annotations in each entry.
const MAX_VALUES: usize = 150_000;

/// The indentation of a written index. Both styles escape `<`, `>` and `&`, as `json.MarshalIndent` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonStyle {
    /// Three spaces, as in `docker manifest`.
    Docker,
    /// Two spaces, as in buildx.
    Oci,
}

impl JsonStyle {
    fn indentation(self) -> &'static [u8] {
        match self {
            Self::Docker => b"   ",
            Self::Oci => b"  ",
        }
    }
}

/// Why JSON is refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not of the expected form.
    #[error("not valid JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    #[error("more than {MAX_VALUES} values")]
    TooManyValues,
}

/// Parses a document of another program within the limits on nesting and number of values.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    if extent(bytes).values > MAX_VALUES {
        return Err(JsonError::TooManyValues);
    }
    parse_own(bytes)
}

/// Parses a document that polyarch wrote, which may have any number of values.
pub fn parse_own<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    if extent(bytes).depth > MAX_JSON_DEPTH {
        return Err(JsonError::TooDeep);
    }
    // Some editors write a byte order mark at the beginning.
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    Ok(serde_json::from_slice(bytes)?)
}

/// Deserialises a value. `null`, which Go writes for some empty values, is the default.
pub(super) fn null_is_default<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// Serialises `value` in `style`, without a trailing newline.
///
/// # Panics
///
/// If a map in `value` has keys that are not text, which no type of this crate has.
pub fn write<T: Serialize>(value: &T, style: JsonStyle) -> Vec<u8> {
    let compact = || {
        let json =
            serde_json::to_vec(value).expect("data with text keys always serialises to memory");
        // `json` is freed before the indented text is made, since each may have a size of several megabytes.
        compact_for_go(&json)
    };
    indent(&compact(), style.indentation())
}

/// Re-indents valid JSON as Go's `json.Indent` does: tokens are unchanged, leading space is dropped, trailing space is
/// kept.
pub fn indent(json: &[u8], unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let end = json.trim_ascii_end().len();
    let mut level = 0_usize;
    let mut needs_break = false;
    for token in tokens(&json[..end]) {
        let opens = matches!(token[0], b'{' | b'[');
        let closes = matches!(token[0], b'}' | b']');
        if needs_break && !closes {
            line_break(&mut out, unit, level);
        }
        if closes {
            level = level.saturating_sub(1);
            if !needs_break {
                line_break(&mut out, unit, level);
            }
        }
        needs_break = false;
        match token[0] {
            b':' => out.extend_from_slice(b": "),
            b',' => {
                out.push(b',');
                line_break(&mut out, unit, level);
            }
            _ => out.extend_from_slice(token),
        }
        if opens {
            level += 1;
            needs_break = true;
        }
    }
    out.extend_from_slice(&json[end..]);
    out
}

/// Compacts valid JSON and escapes `<`, `>`, `&`, U+2028 and U+2029, as Go's encoder does with the result of a
/// `json.Marshaler`.
pub fn compact_for_go(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    for token in tokens(json) {
        if token[0] == b'"' {
            escape_html(token, &mut out);
        } else {
            out.extend_from_slice(token);
        }
    }
    out
}

fn line_break(out: &mut Vec<u8>, unit: &[u8], level: usize) {
    out.push(b'\n');
    for _ in 0..level {
        out.extend_from_slice(unit);
    }
}

/// Splits valid JSON into punctuation, strings with their quotes, and literals. The tokens of invalid JSON are
/// unspecified, but never empty.
fn tokens(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = json.trim_ascii_start();
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let length = match first {
            b'{' | b'}' | b'[' | b']' | b':' | b',' => 1,
            b'"' => string_length(rest),
            _ => rest
                .iter()
                .position(|byte| b"{}[]:,\" \t\r\n".contains(byte))
                .unwrap_or(rest.len())
                .max(1),
        };
        let (token, tail) = rest.split_at(length);
        rest = tail.trim_ascii_start();
        Some(token)
    })
}

fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    for (position, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return position + 1,
            _ => {}
        }
    }
    text.len()
}

/// The size of a document, valid or not.
#[derive(Default)]
struct Extent {
    /// The nesting of brackets.
    depth: usize,
    /// The number of values, counted by the bracket or comma before each.
    values: usize,
}

fn extent(json: &[u8]) -> Extent {
    let mut level = 0_usize;
    let mut extent = Extent::default();
    for token in tokens(json) {
        match token[0] {
            b'{' | b'[' => {
                level += 1;
                extent.values += 1;
                extent.depth = extent.depth.max(level);
            }
            b',' => extent.values += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    extent
}

fn escape_html(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(byte) = rest.first() {
        let (escape, length): (&[u8], usize) = match byte {
            b'<' => (b"\\u003c", 1),
            b'>' => (b"\\u003e", 1),
            b'&' => (b"\\u0026", 1),
            _ if rest.starts_with("\u{2028}".as_bytes()) => (b"\\u2028", 3),
            _ if rest.starts_with("\u{2029}".as_bytes()) => (b"\\u2029", 3),
            _ => (&rest[..1], 1),
        };
        out.extend_from_slice(escape);
        rest = &rest[length..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_equals_the_output_of_go() {
        let json = br#" {"a":[1.50,{}, [ ],"x\"{"],"b" : {"c":null} }
"#;
        let text = String::from_utf8(indent(json, b"\t")).unwrap();
        assert_eq!(
            text,
            "{\n\t\"a\": [\n\t\t1.50,\n\t\t{},\n\t\t[],\n\t\t\"x\\\"{\"\n\t],\n\t\"b\": {\n\t\t\"c\": null\n\t}\n}\n"
        );
    }

    #[test]
    fn compaction_escapes_html() {
        let json = "{ \"a\" : \"<&>\u{2028}\" , \"n\" : 1e2 }";
        assert_eq!(
            compact_for_go(json.as_bytes()),
            br#"{"a":"\u003c\u0026\u003e\u2028","n":1e2}"#
        );
    }

    #[test]
    fn styles_differ_in_indentation() {
        let value = serde_json::json!({"a": "<b>", "c": [], "d": [1]});
        let text = |style| String::from_utf8(write(&value, style)).unwrap();
        assert_eq!(
            text(JsonStyle::Docker),
            "{\n   \"a\": \"\\u003cb\\u003e\",\n   \"c\": [],\n   \"d\": [\n      1\n   ]\n}"
        );
        assert!(text(JsonStyle::Oci).starts_with("{\n  \"a\": \"\\u003cb\\u003e\""));
    }

    #[test]
    fn numbers_are_unchanged_after_writing() {
        let value: serde_json::Value =
            parse(b"[18446244099999999999999973709551612, 0.1, 1.5e300]").unwrap();
        let written = write(&value, JsonStyle::Oci);
        assert_eq!(parse::<serde_json::Value>(&written).unwrap(), value);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse::<serde_json::Value>(nested(64).as_bytes()).is_ok());
        assert!(matches!(
            parse::<serde_json::Value>(nested(65).as_bytes()),
            Err(JsonError::TooDeep)
        ));
    }

    #[test]
    fn values_are_counted() {
        let numbers = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert!(parse::<serde_json::Value>(numbers(150_000).as_bytes()).is_ok());
        assert!(matches!(
            parse::<serde_json::Value>(numbers(150_001).as_bytes()),
            Err(JsonError::TooManyValues)
        ));
        assert!(parse_own::<serde_json::Value>(numbers(150_001).as_bytes()).is_ok());
        let commas = format!("[{:?}]", ",".repeat(200_000));
        assert!(parse::<serde_json::Value>(commas.as_bytes()).is_ok());
    }
}
