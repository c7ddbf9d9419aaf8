//! The arguments of the command line. Their doc comments are the help texts.

use clap::{Arg, Args, Command as ClapCommand, CommandFactory as _, Parser, Subcommand, ValueEnum};

use super::connection_args::ConnectionArgs;
use super::publish_args::{CopyArgs, PublishArgs};
use crate::check::CheckLevel;
use crate::registry::Access;

/// Publish the images of several platforms under one name.
///
/// `create`, `annotate`, `inspect`, `push` and `rm` replace `docker manifest` without changes to its arguments.
#[derive(Parser, Debug)]
#[command(
    name = "polyarch",
    bin_name = "polyarch",
    disable_version_flag = true,
    // The last value of a repeated option counts, as with Docker.
    args_override_self = true,
    max_term_width = 100,
    after_help = "Every option can be set as POLYARCH_<OPTION> in the environment.\n\
                  Exit codes: 0 done, 1 failure, 2 usage, 3 authorisation, 4 a source does not exist,\n\
                  5 refused, 6 registry or network down, 7 partly done, 130 or 143 interrupted."
)]
pub(super) struct Cli {
    /// Print the version
    #[arg(long, short = 'V')]
    pub(super) version: bool,
    /// Show build details (with --version)
    #[arg(long, requires = "version")]
    pub(super) verbose: bool,
    /// Log requests to standard error; secrets are omitted
    #[arg(long, short = 'D', global = true, display_order = 900)]
    pub(super) debug: bool,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Publish images of several platforms as one index
    ///
    /// Reads the sources, checks that everything exists, pushes, verifies and reports.
    Publish(Box<PublishArgs>),
    /// Copy an image or an index byte for byte
    ///
    /// Copies between repositories, registries and layouts.
    Copy(CopyArgs),
    /// Check that all content of a reference exists
    ///
    /// The content must also match its descriptors.
    Check(CheckArgs),
    /// Create a local manifest list
    ///
    /// The list can then be annotated, and pushed to a registry.
    Create(CreateArgs),
    /// Change an entry of a local manifest list, or the list itself
    Annotate(AnnotateArgs),
    /// Display an image manifest or a manifest list
    Inspect(InspectArgs),
    /// Push a manifest list to a registry, under one or more tags
    Push(PushArgs),
    /// Delete one or more local manifest lists
    Rm(RmArgs),
    /// List the local manifest lists
    Ls(LsArgs),
    /// Show which credentials are used for a reference or host
    ///
    /// Lists all places that are searched. Secrets are omitted.
    Auth(AuthArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

impl Command {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            Self::Copy(_) => "copy",
            Self::Check(_) => "check",
            Self::Create(_) => "create",
            Self::Annotate(_) => "annotate",
            Self::Inspect(_) => "inspect",
            Self::Push(_) => "push",
            Self::Rm(_) => "rm",
            Self::Ls(_) => "ls",
            Self::Auth(_) => "auth",
            Self::Completions(_) => "completions",
            Self::Man => "man",
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Extent of the check
    #[arg(long, value_name = "LEVEL", default_value = "blobs")]
    pub(super) level: CheckLevel,
    /// The format of the output
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// References, oci:PATH or oci-archive:FILE
    #[arg(value_name = "REF", required = true)]
    pub(super) references: Vec<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  polyarch create ghcr.io/o/app:1 ghcr.io/o/app:1-amd64 ghcr.io/o/app:1-arm64\n  polyarch push --purge ghcr.io/o/app:1"
)]
pub(super) struct CreateArgs {
    /// Amend an existing manifest list
    ///
    /// The named sources are read again; the other entries are kept.
    #[arg(long, short)]
    pub(super) amend: bool,
    /// Replace an existing manifest list
    #[arg(long, conflicts_with = "amend")]
    pub(super) replace: bool,
    /// The manifest list to create
    #[arg(value_name = "MANIFEST_LIST")]
    pub(super) list: String,
    /// The images of the list; an index adds all its entries
    #[arg(value_name = "MANIFEST", required = true)]
    pub(super) manifests: Vec<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  polyarch annotate --arch arm --variant v7 ghcr.io/o/app:1 ghcr.io/o/app:1-arm\n  polyarch annotate --annotation org.example.build=12 ghcr.io/o/app:1.0"
)]
pub(super) struct AnnotateArgs {
    /// Set the operating system
    #[arg(long, value_name = "OS", allow_hyphen_values = true)]
    pub(super) os: Option<String>,
    /// Set the architecture
    #[arg(long, value_name = "ARCH", allow_hyphen_values = true)]
    pub(super) arch: Option<String>,
    /// Set the variant; "" clears it
    #[arg(long, allow_hyphen_values = true)]
    pub(super) variant: Option<String>,
    /// Set the OS version; "" clears it
    #[arg(long, value_name = "VERSION", allow_hyphen_values = true)]
    pub(super) os_version: Option<String>,
    /// Add OS features, separated by commas
    #[arg(long, value_name = "FEATURE", allow_hyphen_values = true)]
    pub(super) os_features: Vec<String>,
    /// Annotate the entry, or the list if MANIFEST is omitted
    ///
    /// An empty value removes the annotation.
    #[arg(long, alias = "annotations", value_name = "KEY=VALUE")]
    pub(super) annotation: Vec<String>,
    /// Accept unknown OS and architecture names
    #[arg(long)]
    pub(super) force: bool,
    /// The local manifest list
    #[arg(value_name = "MANIFEST_LIST")]
    pub(super) list: String,
    /// The entry to change
    #[arg(value_name = "MANIFEST")]
    pub(super) manifest: Option<String>,
}

