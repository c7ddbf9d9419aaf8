//! Text of strangers before people and terminals see it.

use std::fmt::{self, Write as _};

/// Shows a text with escapes in place of control characters and of those that hide or reorder what stands beside
/// them: nothing in it can end a line, colour a terminal, or be a command to a CI runner that reads lines.
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

/// Whether a character stands for itself and for nothing else.
pub(super) fn is_printable(c: char) -> bool {
    let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_and_everything_else_stays() {
        let shown = Printable("li\n::error::x\u{1b}[2J\u{202e}é\\ \"a\"").to_string();
        assert_eq!(shown, "li\\n::error::x\\u{1b}[2J\\u{202e}é\\ \"a\"");
    }
}
