//! The result of one index as data. Every report (text, JSON, GitHub, GitLab) is created from it.

use serde::Serialize;

use super::comparison::{Comparison, Previous};
use super::executables::ExecutableResult;
use super::hints::Wording;
use super::operations::{OperationResult, operations};
use crate::binaries::Executable;
use crate::execute::{Change, Execution, Survey, TagStatus};
use crate::hint::Hint;
use crate::plan::{Plan, Severity};
use crate::spec::{Annotations, Digest, Location, MediaType, Tag, attestation};
use crate::store::StoreError;

/// One published, planned or failed index. `docs/result.schema.json` describes its JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexResult {
    pub status: Status,
    pub digest: Digest,
    pub media_type: MediaType,
    /// The size of the index in bytes.
    pub size: u64,
    /// Whether the index is a byte-exact copy of a source.
    pub exact: bool,
    pub platforms: Vec<String>,
    /// The images of the index; attestations are listed with their subject.
    pub entries: Vec<EntryResult>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    pub targets: Vec<TargetResult>,
    /// One comparison for each previous index of the tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Comparison>,
    pub notices: Vec<NoticeResult>,
    /// The exact bytes of the index.
    #[serde(skip)]
    pub bytes: bytes::Bytes,
}

/// The outcome of an index, target or tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A dry run: nothing was written.
    Planned,
    /// Pushed.
    Published,
    /// The tag already had the digest of the index.
    Already,
    /// The tag has another digest and was not moved, as requested.
    Kept,
    /// Some tags were pushed, some failed.
    Partial,
    Failed,
}

impl Status {
    /// Returns whether the index was published at least partly, or would be published in a real run.
    pub fn has_index(self) -> bool {
        !matches!(self, Self::Failed | Self::Kept)
    }
}

/// One image of the index.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryResult {
    /// The platform, in the long form if it has a version or features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    pub digest: Digest,
    /// The size of the manifest in bytes.
    pub size: u64,
    /// The total size of config and layers in bytes, if the manifest was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_size: Option<u64>,
    pub media_type: MediaType,
    /// The source, as the user wrote it.
    pub source: String,
    pub attestations: Vec<Digest>,
    /// The executables that match the platform, if they were checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub executables: Vec<ExecutableResult>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// A repository or layout that the index is published to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetResult {
    /// `ghcr.io/o/app`, `oci:./out`.
    pub name: String,
    /// Whether this is a layout on disk.
    #[serde(skip)]
    pub is_layout: bool,
    pub status: Status,
    pub tags: Vec<TagResult>,
    /// The operations of a real run. Only a dry run lists them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationResult>,
    /// The error that ended the work on the target before any tag was written. All tags failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorResult>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagResult {
    /// The whole reference: `ghcr.io/o/app:1.2`.
    pub reference: String,
    pub status: Status,
    #[serde(skip_serializing_if = "Previous::is_unknown")]
    pub previous: Previous,
    /// The error of the tag, unless the target failed as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorResult>,
    /// Whether this run moved the tag, even if a later step failed.
    #[serde(skip)]
    pub change: Change,
}

/// A failure, safe to print.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorResult {
    pub message: String,
    /// Suggestions, which start with a verb.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Facts that explain the error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeResult {
    /// `notice` or `warning`.
    pub severity: &'static str,
    pub text: String,
}

impl IndexResult {
    /// Records the executables of the entries of `plan`, in their order.
    pub fn record_executables(&mut self, plan: &Plan, executables: &[Vec<Executable>]) {
        let images = plan.entries.iter().zip(executables);
        let images = images.filter(|(entry, _)| !entry.is_attestation());
        for (entry, (_, executables)) in self.entries.iter_mut().zip(images) {
            entry.executables = executables.iter().map(ExecutableResult::from).collect();
        }
    }

    /// Creates the result of a dry run.
    pub fn planned(plan: &Plan, known: &Survey) -> Self {
        let digest = &plan.index.digest;
        let targets = plan.targets.iter().zip(operations(plan, known));
        let targets = targets.map(|(target, operations)| TargetResult {
            name: target.location.to_string(),
            is_layout: target.location.repository().is_none(),
            status: Status::Planned,
            tags: target
                .tags
                .iter()
                .map(|tag| {
                    let status = if known.points_at(&target.location, tag) == Some(digest) {
                        Status::Already
                    } else if known.is_kept(&target.location, tag) {
                        Status::Kept
                    } else {
                        Status::Planned
                    };
                    TagResult::new(&target.location, tag, status)
                })
                .collect(),
            operations,
            error: None,
        });
        Self::of(plan, targets.collect(), Status::Planned)
    }

    /// Creates the result of a run.
    pub fn executed(plan: &Plan, execution: &Execution, wording: Wording) -> Self {
        let error_of =
            |error: &StoreError| ErrorResult::new(error.to_string(), &error.hints, wording);
        let targets: Vec<TargetResult> = execution
            .targets
            .iter()
            .zip(&plan.targets)
            .map(|(target, planned)| {
                let mut tags: Vec<TagResult> = target
                    .tags
                    .iter()
                    .map(|tag| {
                        let status = match &tag.result {
                            Ok(TagStatus::Pushed) => Status::Published,
                            Ok(TagStatus::Already) => Status::Already,
                            Ok(TagStatus::Kept) => Status::Kept,
                            Err(_) => Status::Failed,
                        };
                        TagResult {
                            error: tag.result.as_ref().err().map(error_of),
                            change: tag.change,
                            ..TagResult::new(&target.location, &tag.tag, status)
                        }
                    })
                    .collect();
                if target.failure.is_some() && tags.is_empty() {
                    // The tags failed with their target.
                    let failed = |tag| TagResult::new(&target.location, tag, Status::Failed);
                    tags.extend(planned.tags.iter().map(failed));
                }
                let status = match (&target.failure, tags.is_empty()) {
                    (Some(_), _) => Status::Failed,
                    (None, true) => Status::Published,
                    (None, false) => combined(tags.iter().map(|tag| tag.status)),
                };
                TargetResult {
                    name: target.location.to_string(),
                    is_layout: target.location.repository().is_none(),
                    status,
                    tags,
                    operations: Vec::new(),
                    error: target.failure.as_ref().map(error_of),
                }
            })
            .collect();
        let status = combined(targets.iter().map(|target| target.status));
        Self::of(plan, targets, status)
    }

