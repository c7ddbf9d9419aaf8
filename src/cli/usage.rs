//! Converts usage errors of clap into the form of all errors: one line, then hints.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::failure::Failure;

/// Returns the failure for an error in `arguments`.
pub(super) fn failure(error: &clap::Error, command: &Command, arguments: &[OsString]) -> Failure {
    let failure = Failure::usage(message(error));
    let failure = hints(error).into_iter().fold(failure, Failure::hint);
    failure.hint(help(error, command, arguments))
}

fn message(error: &clap::Error) -> String {
    let argument = names(error, ContextKind::InvalidArg);
    let value = texts(error, ContextKind::InvalidValue).join(", ");
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            format!("missing {argument}")
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("unknown option {argument}")
        }
        ErrorKind::UnknownArgument => format!("unexpected argument {argument:?}"),
        ErrorKind::TooManyValues => format!("unexpected argument {value:?}"),
        ErrorKind::InvalidSubcommand => {
            let name = texts(error, ContextKind::InvalidSubcommand).join(" ");
            format!("unknown command {name:?}")
        }
        ErrorKind::ArgumentConflict => {
            let prior = names(error, ContextKind::PriorArg);
            format!("{argument} cannot be used with {prior}")
        }
        ErrorKind::InvalidValue if !argument.is_empty() && value.is_empty() => {
            format!("missing value of {argument}")
        }
        ErrorKind::InvalidValue if !argument.is_empty() => {
            format!("invalid value {value:?} of {argument}")
        }
        ErrorKind::ValueValidation => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            format!(
                "invalid value {value:?} of {argument}: {}",
                cause.unwrap_or_default()
            )
        }
        _ => first_line(error),
    }
}

/// Returns hints with the names and values that the error suggests.
fn hints(error: &clap::Error) -> Vec<String> {
    let mut hints = Vec::new();
    let similar = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    let similar: Vec<String> = (similar.into_iter())
        .flat_map(|kind| texts(error, kind))
        .collect();
    let valid = texts(error, ContextKind::ValidValue);
    if !similar.is_empty() {
        hints.push(format!("use {}", similar.join(" or ")));
    } else if let [only] = &valid[..] {
        hints.push(format!("use {only}"));
    } else if !valid.is_empty() {
        hints.push(format!("use one of {}", valid.join(", ")));
    }
    hints
}

/// Returns a hint with the usage line if an argument is missing or unexpected; otherwise how to see all options.
fn help(error: &clap::Error, command: &Command, arguments: &[OsString]) -> String {
    let is_about_arguments = match error.kind() {
        ErrorKind::MissingRequiredArgument | ErrorKind::TooManyValues => true,
        ErrorKind::UnknownArgument => !names(error, ContextKind::InvalidArg).starts_with('-'),
        _ => false,
    };
    let mut words = arguments.iter().filter_map(|argument| argument.to_str());
    let found = words.find_map(|word| command.find_subcommand(word));
    let name = match found {
        Some(subcommand) => format!("{} {}", command.get_name(), subcommand.get_name()),
        None => command.get_name().to_owned(),
    };
    match found.filter(|_| is_about_arguments) {
        Some(subcommand) => {
            let usage = subcommand.clone().bin_name(name).render_usage().to_string();
            format!("use `{}`", usage.trim_start_matches("Usage: "))
        }
        None => format!("see `{name} --help`"),
    }
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// Returns the names of arguments: `MANIFEST` for `<MANIFEST>...`, `--check` for `--check <LEVEL>`.
fn names(error: &clap::Error, kind: ContextKind) -> String {
    let plain = |name: String| match name.strip_prefix('<') {
        Some(rest) => rest
            .trim_end_matches("...")
            .trim_end_matches('>')
            .to_owned(),
        None => name.split(" <").next().unwrap_or_default().to_owned(),
    };
    let names: Vec<String> = texts(error, kind).into_iter().map(plain).collect();
    names.join(" and ")
}

/// Returns the message of an error that polyarch created, without the prefix of clap.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}
