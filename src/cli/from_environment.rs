//! Reads options from the environment: `POLYARCH_<OPTION>`, and `PLUGIN_<OPTION>` as Woodpecker and Drone set it.
//! Each is inserted before the given arguments, unless these contain the option.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::environment::Environment;

pub(super) const PREFIXES: [&str; 2] = ["POLYARCH_", "PLUGIN_"];

/// Adds the options that the environment sets for the subcommand in `arguments`, except the switches in `declined`,
/// which the command line sets to false.
pub(super) fn complete(
    command: &Command,
    arguments: &[OsString],
    declined: &[String],
    environment: &Environment,
) -> Result<Vec<OsString>, clap::Error> {
    let lenient = command.clone().ignore_errors(true);
    let Ok(matches) = lenient.try_get_matches_from(arguments) else {
        return Ok(arguments.to_vec());
    };
    let Some((name, given)) = matches.subcommand() else {
        return Ok(arguments.to_vec());
    };
    let (Some(subcommand), Some(position)) = (
        command.find_subcommand(name),
        arguments.iter().position(|argument| argument == name),
    ) else {
        return Ok(arguments.to_vec());
    };
    let mut completed = arguments[..=position].to_vec();
    let global = command.get_arguments().filter(|it| it.is_global_set());
    for option in subcommand.get_arguments().chain(global) {
        let is_declined = option
            .get_long()
            .is_some_and(|long| declined.iter().any(|name| name == long));
        if !is_given(option, given)
            && !is_replaced(option, given)
            && !is_declined
            && let Some(argument) = from_variable(command, option, environment)?
        {
            completed.push(argument.into());
        }
    }
    completed.extend_from_slice(&arguments[position + 1..]);
    Ok(completed)
}

fn is_given(option: &Arg, given: &ArgMatches) -> bool {
    let source = given.value_source(option.get_id().as_str());
    source == Some(ValueSource::CommandLine)
}

/// Returns whether positional sources replace `POLYARCH_SOURCE`.
fn is_replaced(option: &Arg, given: &ArgMatches) -> bool {
    let has_sources = given.try_contains_id("sources").unwrap_or(false);
    option.get_id() == "source"
        && has_sources
        && given.value_source("sources") == Some(ValueSource::CommandLine)
}

fn from_variable(
    command: &Command,
    option: &Arg,
    environment: &Environment,
) -> Result<Option<String>, clap::Error> {
    let Some(long) = option.get_long() else {
        return Ok(None);
    };
    let names = names(long, option);
    let found = PREFIXES.iter().find_map(|prefix| {
        names.iter().find_map(|name| {
            let variable = format!("{prefix}{name}");
            let value = environment.var(&variable)?.trim();
            Some((variable, value))
        })
    });
    let Some((variable, value)) = found else {
        return Ok(None);
    };
    // An earlier job with `--dotenv` sets this variable to an image with a digest, which is not a repository.
    if long == "image" && value.contains('@') {
        return Ok(None);
    }
    if option.get_action().takes_values() {
        return Ok((!value.is_empty()).then(|| format!("--{long}={value}")));
    }
    match value.to_ascii_lowercase().as_str() {
        "" | "false" | "0" | "no" | "off" => Ok(None),
        "true" | "1" | "yes" | "on" => Ok(Some(format!("--{long}"))),
        _ => Err(command.clone().error(
            ErrorKind::InvalidValue,
            format!("{variable} must be true or false"),
        )),
    }
}

/// Returns the names of the option `--<long>` in variables, without a prefix. The name of a list may be plural:
/// `POLYARCH_PLATFORMS`.
pub(super) fn names(long: &str, option: &Arg) -> Vec<String> {
    let name = long.to_uppercase().replace('-', "_");
    let is_list = matches!(option.get_action(), ArgAction::Append);
    let plural = (is_list && !name.ends_with('S')).then(|| format!("{name}S"));
    std::iter::once(name).chain(plural).collect()
}

#[cfg(test)]
mod tests {
    use super::super::args::Cli;
    use super::*;
    use clap::CommandFactory as _;

    fn completed(arguments: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let environment: Environment = variables.iter().copied().collect();
        complete(
            &Cli::command(),
            &arguments,
            &["verify".into()],
            &environment,
        )
        .unwrap()
        .into_iter()
        .map(|argument| argument.into_string().unwrap())
        .collect()
    }

    #[test]
    fn options_that_are_not_given_are_read_from_variables() {
        let variables = [
            ("POLYARCH_INSECURE", "true"),
            ("PLUGIN_JOBS", "7"),
            ("POLYARCH_PURGE", "false"),
            ("POLYARCH_CA_CERT", ""),
            ("POLYARCH_VERIFY", "true"),
        ];
        assert_eq!(
            completed(&["polyarch", "push", "a"], &variables),
            ["polyarch", "push", "--insecure", "--jobs=7", "a"]
        );
        assert_eq!(
            completed(&["polyarch", "push", "--jobs", "3", "a"], &variables),
            ["polyarch", "push", "--insecure", "--jobs", "3", "a"]
        );
        // Also the options of all commands.
        assert_eq!(
            completed(&["polyarch", "ls"], &[("POLYARCH_DEBUG", "true")]),
            ["polyarch", "ls", "--debug"]
        );
    }

    #[test]
    fn positional_sources_replace_the_variable() {
        let variables = [("POLYARCH_SOURCE", "b:1")];
        assert_eq!(
            completed(&["polyarch", "publish", "a:1"], &variables),
            ["polyarch", "publish", "a:1"]
        );
        assert_eq!(
            completed(&["polyarch", "publish"], &variables),
            ["polyarch", "publish", "--source=b:1"]
        );
    }

    #[test]
    fn a_list_may_have_its_plural_name() {
        assert_eq!(
            completed(
                &["polyarch", "publish"],
                &[
                    ("POLYARCH_TAGS", "a:1"),
                    ("PLUGIN_PLATFORMS", "linux/amd64")
                ]
            ),
            ["polyarch", "publish", "--tag=a:1", "--platform=linux/amd64"]
        );
        assert_eq!(
            completed(
                &["polyarch", "publish"],
                &[("POLYARCH_TAGS", "a:1"), ("POLYARCH_TAG", "b:1")]
            ),
            ["polyarch", "publish", "--tag=b:1"]
        );
    }

    #[test]
    fn the_image_of_a_dotenv_report_is_ignored() {
        let image = format!("a.io/app@sha256:{}", "0".repeat(64));
        let left = [("POLYARCH_IMAGE", image.as_str()), ("POLYARCH_DIGEST", "x")];
        assert_eq!(
            completed(&["polyarch", "publish"], &left),
            ["polyarch", "publish"]
        );
        let meant = [("POLYARCH_IMAGE", "a.io/app")];
        assert_eq!(
            completed(&["polyarch", "publish"], &meant),
            ["polyarch", "publish", "--image=a.io/app"]
        );
    }

    #[test]
    fn a_flag_that_is_neither_true_nor_false_is_an_error() {
        let environment: Environment = [("POLYARCH_INSECURE", "maybe")].into_iter().collect();
        let arguments = ["polyarch", "push", "a"].map(OsString::from);
        let error = complete(&Cli::command(), &arguments, &[], &environment).unwrap_err();
        assert!(error.to_string().contains("POLYARCH_INSECURE"));
    }
}
