//! Variants of the merge job: the number of requests and connections that a program needs for it, and the effect of the
//! registry's latency on its duration.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{
    image::{Image, Loaded},
    polyarch::Output,
    proxy::Proxy,
    registry::{Accounts, Bearer, Builder, Registry, Role, Scheme, Site, tls},
    scene::Scene,
};

/// The platforms of the four images of the job.
pub const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/386", "linux/riscv64"];

/// The merge job: an index of four images under two tags. HOST is the registry.
pub const JOB: &str =
    "publish --no-verify -t HOST/a:t0,HOST/a:t1 HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3";

/// Returns the merge job with given platforms.
pub fn job_with_platforms() -> String {
    let settings = PLATFORMS
        .iter()
        .zip(0..)
        .map(|(platform, number)| format!(" --set-platform HOST/a:s{number}={platform}"));
    format!("{JOB}{}", settings.collect::<String>())
}

/// Returns the merge job with complete descriptors.
pub fn job_with_descriptors(images: &[Loaded], targets: &str) -> String {
    let descriptors = images
        .iter()
        .map(|image| format!(" {}", image.descriptor()));
    let descriptors: String = descriptors.collect();
    format!("publish --no-verify -t {targets}{descriptors}")
}

/// How a registry authenticates clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Without credentials.
    None,
    /// With a user name and password in each request.
    Basic,
    /// With a token from a token server on another host.
    Bearer,
}

/// The requests and connections of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The requests to all hosts of all registries.
    pub requests: usize,
    /// The connections that carried requests to the registries themselves.
    pub connections: usize,
}

/// Returns a scene with one registry.
pub fn scene(scheme: Scheme, login: Login) -> Scene {
    scene_of([builder(scheme, login)])
}

/// Returns a scene with these registries. The home trusts them and has credentials for each.
pub fn scene_of(registries: impl IntoIterator<Item = Builder>) -> Scene {
    let mut scene = Scene::of(registries);
    scene.trust();
    let hosts: Vec<&str> = scene.registries.iter().map(Registry::host).collect();
    write_credentials(&scene, &hosts);
    scene
}

/// Returns a scene whose registry requires tokens. It is reached by the name of a public registry, so that its token
/// server is known in advance.
pub fn well_known(scheme: Scheme) -> Scene {
    let bearer = Bearer::new(Accounts::new("ci", "pw")).service(tls::WELL_KNOWN);
    let registry = builder(scheme, Login::None).name(tls::WELL_KNOWN);
    let mut scene = scene_of([registry.bearer(bearer)]);
    let runtime = Runtime::new().expect("a runtime");
    let target = format!("{}:443", tls::WELL_KNOWN);
    let proxy = runtime.block_on(Proxy::mapping(&target, scene.registry().address()));
    scene.set("HTTPS_PROXY", &proxy.url());
    scene.keep((proxy, runtime));
    scene.name("HOST", tls::WELL_KNOWN);
    write_credentials(&scene, &[tls::WELL_KNOWN]);
    scene
}

fn write_credentials(scene: &Scene, hosts: &[&str]) {
    let auth = STANDARD.encode("ci:pw");
    let auths: serde_json::Map<_, _> = hosts
        .iter()
        .map(|host| ((*host).to_owned(), json!({ "auth": auth })))
        .collect();
    scene.write(".docker/config.json", json!({ "auths": auths }).to_string());
}

impl Scene {
    /// Runs the binary and expects success. The run is timed, so it is not searched for secrets.
    #[track_caller]
    pub fn job(&self, words: &[String]) -> Output {
        self.polyarch().args(words).unwatched().run().ok()
    }

    /// Splits a line into words and replaces names by their values.
    pub fn line(&self, text: &str) -> Vec<String> {
        let words = text.split_whitespace();
        words.map(|word| self.expand(word)).collect()
    }

    /// Stores the four images of the job in a repository of the first registry, under `s0` to `s3`.
    pub fn load(&self, repository: &str) -> Vec<Loaded> {
        load(self.registry(), repository)
    }

    /// Counts the requests and connections since [`Registry::clear`].
    pub fn cost(&self) -> Cost {
        let mut cost = Cost::default();
        for registry in &self.registries {
            let requests = registry.requests();
            let own = requests.iter().filter(|it| it.role == Role::Registry);
            let mut connections: Vec<u64> = own.map(|it| it.connection).collect();
            connections.sort_unstable();
            connections.dedup();
            cost.requests += requests.len();
            cost.connections += connections.len();
        }
        cost
    }

    /// Runs `work` once and returns its cost.
    pub fn cost_of<T>(&self, work: impl FnOnce(&Self) -> T) -> Cost {
        for registry in &self.registries {
            registry.clear();
        }
        work(self);
        self.cost()
    }

    /// Sets the latency of all registries.
    pub fn set_latency(&self, round_trip: Duration) {
        for registry in &self.registries {
            registry.set_latency(round_trip);
        }
    }

    /// Returns the number of serial round trips: the slope of the duration of `work` against the latency. `time` runs
    /// it at one latency as often as necessary and returns the duration.
    pub fn slope(
        &self,
        distances: [Duration; 2],
        time: impl Fn(&mut dyn FnMut() -> Duration) -> Duration,
        mut work: impl FnMut(&Self) -> Duration,
    ) -> f64 {
        let times = distances.map(|distance| {
            self.set_latency(distance);
            time(&mut || work(self)).as_secs_f64()
        });
        (times[1] - times[0]) / (distances[1].as_secs_f64() - distances[0].as_secs_f64())
    }
}

/// Returns a registry behind a delay line, without latency at first.
pub fn builder(scheme: Scheme, login: Login) -> Builder {
    let builder = Registry::builder().scheme(scheme).latency(Duration::ZERO);
    let accounts = || Accounts::new("ci", "pw");
    match login {
        Login::None => builder,
        Login::Basic => builder.basic(accounts()),
        Login::Bearer => {
            let site = Site::new(Scheme::TlsHttp2).ip("127.0.0.3");
            builder.bearer(Bearer::new(accounts()).at(site))
        }
    }
}

/// Stores the four images of the job, each with a config and two layers, under `s0` to `s3`.
pub fn load(registry: &Registry, repo: &str) -> Vec<Loaded> {
    let images = PLATFORMS.iter().zip(0_u64..).map(|(platform, number)| {
        let image = Image::new(platform).layers(&[500, 1500]).seed(number);
        image.load(registry, repo, format!("s{number}").as_str())
    });
    images.collect()
}
