//! The arguments of `publish` and `copy`. Their doc comments are the help texts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::connection_args::{ConnectionArgs, parse_duration};
use crate::check::CheckLevel;
use crate::ops::IfExists;
use crate::plan::{Attestations, ManifestAnnotations, MediaTypeChoice, OnDuplicate};

#[derive(Args, Debug)]
#[command(after_help = PUBLISH_HELP)]
pub(super) struct PublishArgs {
    /// References, digests, oci:PATH, oci-archive:FILE or JSON of these
    ///
    /// A descriptor is accepted too. JSON is an object or array, such as the outputs of a job.
    #[arg(value_name = "SOURCE")]
    pub(super) sources: Vec<String>,
    /// Alternative to SOURCE, intended for POLYARCH_SOURCE
    #[arg(long, alias = "sources", value_name = "SOURCE", hide_short_help = true)]
    pub(super) source: Vec<String>,
    /// Publish under this reference
    ///
    /// Targets may be in any number of repositories, registries and layouts. One option may contain several
    /// targets, separated by commas or line breaks.
    #[arg(long = "tag", alias = "tags", short, value_name = "REF")]
    pub(super) tags: Vec<String>,
    /// Directory of files named after digests
    ///
    /// The merge job in Docker's documentation uses such a directory.
    #[arg(long, value_name = "DIR")]
    pub(super) digests: Option<PathBuf>,
    /// Repository of sources that are bare digests
    ///
    /// The default is the repository of each tag.
    #[arg(long, value_name = "REPOSITORY")]
    pub(super) image: Option<String>,
    /// YAML file of images, as for manifest-tool
    #[arg(long, short, value_name = "SPEC", conflicts_with_all = ["sources", "source", "digests"])]
    pub(super) file: Option<PathBuf>,
    /// Wait for sources that do not exist yet
    ///
    /// Waits at most this long, for example 5m. An old tag counts as existing: use digests where possible.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    pub(super) wait: Duration,
    /// Publish exactly these platforms
    ///
    /// Each must be in a source; other platforms are omitted.
    #[arg(
        long,
        alias = "platforms",
        value_name = "PLATFORM",
        value_delimiter = ','
    )]
    pub(super) platform: Vec<String>,
    /// Override the platform of a source
    #[arg(long, hide_short_help = true, value_name = "SOURCE=PLATFORM")]
    pub(super) set_platform: Vec<String>,
    /// Annotate the index or its entries
    ///
    /// The levels are index (the default), manifest-descriptor and manifest-descriptor[os/arch].
    #[arg(long, alias = "annotations", value_name = "[LEVEL:]K=V")]
    pub(super) annotation: Vec<String>,
    /// Annotate the index with labels
    #[arg(long, hide_short_help = true, value_name = "KEY=VALUE")]
    pub(super) labels_as_annotations: Vec<String>,
    /// How annotations of the level manifest are handled
    ///
    /// The manifests were pushed before and cannot be changed.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "POLICY",
        default_value = "index"
    )]
    pub(super) manifest_annotations: ManifestAnnotations,
    /// Add to the index at the first tag
    ///
    /// Entries of the same platform are replaced. The distribution API has no conditional write: append from one job at
    /// a time, or use a concurrency group.
    #[arg(long)]
    pub(super) append: bool,
    /// Media type of the index
    #[arg(
        long,
        hide_short_help = true,
        value_name = "TYPE",
        default_value = "auto"
    )]
    pub(super) media_type: MediaTypeChoice,
    /// How attestations are handled
    #[arg(
        long,
        hide_short_help = true,
        value_name = "POLICY",
        default_value = "keep"
    )]
    pub(super) attestations: Attestations,
    /// How existing tags are handled
    ///
    /// Tags that already have the digest are not written again.
    #[arg(long, value_name = "POLICY", default_value = "replace")]
    pub(super) if_exists: IfExists,
    /// How two images for one platform are handled
    #[arg(
        long,
        hide_short_help = true,
        value_name = "POLICY",
        default_value = "error"
    )]
    pub(super) on_duplicate: OnDuplicate,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

