//! What a case happens in: the faulty registry, a good one beside it, a home, and the content of both.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
};

use tempfile::TempDir;

use super::{
    case::{Act, Case, Protocol},
    program::{self, Said},
};
use crate::support::{
    Registry,
    image::{Image, Index, Loaded},
    registry::{Accounts, Bearer, Scheme, tls},
};

pub(super) const PASSWORD: &str = "hunter2-of-the-faults";

/// The repository of the sources.
pub(super) const SOURCE: &str = "team/app";

/// Two registries and a home.
pub(super) struct Scene {
    pub(super) faulty: Registry,
    /// A good registry, spoken to in the same way.
    pub(super) good: Registry,
    /// The image under `amd64` of the source repository.
    pub(super) image: Loaded,
    pub(super) home: TempDir,
    pub(super) variables: Vec<(String, String)>,
    /// Further registries, which the case has started.
    pub(super) others: Vec<Registry>,
    /// The authority of the tests is trusted, although the registries speak plain HTTP.
    trusts: bool,
    act: Act,
    protocol: Protocol,
}

impl Scene {
    pub(super) fn of(case: &Case) -> Self {
        let mut builder = Registry::builder().scheme(case.protocol.scheme());
        if case.has_tokens {
            builder = builder.bearer(Bearer::new(Accounts::new("ci", PASSWORD)));
        }
        for change in &case.builder {
            builder = change(builder);
        }
        let faulty = builder.start_in_background();
        let good = Registry::builder()
            .scheme(case.protocol.scheme())
            .start_in_background();
        let source = if case.act == Act::CopyTo {
            &good
        } else {
            &faulty
        };
        let image = Image::new("linux/amd64").layers(&[10, 100_000]);
        let loaded = image.load(source, SOURCE, "amd64");
        Image::new("linux/arm64").load(source, SOURCE, "arm64");
        Index::oci()
            .image(image)
            .of(["linux/arm64"])
            .load(source, SOURCE, "index");
        let mut scene = Self {
            faulty,
            good,
            image: loaded,
            home: tempfile::tempdir().expect("a temporary directory"),
            variables: Vec::new(),
            others: Vec::new(),
            trusts: case.protocol != Protocol::Http1,
            act: case.act,
            protocol: case.protocol,
        };
        if case.has_tokens {
            scene.log_in();
        }
        // What the tags point at that the run is to move.
        for (repo, tag) in scene.targets() {
            Image::new("windows/amd64").load(scene.target(), &repo, tag.as_str());
        }
        scene
    }

    /// The user that everything is allowed to.
    pub(super) fn log_in(&mut self) {
        for (name, value) in [
            ("REGISTRY", self.faulty.host().to_owned()),
            ("USERNAME", "ci".to_owned()),
            ("PASSWORD", PASSWORD.to_owned()),
        ] {
            self.variables.push((format!("POLYARCH_{name}"), value));
        }
    }

    /// Keeps a further registry as long as the scene.
    pub(super) fn keep(&mut self, other: Registry) {
        self.others.push(other);
    }

    /// Trusts the authority of the tests.
    pub(super) fn trust(&mut self) {
        self.trusts = true;
    }

    /// How both registries are spoken to.
    pub(super) fn scheme(&self) -> Scheme {
        self.protocol.scheme()
    }

    /// The registry that is written to.
    pub(super) fn target(&self) -> &Registry {
        match self.act {
            Act::CopyFrom | Act::CopyReferrers => &self.good,
            _ => &self.faulty,
        }
    }

    /// The tags that are to be moved.
    pub(super) fn targets(&self) -> Vec<(String, String)> {
        let (repo, tags): (_, &[&str]) = match self.act {
            Act::Inspect => return Vec::new(),
            Act::Publish | Act::PublishKnown | Act::Push => (SOURCE, &["1"]),
            Act::PublishThree => (SOURCE, &["1", "2", "3"]),
            Act::CopyFrom | Act::CopyTo | Act::CopyWithin | Act::CopyReferrers => {
                ("mirror/app", &["1"])
            }
        };
        tags.iter()
            .map(|tag| (repo.to_owned(), (*tag).to_owned()))
            .collect()
    }

