//! The run of a case: the faulty registry, a good one, a home, and the content of both registries.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::case::{Act, Case, Protocol};
use crate::support::{
    Registry, Scene,
    image::{Image, Index, Loaded},
    polyarch::Output,
    registry::{Accounts, Bearer, Scheme},
};

pub(super) const PASSWORD: &str = "hunter2-of-the-faults";

/// The repository of the sources.
pub(super) const SOURCE: &str = "team/app";

/// The maximum duration of any run.
const LIMIT: Duration = Duration::from_secs(180);

/// A scene with the faulty registry (HOST) and a good one with the same protocol (OTHER).
pub(super) struct Trial {
    scene: Scene,
    /// The image under `amd64` of the source repository.
    pub(super) image: Loaded,
    /// Whether the authority of the tests is trusted.
    trusts: bool,
    act: Act,
    protocol: Protocol,
}

impl Trial {
    pub(super) fn of(case: &Case) -> Self {
        let mut builder = Registry::builder().scheme(case.protocol.scheme());
        if case.has_tokens {
            builder = builder.bearer(Bearer::new(Accounts::new("ci", PASSWORD)));
        }
        for change in &case.builder {
            builder = change(builder);
        }
        let good = Registry::builder().scheme(case.protocol.scheme());
        let mut scene = Scene::of([builder, good]);
        let source = if case.act == Act::CopyTo {
            scene.other()
        } else {
            scene.registry()
        };
        let image = Image::new("linux/amd64").layers(&[10, 100_000]);
        let loaded = image.load(source, SOURCE, "amd64");
        Image::new("linux/arm64").load(source, SOURCE, "arm64");
        Index::oci()
            .image(image)
            .of(["linux/arm64"])
            .load(source, SOURCE, "index");
        if case.has_tokens {
            scene.log_in("ci", PASSWORD);
        }
        let trial = Self {
            scene,
            image: loaded,
            trusts: case.protocol != Protocol::Http1,
            act: case.act,
            protocol: case.protocol,
        };
        // The previous images of the tags that the run moves.
        for (repository, tag) in trial.targets() {
            Image::new("windows/amd64").load(trial.target(), &repository, tag.as_str());
        }
        trial
    }

    /// Returns the registry with the fault.
    pub(super) fn faulty(&self) -> &Registry {
        self.scene.registry()
    }

    /// Returns the good registry.
    pub(super) fn good(&self) -> &Registry {
        self.scene.other()
    }

    /// Returns further registries that the case has added.
    pub(super) fn others(&self) -> &[Registry] {
        &self.scene.registries[2..]
    }

    /// Keeps a further registry until the trial is dropped.
    pub(super) fn keep(&mut self, other: Registry) {
        self.scene.add_started(other);
    }

    /// Trusts the authority of the tests.
    pub(super) fn trust(&mut self) {
        self.trusts = true;
    }

    /// Returns the protocol of both registries.
    pub(super) fn scheme(&self) -> Scheme {
        self.protocol.scheme()
    }

    /// Returns the registry that is written to.
    pub(super) fn target(&self) -> &Registry {
        match self.act {
            Act::CopyFrom | Act::CopyReferrers => self.good(),
            _ => self.faulty(),
        }
    }

    /// Returns the tags that the run moves.
    pub(super) fn targets(&self) -> Vec<(String, String)> {
        let (repository, tags): (_, &[&str]) = match self.act {
            Act::Inspect => return Vec::new(),
            Act::Publish | Act::PublishKnown | Act::Push => (SOURCE, &["1"]),
            Act::PublishThree => (SOURCE, &["1", "2", "3"]),
            Act::CopyFrom | Act::CopyTo | Act::CopyWithin | Act::CopyReferrers => {
                ("mirror/app", &["1"])
            }
        };
        tags.iter()
            .map(|tag| (repository.to_owned(), (*tag).to_owned()))
            .collect()
    }

    /// Runs the command lines of the operation, with these additional words, until one fails.
    pub(super) fn run(&self, words: &[String]) -> Output {
        let mut all: Option<Output> = None;
        for line in lines(self.act) {
            let mut run = self
                .scene
                .polyarch()
                .args(line.split_whitespace())
                .args(words);
            if self.trusts {
                run = run.args(["--ca-cert", "CA_FILE"]);
            }
            let mut output = run.unwatched().measured().limit(LIMIT).run();
            if let Some(before) = all.take() {
                output.stderr.insert_str(0, &before.stderr);
                output.wall += before.wall;
                output.memory = output.memory.max(before.memory);
            }
            let failed = output.code != 0;
            all = Some(output);
            if failed {
                break;
            }
        }
        all.expect("a command at least")
    }

    /// Returns all tags of all registries, and the errors in their content.
    pub(super) fn state(&self) -> State {
        let of = |registry: &Registry| {
            let repositories = [SOURCE, "mirror/app"];
            let tags = repositories.map(|repository| (repository, registry.tags(repository)));
            (BTreeMap::from(tags), registry.problems())
        };
        State([of(self.faulty()), of(self.good())])
    }
}

/// Returns the command lines of an operation.
fn lines(act: Act) -> &'static [&'static str] {
    match act {
        Act::Publish => &["publish -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64"],
        Act::PublishThree => &[
            "publish -t HOST/team/app:1 -t HOST/team/app:2 -t HOST/team/app:3 HOST/team/app:amd64",
        ],
        Act::PublishKnown => &[
            "publish -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64 \
             --set-platform HOST/team/app:amd64=linux/amd64 --set-platform HOST/team/app:arm64=linux/arm64",
        ],
        Act::CopyFrom => &["copy HOST/team/app:index OTHER/mirror/app:1"],
        Act::CopyTo => &["copy OTHER/team/app:index HOST/mirror/app:1"],
        Act::CopyWithin => &["copy HOST/team/app:index HOST/mirror/app:1"],
        Act::CopyReferrers => &["copy --referrers HOST/team/app:index OTHER/mirror/app:1"],
        Act::Inspect => &["inspect HOST/team/app:amd64"],
        Act::Push => &[
            "create HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64",
            "push HOST/team/app:1",
        ],
    }
}

type Visible = (
    BTreeMap<&'static str, BTreeMap<String, String>>,
    Vec<String>,
);

/// The visible state of both registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State([Visible; 2]);

impl State {
    /// Returns dangling references and wrong digests.
    pub(super) fn problems(&self) -> [&Vec<String>; 2] {
        [&self.0[0].1, &self.0[1].1]
    }
}

/// Returns the digest that a run without any fault publishes.
pub(super) fn right_digest(act: Act) -> String {
    static KNOWN: Mutex<Option<HashMap<Act, String>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let digest = known.entry(act).or_insert_with(|| {
        let case = Case::new("none", act, "");
        let trial = Trial::of(&case);
        let output = trial.run(&[]).ok();
        assert!(trial.state().problems().iter().all(|it| it.is_empty()));
        output.digest()
    });
    digest.clone()
}