const PUBLISH_HELP: &str = "\
Examples:
  polyarch publish -t ghcr.io/o/app:1.2,docker.io/o/app:1.2 --digests digests
  polyarch publish -t ghcr.io/o/app:1.2 --platform linux/amd64,linux/arm64 \\
    ghcr.io/o/app:1.2-amd64 ghcr.io/o/app:1.2-arm64
  polyarch publish -t oci:out:1.2 \\
    oci:examples/hello-amd64 oci:examples/hello-arm64";

#[derive(Args, Debug, Clone)]
pub(super) struct RunArgs {
    /// Also copy referrers of copied images
    ///
    /// For example signatures and SBOMs.
    #[arg(long, hide_short_help = true)]
    pub(super) referrers: bool,
    /// Write nothing; print the plan and the digest
    ///
    /// Reads, plans and checks. The digest is the same as in a real run.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Skip the check of tags before and after pushing
    ///
    /// Every tag is pushed, even if it has the digest already.
    #[arg(long, hide_short_help = true)]
    pub(super) no_verify: bool,
    /// Extent of the check before a tag moves
    #[arg(long, value_name = "LEVEL", default_value = "manifests")]
    pub(super) check: CheckLevel,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// How progress is shown on standard error
    #[arg(
        long,
        hide_short_help = true,
        value_name = "MODE",
        default_value = "auto"
    )]
    progress: ProgressArg,
    /// Show only notices, warnings and waits
    ///
    /// The same as --progress none.
    #[arg(long, short)]
    quiet: bool,
    /// Format of standard output
    ///
    /// The last line of text is the digest.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(super) output: OutputFormat,
    /// Write a metadata file as `docker buildx` does
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub(super) metadata_file: Option<PathBuf>,
    /// Write the digest of the index
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub(super) digest_file: Option<PathBuf>,
    /// Write the exact bytes of the index
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub(super) index_file: Option<PathBuf>,
    /// Write POLYARCH_DIGEST, POLYARCH_IMAGE and POLYARCH_REF for later jobs, as a dotenv report of GitLab
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub(super) dotenv: Option<PathBuf>,
    /// The CI system to report to
    #[arg(
        long,
        hide_short_help = true,
        value_name = "SYSTEM",
        default_value = "auto"
    )]
    pub(super) ci: CiArg,
    /// Write no job summary
    #[arg(long, hide_short_help = true)]
    pub(super) no_summary: bool,
}

impl OutputArgs {
    pub(super) fn progress(&self) -> ProgressArg {
        if self.quiet {
            ProgressArg::None
        } else {
            self.progress
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct CopyArgs {
    /// The source: a reference, oci:PATH or oci-archive:FILE
    #[arg(value_name = "SRC")]
    pub(super) source: String,
    /// The targets: references, oci:PATH:TAG or oci-archive:FILE:TAG
    #[arg(value_name = "DST", required = true)]
    pub(super) targets: Vec<String>,
    /// Copy only these platforms
    ///
    /// A single one is copied as an image, not as an index.
    #[arg(
        long,
        alias = "platforms",
        value_name = "PLATFORM",
        value_delimiter = ','
    )]
    pub(super) platform: Vec<String>,
    /// How existing tags are handled
    ///
    /// Tags that already have the digest are not written again.
    #[arg(long, value_name = "POLICY", default_value = "replace")]
    pub(super) if_exists: IfExists,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressArg {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// Bars
    Tty,
    /// One line for each event
    Plain,
    /// One JSON document for each event
    Json,
    /// Notices, warnings and waits only
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// Text
    Text,
    /// One JSON document, described by docs/result.schema.json
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CiArg {
    /// Detect it from the environment
    Auto,
    /// GitHub Actions and compatible systems
    Github,
    /// GitLab CI
    Gitlab,
    /// None
    None,
}
