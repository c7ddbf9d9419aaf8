//! The names under which the program is called: `polyarch`; `docker-polyarch`, a plugin of the Docker CLI
//! (`docker polyarch …`); and `docker`, which handles `docker manifest …` and leaves everything else to the
//! Docker CLI.
//! Plugin protocol: <https://github.com/docker/cli/blob/master/cli-plugins/metadata/metadata.go>.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::environment::Environment;

/// The argument with which Docker requests the metadata of a plugin.
const METADATA: &str = "docker-cli-plugin-metadata";
/// The command name that Docker puts before the arguments of the plugin.
const NAME: &str = "polyarch";
/// The command of the Docker CLI that is replaced.
const MANIFEST: &str = "manifest";
/// Global options of the Docker CLI that take a value:
/// <https://github.com/docker/cli/blob/master/cli/flags/options.go>.
const DOCKER_VALUES: [&str; 11] = [
    "--config",
    "--context",
    "-c",
    "--host",
    "-H",
    "--log-level",
    "-l",
    "--tlscacert",
    "--tlscert",
    "--tlskey",
    "--mirror",
];

/// How the program was called.
pub(super) enum Invocation<'e> {
    /// Docker requests the metadata of the plugin.
    PluginMetadata,
    /// Another command of the Docker CLI, with its arguments.
    Docker(Vec<OsString>),
    /// A command of polyarch, with the arguments in the form `polyarch COMMAND …`.
    Command {
        arguments: Vec<OsString>,
        environment: Cow<'e, Environment>,
    },
}

/// Reads the name of the program, and removes the arguments that Docker adds.
pub(super) fn read(arguments: Vec<OsString>, environment: &Environment) -> Invocation<'_> {
    let program = arguments.first().map(Path::new).and_then(Path::file_stem);
    let is_named = |name: &str| program == Some(OsStr::new(name));
    if is_named("docker") {
        return read_docker(arguments, environment);
    }
    let is_plugin = is_named("docker-polyarch");
    if is_plugin
        && arguments
            .get(1)
            .is_some_and(|argument| argument == METADATA)
    {
        return Invocation::PluginMetadata;
    }
    let arguments = if is_plugin {
        without_plugin_name(arguments)
    } else {
        without_manifest(arguments)
    };
    Invocation::Command {
        arguments,
        environment: Cow::Borrowed(environment),
    }
}

/// Removes the global options of Docker and the name of the plugin.
fn without_plugin_name(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut after_program = arguments.iter().skip(1);
    match after_program.position(|argument| argument == NAME) {
        Some(position) => {
            let mut own = vec![OsString::from(NAME)];
            // `docker help polyarch COMMAND`.
            own.extend((arguments[position] == "help").then(|| "help".into()));
            own.extend_from_slice(&arguments[position + 2..]);
            without_manifest(own)
        }
        None => arguments,
    }
}

/// Accepts `polyarch manifest create …`, as scripts write `docker manifest create …`.
fn without_manifest(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_option = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let mut after_program = arguments.iter().skip(1);
    let command = after_program.position(|argument| !is_option(argument));
    if let Some(position) = command.filter(|position| arguments[position + 1] == MANIFEST) {
        arguments.remove(position + 1);
    }
    arguments
}

/// Reads `docker [OPTIONS] manifest …` as a command of polyarch, to which `--config` and `--debug` apply. Any other
/// command is left to the Docker CLI.
fn read_docker(arguments: Vec<OsString>, environment: &Environment) -> Invocation<'_> {
    let mut own = vec![OsString::from(NAME)];
    let mut environment = Cow::Borrowed(environment);
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        let text = argument.to_str().unwrap_or_default();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if text == MANIFEST {
            own.extend(rest.cloned());
            return Invocation::Command {
                arguments: own,
                environment,
            };
        } else if DOCKER_VALUES.contains(&name) {
            let value = match value {
                Some(value) => Some(value),
                None => rest.next().and_then(|value| value.to_str()),
            };
            if let Some(directory) = value.filter(|_| name == "--config") {
                environment.to_mut().set("DOCKER_CONFIG", directory);
            }
        } else if matches!(text, "-D" | "--debug") {
            own.push("--debug".into());
        } else if !text.starts_with('-') {
            break;
        }
    }
    Invocation::Docker(arguments)
}

pub(super) fn print_metadata() -> ExitCode {
    let metadata = serde_json::json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "polyarch",
        "Version": concat!("v", env!("CARGO_PKG_VERSION")),
        "ShortDescription": "Publish the images of several platforms under one name",
        "URL": env!("CARGO_PKG_REPOSITORY"),
    });
    println!("{metadata}");
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &[&str]) -> Vec<String> {
        let environment = Environment::default();
        match read(arguments.iter().map(OsString::from).collect(), &environment) {
            Invocation::Command { arguments, .. } => (arguments.into_iter())
                .map(|argument| argument.into_string().unwrap())
                .collect(),
            Invocation::PluginMetadata => vec!["metadata".to_owned()],
            Invocation::Docker(_) => vec!["docker".to_owned()],
        }
    }

    #[test]
    fn arguments_of_docker_are_removed() {
        assert_eq!(command(&["/x/polyarch", "ls"]), ["/x/polyarch", "ls"]);
        let plugin = "/root/.docker/cli-plugins/docker-polyarch";
        assert_eq!(command(&[plugin, METADATA]), ["metadata"]);
        assert_eq!(command(&[plugin, "polyarch", "ls"]), ["polyarch", "ls"]);
        assert_eq!(
            command(&[plugin, "--debug", "polyarch", "create", "polyarch"]),
            ["polyarch", "create", "polyarch"]
        );
        assert_eq!(
            command(&[plugin, "--debug", "help", "polyarch", "push"]),
            ["polyarch", "help", "push"]
        );
    }

    #[test]
    fn leading_manifest_is_accepted() {
        assert_eq!(
            command(&["polyarch", "manifest", "create", "a", "manifest"]),
            ["polyarch", "create", "a", "manifest"]
        );
        assert_eq!(
            command(&["polyarch", "-D", "manifest", "ls"]),
            ["polyarch", "-D", "ls"]
        );
        assert_eq!(
            command(&["polyarch", "rm", "manifest"]),
            ["polyarch", "rm", "manifest"]
        );
    }

    #[test]
    fn docker_manifest_is_handled_and_the_rest_is_not() {
        for (arguments, expected) in [
            (
                &["docker", "manifest", "push", "a"][..],
                &["polyarch", "push", "a"][..],
            ),
            (
                &[
                    "/usr/bin/docker",
                    "-D",
                    "--context",
                    "manifest",
                    "manifest",
                    "ls",
                ],
                &["polyarch", "--debug", "ls"],
            ),
            (&["docker", "run", "manifest"], &["docker"]),
            (&["docker", "--version"], &["docker"]),
            (&["docker"], &["docker"]),
        ] {
            assert_eq!(command(arguments), expected);
        }
    }

    #[test]
    fn the_config_directory_of_docker_applies() {
        let environment = Environment::default();
        let arguments = ["docker", "--config=/c", "manifest", "ls"].map(OsString::from);
        let Invocation::Command { environment, .. } = read(arguments.to_vec(), &environment) else {
            panic!("docker manifest is handled here");
        };
        assert_eq!(environment.var("DOCKER_CONFIG"), Some("/c"));
    }
}
