//! Markdown of limited length, in which untrusted text has no markup.

use std::fmt::Write as _;

use crate::text::clean;

/// The maximum number of characters of an untrusted text.
const MAX_TEXT: usize = 1000;

/// Markdown that stops growing at a limit and closes all its elements.
pub(super) struct Page {
    text: String,
    limit: usize,
    /// The open sections; `false` for a section whose start was cut.
    sections: Vec<bool>,
    is_cut: bool,
}

const SECTION_END: &str = "</details>\n\n";
pub(super) const CUT: &str = "\n**This summary was cut here**: GitHub accepts at most 1 MiB. `--output json` prints the complete result.\n";

impl Page {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            // At most two nested sections, each with an empty line before its end.
            limit: limit.saturating_sub(CUT.len() + 2 * (SECTION_END.len() + 1) + 1),
            sections: Vec::new(),
            is_cut: false,
        }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.is_cut = self.is_cut || self.text.len() + line.len() + 1 > self.limit;
        if !self.is_cut {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    /// Appends a table without the columns that are empty in all rows. Sizes are aligned to the right.
    pub(super) fn table<const N: usize>(
        &mut self,
        columns: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) {
        let rows: Vec<_> = rows.into_iter().collect();
        let is_used = |column: usize| rows.iter().any(|row| !row[column].is_empty());
        let used: Vec<usize> = (0..N).filter(|column| is_used(*column)).collect();
        let line = |cell: &dyn Fn(usize) -> String| {
            let cells = used.iter().map(|column| cell(*column));
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        };
        self.line(&line(&|column| columns[column].to_owned()));
        self.line(&line(&|column| {
            let is_size = columns[column] == "Size";
            if is_size { "--:" } else { ":--" }.to_owned()
        }));
        for row in &rows {
            self.line(&line(&|column| row[column].clone()));
        }
        self.line("");
    }

    /// Appends a code block with commands, completely or not at all: a cut must leave no open block.
    pub(super) fn shell(&mut self, commands: &str) {
        self.line(&format!("\n```sh\n{commands}\n```\n"));
    }

    /// Starts a collapsed section with a title in HTML.
    pub(super) fn open_section(&mut self, title: &str) {
        self.line(&format!("<details><summary>{title}</summary>\n"));
        self.sections.push(!self.is_cut);
    }

    pub(super) fn close_section(&mut self) {
        if self.sections.pop() == Some(true) {
            // The cut may be within a table, which an empty line ends.
            self.text.push_str(if self.is_cut { "\n" } else { "" });
            self.text.push_str(SECTION_END);
        }
    }

    pub(super) fn end(mut self) -> String {
        if self.is_cut {
            self.text.push_str(CUT);
        }
        self.text
    }
}

/// Returns whether a text needs no quoting in code, in Markdown text and in a shell.
pub(super) fn is_plain(value: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:/@+=,-".contains(c);
    !value.is_empty() && value.len() <= MAX_TEXT && value.chars().all(is_plain)
}

/// Formats a value as code. Characters that could end the code span or the table cell become HTML entities.
pub(super) fn code(value: &str) -> String {
    if is_plain(value) {
        format!("`{value}`")
    } else {
        html_code(value)
    }
}

pub(super) fn html_code(value: &str) -> String {
    format!("<code>{}</code>", text(value))
}

/// Formats untrusted text on one line. Markdown reads entities as text: they start no tag, link, cell, emphasis or
/// formula.
pub(super) fn text(value: &str) -> String {
    let mut safe = String::new();
    for c in clean(value, MAX_TEXT).chars() {
        if "&<>|`*_[]#!~\\@$".contains(c) {
            let _ = write!(safe, "&#{};", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    // Prevents automatic links.
    safe.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// Formats a number with a noun: `1 tag`, `2 tags`.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn untrusted_text_has_no_markup(value in "[a&<>|`*_\\[\\]#!~@$:/\\\\\r\n]{0,40}") {
            let safe = text(&value);
            let visible = safe.replace(|c: char| c == '&' || c == '#' || c == ';' || c.is_ascii_digit(), "");
            prop_assert!(!visible.contains(['<', '>', '|', '`', '*', '_', '[', ']', '!', '@', '$', '\n', '\r']));
        }
    }
}
