//! What can be written on the command line. The help texts are the reference.

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::connection_args::ConnectionArgs;
use super::publish_args::{CopyArgs, PublishArgs};

/// One tag, every architecture: put the images of several platforms under one name.
///
/// `create`, `annotate`, `inspect`, `push` and `rm` take the place of `docker manifest`, word for word.
#[derive(Parser, Debug)]
#[command(
    name = "polyarch",
    disable_version_flag = true,
    // The last one counts, as with Docker.
    args_override_self = true,
    max_term_width = 100,
    after_help = "Every option can also be given as POLYARCH_<OPTION> in the environment.\n\
                  Exit codes: 0 done, 1 failure, 2 usage, 3 authorisation, 4 a source does not exist,\n\
                  5 refused, 6 registry or network down, 7 partly done, 130 or 143 interrupted."
)]
pub(super) struct Cli {
    /// Print the version; with --verbose, what the binary was built from
    #[arg(long, short = 'V')]
    pub(super) version: bool,
    /// More about the version
    #[arg(long, requires = "version")]
    pub(super) verbose: bool,
    /// Tell every request on standard error (never a secret)
    #[arg(long, short = 'D', global = true, display_order = 900)]
    pub(super) debug: bool,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// The whole job in one command: resolve, plan, push, verify, report
    Publish(Box<PublishArgs>),
    /// Copy an image or an index as it is, between repositories, registries and layouts
    Copy(CopyArgs),
    /// Create a local manifest list for annotating and pushing to a registry
    Create(CreateArgs),
    /// Add information to an entry of a local manifest list, or to the list itself
    Annotate(AnnotateArgs),
    /// Display an image manifest, or a manifest list
    Inspect(InspectArgs),
    /// Push a manifest list to a registry, under one tag or several
    Push(PushArgs),
    /// Delete one or more local manifest lists
    Rm(RmArgs),
    /// List the local manifest lists
    Ls(LsArgs),
    /// Show which credentials would be used for a reference, and where each was looked for
    Auth(AuthArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

impl Command {
    /// The word that calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            Self::Copy(_) => "copy",
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
#[command(
    after_help = "Example:\n  polyarch create example.com/app:1.0 example.com/app:1.0-amd64 example.com/app:1.0-arm64\n  polyarch push --purge example.com/app:1.0"
)]
pub(super) struct CreateArgs {
    /// Amend an existing manifest list: the named sources are read again, the others stay
    #[arg(long, short)]
    pub(super) amend: bool,
    /// Replace an existing manifest list
    #[arg(long, conflicts_with = "amend")]
    pub(super) replace: bool,
    /// The list to create
    #[arg(value_name = "MANIFEST_LIST")]
    pub(super) list: String,
    /// The images to put into it; an index gives all its entries
    #[arg(value_name = "MANIFEST", required = true)]
    pub(super) manifests: Vec<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  polyarch annotate --arch arm --variant v7 example.com/app:1.0 example.com/app:1.0-armhf\n  polyarch annotate --annotation org.opencontainers.image.version=1.0 example.com/app:1.0"
)]
pub(super) struct AnnotateArgs {
    /// Set the operating system
    #[arg(long, value_name = "OS", allow_hyphen_values = true)]
    pub(super) os: Option<String>,
    /// Set the architecture
    #[arg(long, value_name = "ARCH", allow_hyphen_values = true)]
    pub(super) arch: Option<String>,
    /// Set the variant of the architecture; "" clears it
    #[arg(long, allow_hyphen_values = true)]
    pub(super) variant: Option<String>,
    /// Set the version of the operating system; "" clears it
    #[arg(long, value_name = "VERSION", allow_hyphen_values = true)]
    pub(super) os_version: Option<String>,
    /// Add features of the operating system, with commas between them
    #[arg(long, value_name = "FEATURE", allow_hyphen_values = true)]
    pub(super) os_features: Vec<String>,
    /// Set an annotation, on the entry or, without MANIFEST, on the list; an empty value removes it
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) annotation: Vec<String>,
    /// Accept names of operating systems and architectures that are not known
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
    /// Everything: reference, descriptor, raw bytes and content of each manifest
    #[arg(long, short)]
    pub(super) verbose: bool,
    /// The exact bytes of the manifest
    #[arg(long, conflicts_with_all = ["verbose", "tree", "format"])]
    pub(super) raw: bool,
    /// A tree for people
    #[arg(long, conflicts_with_all = ["verbose", "format"])]
    pub(super) tree: bool,
    /// A summary for programs
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// One name: a local list, else what the registry has, or oci:PATH and oci-archive:FILE. Two: a local list, and the entry of it to show
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
    /// Push under this too: a tag in the list's repository, or a whole reference anywhere
    #[arg(long = "tag", short, value_name = "TAG", value_delimiter = ',')]
    pub(super) tags: Vec<String>,
    /// Read every tag back and compare the bytes
    #[arg(long)]
    pub(super) verify: bool,
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
    /// The form of the output
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
}

#[derive(Args, Debug)]
pub(super) struct AuthArgs {
    /// An image reference or a repository
    #[arg(value_name = "REF")]
    pub(super) reference: String,
    /// What the credentials are for
    #[arg(long = "for", value_name = "ACCESS", default_value = "push")]
    pub(super) access: AccessArg,
    /// The form of the output
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AccessArg {
    Pull,
    Push,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
