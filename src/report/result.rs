//! What became of one index: everything that people and programs are told of it, as data. Every form of report
//! (text, JSON, GitHub's and GitLab's files) is made from this one.

use serde::Serialize;

use super::hints::Wording;
use crate::execute::{Change, Execution, Landed};
use crate::plan::{Plan, Severity, Target};
use crate::spec::{Annotations, Digest, MediaType, attestation};
use crate::store::StoreError;

/// One published (or planned, or failed) index. Its JSON is described by `docs/result.schema.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexResult {
    /// How it ended.
    pub status: Status,
    /// The digest of the index.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is a source's, byte for byte.
    pub exact: bool,
    /// The platforms in it, in order.
    pub platforms: Vec<String>,
    /// The images in it.
    pub entries: Vec<EntryResult>,
    /// Annotations of the index.
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The places it went to.
    pub targets: Vec<TargetResult>,
    /// What a person should know.
    pub notices: Vec<NoticeResult>,
    /// The exact bytes of the index.
    #[serde(skip)]
    pub bytes: bytes::Bytes,
}

/// How a run ended for one index, target or tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nothing was written: a dry run.
    Planned,
    /// Everything is there.
    Published,
    /// It was there before; nothing had to be done.
    Already,
    /// Some tags landed, some did not.
    Partial,
    /// It is not there.
    Failed,
}

/// One image of the index.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryResult {
    /// The platform, in the long form where it has a version or features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The size of the manifest in bytes.
    pub size: u64,
    /// The sum of config and layers in bytes, where the manifest was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_size: Option<u64>,
    /// The media type of the manifest.
    pub media_type: MediaType,
    /// The source it came from, as the person wrote it.
    pub source: String,
    /// The attestations about it.
    pub attestations: Vec<Digest>,
    /// Annotations of the entry.
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// One place the index went to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetResult {
    /// `ghcr.io/o/app`, `oci:./out`.
    pub name: String,
    /// Whether this is a layout on disk.
    #[serde(skip)]
    pub is_layout: bool,
    /// How it ended there.
    pub status: Status,
    /// The tags.
    pub tags: Vec<TagResult>,
    /// Why the target could not be completed, if no tag was even tried; all of them failed with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorResult>,
}

/// One tag.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagResult {
    /// The whole reference: `ghcr.io/o/app:1.2`.
    pub reference: String,
    /// How it ended.
    pub status: Status,
    /// Why it failed, if it did not fail with its target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorResult>,
    /// Whether the run has made it point elsewhere, also where it failed afterwards.
    #[serde(skip)]
    pub change: Change,
}

/// A failure, safe to print.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorResult {
    /// What was being done, and why it failed.
    pub message: String,
    /// What to try.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// A notice or a warning.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeResult {
    /// `notice` or `warning`.
    pub severity: &'static str,
    /// One sentence.
    pub text: String,
}

impl IndexResult {
    /// The result of a dry run.
    pub fn planned(plan: &Plan, targets: &[Target]) -> Self {
        let targets = targets.iter().map(|target| TargetResult {
            name: target.location.to_string(),
            is_layout: target.location.repository().is_none(),
            status: Status::Planned,
            tags: target
                .tags
                .iter()
                .map(|tag| TagResult {
                    reference: format!("{}:{tag}", target.location),
                    status: Status::Planned,
                    error: None,
                    change: Change::None,
                })
                .collect(),
            error: None,
        });
        Self::of(plan, targets.collect(), Status::Planned)
    }

