//! What can be written behind `publish` and `copy`. The help texts are the reference.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::connection_args::ConnectionArgs;

/// What goes into an index, and what is done with it. Every option can come from `POLYARCH_<OPTION>`.
#[derive(Args, Debug)]
#[command(after_help = PUBLISH_HELP)]
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
    /// The repository in which bare digests lie (default: that of each tag)
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
    #[command(flatten)]
    pub(super) run: RunArgs,
}

const PUBLISH_HELP: &str = "\
Examples:
  polyarch publish -t ghcr.io/o/app:1.2 -t docker.io/o/app:1.2 --digests ./digests
  polyarch publish -t ghcr.io/o/app:1.2 --platform linux/amd64,linux/arm64 ghcr.io/o/app:1.2-amd64 ghcr.io/o/app:1.2-arm64
  polyarch publish -t oci:./out:1.2 oci:examples/hello-amd64 oci:examples/hello-arm64";

/// How a plan is carried out and told.
#[derive(Args, Debug, Clone)]
pub(super) struct RunArgs {
    /// Copy what refers to the images too (signatures, SBOMs), when they are copied
    #[arg(long)]
    pub(super) referrers: bool,
    /// Resolve and plan, and write nothing anywhere; the digest is that of the real run
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not read the tags back, nor look beforehand where they point: each is pushed, also one that is right already
    #[arg(long)]
    pub(super) no_verify: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

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
    #[command(flatten)]
    pub(super) run: RunArgs,
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
