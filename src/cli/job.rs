//! One index from sources to result: the road that `publish` and `copy` walk.

use futures_util::future::join_all;

use super::context::Context;
use super::failure::Failure;
use crate::execute::{ExecuteOptions, Survey, copy_referrers, execute, survey};
use crate::hint::Hint;
use crate::plan::{
    MediaTypeChoice, Notice, Options, Plan, PlanError, Severity, Source, SourceLocation, Target,
};
use crate::progress::Event;
use crate::registry::Access;
use crate::report::IndexResult;
use crate::resolve::{Point, Wanted, resolve};
use crate::sources::{SourceForm, SourceSpec, TargetForm, TargetSpec};
use crate::spec::{Digest, Location, Repository, Tag};
use crate::store::{FailureKind, ManifestName};
use crate::stores::Stores;

/// What is asked for.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(super) struct Job {
    pub(super) sources: Vec<SourceSpec>,
    pub(super) targets: Vec<Target>,
    /// Where bare digests lie, if that is not in the targets.
    pub(super) image: Option<Repository>,
    pub(super) append: bool,
    /// Everything below the sources is read, whether the targets have it or not.
    pub(super) read_all: bool,
    pub(super) options: Options,
    /// The annotations are those of the environment, not asked for by this command.
    pub(super) default_annotations: bool,
    pub(super) referrers: bool,
    pub(super) dry_run: bool,
    pub(super) verify: bool,
    pub(super) jobs: usize,
}

/// What came of it: the result for every report, and how it failed if it did.
pub(super) struct Outcome {
    pub(super) result: IndexResult,
    pub(super) failure: Option<Failure>,
}

/// What came of all images of a run.
pub(super) struct Outcomes {
    /// The command names several images.
    pub(super) are_several: bool,
    /// Each of them, in order.
    pub(super) images: Vec<Result<Outcome, Unplanned>>,
}

/// One of several images that came to no plan.
pub(super) struct Unplanned {
    pub(super) targets: Vec<Target>,
    pub(super) failure: Failure,
}

impl From<Outcome> for Outcomes {
    fn from(only: Outcome) -> Self {
        Self {
            are_several: false,
            images: vec![Ok(only)],
        }
    }
}

impl Unplanned {
    /// Says which image failed: the error itself may name nothing but a source.
    pub(super) fn new(targets: Vec<Target>, failure: Failure) -> Self {
        let name = targets.first().map(|target| match target.tags.first() {
            Some(tag) => format!("{}:{tag}", target.location),
            None => target.location.to_string(),
        });
        let failure = match name {
            Some(name) => failure.context(format!("publish {name}")),
            None => failure,
        };
        Self { targets, failure }
    }
}

/// How the plan is made from what was resolved.
type Planner = fn(&[Source], &[Target], &Options) -> Result<Plan, PlanError>;

impl Job {
    /// Names the repositories that are written to, so that one token can be asked for the jobs of a run together.
    /// What goes wrong with it shows when the job runs.
    pub(super) async fn declare_targets(&self, stores: &Stores) {
        let is_repository = |location: &&Location| location.repository().is_some();
        if !self.dry_run {
            let targets = self.targets.iter().map(|target| &target.location);
            for location in targets.filter(is_repository) {
                let _ = stores.open(location, Access::Push).await;
            }
        }
    }

    /// Names the repositories that are read, after the targets of all jobs.
    pub(super) async fn declare_sources(&self, stores: &Stores) {
        for source in &self.sources {
            if let SourceForm::Reference(reference) = &source.form {
                let location = Location::Repository(reference.repository().clone());
                let _ = stores.open(&location, Access::Pull).await;
            }
        }
    }

    /// Resolves, plans and, unless it is a dry run, executes. The error is what kept it from a plan.
    pub(super) async fn run(
        mut self,
        stores: &Stores,
        context: &Context<'_>,
        planner: Planner,
    ) -> Result<Outcome, Failure> {
        let planning = Box::pin(self.make_plan(stores, context, planner));
        let (plan, sources, known) =
            context
                .unless_interrupted(planning)
                .await
                .map_err(|failure| {
                    if failure.is_interruption() {
                        failure.hint(Hint::Unchanged)
                    } else {
                        failure
                    }
                })?;
        if self.dry_run {
            return Ok(Outcome {
                result: IndexResult::planned(&plan, &self.targets),
                failure: None,
            });
        }
        let options = ExecuteOptions {
            verify: self.verify,
            jobs: self.jobs,
            interrupt: context.interrupt.clone(),
        };
        let execution = execute(&plan, stores, &known, &options, &context.observed).await?;
        let mut failure = Failure::of_execution(&execution);
        let result = IndexResult::executed(&plan, &execution, context.wording);
        if failure.is_none() && self.referrers {
            let copied = context
                .unless_interrupted(Box::pin(
                    self.copy_referrers(&plan, &sources, stores, context),
                ))
                .await;
            failure = copied.err().map(|failure| {
                let text = format!(
                    "what refers to the images is not all there: {}",
                    failure.text()
                );
                context.observed.observe(Event::Warning(&text));
                failure.partial().after(std::slice::from_ref(&result))
            });
        }
        Ok(Outcome { result, failure })
    }