    fn of(plan: &Plan, targets: Vec<TargetResult>, status: Status) -> Self {
        let attestations_of = |digest: &Digest| {
            let attestations = plan.entries.iter().filter(|entry| {
                attestation::is_attestation(&entry.descriptor)
                    && attestation::subject(&entry.descriptor).as_ref() == Some(digest)
            });
            let digests = attestations.map(|entry| entry.descriptor.digest.clone());
            digests.collect()
        };
        let images = plan
            .entries
            .iter()
            .filter(|entry| !attestation::is_attestation(&entry.descriptor));
        let entries: Vec<EntryResult> = images
            .map(|entry| EntryResult {
                platform: entry.descriptor.platform.as_ref().map(ToString::to_string),
                digest: entry.descriptor.digest.clone(),
                size: entry.descriptor.size,
                content_size: entry.content_size(),
                media_type: entry.descriptor.media_type.clone(),
                source: entry.source.clone(),
                attestations: attestations_of(&entry.descriptor.digest),
                executables: Vec::new(),
                annotations: entry.descriptor.annotations.clone(),
            })
            .collect();
        let index = plan.index.index();
        Self {
            status,
            digest: plan.index.digest.clone(),
            media_type: plan.index.media_type.clone(),
            size: plan.index.bytes.len() as u64,
            exact: plan.exact,
            platforms: entries
                .iter()
                .filter_map(|entry| entry.platform.clone())
                .collect(),
            entries,
            annotations: index
                .map(|index| index.annotations.clone())
                .unwrap_or_default(),
            targets,
            changes: Vec::new(),
            notices: plan
                .notices
                .iter()
                .map(|notice| NoticeResult {
                    severity: match notice.severity {
                        Severity::Warning => "warning",
                        Severity::Notice => "notice",
                    },
                    text: notice.text.clone(),
                })
                .collect(),
            bytes: plan.index.bytes.clone(),
        }
    }

    /// Returns the references of the tags that point to the index: none in a dry run.
    pub fn published_tags(&self) -> impl Iterator<Item = &str> {
        let is_run = self.status != Status::Planned;
        let is_published = |status| matches!(status, Status::Published | Status::Already);
        self.tags_with(is_published).filter(move |_| is_run)
    }

    /// Returns the references of the tags that were not moved, as requested.
    pub fn kept_tags(&self) -> impl Iterator<Item = &str> {
        self.tags_with(|status| status == Status::Kept)
    }

    fn tags_with(&self, matches: fn(Status) -> bool) -> impl Iterator<Item = &str> {
        let tags = self.targets.iter().flat_map(|target| &target.tags);
        tags.filter(move |tag| matches(tag.status))
            .map(|tag| tag.reference.as_str())
    }

    /// Returns whether any tag was moved, or may have been moved.
    pub fn changed_something(&self) -> bool {
        let mut tags = self.targets.iter().flat_map(|target| &target.tags);
        tags.any(|tag| tag.change != Change::None)
    }

    /// Returns the repositories in registries that contain the index, without layouts: none in a dry run.
    pub fn published_repositories(&self) -> impl Iterator<Item = &str> {
        let is_published = |status| {
            matches!(
                status,
                Status::Published | Status::Already | Status::Partial
            )
        };
        self.targets
            .iter()
            .filter(move |target| is_published(target.status) && !target.is_layout)
            .map(|target| target.name.as_str())
    }
}

/// Combines the statuses of all parts into one. Kept tags count only if all parts are kept.
fn combined(parts: impl Iterator<Item = Status>) -> Status {
    let parts: Vec<Status> = parts.collect();
    let rest = || parts.iter().filter(|status| **status != Status::Kept);
    let is_published = |status: &Status| matches!(status, Status::Published | Status::Already);
    if rest().next().is_none() && !parts.is_empty() {
        Status::Kept
    } else if rest().all(|status| *status == Status::Already) && !parts.is_empty() {
        Status::Already
    } else if rest().all(is_published) {
        Status::Published
    } else if rest().any(|status| is_published(status) || *status == Status::Partial) {
        Status::Partial
    } else {
        Status::Failed
    }
}

impl TagResult {
    pub(super) fn new(location: &Location, tag: &Tag, status: Status) -> Self {
        Self {
            reference: format!("{location}:{tag}"),
            status,
            previous: Previous::Unknown,
            error: None,
            change: Change::None,
        }
    }
}

impl ErrorResult {
    /// Creates the result of an error, with each hint and each note once.
    pub fn new(message: String, hints: &[Hint], wording: Wording) -> Self {
        let (notes, hints): (Vec<_>, Vec<_>) = hints.iter().partition(|hint| hint.is_note());
        Self {
            message,
            hints: wording.render_all(hints),
            notes: wording.render_all(notes),
        }
    }

    /// Returns the hints and notes, each with its label.
    pub fn labelled(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let hints = self.hints.iter().map(|text| ("hint", text.as_str()));
        hints.chain(self.notes.iter().map(|text| ("note", text.as_str())))
    }
}
