//! `--append`: reads the index that a job starts from, and detects that another job has overwritten the result.

use std::time::Duration;

use super::job::Job;
use super::{OpsError, Run};
use crate::execute::{Base, Execution};
use crate::plan::{Notice, Plan, Severity, Source};
use crate::registry::Access;
use crate::resolve::{Requested, SourceRequest, resolve};
use crate::spec::{Digest, Index};
use crate::store::{FailureKind, ManifestName};
use crate::stores::Stores;

/// The maximum number of attempts to append while other jobs change the index.
pub(super) const MAX_APPEND_ROUNDS: usize = 5;
/// The pause between the write of the index and the following read. Another job usually needs less time between its
/// last read and its write.
const APPEND_PAUSE: Duration = Duration::from_secs(1);

impl Job {
    /// Returns the tag and the digest that the job appends to.
    pub(super) fn base(&self, digest: Option<&Digest>) -> Option<Base> {
        let target = self.targets.first().filter(|_| self.append)?;
        Some(Base {
            location: target.location.clone(),
            tag: target.tags.first()?.clone(),
            digest: digest.cloned(),
        })
    }

    /// Resolves the index at the first tag. If the tag does not exist yet, returns a notice instead.
    pub(super) async fn resolve_append(
        &self,
        stores: &Stores,
    ) -> Result<(Option<Source>, Option<Notice>), OpsError> {
        let first = self.targets.first().filter(|_| self.append);
        let Some((target, tag)) = first.and_then(|target| Some((target, target.tags.first()?)))
        else {
            return Ok((None, None));
        };
        let location = &target.location;
        let request = SourceRequest {
            name: format!("{location}:{tag}"),
            location: location.clone().into(),
            read_from: location.clone(),
            requested: Requested::Name(ManifestName::Tag(tag.clone())),
            seen: false,
            set_platform: None,
            read_all: (self.targets.iter()).any(|other| other.location != *location),
        };
        match resolve(stores, std::slice::from_ref(&request)).await {
            Ok(mut sources) => Ok((sources.pop(), None)),
            Err(error) if error.kind == FailureKind::NotFound => {
                let text = format!("{} does not exist yet: nothing to append to", request.name);
                Ok((None, Some(notice(text))))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns whether to plan again, because another job has overwritten the appended entries. That job may have read the
/// tag before this job wrote it, and written it afterwards. Therefore, the tag is read again, after a pause in which
/// such a write completes.
///
/// If another job has appended to the index of this job before this job verified it, the verification has failed. Then
/// planning again finds all entries in place.
pub(super) async fn was_overwritten(
    execution: &Execution,
    base: &Base,
    plan: &Plan,
    run: Run<'_>,
) -> Result<bool, OpsError> {
    if execution.interrupted.is_some() {
        return Ok(false);
    }
    if execution.base_moved {
        return Ok(true);
    }
    if !execution.changed_something() {
        return Ok(false);
    }
    let store = run.stores.open(&base.location, Access::Pull).await?;
    let name = ManifestName::Tag(base.tag.clone());
    tokio::time::sleep(APPEND_PAUSE).await;
    let now = store.describe(&name).await?;
    if now.digest == plan.index.digest {
        return Ok(false);
    }
    let now = store.manifest(&name).await?;
    let Some(now) = now.index().filter(|now| includes(now, plan)) else {
        return Ok(true);
    };
    Ok(!execution.is_complete() && has_all_digests(now, plan))
}

fn has_all_digests(index: &Index, plan: &Plan) -> bool {
    plan.entries.iter().all(|entry| {
        let mut digests = index.manifests.iter().map(|other| &other.digest);
        digests.any(|digest| *digest == entry.descriptor.digest)
    })
}

/// Returns whether an index contains, for each entry of a plan, that entry or another entry with the same platform.
fn includes(index: &Index, plan: &Plan) -> bool {
    plan.entries.iter().all(|entry| {
        let entry = &entry.descriptor;
        index.manifests.iter().any(|other| {
            other.digest == entry.digest
                || (entry.platform.is_some() && other.platform == entry.platform)
        })
    })
}

pub(super) fn notice(text: String) -> Notice {
    Notice {
        severity: Severity::Notice,
        text,
    }
}
