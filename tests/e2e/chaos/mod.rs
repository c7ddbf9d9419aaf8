//! `publish` through a proxy that breaks connections at random, in front of Debian's `docker-registry`. Every run
//! is published and verified, or fails without wrong content. The registries are checked directly.
//!
//! `POLYARCH_CHAOS_RUNS` sets the number of runs, `POLYARCH_CHAOS_SEED` the seed of the first run. Each further run has
//! the next seed.

mod proxy;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    distribution::Distribution,
    program::home,
    support::{
        digest,
        image::{Image, Index},
        registry::Registry,
    },
};
use futures_util::{StreamExt as _, stream};
use proxy::{FaultSettings, Proxy};
use serde_json::Value;

/// The number of runs at once.
const AT_ONCE: usize = 8;
/// The budget of each run for waiting (`--retry-for`), in seconds.
const RETRY_FOR: u64 = 8;
/// The maximum duration of one run: its waits, a request that is never answered, and the work itself.
const LIMIT: Duration = Duration::from_secs(150);

/// The tags of `team/app` in the first registry.
const SOURCES: [&str; 4] = ["amd64", "arm64", "s390x", "pair"];

/// Two registries. The first one has the sources.
struct Setting {
    near: Distribution,
    far: Distribution,
    /// The digest of the index that each combination of sources gives.
    digests: BTreeMap<String, String>,
}

/// A tag that a run sets.
#[derive(Clone, Debug)]
struct Place {
    far: bool,
    repo: String,
    tag: String,
    /// Its name through the proxy.
    reference: String,
    /// The digest before the run.
    before: Option<String>,
}

/// The outcome of a run.
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
async fn every_run_is_verified_or_fails_without_wrong_content() {
    let number = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text.parse().expect(name),
        Err(_) => default,
    };
    let (runs, first) = (
        number("POLYARCH_CHAOS_RUNS", 40),
        number("POLYARCH_CHAOS_SEED", 1),
    );
    let began = Instant::now();
    let setting = Setting::new().await;
    let reports: Vec<(u64, Result<Report, String>)> = stream::iter(first..first + runs)
        .map(|seed| {
            let setting = &setting;
            async move { (seed, run(setting, seed).await) }
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

impl Setting {
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
        let home = home();
        let line = format!(
            "copy {} {}/team/app:pair",
            registry.reference("team/app", "pair"),
            near.host()
        );
        home.run_line(&line).await.ok();
        let mut setting = Self {
            near,
            far,
            digests: BTreeMap::new(),
        };
        for sources in combinations() {
            let names = sources.map(|tag| format!("{}/team/app:{tag}", setting.near.host()));
            let line = format!(
                "publish --dry-run -t {}/x/y:1 {}",
                setting.near.host(),
                names.join(" ")
            );
            let output = home.run_line(&line).await.ok().stdout;
            let digest = output.lines().last().expect("a digest").to_owned();
            setting.digests.insert(sources.join(" "), digest);
        }
        setting
    }

    fn registry(&self, place: &Place) -> &Distribution {
        if place.far { &self.far } else { &self.near }
    }
}

/// Returns all pairs of sources.
fn combinations() -> Vec<[&'static str; 2]> {
    let all = SOURCES.iter().enumerate();
    all.flat_map(|(at, one)| SOURCES[at + 1..].iter().map(|other| [*one, *other]))
        .collect()
}

/// Runs `publish` with random options and faults that depend only on the seed. Returns an error if the result is wrong.
async fn run(setting: &Setting, seed: u64) -> Result<Report, String> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let settings = |dice: &mut fastrand::Rng| FaultSettings {
        seed: dice.u64(..),
        rate: 0.02 + 0.4 * dice.f64() * dice.f64(),
        burst: dice.choice([3, 6, 40]).unwrap_or(3),
        endless_stall: seed % 4 == 3,
    };
    let near = Proxy::start(setting.near.host(), settings(&mut dice)).await;
    let far = Proxy::start(setting.far.host(), settings(&mut dice)).await;
    let sources = dice.choice(combinations()).expect("a pair of sources");
    let digest = &setting.digests[&sources.join(" ")];
    let hosts = [near.host(), far.host()];
    let places = places(setting, seed, &hosts, &mut dice).await;

    let mut words = vec!["publish".to_owned(), "--output=json".to_owned()];
    words.push(format!("--retry-for={RETRY_FOR}"));
    words.push("--idle-timeout=3s".to_owned());
    for place in &places {
        words.push(format!("--tag={}", place.reference));
    }
    words.extend(sources.map(|tag| format!("{}/team/app:{tag}", near.host())));

    let home = home();
    let run = home.polyarch().args(&words).unwatched().limit(LIMIT);
    let run = tokio::task::spawn_blocking(move || run.run());
    let output = run.await.map_err(|error| error.to_string())?;
    let result = RunResult {
        code: output.code,
        json: serde_json::from_str(&output.stdout).ok(),
        stderr: &output.stderr,
    };
    let outcome = judge(setting, &places, digest, &result)
        .await
        .map_err(|cause| {
            format!(
                "{cause}\n{words:?} ended with {}:\n{}",
                output.code, output.stderr
            )
        })?;
    let mut injected = near.injected();
    for (fault, count) in far.injected() {
        *injected.entry(fault).or_default() += count;
    }
    Ok(Report {
        outcome,
        injected,
        time: output.wall,
    })
}