    /// What is to be done, from which sources, and where the targets' tags point now.
    async fn make_plan(
        &mut self,
        stores: &Stores,
        context: &Context<'_>,
        planner: Planner,
    ) -> Result<(Plan, Vec<Source>, Survey), Failure> {
        if !self.dry_run {
            for target in &self.targets {
                // A new layout is made when there is a plan for it: a refusal leaves nothing behind.
                if Stores::may_exist(&target.location) {
                    stores.open(&target.location, Access::Push).await?;
                }
            }
        }
        let survey_wanted = self.verify && !self.dry_run;
        let (sources, append, known) =
            tokio::join!(self.resolve(stores), self.resolve_append(stores), async {
                if survey_wanted {
                    survey(stores, &self.targets).await
                } else {
                    Survey::default()
                }
            });
        let sources = sources?;
        let (append, start) = append?;
        self.options.append = append;
        let mut plan = self.plan(&sources, planner)?;
        plan.notices.splice(0..0, start);
        for notice in &plan.notices {
            context.observed.observe(match notice.severity {
                Severity::Warning => Event::Warning(&notice.text),
                Severity::Notice => Event::Notice(&notice.text),
            });
        }
        Ok((plan, sources, known))
    }

    async fn copy_referrers(
        &self,
        plan: &Plan,
        sources: &[Source],
        stores: &Stores,
        context: &Context<'_>,
    ) -> Result<(), Failure> {
        let roots: Vec<(SourceLocation, Digest)> = sources
            .iter()
            .map(|source| (source.location.clone(), source.root.digest().clone()))
            .collect();
        Ok(copy_referrers(plan, &roots, stores, &context.observed).await?)
    }

