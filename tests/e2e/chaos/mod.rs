//! `publish` through a proxy that breaks connections at random, in front of Debian's `docker-registry`. Every run
//! ends in "published and verified" or in "failed, and nothing wrong is visible". The registries are asked directly.
//!
//! `POLYARCH_CHAOS_RUNS` is how many runs there are, `POLYARCH_CHAOS_SEED` the first of their seeds.

mod proxy;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{
    distribution::Distribution,
    program::Home,
    support::{
        digest,
        image::{Image, Index},
        registry::Registry,
    },
};
use proxy::{Proxy, Weather};

/// Runs under way at once.
const AT_ONCE: usize = 8;
/// The waiting that each run allows itself (`--retry-for`), in seconds.
const PATIENCE: u64 = 8;
/// How long one run may take: its waits, a request that is never answered, and the work itself.
const LIMIT: Duration = Duration::from_secs(150);

/// What lies in `team/app` of the first registry.
const SOURCES: [&str; 4] = ["amd64", "arm64", "s390x", "pair"];

/// Two registries, of which the first has the sources.
struct Scene {
    near: Distribution,
    far: Distribution,
    /// The digest that each combination of sources makes.
    digests: BTreeMap<String, String>,
}

/// Where a tag lies, as the registry itself knows it.
#[derive(Clone, Debug)]
struct Place {
    far: bool,
    repo: String,
    tag: String,
    /// Its name through the proxy.
    reference: String,
    /// What it pointed at before the run.
    before: Option<String>,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Published,
    Partly,
    Failed,
}

