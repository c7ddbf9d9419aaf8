//! Makes untrusted text safe to show in a terminal or a log.

use std::error::Error;
use std::fmt::{self, Write as _};

/// Displays a text with escapes for control characters and invisible characters. The result cannot end a line, colour a
/// terminal, reorder other text on the screen, or contain a command for a CI runner that reads lines.
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_printable(c) {
                f.write_char(c)?;
            } else {
                write!(f, "{}", c.escape_default())?;
            }
        }
        Ok(())
    }
}

/// Returns the first `limit` characters of `text` as one line, with `…` if it is longer. Characters that are not
/// printable become spaces, and runs of white space become one space.
pub fn clean(text: &str, limit: usize) -> String {
    let mut chars = text.chars();
    let kept: String = (&mut chars)
        .take(limit)
        .map(|c| if is_printable(c) { c } else { ' ' })
        .collect();
    let mut line = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

/// Returns an error and its causes in one line. A cause that ends the message of the error above it is not
/// repeated.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        next = cause.source();
    }
    line
}

/// Returns text for a log that a terminal or a CI runner reads: control characters except line feeds and tabs become
/// spaces, and no line is a workflow command.
pub fn log_safe(text: &str) -> String {
    let plain = |c: char| {
        let is_raw = c.is_control() && !['\n', '\t'].contains(&c);
        if is_raw { ' ' } else { c }
    };
    without_commands(&text.chars().map(plain).collect::<String>())
}

/// Breaks workflow commands with a space: `::` at the beginning of a line, and `##[` anywhere.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>
pub fn without_commands(text: &str) -> String {
    let line = |line: &str| {
        let start = line.len() - line.trim_start().len();
        let (space, text) = line.split_at(start);
        match text.strip_prefix("::") {
            Some(rest) => format!("{space}: :{rest}"),
            None => line.to_owned(),
        }
    };
    text.split_inclusive('\n')
        .map(line)
        .collect::<String>()
        .replace("##[", "## [")
}

/// Returns the first `limit` characters of `text`, with `…` if it is longer.
pub fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Joins items with commas: the first twenty, then the number of the rest.
pub fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 20;
    let mut items = items.into_iter();
    let shown: Vec<String> = items
        .by_ref()
        .take(SHOWN)
        .map(|item| item.to_string())
        .collect();
    let text = shown.join(", ");
    match items.count() {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Reads the content of a quoted string (RFC 9110, section 5.6.4) whose opening quote was removed. Also returns the text
/// after the closing quote, or `None` if the quote is missing.
pub fn unquoted(text: &str) -> (String, Option<&str>) {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return (value, Some(chars.as_str())),
            '\\' => value.extend(chars.next()),
            _ => value.push(c),
        }
    }
    (value, None)
}

/// Returns whether a character is neither a control character nor one that hides or reorders text.
pub fn is_printable(c: char) -> bool {
    let is_format = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_characters_are_escaped() {
        let shown = Printable("li\n::error::x\u{1b}[2J\u{202e}é\\ \"a\"").to_string();
        assert_eq!(shown, "li\\n::error::x\\u{1b}[2J\\u{202e}é\\ \"a\"");
    }

    #[test]
    fn a_cleaned_text_is_one_short_line() {
        assert_eq!(
            clean("a\r\n::error::b\u{1b}[31m\u{202e}c", 100),
            "a ::error::b [31m c"
        );
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("abc", 3), "abc");
    }

    #[test]
    fn workflow_commands_are_broken() {
        for (line, shown) in [
            ("plain: a::b", "plain: a::b"),
            ("  ::error::x", "  : :error::x"),
            ("a ##[error]x ###[b]", "a ## [error]x ### [b]"),
            ("a\r::stop-commands::x", "a ::stop-commands::x"),
            ("\r::stop-commands::x", " : :stop-commands::x"),
            ("a\u{1b}[2J\tb\u{9b}H", "a [2J\tb H"),
            ("a\n\u{a0}::x::", "a\n\u{a0}: :x::"),
        ] {
            assert_eq!(log_safe(line), shown);
        }
    }

    #[test]
    fn long_texts_and_lists_are_shortened() {
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äö", 2), "äö");
        assert_eq!(listed([1, 2]), "1, 2");
        assert!(listed(0..22).ends_with("18, 19 and 2 more"));
    }
}
