//! Warns about variables with polyarch's prefixes that it does not read, and refuses values that are not UTF-8.
//! Otherwise a misspelled option would have no effect, and the user would not notice.

use std::collections::BTreeSet;

use clap::Command;

use super::failure::Failure;
use super::from_environment::{PREFIXES, names};
use crate::environment::Environment;

/// Variables that other modules read, and variables of the dotenv report.
const OTHERS: [&str; 6] = [
    "DIGEST",
    "REF",
    "IMAGE",
    "HOME",
    "GOOGLE_PROVIDER",
    "GOOGLE_SERVICE_ACCOUNT",
];
/// Fields of a credential, each also with a number: `PASSWORD_2`.
const CREDENTIAL: [&str; 5] = ["REGISTRY", "USERNAME", "PASSWORD", "PASSWORD_FILE", "TOKEN"];
/// An ID token for every cloud, or for one of them: `ID_TOKEN_AWS`.
const ID_TOKEN: &str = "ID_TOKEN";
/// Jenkins splits a credential `X` into `X_USR` and `X_PSW`.
const OF_JENKINS: [&str; 2] = ["_USR", "_PSW"];
/// The beginnings of the names of all other variables that polyarch reads.
const FOREIGN: [&str; 18] = [
    "ACTIONS_",
    "ALL_PROXY",
    "AWS_",
    "AZURE_",
    "CI_",
    "CLOUDSDK_",
    "DOCKER",
    "GITHUB_",
    "GITLAB_",
    "GOOGLE_",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "REGISTRY_AUTH_FILE",
    "RUNNER_TEMP",
    "SSL_CERT_",
    "XDG_",
];

/// Refuses variables that polyarch reads if their values are not UTF-8: they would have no effect.
pub(super) fn check_encoding(environment: &Environment) -> Result<(), Failure> {
    let is_read = |name: &&str| {
        let upper = name.to_ascii_uppercase();
        let mut beginnings = PREFIXES.iter().chain(&FOREIGN);
        beginnings.any(|beginning| upper.starts_with(beginning))
    };
    match environment.unreadable().find(is_read) {
        Some(name) => Err(Failure::usage(format!("cannot read {name}: not UTF-8"))),
        None => Ok(()),
    }
}

/// Returns a warning for each variable that has a prefix of polyarch but names no option.
pub(super) fn warnings(command: &Command, environment: &Environment) -> Vec<String> {
    let options = options(command);
    let mut warnings = Vec::new();
    for name in environment.names() {
        let rest = PREFIXES.iter().find_map(|prefix| {
            let rest = name.strip_prefix(prefix)?;
            Some((*prefix, rest))
        });
        let Some((prefix, rest)) = rest else { continue };
        if rest.is_empty()
            || environment.var(name).is_none()
            || options.contains(rest)
            || is_other(environment, prefix, rest)
        {
            continue;
        }
        let letters = |text: &str| text.replace('_', "");
        let meant = options.iter().find(|it| letters(it) == letters(rest));
        warnings.push(match meant {
            Some(meant) => format!("{name} has no effect; use {prefix}{meant}"),
            None => format!("{name} has no effect: there is no such option"),
        });
    }
    warnings
}

/// Returns the names that the options of all commands have in variables, without prefixes.
fn options(command: &Command) -> BTreeSet<String> {
    let of_subcommands = command.get_subcommands().flat_map(Command::get_arguments);
    let options = command.get_arguments().chain(of_subcommands);
    let named = options.filter_map(|option| Some(names(option.get_long()?, option)));
    named.flatten().collect()
}

fn is_other(environment: &Environment, prefix: &str, rest: &str) -> bool {
    let without_number = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let field = without_number.strip_suffix('_').unwrap_or(rest);
    let is_of_jenkins = OF_JENKINS.iter().any(|end| {
        rest.ends_with(end) || environment.var(&format!("{prefix}{rest}{end}")).is_some()
    });
    OTHERS.contains(&rest)
        || CREDENTIAL.contains(&rest)
        || CREDENTIAL.contains(&field)
        || rest == ID_TOKEN
        || rest
            .strip_prefix(ID_TOKEN)
            .is_some_and(|cloud| cloud.starts_with('_'))
        || is_of_jenkins
}

#[cfg(test)]
mod tests {
    use super::super::args;
    use super::*;

    fn warned(names: &[&str]) -> Vec<String> {
        let environment: Environment = names.iter().map(|name| (*name, "true")).collect();
        warnings(&args::command(), &environment)
    }

    #[test]
    fn unknown_variables_are_named() {
        assert_eq!(
            warned(&[
                "POLYARCH_DRYRUN",
                "PLUGIN_RETRYFOR",
                "POLYARCH_FOO",
                "POLYARCH_PASSWORD_TWO",
                "OTHER_DRYRUN",
            ]),
            [
                "PLUGIN_RETRYFOR has no effect; use PLUGIN_RETRY_FOR",
                "POLYARCH_DRYRUN has no effect; use POLYARCH_DRY_RUN",
                "POLYARCH_FOO has no effect: there is no such option",
                "POLYARCH_PASSWORD_TWO has no effect: there is no such option",
            ]
        );
    }

    #[test]
    fn variables_that_are_read_or_written_are_known() {
        let names = [
            "POLYARCH_DRY_RUN",
            "POLYARCH_VERIFY",
            "POLYARCH_TAGS",
            "POLYARCH_SOURCE",
            "POLYARCH_DEBUG",
            "POLYARCH_HOME",
            "POLYARCH_DIGEST",
            "POLYARCH_REF",
            "POLYARCH_IMAGE",
            "POLYARCH_REGISTRY",
            "POLYARCH_REGISTRY_2",
            "POLYARCH_PASSWORD_FILE_12",
            "POLYARCH_TOKEN_3",
            "POLYARCH_ID_TOKEN",
            "POLYARCH_ID_TOKEN_AWS",
            "POLYARCH_GOOGLE_PROVIDER",
            "POLYARCH_GOOGLE_SERVICE_ACCOUNT",
            "POLYARCH_LOGIN",
            "POLYARCH_LOGIN_USR",
            "POLYARCH_LOGIN_PSW",
            "PLUGIN_PASSWORD",
            "PLUGIN_PLATFORMS",
        ];
        assert_eq!(warned(&names), Vec::<String>::new());
    }
}