/// Chooses the targets of a run: one to three tags in each of up to three repositories (the repository of the sources,
/// another one, and one in the other registry). Some of the tags already point to another index.
async fn places(
    setting: &Setting,
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
            // An index without entries needs no other content.
            if dice.u8(0..3) == 0 {
                let kind = "application/vnd.oci.image.index.v1+json";
                let body = format!(
                    r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[],"annotations":{{"seed":"{seed}"}}}}"#
                );
                place.before = Some(digest::sha256(body.as_bytes()));
                let registry = setting.registry(&place);
                registry
                    .put_manifest(repo, &place.tag, kind, body.into())
                    .await;
            }
            places.push(place);
        }
    }
    places
}

/// The output of a run.
struct RunResult<'a> {
    code: i32,
    json: Option<Value>,
    stderr: &'a str,
}

impl RunResult<'_> {
    /// Returns the status of a tag in the report of the run.
    fn status(&self, place: &Place) -> Option<&str> {
        let targets = self.json.as_ref()?["targets"].as_array()?;
        let mut tags = targets
            .iter()
            .filter_map(|target| target["tags"].as_array())
            .flatten();
        tags.find(|tag| tag["reference"] == *place.reference)?["status"].as_str()
    }

    fn is_reported(&self, place: &Place) -> bool {
        matches!(self.status(place), Some("published" | "already"))
    }
}

/// Returns the outcome of a run, or a description of what is wrong.
async fn judge(
    setting: &Setting,
    places: &[Place],
    digest: &str,
    result: &RunResult<'_>,
) -> Result<Outcome, String> {
    let mut changed = Vec::new();
    for place in places {
        let now = whole(setting.registry(place), &place.repo, &place.tag).await?;
        let is_right = now.as_deref() == Some(digest);
        if !is_right && now != place.before {
            return Err(format!(
                "{} points to {now:?}, not to {digest}",
                place.reference
            ));
        }
        if result.is_reported(place) && !is_right {
            return Err(format!("{} is reported as pushed", place.reference));
        }
        if is_right {
            changed.push(place.reference.as_str());
        }
    }
    nothing_else(setting, places).await?;
    let pushed = places
        .iter()
        .filter(|place| result.is_reported(place))
        .count();
    let outcome = match result.code {
        0 if pushed == places.len() => return Ok(Outcome::Published),
        7 if pushed > 0 => Outcome::Partly,
        6 if pushed == 0 => Outcome::Failed,
        _ => return Err(format!("{pushed} of {} tags were pushed", places.len())),
    };
    if !result.stderr.contains("error: failed to ") {
        return Err("the error has no cause".to_owned());
    }
    if result.stderr.contains("no tag was changed") && !changed.is_empty() {
        return Err(format!("{changed:?} were changed"));
    }
    Ok(outcome)
}

/// Returns the digest that a tag points to, or `None` if the tag does not exist. Fails if a manifest or blob below it
/// is missing or has other content.
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

/// Checks that the run created no other tag.
async fn nothing_else(setting: &Setting, places: &[Place]) -> Result<(), String> {
    for place in places.iter().filter(|place| place.repo != "team/app") {
        let wanted: BTreeSet<&str> = places
            .iter()
            .filter(|other| other.repo == place.repo && other.far == place.far)
            .map(|other| other.tag.as_str())
            .collect();
        let tags = setting.registry(place).tags(&place.repo).await;
        if let Some(tag) = tags.iter().find(|tag| !wanted.contains(tag.as_str())) {
            return Err(format!("{}:{tag} was not requested", place.repo));
        }
    }
    Ok(())
}
