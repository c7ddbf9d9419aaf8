//! JSON as Go writes it, to the byte: indentation, escaping, and re-indentation of text
//! that must not lose its numbers, its order of keys or its duplicates.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};

use super::limits::MAX_JSON_DEPTH;

/// What some editors put before a text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The most values in a document: one takes two bytes in JSON, and a hundred in memory. An index of 10,000 entries
/// has about 80,000, with two annotations in each 110,000.
const MAX_VALUES: usize = 150_000;

/// How an index is written. Both escape `<`, `>` and `&` (`json.MarshalIndent` does).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonStyle {
    /// As `docker manifest` does: three spaces.
    Docker,
    /// As buildx does: two spaces.
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

/// Why a text is not JSON that we read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not of the form that was expected.
    #[error("not valid JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Nested deeper than any real document.
    #[error("nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// More values than any real document has.
    #[error("more than {MAX_VALUES} values")]
    TooManyValues,
}

/// Reads a document that somebody else wrote: nested at most 64 levels deep, of at most 150,000 values.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    if extent(bytes).values > MAX_VALUES {
        return Err(JsonError::TooManyValues);
    }
    parse_own(bytes)
}

/// Reads a document of our own, which may have any number of values.
pub fn parse_own<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    if extent(bytes).depth > MAX_JSON_DEPTH {
        return Err(JsonError::TooDeep);
    }
    // Go's writers never emit a byte order mark, but hand-made files carry one.
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    Ok(serde_json::from_slice(bytes)?)
}

/// Writes `value` in `style`, without a trailing newline.
///
/// # Panics
///
/// If a map in `value` has keys that are not text, which no type of this project has.
pub fn write<T: Serialize>(value: &T, style: JsonStyle) -> Vec<u8> {
    let mut out = Vec::new();
    let formatter = GoFormatter {
        pretty: PrettyFormatter::with_indent(style.indentation()),
    };
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    value
        .serialize(&mut serializer)
        .expect("plain data with text keys always serialises to memory");
    out
}

/// Re-indents valid JSON as Go's `json.Indent` does: every token is kept as it stands, leading
/// space is dropped, trailing space is kept.
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

/// Valid JSON without space between tokens and with `<`, `>`, `&`, U+2028 and U+2029 escaped: what
/// Go's encoder makes of a `json.Marshaler`'s bytes.
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

/// The tokens of valid JSON: punctuation, strings with their quotes, and literals. Invalid JSON
/// gives other pieces, never a panic and never an empty token.
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

/// How large a document is, whatever its bytes.
#[derive(Default)]
struct Extent {
    /// How deep brackets are nested.
    depth: usize,
    /// How many values there are, counted by what stands before each: a bracket or a comma.
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

/// `PrettyFormatter` with the escapes that Go adds: U+2028, U+2029, `<`, `>` and `&`.
struct GoFormatter<'a> {
    pretty: PrettyFormatter<'a>,
}

impl Formatter for GoFormatter<'_> {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.pretty.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.pretty.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let needs_escape = ['\u{2028}', '\u{2029}', '<', '>', '&'];
        let mut rest = fragment;
        while let Some(position) = rest.find(needs_escape) {
            let (plain, tail) = rest.split_at(position);
            writer.write_all(plain.as_bytes())?;
            let special = tail.chars().next().unwrap_or_default();
            write!(writer, "\\u{:04x}", u32::from(special))?;
            rest = &tail[special.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.pretty.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indents_as_go_does() {
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
    fn styles_differ_as_their_models_do() {
        let value = serde_json::json!({"a": "<b>", "c": [], "d": [1]});
        let text = |style| String::from_utf8(write(&value, style)).unwrap();
        assert_eq!(
            text(JsonStyle::Docker),
            "{\n   \"a\": \"\\u003cb\\u003e\",\n   \"c\": [],\n   \"d\": [\n      1\n   ]\n}"
        );
        assert!(text(JsonStyle::Oci).starts_with("{\n  \"a\": \"\\u003cb\\u003e\""));
    }

    #[test]
    fn numbers_do_not_change_from_one_writing_to_the_next() {
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
