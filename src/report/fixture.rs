//! Results for tests.

use bytes::Bytes;

use super::changes::{PreviousEntry, PreviousIndex};
use super::comparison::Previous;
use super::operations::{OperationKind, OperationResult};
use super::result::{
    EntryResult, ErrorResult, IndexResult, NoticeResult, Status, TagResult, TargetResult,
};
use crate::execute::Change;
use crate::spec::{Digest, MediaType};

/// Two platforms with attestations, two targets, three tags.
pub(super) fn published() -> IndexResult {
    let bytes = Bytes::from_static(b"{ the bytes of an index }");
    IndexResult {
        status: Status::Published,
        digest: Digest::sha256(&bytes),
        media_type: MediaType::new(MediaType::OCI_INDEX),
        size: bytes.len() as u64,
        exact: false,
        platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
        entries: vec![
            entry("linux/amd64", 31_415_926),
            entry("linux/arm64", 27_182_818),
        ],
        annotations: [(
            "org.opencontainers.image.version".to_owned(),
            "1.2".to_owned(),
        )]
        .into(),
        targets: vec![
            target(
                "ghcr.io/o/app",
                &[("1.2", Status::Published), ("latest", Status::Published)],
            ),
            target("docker.io/o/app", &[("1.2", Status::Already)]),
        ],
        changes: Vec::new(),
        notices: vec![NoticeResult {
            severity: "notice",
            text: "omitted, because the platforms are limited to linux/amd64: linux/s390x"
                .to_owned(),
        }],
        bytes,
    }
}

pub(super) fn entry(platform: &str, content_size: u64) -> EntryResult {
    let digest = Digest::sha256(platform.as_bytes());
    EntryResult {
        platform: Some(platform.to_owned()),
        size: 1234,
        content_size: Some(content_size),
        media_type: MediaType::new(MediaType::OCI_MANIFEST),
        source: format!("ghcr.io/o/app@{digest}"),
        attestations: vec![Digest::sha256(digest.to_string().as_bytes())],
        executables: Vec::new(),
        annotations: [].into(),
        digest,
    }
}

pub(super) fn target(name: &str, tags: &[(&str, Status)]) -> TargetResult {
    let tag = |(tag, status): &(&str, Status)| TagResult {
        reference: format!("{name}:{tag}"),
        status: *status,
        previous: Previous::Unknown,
        error: (*status == Status::Failed).then(|| ErrorResult {
            message: format!("failed to push {name}:{tag}: 503 Service Unavailable"),
            hints: vec!["try again".to_owned()],
            notes: vec!["no tag was changed".to_owned()],
        }),
        change: Change::None,
    };
    let tags: Vec<TagResult> = tags.iter().map(tag).collect();
    let is_failed = |tag: &TagResult| tag.status == Status::Failed;
    let status = if tags.iter().all(is_failed) {
        Status::Failed
    } else if tags.iter().any(is_failed) {
        Status::Partial
    } else {
        tags[0].status
    };
    TargetResult {
        name: name.to_owned(),
        is_layout: name.starts_with("oci"),
        status,
        tags,
        operations: Vec::new(),
        error: None,
    }
}

pub(super) fn dry_run() -> IndexResult {
    let mut result = IndexResult {
        status: Status::Planned,
        targets: vec![target("ghcr.io/o/app", &[("1.2", Status::Planned)])],
        ..published()
    };
    let operation = |operation, content: &str, size, from: Option<&str>| OperationResult {
        operation,
        digest: Digest::sha256(content.as_bytes()),
        size,
        from: from.map(str::to_owned),
        tag: None,
    };
    result.targets[0].operations = vec![
        operation(
            OperationKind::MountBlob,
            "layer",
            31_415_926,
            Some("ghcr.io/o/build"),
        ),
        operation(
            OperationKind::CopyBlob,
            "config",
            1234,
            Some("docker.io/o/app"),
        ),
        operation(
            OperationKind::PutManifest,
            "linux/amd64",
            1234,
            Some("ghcr.io/o/build"),
        ),
        OperationResult {
            tag: Some("1.2".to_owned()),
            ..operation(OperationKind::CreateTag, "index", 25, None)
        },
    ];
    result
}

/// A release: one tag is new, one moves from an index with other platforms, one is kept.
pub(super) fn released() -> IndexResult {
    let mut result = published();
    result.targets[0].tags.push(
        target("ghcr.io/o/app", &[("1", Status::Kept)])
            .tags
            .remove(0),
    );
    let old = |platform: &str, content: &str, content_size| PreviousEntry {
        platform: Some(platform.to_owned()),
        digest: Digest::sha256(content.as_bytes()),
        content_size: Some(content_size),
    };
    let previous = PreviousIndex {
        digest: Digest::sha256(b"the previous index"),
        entries: vec![
            old("linux/amd64", "older", 33_000_000),
            old("linux/s390x", "s390x", 20_000_000),
        ],
    };
    let (same, other) = (result.digest.clone(), previous.digest.clone());
    let previous_of = move |reference: &str| match reference {
        "ghcr.io/o/app:1.2" => Previous::New,
        "docker.io/o/app:1.2" => Previous::At(same.clone()),
        _ => Previous::At(other.clone()),
    };
    result.record_previous(previous_of, &[previous]);
    result
}

/// One repository has one of its two tags; the other repository failed.
pub(super) fn partial() -> IndexResult {
    let mut result = published();
    result.status = Status::Partial;
    result.targets[0] = target(
        "ghcr.io/o/app",
        &[("1.2", Status::Published), ("latest", Status::Failed)],
    );
    result.targets[1] = TargetResult {
        name: "docker.io/o/app".to_owned(),
        is_layout: false,
        status: Status::Failed,
        tags: Vec::new(),
        operations: Vec::new(),
        error: Some(ErrorResult {
            message: "failed to push to docker.io/o/app: unauthorized".to_owned(),
            hints: vec!["log in".to_owned()],
            notes: Vec::new(),
        }),
    };
    result
}

pub(super) fn failed() -> IndexResult {
    IndexResult {
        status: Status::Failed,
        targets: vec![target("ghcr.io/o/app", &[("1.2", Status::Failed)])],
        ..published()
    }
}

/// Attacks that a hostile name or annotation could contain.
pub(super) const HOSTILE: &str = "a\r\ndigest=sha256:evil\n::error::b\n##[error]c %0A `d` | e <img src=x onerror=alert(1)> [f](http://g) $h$ @i";

/// A result whose free texts are all hostile.
pub(super) fn hostile() -> IndexResult {
    let mut result = partial();
    for entry in &mut result.entries {
        entry.source = HOSTILE.to_owned();
        entry.platform = Some(HOSTILE.to_owned());
        entry.annotations = [(HOSTILE.to_owned(), HOSTILE.to_owned())].into();
    }
    result.platforms = vec![HOSTILE.to_owned()];
    result.annotations = [(HOSTILE.to_owned(), HOSTILE.to_owned())].into();
    result.media_type = MediaType::new(HOSTILE);
    for target in &mut result.targets {
        target.name = HOSTILE.to_owned();
        target.operations = dry_run().targets.remove(0).operations;
        for operation in &mut target.operations {
            operation.from = Some(HOSTILE.to_owned());
        }
        if let Some(error) = &mut target.error {
            error.message = HOSTILE.to_owned();
        }
        for tag in &mut target.tags {
            tag.reference = HOSTILE.to_owned();
            if let Some(error) = &mut tag.error {
                error.message = HOSTILE.to_owned();
            }
        }
    }
    for notice in &mut result.notices {
        notice.text = HOSTILE.to_owned();
    }
    result
}
