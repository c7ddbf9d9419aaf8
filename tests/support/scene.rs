//! The merge job in its variants, as a program runs it in a home of its own: how many requests and connections
//! it costs, and how its time grows with the distance of the registry.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    image::{Image, Loaded},
    proxy::Proxy,
    registry::{Accounts, Bearer, Builder, Registry, Role, Scheme, Site, tls},
};

/// The platforms of the four images of the job.
pub const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/386", "linux/riscv64"];

/// The merge job: an index of four images under two tags. HOST is the registry.
pub const JOB: &str =
    "publish --no-verify -t HOST/a:t0,HOST/a:t1 HOST/a:s0 HOST/a:s1 HOST/a:s2 HOST/a:s3";

/// The same job with the platforms given.
pub fn job_with_platforms() -> String {
    let settings = PLATFORMS
        .iter()
        .zip(0..)
        .map(|(platform, number)| format!(" --set-platform HOST/a:s{number}={platform}"));
    format!("{JOB}{}", settings.collect::<String>())
}

/// The same job, with descriptors that say everything.
pub fn job_with_descriptors(images: &[Loaded], targets: &str) -> String {
    let descriptors = images
        .iter()
        .map(|image| format!(" {}", image.descriptor()));
    let descriptors: String = descriptors.collect();
    format!("publish --no-verify -t {targets}{descriptors}")
}

/// How a registry lets people in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// It lets anyone in.
    None,
    /// Name and password with each request.
    Basic,
    /// A token of a server on a host of its own.
    Bearer,
}

/// A program in a home of its own, and the registries it talks to.
pub struct Scene {
    pub registries: Vec<Registry>,
    home: TempDir,
    variables: Vec<(String, String)>,
    /// The name of the first registry on the command line.
    name: String,
    /// Where the name is not an address, the proxy that maps it.
    _proxy: Option<(Runtime, Proxy)>,
}

/// What a run said, and how long it took.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub wall: Duration,
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// To all hosts of all registries.
    pub requests: usize,
    /// Those that carried requests to the registries themselves.
    pub connections: usize,
}

impl Scene {
    /// With one registry.
    pub fn new(scheme: Scheme, login: Login) -> Self {
        Self::of(vec![builder(scheme, login).start_in_background()])
    }

    /// With any registries.
    pub fn of(registries: Vec<Registry>) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let authority = home.path().join("ca.pem");
        std::fs::write(&authority, tls::ca_pem()).expect("a file");
        let authority = authority.display().to_string();
        let scene = Self {
            name: registries[0].host().to_owned(),
            registries,
            home,
            variables: vec![("SSL_CERT_FILE".to_owned(), authority)],
            _proxy: None,
        };
        scene.log_in();
        scene
    }

    /// With a registry that wants tokens and is reached by the name of a public one, so that its token server is
    /// known in advance.
    pub fn well_known(scheme: Scheme) -> Self {
        let bearer = Bearer::new(Accounts::new("ci", "pw")).service(tls::WELL_KNOWN);
        let registry = builder(scheme, Login::None)
            .name(tls::WELL_KNOWN)
            .bearer(bearer);
        let mut scene = Self::of(vec![registry.start_in_background()]);
        let runtime = Runtime::new().expect("a runtime");
        let target = format!("{}:443", tls::WELL_KNOWN);
        let proxy = runtime.block_on(Proxy::mapping(&target, scene.registry().address()));
        scene.set("HTTPS_PROXY", proxy.url());
        scene._proxy = Some((runtime, proxy));
        scene.name = tls::WELL_KNOWN.to_owned();
        scene.log_in();
        scene
    }

    /// The first registry.
    pub fn registry(&self) -> &Registry {
        &self.registries[0]
    }

    /// A path in the home directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.home.path().join(relative)
    }

    /// Sets a variable for the runs from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    /// `docker login` at all registries.
    fn log_in(&self) {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode("ci:pw");
        let hosts = self.registries.iter().map(Registry::host);
        let hosts = hosts.chain([self.name.as_str()]);
        let auths: serde_json::Map<_, _> = hosts
            .map(|host| (host.to_owned(), json!({ "auth": auth })))
            .collect();
        std::fs::create_dir_all(self.path(".docker")).expect("a directory");
        let config = json!({ "auths": auths }).to_string();
        std::fs::write(self.path(".docker/config.json"), config).expect("a file");
    }

    /// A line of arguments in which HOST is the first registry and OTHER the last.
    pub fn line(&self, text: &str) -> Vec<String> {
        let other = self.registries.last().expect("a registry").host();
        let text = text.replace("HOST", &self.name).replace("OTHER", other);
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// The four images of the job in a repository of the first registry, under `s0` to `s3`.
    pub fn load(&self, repo: &str) -> Vec<Loaded> {
        load(self.registry(), repo)
    }

    /// A command in this home, with nothing of the caller's environment.
    pub fn command(&self, program: &Path, words: &[String]) -> Command {
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    pub fn run(&self, program: &Path, words: &[String]) -> Ran {
        let began = Instant::now();
        let output = self.command(program, words).output();
        let output = output.expect("the program starts");
        Ran {
            wall: began.elapsed(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a program that must succeed.
    #[track_caller]
    pub fn ok(&self, program: &Path, words: &[String]) -> Ran {
        let ran = self.run(program, words);
        assert_eq!(ran.code, Some(0), "{words:?}: {}{}", ran.stdout, ran.stderr);
        ran
    }

    /// Everything that was asked since [`Registry::clear`].
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

    /// What one run of `work` costs.
    pub fn cost_of<T>(&self, work: impl FnOnce(&Self) -> T) -> Cost {
        for registry in &self.registries {
            registry.clear();
        }
        work(self);
        self.cost()
    }

    /// Moves all registries.
    pub fn set_latency(&self, round_trip: Duration) {
        for registry in &self.registries {
            registry.set_latency(round_trip);
        }
    }

    /// The number of serial round trips: the slope of the time that `work` takes against the distance. `time` runs
    /// it at one distance as often as it wants to, and says how long it takes there.
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

/// A registry behind a delay line that is as good as none at first.
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

/// The four images of the job, of a config and two layers each, under `s0` to `s3`.
pub fn load(registry: &Registry, repo: &str) -> Vec<Loaded> {
    let images = PLATFORMS.iter().zip(0_u64..).map(|(platform, number)| {
        let image = Image::new(platform).layers(&[500, 1500]).seed(number);
        image.load(registry, repo, format!("s{number}").as_str())
    });
    images.collect()
}
