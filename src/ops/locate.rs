//! Determines where each source of a job is read, and which targets already contain it.

use futures_util::future::join_all;

use super::OpsError;
use super::job::Job;
use crate::plan::{SourceLocation, Target};
use crate::registry::Access;
use crate::resolve::{Requested, SourceRequest};
use crate::sources::{SourceForm, SourceSpec};
use crate::spec::{Digest, Location};
use crate::store::ManifestName;
use crate::stores::Stores;

/// The location of a source.
struct Located {
    location: SourceLocation,
    read_from: Location,
    /// Every target contains it, with the size and the media type of the descriptor.
    seen: bool,
}

impl Located {
    fn at(location: Location) -> Self {
        Self {
            location: location.clone().into(),
            read_from: location,
            seen: false,
        }
    }
}

/// Locates all sources of a job. A bare digest is read from `job.image` or, without it, from the repository of the
/// target. With several targets, it is read from the first repository that contains it, and copied to the others.
pub(super) async fn locate(job: &Job, stores: &Stores) -> Result<Vec<SourceRequest>, OpsError> {
    let repositories: Vec<&Location> = match &job.image {
        Some(_) => Vec::new(),
        None => job
            .targets
            .iter()
            .map(|target| &target.location)
            .filter(|location| location.repository().is_some())
            .collect(),
    };
    let image = job.image.clone().map(Location::Repository);
    let finds = job.sources.iter().map(|source| async {
        let digest = match &source.form {
            SourceForm::Digest(digest) => digest,
            SourceForm::Descriptor(descriptor) => &descriptor.digest,
            SourceForm::Reference(reference) => {
                let location = Location::Repository(reference.repository().clone());
                return Ok(Located::at(location));
            }
            SourceForm::Layout(reference) => {
                return Ok(Located::at(Location::Layout(reference.layout.clone())));
            }
        };
        if let Some(image) = &image {
            return Ok(Located::at(image.clone()));
        }
        match repositories[..] {
            [] => Err(OpsError::NoRepository {
                source_name: source.text.clone(),
            }),
            [location] if job.targets.len() == 1 => Ok(Located {
                location: SourceLocation::EveryTarget,
                read_from: location.clone(),
                seen: false,
            }),
            _ => Ok(find(&source.form, digest, &repositories, job, stores).await),
        }
    });
    let located: Vec<Located> = join_all(finds)
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    let requests = job.sources.iter().zip(located);
    Ok(requests
        .map(|(source, located)| request_of(source, located, job))
        .collect())
}

/// Looks for a bare digest or descriptor in all repositories.
async fn find(
    form: &SourceForm,
    digest: &Digest,
    repositories: &[&Location],
    job: &Job,
    stores: &Stores,
) -> Located {
    let name = ManifestName::Digest(digest.clone());
    let looks = repositories.iter().map(|location| async {
        let store = stores.open(location, Access::Pull).await.ok()?;
        store.describe(&name).await.ok()
    });
    let found = join_all(looks).await;
    let first = found.iter().position(Option::is_some).unwrap_or(0);
    let everywhere = found.iter().all(Option::is_some) && repositories.len() == job.targets.len();
    let mut located = Located::at(repositories[first].clone());
    if everywhere {
        located.location = SourceLocation::EveryTarget;
        located.seen = match form {
            SourceForm::Descriptor(given) => found
                .iter()
                .flatten()
                .all(|found| found.size == given.size && found.media_type == given.media_type),
            _ => false,
        };
    }
    located
}

fn request_of(source: &SourceSpec, located: Located, job: &Job) -> SourceRequest {
    let requested = match &source.form {
        SourceForm::Digest(digest) => Requested::Name(ManifestName::Digest(digest.clone())),
        SourceForm::Descriptor(descriptor) => Requested::Described(descriptor.clone()),
        SourceForm::Layout(reference) => Requested::Layout(reference.clone()),
        SourceForm::Reference(reference) => Requested::Name(ManifestName::of(reference)),
    };
    let lacks = |target: &Target| !located.location.includes(&target.location);
    SourceRequest {
        name: source.text.clone(),
        read_all: job.read_all || job.targets.iter().any(lacks),
        location: located.location,
        read_from: located.read_from,
        requested,
        seen: located.seen,
        set_platform: source.set_platform.clone(),
    }
}