struct Report {
    outcome: Outcome,
    injected: BTreeMap<&'static str, u64>,
    time: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_is_published_and_verified_or_failed_with_nothing_wrong_visible() {
    let number = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text.parse().expect(name),
        Err(_) => default,
    };
    let (runs, first) = (
        number("POLYARCH_CHAOS_RUNS", 40),
        number("POLYARCH_CHAOS_SEED", 1),
    );
    let began = Instant::now();
    let scene = Scene::new().await;
    let reports: Vec<(u64, Result<Report, String>)> = stream::iter(first..first + runs)
        .map(|seed| {
            let scene = &scene;
            async move { (seed, run(scene, seed).await) }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    let mut injected: BTreeMap<&str, u64> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    let mut wrong = Vec::new();
    for (seed, report) in &reports {
        match report {
            Ok(report) => {
                *outcomes.entry(report.outcome).or_default() += 1;
                longest = longest.max(report.time);
                for (fault, count) in &report.injected {
                    *injected.entry(fault).or_default() += count;
                }
            }
            Err(cause) => wrong.push(format!(
                "seed {seed}: {cause}\nreplay: POLYARCH_CHAOS_SEED={seed} POLYARCH_CHAOS_RUNS=1 \
                 cargo test --features e2e --test e2e -- chaos --nocapture\n"
            )),
        }
    }
    println!(
        "{runs} runs from seed {first}: {outcomes:?}\nfaults: {} {injected:#?}\nlongest run {longest:?}, all {:?}",
        injected.values().sum::<u64>(),
        began.elapsed()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(runs == 0 || !injected.is_empty(), "no fault was injected");
}

impl Scene {
    async fn new() -> Self {
        let near = Distribution::start().await;
        let far = Distribution::start().await;
        let registry = Registry::plain().await;
        let images = [
            ("amd64", Image::new("linux/amd64").layers(&[10, 400_000])),
            ("arm64", Image::new("linux/arm64/v8").layers(&[10, 90_000])),
            ("s390x", Image::new("linux/s390x").docker()),
        ];
        for (tag, image) in images {
            let image = image.load(&registry, "team/app", tag);
            near.put_image(&registry, "team/app", &image, "team/app", tag)
                .await;
        }
        let pair = Index::oci().of(["linux/386", "linux/riscv64"]).attested();
        pair.load(&registry, "team/app", "pair");
        let home = Home::new();
        let line = format!(
            "copy {} {}/team/app:pair",
            registry.reference("team/app", "pair"),
            near.host()
        );
        home.polyarch(&line).await.expect();
        let mut scene = Self {
            near,
            far,
            digests: BTreeMap::new(),
        };
        for sources in combinations() {
            let names = sources.map(|tag| format!("{}/team/app:{tag}", scene.near.host()));
            let line = format!(
                "publish --dry-run -t {}/x/y:1 {}",
                scene.near.host(),
                names.join(" ")
            );
            let said = home.polyarch(&line).await.expect();
            let digest = said.lines().last().expect("a digest").to_owned();
            scene.digests.insert(sources.join(" "), digest);
        }
        scene
    }

    fn registry(&self, place: &Place) -> &Distribution {
        if place.far { &self.far } else { &self.near }
    }
}

/// The pairs of sources that runs are made of.
fn combinations() -> Vec<[&'static str; 2]> {
    let all = SOURCES.iter().enumerate();
    all.flat_map(|(at, one)| SOURCES[at + 1..].iter().map(|other| [*one, *other]))
        .collect()
}

/// One run with everything that its seed says. The error is what is wrong with it.
async fn run(scene: &Scene, seed: u64) -> Result<Report, String> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let weather = |dice: &mut fastrand::Rng| Weather {
        seed: dice.u64(..),
        rate: 0.02 + 0.4 * dice.f64() * dice.f64(),
        burst: dice.choice([3, 6, 40]).unwrap_or(3),
        endless_stall: seed % 4 == 3,
    };
    let near = Proxy::start(scene.near.host(), weather(&mut dice)).await;
    let far = Proxy::start(scene.far.host(), weather(&mut dice)).await;
    let sources = dice.choice(combinations()).expect("there are some");
    let digest = &scene.digests[&sources.join(" ")];
    let hosts = [near.host(), far.host()];
    let places = places(scene, seed, &hosts, &mut dice).await;

    let mut words = vec!["publish".to_owned(), "--output=json".to_owned()];
    words.push(format!("--retry-for={PATIENCE}"));
    words.push("--idle-timeout=3s".to_owned());
    for place in &places {
        words.push(format!("--tag={}", place.reference));
    }
    words.extend(sources.map(|tag| format!("{}/team/app:{tag}", near.host())));

    let home = Home::new();
    let began = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_polyarch"))
        .args(&words)
        .env_clear()
        .env("HOME", home.path(""))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(LIMIT, child)
        .await
        .map_err(|_| format!("it ran for more than {LIMIT:?}"))?
        .map_err(|error| error.to_string())?;
    let time = began.elapsed();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = Told {
        code: output.status.code(),
        result: serde_json::from_slice(&output.stdout).ok(),
        stderr: &stderr,
    };
    let outcome = judge(scene, &places, digest, &told)
        .await
        .map_err(|cause| format!("{cause}\n{words:?} ended with {:?}:\n{stderr}", told.code))?;
    let mut injected = near.injected();
    for (fault, count) in far.injected() {
        *injected.entry(fault).or_default() += count;
    }
    Ok(Report {
        outcome,
        injected,
        time,
    })
}

/// Where a run publishes to: the repository of the sources, others beside it, another registry; one to three tags
/// in each, some of which point at something else already.
async fn places(
    scene: &Scene,
    seed: u64,
    hosts: &[String; 2],
    dice: &mut fastrand::Rng,
) -> Vec<Place> {
    let mut places = Vec::new();
    let mut choices = [
        (false, "team/app".to_owned()),
        (false, format!("run{seed}/app")),
        (true, format!("run{seed}/app")),
    ];
    dice.shuffle(&mut choices);
    for (far, repo) in &choices[..dice.usize(1..=choices.len())] {
        for number in 0..dice.u32(1..=3) {
            let mut place = Place {
                far: *far,
                repo: repo.clone(),
                tag: format!("s{seed}-{number}"),
                reference: format!("{}/{repo}:s{seed}-{number}", hosts[usize::from(*far)]),
                before: None,
            };
            // An index without entries: whole by itself.
            if dice.u8(0..3) == 0 {
                let kind = "application/vnd.oci.image.index.v1+json";
                let body = format!(
                    r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[],"annotations":{{"seed":"{seed}"}}}}"#
                );
                place.before = Some(digest::sha256(body.as_bytes()));
                let registry = scene.registry(&place);
                registry
                    .put_manifest(repo, &place.tag, kind, body.into())
                    .await;
            }
            places.push(place);
        }
    }
    places
}

