//! Switches with a value, as Docker's flag parser accepts them: `--purge=false`, `-p=true`. Scripts set such a value
//! from a variable: `--purge=$PURGE`.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};

pub(super) struct Switches {
    /// The arguments, with `--purge` instead of `--purge=true` and without switches that are false.
    pub(super) arguments: Vec<OsString>,
    /// The long names of the switches whose last value is false.
    pub(super) declined: Vec<String>,
}

/// Removes the values from the switches of the subcommand in `arguments`. The last value of a switch counts.
pub(super) fn resolve(command: &Command, arguments: &[OsString]) -> Result<Switches, clap::Error> {
    let mut subcommand = None;
    let mut resolved: Vec<(OsString, Option<String>)> = Vec::new();
    let mut declined: Vec<String> = Vec::new();
    let mut options_ended = false;
    for argument in arguments {
        let text = argument.to_str().unwrap_or_default();
        options_ended |= text == "--";
        subcommand = subcommand.or_else(|| command.find_subcommand(text));
        let found = subcommand
            .filter(|_| !options_ended)
            .and_then(|subcommand| {
                let (switch, value) = switch_of(subcommand, text)?;
                Some((subcommand, switch, value))
            });
        let Some((subcommand, switch, value)) = found else {
            resolved.push((argument.clone(), None));
            continue;
        };
        let long = switch.get_long().unwrap_or_default().to_owned();
        declined.retain(|name| *name != long);
        match value.map(parse_bool) {
            None | Some(Some(true)) => {
                resolved.push((format!("--{long}").into(), Some(long)));
            }
            Some(Some(false)) => {
                resolved.retain(|(_, name)| name.as_ref() != Some(&long));
                declined.push(long);
            }
            Some(None) => {
                let words = format!("{} {}", command.get_name(), subcommand.get_name());
                return Err(subcommand.clone().bin_name(words).error(
                    ErrorKind::InvalidValue,
                    format!("{text}: --{long} must be true or false"),
                ));
            }
        }
    }
    Ok(Switches {
        arguments: resolved.into_iter().map(|(argument, _)| argument).collect(),
        declined,
    })
}

/// Returns the switch that an argument sets, and the value after `=`.
fn switch_of<'a, 'b>(subcommand: &'a Command, text: &'b str) -> Option<(&'a Arg, Option<&'b str>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let is_named = |argument: &&Arg| match name.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument
            .get_short()
            .is_some_and(|letter| name.strip_prefix('-') == Some(letter.to_string().as_str())),
    };
    let mut switches = subcommand.get_arguments().filter(|argument| {
        matches!(argument.get_action(), ArgAction::SetTrue) && argument.get_long().is_some()
    });
    Some((switches.find(is_named)?, value))
}

/// Parses a value as Go's `strconv.ParseBool` does.
fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::Cli;
    use super::*;
    use clap::CommandFactory as _;

    fn resolved(arguments: &[&str]) -> Result<(Vec<String>, Vec<String>), clap::Error> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let switches = resolve(&Cli::command(), &arguments)?;
        let arguments = switches.arguments.into_iter();
        let arguments = arguments.map(|argument| argument.into_string().unwrap());
        Ok((arguments.collect(), switches.declined))
    }

    #[test]
    fn values_of_switches_are_removed() {
        for (given, expected, declined) in [
            (
                "polyarch push --purge=true a",
                "polyarch push --purge a",
                "",
            ),
            ("polyarch push -p=1 a", "polyarch push --purge a", ""),
            ("polyarch push a --purge=false", "polyarch push a", "purge"),
            (
                "polyarch push --purge a --purge=F",
                "polyarch push a",
                "purge",
            ),
            (
                "polyarch push --purge=f a -p",
                "polyarch push a --purge",
                "",
            ),
            (
                "polyarch push -- --purge=false",
                "polyarch push -- --purge=false",
                "",
            ),
            ("polyarch push --jobs=7 a", "polyarch push --jobs=7 a", ""),
            ("polyarch -D push -p a", "polyarch -D push --purge a", ""),
            ("polyarch --purge=true", "polyarch --purge=true", ""),
        ] {
            let (arguments, names) = resolved(&given.split(' ').collect::<Vec<_>>()).unwrap();
            assert_eq!(arguments.join(" "), expected, "{given}");
            assert_eq!(names.join(" "), declined, "{given}");
        }
    }

    #[test]
    fn a_switch_is_true_or_false() {
        let error = resolved(&["polyarch", "push", "--purge=maybe", "a"]).unwrap_err();
        assert!(error.to_string().contains("--purge must be true or false"));
    }
}
