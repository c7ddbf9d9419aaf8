//! As a plugin of the Docker CLI (`docker polyarch …`), under the name `docker-polyarch`.
//! Protocol: <https://github.com/docker/cli/blob/master/cli-plugins/metadata/metadata.go>.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The argument by which Docker asks a plugin what it is.
const METADATA: &str = "docker-cli-plugin-metadata";
/// The name of the command that Docker passes on in front of its arguments.
const NAME: &str = "polyarch";

/// What the process was called for.
pub(super) enum Call {
    /// Docker asks what this plugin is.
    Metadata,
    /// A command, with the arguments that `polyarch` itself would have got.
    Command(Vec<OsString>),
}

/// Takes off what Docker puts in front: its own global flags and the name of the plugin.
pub(super) fn unwrap(arguments: Vec<OsString>) -> Call {
    let is_plugin = arguments
        .first()
        .and_then(|program| Path::new(program).file_stem()?.to_str())
        == Some("docker-polyarch");
    if !is_plugin {
        return Call::Command(arguments);
    }
    if arguments
        .get(1)
        .is_some_and(|argument| argument == METADATA)
    {
        return Call::Metadata;
    }
    match arguments
        .iter()
        .skip(1)
        .position(|argument| argument == NAME)
    {
        Some(position) => {
            let mut own = vec![OsString::from(NAME)];
            // `docker help polyarch COMMAND`.
            own.extend((arguments[position] == "help").then(|| "help".into()));
            own.extend_from_slice(&arguments[position + 2..]);
            Call::Command(own)
        }
        None => Call::Command(arguments),
    }
}

pub(super) fn print_metadata() -> ExitCode {
    let metadata = serde_json::json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "polyarch",
        "Version": concat!("v", env!("CARGO_PKG_VERSION")),
        "ShortDescription": "Put the images of several platforms under one name",
        "URL": env!("CARGO_PKG_REPOSITORY"),
    });
    println!("{metadata}");
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &[&str]) -> Vec<String> {
        match unwrap(arguments.iter().map(OsString::from).collect()) {
            Call::Command(own) => own.into_iter().map(|a| a.into_string().unwrap()).collect(),
            Call::Metadata => vec!["metadata".to_owned()],
        }
    }

    #[test]
    fn what_docker_adds_is_taken_off() {
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
}
