//! What can be written on the command line. The help texts are the reference.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
                  5 refused, 6 registry or network down, 7 partly done."
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
    /// The largest manifest that is read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    pub(super) max_manifest: u64,
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
    /// One name: a local list, else what the registry has. Two: a local list, and the entry of it to show
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

/// What goes into an index, and what is done with it. Every option can come from `POLYARCH_<OPTION>`.
#[derive(Args, Debug)]
#[command(after_help = PUBLISH_HELP)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(super) struct PublishArgs {
    /// Images to put under one name: references, digests, descriptors, oci:PATH, oci-archive:FILE, or JSON of
    /// these
    #[arg(value_name = "SOURCE")]
    pub(super) sources: Vec<String>,
    /// The same as SOURCE, for the environment
    #[arg(long, value_name = "SOURCE", hide_short_help = true)]
    pub(super) source: Vec<String>,
    /// Where to publish: any number of repositories, registries and layouts
    #[arg(long = "tag", short, value_name = "REF")]
    pub(super) tags: Vec<String>,
    /// A directory of files named by digests, as the Docker documentation's merge job uses it
    #[arg(long, value_name = "DIR")]
    pub(super) digests: Option<PathBuf>,
    /// The repository in which bare digests lie (default: that of the first tag)
    #[arg(long, value_name = "REPOSITORY")]
    pub(super) image: Option<String>,
    /// A YAML file of one or several images, as manifest-tool's
    #[arg(long, short, value_name = "SPEC", conflicts_with_all = ["sources", "source", "digests", "tags"])]
    pub(super) file: Option<PathBuf>,
    /// Exactly these platforms: each must be there, others are left out
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub(super) platform: Vec<String>,
    /// Override the platform of a source
    #[arg(long, value_name = "SOURCE=PLATFORM")]
    pub(super) set_platform: Vec<String>,
    /// Annotate the index, or with a level (index, manifest-descriptor[os/arch]) its entries
    #[arg(long, value_name = "[LEVEL:]KEY=VALUE")]
    pub(super) annotation: Vec<String>,
    /// Labels that become annotations of the index
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) labels_as_annotations: Vec<String>,
    /// What to do with annotations for manifests, which are pushed already and cannot be changed
    #[arg(long, value_name = "POLICY", default_value = "index")]
    pub(super) manifest_annotations: ManifestAnnotationsArg,
    /// Start from the index at the first tag; entries of the same platform are replaced
    #[arg(long)]
    pub(super) append: bool,
    /// The type of the index
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    pub(super) media_type: MediaTypeArg,
    /// Whether attestations come along
    #[arg(long, value_name = "POLICY", default_value = "keep")]
    pub(super) attestations: AttestationsArg,
    /// What to do about two images for one platform
    #[arg(long, value_name = "POLICY", default_value = "error")]
    pub(super) on_duplicate: OnDuplicateArg,
    /// Copy what refers to the images too (signatures, SBOMs), when they are copied
    #[arg(long)]
    pub(super) referrers: bool,
    /// Resolve and plan, and write nothing anywhere; the digest is that of the real run
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not read the tags back
    #[arg(long)]
    pub(super) no_verify: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

const PUBLISH_HELP: &str = "\
Examples:
  polyarch publish -t ghcr.io/o/app:1.2 -t docker.io/o/app:1.2 --digests ./digests
  polyarch publish -t ghcr.io/o/app:1.2 --platform linux/amd64,linux/arm64 ghcr.io/o/app:1.2-amd64 ghcr.io/o/app:1.2-arm64
  polyarch publish -t oci:./out:1.2 oci:examples/hello-amd64 oci:examples/hello-arm64";

/// What is told, and where.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// How progress is shown on standard error
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub(super) progress: ProgressArg,
    /// What standard output carries: text ends with the digest on a line of its own
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) output: OutputFormat,
    /// Write what `docker buildx --metadata-file` writes
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_file: Option<PathBuf>,
    /// Write the digest of the index
    #[arg(long, value_name = "FILE")]
    pub(super) digest_file: Option<PathBuf>,
    /// Write the exact bytes of the index
    #[arg(long, value_name = "FILE")]
    pub(super) index_file: Option<PathBuf>,
    /// Write POLYARCH_DIGEST, POLYARCH_IMAGE and POLYARCH_REF for later jobs (GitLab's dotenv report)
    #[arg(long, value_name = "FILE")]
    pub(super) dotenv: Option<PathBuf>,
    /// Report to a CI system
    #[arg(long, value_name = "SYSTEM", default_value = "auto")]
    pub(super) ci: CiArg,
    /// No job summary
    #[arg(long)]
    pub(super) no_summary: bool,
}

#[derive(Args, Debug)]
pub(super) struct CopyArgs {
    /// What to copy: a reference, oci:PATH, oci-archive:FILE
    #[arg(value_name = "SRC")]
    pub(super) source: String,
    /// Where to: references, oci:PATH:TAG, oci-archive:FILE:TAG
    #[arg(value_name = "DST", required = true)]
    pub(super) targets: Vec<String>,
    /// Only these platforms; a single one is copied as an image of its own
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub(super) platform: Vec<String>,
    /// Copy what refers to the images too (signatures, SBOMs)
    #[arg(long)]
    pub(super) referrers: bool,
    /// Resolve and plan, and write nothing anywhere
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not read the tags back
    #[arg(long)]
    pub(super) no_verify: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
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
pub(super) enum ManifestAnnotationsArg {
    /// They go on the index, with a notice
    Index,
    /// They are left out
    Ignore,
    /// They are an error
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MediaTypeArg {
    /// A Docker list if all images are Docker's, else an OCI index
    Auto,
    /// An OCI index
    Oci,
    /// A Docker manifest list
    Docker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AttestationsArg {
    /// They follow their images
    Keep,
    /// None is published
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnDuplicateArg {
    /// Refuse
    Error,
    /// The later one wins
    Replace,
    /// Keep both
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressArg {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// Bars
    Tty,
    /// A line an event
    Plain,
    /// A JSON document an event
    Json,
    /// Notices and warnings only
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people
    Text,
    /// One JSON document, described by docs/result.schema.json
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CiArg {
    /// Whichever the environment shows
    Auto,
    /// GitHub Actions, and what is compatible
    Github,
    /// GitLab CI
    Gitlab,
    /// None
    None,
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
    }
}