/// What a run said.
struct Told<'a> {
    code: Option<i32>,
    result: Option<Value>,
    stderr: &'a str,
}

impl Told<'_> {
    /// The status that it reports of a tag.
    fn status(&self, place: &Place) -> Option<&str> {
        let targets = self.result.as_ref()?["targets"].as_array()?;
        let mut tags = targets
            .iter()
            .filter_map(|target| target["tags"].as_array())
            .flatten();
        tags.find(|tag| tag["reference"] == *place.reference)?["status"].as_str()
    }

    fn says_there(&self, place: &Place) -> bool {
        matches!(self.status(place), Some("published" | "already"))
    }
}

/// What became of a run, or what must not be.
async fn judge(
    scene: &Scene,
    places: &[Place],
    digest: &str,
    told: &Told<'_>,
) -> Result<Outcome, String> {
    let mut changed = Vec::new();
    for place in places {
        let now = whole(scene.registry(place), &place.repo, &place.tag).await?;
        let is_right = now.as_deref() == Some(digest);
        if !is_right && now != place.before {
            return Err(format!(
                "{} points at {now:?}, not {digest}",
                place.reference
            ));
        }
        if told.says_there(place) && !is_right {
            return Err(format!("{} is said to be there", place.reference));
        }
        if is_right {
            changed.push(place.reference.as_str());
        }
    }
    nothing_else(scene, places).await?;
    let landed = places.iter().filter(|place| told.says_there(place)).count();
    let outcome = match told.code {
        Some(0) if landed == places.len() => return Ok(Outcome::Published),
        Some(7) if landed > 0 => Outcome::Partly,
        Some(6) if landed == 0 => Outcome::Failed,
        _ => return Err(format!("{landed} of {} tags landed", places.len())),
    };
    if !told.stderr.contains("error: failed to ") {
        return Err("no cause is named".to_owned());
    }
    if told.stderr.contains("no tag was changed") && !changed.is_empty() {
        return Err(format!("{changed:?} were changed all the same"));
    }
    Ok(outcome)
}

/// The digest of what a tag points at, if all of it can be read: every manifest and every blob below it.
async fn whole(registry: &Distribution, repo: &str, name: &str) -> Result<Option<String>, String> {
    let Some(root) = registry.manifest(repo, name).await else {
        return Ok(None);
    };
    let root_digest = digest::sha256(&root.body);
    let mut manifests = vec![root];
    while let Some(manifest) = manifests.pop() {
        let document: Value = serde_json::from_slice(&manifest.body).expect("JSON");
        let listed = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        for child in listed("manifests") {
            let wanted = child["digest"].as_str().expect("a digest");
            let found = registry.manifest(repo, wanted).await;
            let found = found.filter(|found| digest::sha256(&found.body) == wanted);
            manifests.push(found.ok_or_else(|| format!("{repo}:{name} lacks {wanted}"))?);
        }
        let config = document.get("config").cloned();
        for blob in config.into_iter().chain(listed("layers")) {
            let wanted = blob["digest"].as_str().expect("a digest");
            let found = registry.blob(repo, wanted).await;
            if found.is_none_or(|content| digest::sha256(&content) != wanted) {
                return Err(format!("{repo}:{name} lacks blob {wanted}"));
            }
        }
    }
    Ok(Some(root_digest))
}

/// No tag was made that nobody asked for.
async fn nothing_else(scene: &Scene, places: &[Place]) -> Result<(), String> {
    for place in places.iter().filter(|place| place.repo != "team/app") {
        let wanted: BTreeSet<&str> = places
            .iter()
            .filter(|other| other.repo == place.repo && other.far == place.far)
            .map(|other| other.tag.as_str())
            .collect();
        let tags = scene.registry(place).tags(&place.repo).await;
        if let Some(tag) = tags.iter().find(|tag| !wanted.contains(tag.as_str())) {
            return Err(format!("{}:{tag} was not asked for", place.repo));
        }
    }
    Ok(())
}