    /// The result of a run.
    pub fn executed(plan: &Plan, execution: &Execution, wording: Wording) -> Self {
        let error_of = |error: &StoreError| ErrorResult::new(error, wording);
        let targets: Vec<TargetResult> = execution
            .targets
            .iter()
            .zip(&plan.targets)
            .map(|(target, planned)| {
                let mut tags: Vec<TagResult> = target
                    .tags
                    .iter()
                    .map(|tag| TagResult {
                        reference: format!("{}:{}", target.location, tag.tag),
                        status: match &tag.result {
                            Ok(Landed::Pushed) => Status::Published,
                            Ok(Landed::Already) => Status::Already,
                            Err(_) => Status::Failed,
                        },
                        error: tag.result.as_ref().err().map(error_of),
                        change: tag.change,
                    })
                    .collect();
                if target.failure.is_some() && tags.is_empty() {
                    // It did not come to the tags: they failed with their target.
                    tags.extend(planned.tags.iter().map(|tag| TagResult {
                        reference: format!("{}:{tag}", target.location),
                        status: Status::Failed,
                        error: None,
                        change: Change::None,
                    }));
                }
                let status = match (&target.failure, tags.is_empty()) {
                    (Some(_), _) => Status::Failed,
                    (None, true) => Status::Published,
                    (None, false) => together(tags.iter().map(|tag| tag.status)),
                };
                TargetResult {
                    name: target.location.to_string(),
                    is_layout: target.location.repository().is_none(),
                    status,
                    tags,
                    error: target.failure.as_ref().map(error_of),
                }
            })
            .collect();
        let status = together(targets.iter().map(|target| target.status));
        Self::of(plan, targets, status)
    }

    fn of(plan: &Plan, targets: Vec<TargetResult>, status: Status) -> Self {
        let attestations_of = |digest: &Digest| {
            let about = plan.entries.iter().filter(|entry| {
                attestation::is_attestation(&entry.descriptor)
                    && attestation::subject(&entry.descriptor).as_ref() == Some(digest)
            });
            about.map(|entry| entry.descriptor.digest.clone()).collect()
        };
        let content_size = |digest: &Digest| {
            let entry = plan
                .entries
                .iter()
                .find(|entry| entry.descriptor.digest == *digest)?;
            let image = entry.manifest.as_ref()?.image()?;
            Some(image.blobs().iter().map(|blob| blob.size).sum())
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
                content_size: content_size(&entry.descriptor.digest),
                media_type: entry.descriptor.media_type.clone(),
                source: entry.source.clone(),
                attestations: attestations_of(&entry.descriptor.digest),
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

    /// The references of the tags that point at the index now.
    pub fn landed_tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.targets.iter().flat_map(|target| &target.tags);
        tags.filter(|tag| matches!(tag.status, Status::Published | Status::Already))
            .map(|tag| tag.reference.as_str())
    }

    /// Whether any tag is not, or may not be, what it was before.
    pub fn changed_something(&self) -> bool {
        let mut tags = self.targets.iter().flat_map(|target| &target.tags);
        tags.any(|tag| tag.change != Change::None)
    }

    /// The repositories (or layouts) that hold the index now, or would after a dry run's real counterpart.
    pub fn landed_places(&self) -> impl Iterator<Item = &str> {
        let held = |status| !matches!(status, Status::Failed);
        self.targets
            .iter()
            .filter(move |target| held(target.status))
            .map(|target| target.name.as_str())
    }

    /// The repositories in registries that hold the index now: nothing of a dry run, no layout.
    pub fn landed_repositories(&self) -> impl Iterator<Item = &str> {
        self.targets
            .iter()
            .filter(|target| !matches!(target.status, Status::Failed | Status::Planned))
            .filter(|target| !target.is_layout)
            .map(|target| target.name.as_str())
    }
}

/// The status of a whole from those of its parts.
fn together(parts: impl Iterator<Item = Status>) -> Status {
    let parts: Vec<Status> = parts.collect();
    let is_there = |status: &Status| matches!(status, Status::Published | Status::Already);
    if parts.iter().all(|status| *status == Status::Already) && !parts.is_empty() {
        Status::Already
    } else if parts.iter().all(is_there) {
        Status::Published
    } else if parts
        .iter()
        .any(|status| is_there(status) || *status == Status::Partial)
    {
        Status::Partial
    } else {
        Status::Failed
    }
}

impl ErrorResult {
    fn new(error: &StoreError, wording: Wording) -> Self {
        Self {
            message: error.to_string(),
            hints: wording.render_all(&error.hints),
        }
    }
}
