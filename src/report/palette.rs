//! Colours for terminals.

use std::io::{IsTerminal as _, stderr, stdout};

use anstyle::{AnsiColor, Style};

use crate::environment::Environment;

/// Paints text, or returns it unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    is_on: bool,
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Strong,
    Faint,
    Good,
    Notice,
    Warning,
    Error,
}

impl Palette {
    /// Paints nothing.
    pub const PLAIN: Self = Self { is_on: false };

    /// Chooses colours for standard output.
    pub fn of_stdout(environment: &Environment) -> Self {
        Self::of(environment, stdout().is_terminal())
    }

    /// Chooses colours for standard error.
    pub fn of_stderr(environment: &Environment) -> Self {
        Self::of(environment, stderr().is_terminal())
    }

    /// Decides whether a stream gets colours, by the conventions of <https://no-color.org> and
    /// <https://bixense.com/clicolors>. Terminals without colours get none.
    pub fn of(environment: &Environment, is_terminal: bool) -> Self {
        let is_set = |name| environment.var(name).is_some_and(|value| !value.is_empty());
        let is_forced = is_set("CLICOLOR_FORCE") && environment.var("CLICOLOR_FORCE") != Some("0");
        let is_capable = environment.var("TERM") != Some("dumb")
            && environment.var("CLICOLOR") != Some("0")
            && is_terminal;
        Self {
            is_on: !is_set("NO_COLOR") && (is_forced || is_capable),
        }
    }

    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.is_on || text.is_empty() {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }
}

impl Tone {
    fn style(self) -> Style {
        let coloured = |color: AnsiColor| color.on_default();
        match self {
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => coloured(AnsiColor::Green),
            Self::Notice => coloured(AnsiColor::Cyan),
            Self::Warning => coloured(AnsiColor::Yellow).bold(),
            Self::Error => coloured(AnsiColor::Red).bold(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_conventions() {
        for (variables, is_terminal, is_on) in [
            (&[][..], true, true),
            (&[], false, false),
            (&[("NO_COLOR", "1")], true, false),
            (&[("NO_COLOR", "")], true, true),
            (&[("TERM", "dumb")], true, false),
            (&[("CLICOLOR", "0")], true, false),
            (&[("CLICOLOR_FORCE", "1")], false, true),
            (&[("CLICOLOR_FORCE", "0")], false, false),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true, false),
        ] {
            let environment: Environment = variables.iter().copied().collect();
            let palette = Palette::of(&environment, is_terminal);
            assert_eq!(palette, Palette { is_on }, "{variables:?}");
        }
    }

    #[test]
    fn a_painted_text_resets_the_terminal() {
        let palette = Palette { is_on: true };
        assert_eq!(palette.paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
        assert_eq!(Palette::PLAIN.paint(Tone::Good, "x"), "x");
    }
}