    /// Runs what the case asks for, with these further words; GOOD in them is the good registry.
    pub(super) fn run(&self, words: &[String]) -> Said {
        let faulty = |tag: &str| self.faulty.reference(SOURCE, tag);
        let mut lines: Vec<Vec<String>> = Vec::new();
        let targets: Vec<String> = self
            .targets()
            .iter()
            .map(|(repo, tag)| self.target().reference(repo, tag))
            .collect();
        let publish = |targets: &[String], sources: &[String]| {
            let mut line = vec!["publish".to_owned()];
            for target in targets {
                line.extend(["-t".to_owned(), target.clone()]);
            }
            line.extend_from_slice(sources);
            line
        };
        let copy = |from: &Registry, more: &[&str]| {
            let mut line = vec!["copy".to_owned()];
            line.extend(more.iter().map(|word| (*word).to_owned()));
            line.extend([from.reference(SOURCE, "index"), targets[0].clone()]);
            line
        };
        let both = ["amd64", "arm64"].map(faulty);
        match self.act {
            Act::Publish => lines.push(publish(&targets, &both)),
            Act::PublishThree => lines.push(publish(&targets, &both[..1])),
            Act::PublishKnown => {
                let mut line = publish(&targets, &both);
                for arch in ["amd64", "arm64"] {
                    line.push("--set-platform".to_owned());
                    line.push(format!("{}=linux/{arch}", faulty(arch)));
                }
                lines.push(line);
            }
            Act::CopyFrom | Act::CopyWithin => lines.push(copy(&self.faulty, &[])),
            Act::CopyTo => lines.push(copy(&self.good, &[])),
            Act::CopyReferrers => lines.push(copy(&self.faulty, &["--referrers"])),
            Act::Inspect => lines.push(vec!["inspect".to_owned(), both[0].clone()]),
            Act::Push => {
                let mut create = vec!["create".to_owned(), targets[0].clone()];
                create.extend(both);
                lines.push(create);
                lines.push(vec!["push".to_owned(), targets[0].clone()]);
            }
        }
        self.run_lines(lines, words)
    }

    /// Runs one command after the other, up to the first that fails.
    fn run_lines(&self, lines: Vec<Vec<String>>, words: &[String]) -> Said {
        let mut all: Option<Said> = None;
        for mut line in lines {
            line.extend(
                words
                    .iter()
                    .map(|word| word.replace("GOOD", self.good.host())),
            );
            if self.trusts {
                line.extend(["--ca-cert".to_owned(), authority().display().to_string()]);
            }
            let mut said = program::run(self.home.path(), &self.variables, &line);
            if let Some(before) = all.take() {
                said.stderr.insert_str(0, &before.stderr);
                said.took += before.took;
                said.memory = said.memory.max(before.memory);
            }
            let failed = said.code != 0;
            all = Some(said);
            if failed {
                break;
            }
        }
        all.expect("a command at least")
    }

    /// What can be seen: all tags of all registries, and what is wrong with them.
    pub(super) fn state(&self) -> State {
        let of = |registry: &Registry| {
            let repositories = [SOURCE, "mirror/app"];
            let tags = repositories.map(|repo| (repo, registry.tags(repo)));
            (BTreeMap::from(tags), registry.problems())
        };
        State([of(&self.faulty), of(&self.good)])
    }
}

type Visible = (
    BTreeMap<&'static str, BTreeMap<String, String>>,
    Vec<String>,
);

/// What can be seen in both registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State([Visible; 2]);

impl State {
    /// Whatever is dangling or has not the digest it is named by.
    pub(super) fn problems(&self) -> [&Vec<String>; 2] {
        [&self.0[0].1, &self.0[1].1]
    }
}

/// The digest that a run without any fault publishes.
pub(super) fn right_digest(act: Act) -> String {
    static KNOWN: Mutex<Option<HashMap<Act, String>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let digest = known.entry(act).or_insert_with(|| {
        let case = Case::new("none", act, "");
        let scene = Scene::of(&case);
        let said = scene.run(&[]);
        assert_eq!(said.code, 0, "{act:?} without a fault: {}", said.stderr);
        assert!(scene.state().problems().iter().all(|it| it.is_empty()));
        said.digest().to_owned()
    });
    digest.clone()
}

/// The file of the authority that signs for all registries of the tests.
fn authority() -> &'static PathBuf {
    static FILE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FILE.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, tls::ca_pem()).expect("a file");
        (directory, path)
    });
    path
}