#[derive(Args, Debug)]
#[command(override_usage = "polyarch inspect [OPTIONS] [MANIFEST_LIST] MANIFEST")]
pub(super) struct InspectArgs {
    /// Show the reference, descriptor, raw bytes and content of each manifest
    #[arg(long, short)]
    pub(super) verbose: bool,
    /// Print the exact bytes of the manifest
    #[arg(long, conflicts_with_all = ["verbose", "tree", "format"])]
    pub(super) raw: bool,
    /// Print a tree of platforms and attestations
    #[arg(long, conflicts_with_all = ["verbose", "format"])]
    pub(super) tree: bool,
    /// Print a summary in this format
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// A local list, an image in a registry, oci:PATH or oci-archive:FILE; or a local list and one of its entries
    #[arg(value_name = "MANIFEST", required = true, num_args = 1..=2)]
    pub(super) names: Vec<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

#[derive(Args, Debug)]
pub(super) struct PushArgs {
    /// Remove the local manifest list after the push
    #[arg(long, short)]
    pub(super) purge: bool,
    /// Also push to this tag in the repository of the list, or to this reference
    #[arg(
        long = "tag",
        alias = "tags",
        short,
        value_name = "TAG",
        value_delimiter = ','
    )]
    pub(super) tags: Vec<String>,
    /// Read every tag back and compare the bytes
    #[arg(long)]
    pub(super) verify: bool,
    /// Extent of the check before a tag moves
    #[arg(long, value_name = "LEVEL", default_value = "manifests")]
    pub(super) check: CheckLevel,
    /// Write no job summary in GitHub Actions
    #[arg(long, hide_short_help = true)]
    pub(super) no_summary: bool,
    /// The local manifest list
    #[arg(value_name = "MANIFEST_LIST")]
    pub(super) list: String,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

#[derive(Args, Debug)]
pub(super) struct RmArgs {
    /// The local manifest lists
    #[arg(value_name = "MANIFEST_LIST", required = true)]
    pub(super) lists: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct LsArgs {
    /// The format of the output
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
}

#[derive(Args, Debug)]
pub(super) struct AuthArgs {
    /// An image reference, a repository or the host of a registry
    #[arg(value_name = "REF|HOST")]
    pub(super) reference: String,
    /// The access that is needed
    #[arg(long = "for", value_name = "ACCESS", default_value = "push")]
    pub(super) access: Access,
    /// The format of the output
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
}

#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Json,
}

/// Returns the command line. The help of each option names its variable.
pub(super) fn command() -> ClapCommand {
    Cli::command().mut_subcommands(|command| command.mut_args(with_variable))
}

/// Returns the command line for `-h`, which fits a screen: one line for each option.
pub(super) fn brief_command() -> ClapCommand {
    let one_line = |argument: Arg| {
        let argument = argument.help_heading(None);
        if argument.get_action().takes_values() {
            argument.hide_possible_values(true).hide_default_value(true)
        } else {
            argument
        }
    };
    command()
        .mut_arg("debug", |debug| debug.hide_short_help(true))
        .term_width(80)
        .after_help("Use --help for exit codes, and COMMAND --help for all options.")
        .mut_subcommands(|command| {
            let name = command.get_name().to_owned();
            let has_more = command.get_after_help().is_some()
                || command.get_arguments().any(Arg::is_hide_short_help_set);
            let command = command.mut_args(one_line);
            if has_more {
                let more = "for all options, variables and examples.";
                command.after_help(format!("Use `polyarch {name} --help` {more}"))
            } else {
                command
            }
        })
}

fn with_variable(option: Arg) -> Arg {
    let Some(long) = option.get_long().filter(|long| *long != "help") else {
        return option;
    };
    let variable = format!("POLYARCH_{}", long.to_uppercase().replace('-', "_"));
    let help = option.get_long_help().or_else(|| option.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    option.long_help(format!("{help}\n\n[env: {variable}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders the help of every command.
    fn helps(mut command: ClapCommand, render: fn(&mut ClapCommand) -> String) -> Vec<String> {
        command.build();
        let mut commands: Vec<&mut ClapCommand> = command.get_subcommands_mut().collect();
        commands.iter_mut().map(|command| render(command)).collect()
    }

    #[test]
    fn brief_help_fits_a_screen() {
        for help in helps(brief_command(), |it| it.render_help().to_string()) {
            assert!(help.lines().count() <= 24, "{help}");
            assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        }
    }

    #[test]
    fn examples_are_not_wrapped() {
        for help in helps(command(), |it| it.render_long_help().to_string()) {
            let examples = help
                .split_once("Example")
                .map_or("", |(_, examples)| examples);
            for line in examples.lines().skip(1) {
                assert!(line.starts_with("  "), "{help}");
                assert!(line.len() <= 80, "{help}");
            }
        }
    }

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_help_names_the_variable_of_an_option() {
        let mut command = command();
        let publish = command.find_subcommand_mut("publish").unwrap();
        let help = publish.render_long_help().to_string();
        assert!(help.contains("[env: POLYARCH_TAG]"), "{help}");
    }
}