    /// Annotations that only the environment brings (metadata-action's, in every job that uses it) must not be an
    /// error for images of Docker's types: then the index is an OCI one, which can carry them.
    fn plan(&mut self, sources: &[Source], planner: Planner) -> Result<Plan, Failure> {
        let is_auto = self.options.media_type == MediaTypeChoice::Auto;
        match planner(sources, &self.targets, &self.options) {
            Err(PlanError::AnnotationOnDockerList { .. })
                if is_auto && self.default_annotations =>
            {
                self.options.media_type = MediaTypeChoice::Oci;
                let mut plan = planner(sources, &self.targets, &self.options)?;
                plan.notices.insert(0, notice(
                    "an OCI index instead of a Docker manifest list, which could not carry the annotations from the environment".to_owned(),
                ));
                Ok(plan)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn resolve(&self, stores: &Stores) -> Result<Vec<Source>, Failure> {
        let locations = self.locate_digests(stores).await?;
        let wanted: Vec<Wanted> = self
            .sources
            .iter()
            .zip(locations)
            .map(|(source, found)| self.wanted(source, found))
            .collect();
        resolve(stores, &wanted).await.map_err(|error| {
            let mut bare = self.sources.iter().map(|source| &source.form);
            let is_bare = bare.any(|form| matches!(form, SourceForm::Digest(_)));
            if is_bare && self.image.is_none() && error.kind == FailureKind::NotFound {
                Failure::from(error).hint(Hint::NameImageRepository)
            } else {
                error.into()
            }
        })
    }

    fn wanted(&self, source: &SourceSpec, found: Option<FoundDigest>) -> Wanted {
        let (location, read_from, point) = match (&source.form, found) {
            (SourceForm::Layout(reference), _) => {
                let location = Location::Layout(reference.layout.clone());
                let point = Point::Layout(reference.clone());
                (location.clone().into(), location, point)
            }
            (SourceForm::Digest(digest), Some(found)) => {
                let name = ManifestName::Digest(digest.clone());
                (found.location, found.read_from, Point::Name(name))
            }
            (SourceForm::Descriptor(descriptor), Some(found)) => {
                let point = Point::Described(descriptor.clone());
                (found.location, found.read_from, point)
            }
            (SourceForm::Reference(reference), _) => {
                let name = match (reference.digest(), reference.tag()) {
                    (Some(digest), _) => ManifestName::Digest(digest.clone()),
                    (None, Some(tag)) => ManifestName::Tag(tag.clone()),
                    (None, None) => ManifestName::Tag(latest()),
                };
                let location = Location::Repository(reference.repository().clone());
                (location.clone().into(), location, Point::Name(name))
            }
            (SourceForm::Digest(_) | SourceForm::Descriptor(_), None) => {
                unreachable!("every bare digest was located")
            }
        };
        let lacks = |target: &Target| !location.includes(&target.location);
        Wanted {
            name: source.text.clone(),
            content: self.read_all || self.targets.iter().any(lacks),
            location,
            read_from,
            point,
            set_platform: source.set_platform.clone(),
        }
    }

    /// Locates each source that is a bare digest. With one repository among the targets, it is there. With
    /// several, those that lack the digest get it from the first that has it.
    async fn locate_digests(&self, stores: &Stores) -> Result<Vec<Option<FoundDigest>>, Failure> {
        let repositories: Vec<&Location> = match &self.image {
            Some(_) => Vec::new(),
            None => self
                .targets
                .iter()
                .map(|target| &target.location)
                .filter(|location| location.repository().is_some())
                .collect(),
        };
        let image = self.image.clone().map(Location::Repository);
        let finds = self.sources.iter().map(|source| async {
            let digest = match &source.form {
                SourceForm::Digest(digest) => digest,
                SourceForm::Descriptor(descriptor) => &descriptor.digest,
                SourceForm::Reference(_) | SourceForm::Layout(_) => return Ok(None),
            };
            if let Some(image) = &image {
                return Ok(Some(FoundDigest::at(image.clone())));
            }
            match repositories[..] {
                [] => Err(Failure::usage(format!(
                    "no repository for {}: add --image",
                    source.text
                ))),
                [location] if self.targets.len() == 1 => Ok(Some(FoundDigest {
                    location: SourceLocation::EveryTarget,
                    read_from: location.clone(),
                })),
                _ => Ok(Some(self.find_digest(digest, &repositories, stores).await)),
            }
        });
        join_all(finds).await.into_iter().collect()
    }

    async fn find_digest(
        &self,
        digest: &Digest,
        repositories: &[&Location],
        stores: &Stores,
    ) -> FoundDigest {
        let name = ManifestName::Digest(digest.clone());
        let looks = repositories.iter().map(|location| async {
            let store = stores.open(location, Access::Pull).await.ok()?;
            store.describe(&name).await.ok()
        });
        let found = join_all(looks).await;
        let first = found.iter().position(Option::is_some).unwrap_or(0);
        let everywhere =
            found.iter().all(Option::is_some) && repositories.len() == self.targets.len();
        let mut found = FoundDigest::at(repositories[first].clone());
        if everywhere {
            found.location = SourceLocation::EveryTarget;
        }
        found
    }

    /// The index at the first tag, to start from; a tag that is not there yet is an empty start, with a notice.
    async fn resolve_append(
        &self,
        stores: &Stores,
    ) -> Result<(Option<Source>, Option<Notice>), Failure> {
        let first = self.targets.first().filter(|_| self.append);
        let Some((target, tag)) = first.and_then(|target| Some((target, target.tags.first()?)))
        else {
            return Ok((None, None));
        };
        let location = &target.location;
        let elsewhere = (self.targets.iter()).any(|other| other.location != *location);
        let wanted = Wanted {
            name: format!("{location}:{tag}"),
            location: location.clone().into(),
            read_from: location.clone(),
            point: Point::Name(ManifestName::Tag(tag.clone())),
            set_platform: None,
            content: elsewhere,
        };
        match resolve(stores, std::slice::from_ref(&wanted)).await {
            Ok(mut sources) => Ok((sources.pop(), None)),
            Err(error) if error.kind == FailureKind::NotFound => {
                let text = format!("{} does not exist yet: nothing to append to", wanted.name);
                Ok((None, Some(notice(text))))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A bare digest, located.
struct FoundDigest {
    location: SourceLocation,
    read_from: Location,
}

impl FoundDigest {
    fn at(location: Location) -> Self {
        Self {
            location: location.clone().into(),
            read_from: location,
        }
    }
}

fn notice(text: String) -> Notice {
    Notice {
        severity: Severity::Notice,
        text,
    }
}

fn latest() -> Tag {
    "latest".parse().expect("latest is a tag")
}

/// Groups targets by location, in the order in which each location is named first.
pub(super) fn targets(specs: &[TargetSpec]) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for spec in specs {
        let (location, tag) = match &spec.form {
            TargetForm::Repository(repository, tag) => {
                (repository.clone().into(), Some(tag.clone()))
            }
            TargetForm::Layout(reference) => {
                (reference.layout.clone().into(), reference.tag.clone())
            }
        };
        let position = targets.iter().position(|it| it.location == location);
        let position = position.unwrap_or_else(|| {
            targets.push(Target {
                location,
                tags: Vec::new(),
            });
            targets.len() - 1
        });
        let tags = &mut targets[position].tags;
        if let Some(tag) = tag.filter(|tag| !tags.contains(tag)) {
            tags.push(tag);
        }
    }
    targets
}
