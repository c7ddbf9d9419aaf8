//! What can be written on the command line. The help texts are the reference.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

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

/// How registries are spoken to.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Registries")]
pub(super) struct ConnectionArgs {
    /// Allow HTTPS without certificate checks, and plain HTTP, with the registries named in this call
    #[arg(long)]
    pub(super) insecure: bool,
    /// Trust the authorities in this PEM file, too
    #[arg(long, value_name = "FILE")]
    pub(super) ca_cert: Option<PathBuf>,
    /// Requests under way at once, for each registry
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) jobs: u16,
    /// How long to wait for a failing registry in all, for example 30s, 2m or 0
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    pub(super) retry_for: Duration,
    /// How long a registry may be silent within a request before it is tried again
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_patience)]
    pub(super) idle_timeout: Duration,
    /// The largest manifest that is read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    pub(super) max_manifest: u64,
    /// Neither use nor keep what saves the next run round trips
    #[arg(long)]
    pub(super) no_cache: bool,
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
    #[arg(long, value_name = "OS")]
    pub(super) os: Option<String>,
    /// Set the architecture
    #[arg(long, value_name = "ARCH")]
    pub(super) arch: Option<String>,
    /// Set the variant of the architecture; "" clears it
    #[arg(long)]
    pub(super) variant: Option<String>,
    /// Set the version of the operating system; "" clears it
    #[arg(long, value_name = "VERSION")]
    pub(super) os_version: Option<String>,
    /// Add features of the operating system
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
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

/// `90`, `90s`, `2m`, `1h`: a number of seconds, or with a unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: expected for example 30s, 2m, 1h or 0");
    let text = text.trim();
    let (digits, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3600),
        Some(digits) => (digits, 1),
        None => (text, 1),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    let seconds = number
        .checked_mul(factor)
        .filter(|seconds| *seconds <= 86_400);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} is longer than a day"))
}

/// A duration in which something can happen.
fn parse_patience(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("nothing is answered in no time".to_owned()),
        patience => Ok(patience),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "m", "-1", "1d", "1.5m", "100h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_patience("1"), Ok(Duration::from_secs(1)));
        assert!(parse_patience("0").is_err());
    }
}
