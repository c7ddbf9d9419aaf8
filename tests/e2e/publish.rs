//! `publish` and `copy` between real registries, and their results as skopeo, Docker and buildx read them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    distribution::Distribution,
    program::home,
    support::{
        Scene, digest,
        image::{Image, Index},
        registry::Registry,
    },
};

/// Two registries, the second of which requires a password; images in `team/app` of the first.
struct Registries {
    open: Distribution,
    closed: Distribution,
    home: Scene,
}

impl Registries {
    async fn new() -> Self {
        let open = Distribution::start().await;
        let closed = Distribution::start_for(Some(("ci", "hunter2"))).await;
        let home = home();
        let auth = STANDARD.encode("ci:hunter2");
        let config = json!({"auths": {closed.host(): {"auth": auth}}});
        home.write(".docker/config.json", config.to_string());
        let registries = Self { open, closed, home };
        let images = [
            ("amd64", Image::new("linux/amd64").layers(&[10, 3_000_000])),
            (
                "arm64",
                Image::new("linux/arm64/v8").layers(&[10, 2_000_000]),
            ),
            ("v7", Image::new("linux/arm/v7")),
            ("arm", Image::new("linux/arm")),
            ("s390x", Image::new("linux/s390x").docker()),
            ("ppc64le", Image::new("linux/ppc64le").docker()),
        ];
        let registry = Registry::plain().await;
        for (tag, image) in images {
            let image = image.load(&registry, "team/app", tag);
            let to = &registries.open;
            to.put_image(&registry, "team/app", &image, "team/app", tag)
                .await;
        }
        registries.put_indexes(&registry).await;
        registries
    }

    /// Copies the results of a matrix build: two indexes of one image with provenance, and one index of two images.
    async fn put_indexes(&self, registry: &Registry) {
        let built = |platform: &str| Index::oci().image(Image::new(platform).seed(7)).attested();
        let indexes = [
            ("built-amd64", built("linux/amd64")),
            ("built-arm64", built("linux/arm64/v8")),
            (
                "pair",
                Index::oci().of(["linux/386", "linux/riscv64"]).attested(),
            ),
        ];
        for (tag, index) in indexes {
            index.load(registry, "team/app", tag);
            let (source, target) = (registry.reference("team/app", tag), self.source(tag));
            self.run(&format!("copy {source} {target}")).await;
        }
    }

    fn source(&self, tag: &str) -> String {
        format!("{}/team/app:{tag}", self.open.host())
    }

    async fn run(&self, line: &str) -> String {
        self.home.run_line(line).await.ok().stdout
    }

    async fn skopeo(&self, args: &[&str]) -> String {
        let all = [&["--insecure-policy"], args].concat();
        self.home.program("skopeo", &all).await.ok().stdout
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().expect("a digest")
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_in_one_registry_and_tags_in_both() {
    let registries = Registries::new().await;
    let (open, closed) = (registries.open.host(), registries.closed.host());
    let line = format!(
        "publish -t {open}/team/app:1 -t {closed}/mirror/app:1,{closed}/mirror/app:latest {} {}",
        registries.source("amd64"),
        registries.source("arm64")
    );
    let output = registries.run(&line).await;
    let digest = last_line(&output).to_owned();
    let here = registries
        .open
        .manifest("team/app", "1")
        .await
        .expect("the index");
    for tag in ["1", "latest"] {
        let there = registries.closed.manifest("mirror/app", tag).await;
        assert_eq!(there.as_ref(), Some(&here));
    }
    assert_eq!(here.digest, digest);

    // skopeo reads every blob, so all of them were copied.
    let source = format!("docker://{closed}/mirror/app:1");
    let args = [
        "copy",
        "--all",
        "--src-tls-verify=false",
        "--src-creds=ci:hunter2",
        &source,
        "oci:read:1",
    ];
    registries.skopeo(&args).await;
    let docker = format!("inspect --insecure {open}/team/app:1");
    let docker: Value =
        serde_json::from_str(&registries.home.docker_manifest(&docker).await.ok().stdout)
            .expect("JSON");
    let index: Value = serde_json::from_slice(&here.body).expect("JSON");
    assert_eq!(docker["manifests"], index["manifests"]);

    // A second run only reads.
    let line = format!("--debug {line} --progress json --output json");
    let again = registries.home.run_line(&line).await;
    assert_eq!(again.code, 0, "{again}");
    let result: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(result["status"], "already");
    let methods: Vec<String> = again
        .stderr
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event"))
        .filter(|event| event["event"] == "request")
        .map(|event| event["method"].as_str().expect("a method").to_owned())
        .collect();
    assert!(methods.len() > 3, "{methods:?}");
    assert!(
        methods
            .iter()
            .all(|method| method == "GET" || method == "HEAD"),
        "{methods:?}"
    );
}

/// There are no credentials for one of the registries. The other registry is not changed.
#[tokio::test(flavor = "multi_thread")]
async fn missing_login_at_one_registry_leaves_both_unchanged() {
    let registries = Registries::new().await;
    let (open, closed) = (registries.open.host(), registries.closed.host());
    registries.home.write(".docker/config.json", "{}");
    for options in ["", "--no-verify"] {
        let line = format!(
            "publish {options} -t {open}/team/app:1 -t {closed}/mirror/app:1 {} {}",
            registries.source("amd64"),
            registries.source("arm64")
        );
        let output = registries.home.run_line(&line).await.exits(3);
        assert!(output.stderr.contains("not logged in"), "{output}");
        assert!(output.stderr.contains("no tag was changed"), "{output}");
        assert_eq!(registries.open.manifest("team/app", "1").await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_read_by_skopeo() {
    let registries = Registries::new().await;
    let line = format!(
        "publish -t oci-archive:out.tar:1 -t oci:out:1 {} {}",
        registries.source("built-amd64"),
        registries.source("built-arm64")
    );
    let digest = last_line(&registries.run(&line).await).to_owned();
    for name in ["oci-archive:out.tar:1", "oci:out:1"] {
        let raw = registries.skopeo(&["inspect", "--raw", name]).await;
        assert_eq!(digest::sha256(raw.as_bytes()), digest, "{name}");
        let target = format!("docker://{}/read/app:1", registries.open.host());
        let args = [
            "copy",
            "--all",
            "--preserve-digests",
            "--dest-tls-verify=false",
            name,
            &target,
        ];
        registries.skopeo(&args).await;
        let read = registries
            .open
            .manifest("read/app", "1")
            .await
            .expect("the index");
        assert_eq!(read.digest, digest, "{name}");
    }
}

/// The example in the README of manifest-tool. Only the host is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn example_of_manifest_tool_works_unchanged() {
    let registries = Registries::new().await;
    let spec = "\
image: myprivreg:5000/team/app:latest
tags: ['4.12', '4.12.2', '4.12.2-1']
manifests:
  -
    image: myprivreg:5000/team/app:ppc64le
    platform:
      architecture: ppc64le
      os: linux
  -
    image: myprivreg:5000/team/app:amd64
    platform:
      architecture: amd64
      features:
        - sse
      os: linux
  -
    image: myprivreg:5000/team/app:s390x
    platform:
      architecture: s390x
      os: linux
";
    registries.home.write(
        "spec.yml",
        spec.replace("myprivreg:5000", registries.open.host()),
    );
    let output = registries.run("publish --file spec.yml").await;
    let digest = last_line(&output);
    for tag in ["latest", "4.12", "4.12.2", "4.12.2-1"] {
        let index = registries
            .open
            .manifest("team/app", tag)
            .await
            .expect("the index");
        assert_eq!(index.digest, digest);
    }
    let name = format!("docker://{}", registries.source("4.12"));
    let raw = registries
        .skopeo(&["inspect", "--raw", "--tls-verify=false", &name])
        .await;
    let index: Value = serde_json::from_str(&raw).expect("JSON");
    let architecture = |position: usize| &index["manifests"][position]["platform"]["architecture"];
    assert_eq!(
        [architecture(0), architecture(1), architecture(2)],
        ["ppc64le", "amd64", "s390x"]
    );
}

/// Options and sources that both programs accept. No case contains content that buildx loses. For example, buildx drops
/// an annotation for `linux/arm64` if the entry is for `linux/arm64/v8`.
const CASES: [(&str, &str); 11] = [
    ("", "amd64 arm64"),
    ("", "arm64 v7"),
    ("", "arm"),
    ("", "s390x ppc64le"),
    ("", "s390x amd64"),
    ("", "built-amd64 built-arm64"),
    ("", "pair"),
    ("", "amd64 amd64 pair"),
    (
        "--annotation index:org.a=b --annotation manifest-descriptor:c=<d>",
        "amd64 pair",
    ),
    (
        "--annotation manifest-descriptor[linux/amd64]:c=d",
        "built-amd64 built-arm64",
    ),
    (
        "--platform linux/arm64,linux/riscv64",
        "built-amd64 built-arm64 pair",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_equal_the_bytes_of_buildx() {
    let registries = Registries::new().await;
    for (options, tags) in CASES {
        let target = registries.source("out");
        let sources: Vec<String> = tags.split(' ').map(|tag| registries.source(tag)).collect();
        let words = format!("--dry-run -t {target} {options} {}", sources.join(" "));
        let line = format!("imagetools create {words}");
        let args: Vec<&str> = line.split_whitespace().collect();
        let printed = registries.home.program("buildx", &args).await.ok().stdout;
        let expected = printed.strip_suffix('\n').expect("a line end");
        let output = registries
            .run(&format!("publish --index-file index.json {words}"))
            .await;
        let written =
            std::fs::read_to_string(registries.home.path("index.json")).expect("the index");
        assert_eq!(written, expected, "{words}");
        assert_eq!(
            last_line(&output),
            digest::sha256(expected.as_bytes()),
            "{words}"
        );
    }
    assert_eq!(registries.open.manifest("team/app", "out").await, None);
}

/// The cases of the table in the README that compares `imagetools create` with `publish`.
#[tokio::test(flavor = "multi_thread")]
async fn content_that_buildx_loses_is_kept_or_refused() {
    let registries = Registries::new().await;
    let registry = Registry::plain().await;
    let windows = Image::new("windows/amd64")
        .os_version("10.0.20348.1")
        .os_features(["win32k"]);
    for (tag, image) in [
        ("windows", windows),
        ("again", Image::new("linux/amd64").seed(9)),
    ] {
        let image = image.load(&registry, "team/app", tag);
        let to = &registries.open;
        to.put_image(&registry, "team/app", &image, "team/app", tag)
            .await;
    }
    let target = registries.source("out");
    let both = async |options: &str, tags: &str| {
        let sources: Vec<String> = tags.split(' ').map(|tag| registries.source(tag)).collect();
        let words = format!("--dry-run -t {target} {options} {}", sources.join(" "));
        let line = format!("imagetools create {words}");
        let args: Vec<&str> = line.split_whitespace().collect();
        let buildx = registries.home.program("buildx", &args).await;
        let line = format!("publish --index-file index.json {words}");
        let output = registries.home.run_line(&line).await;
        (buildx, output, registries.home.path("index.json"))
    };
    let index = |path| -> Value {
        let text = std::fs::read_to_string(path).expect("the index");
        serde_json::from_str(&text).expect("JSON")
    };

    let (buildx, output, path) = both("", "windows").await;
    assert!(!buildx.ok().stdout.contains("os.version"));
    output.ok();
    let platform = &index(path)["manifests"][0]["platform"];
    assert_eq!(platform["os.version"], "10.0.20348.1");
    assert_eq!(platform["os.features"], json!(["win32k"]));

    // The default level of metadata-action.
    let (buildx, output, path) = both("--annotation manifest:a=b", "amd64 arm64").await;
    assert!(buildx.code != 0, "{}", buildx.stdout);
    output.ok();
    assert_eq!(index(path)["annotations"], json!({"a": "b"}));

    let (buildx, output, _) = both("--annotation index:a=b", "s390x ppc64le").await;
    assert!(!buildx.ok().stdout.contains("annotations"));
    assert!(
        output.code != 0 && output.stderr.contains("--media-type oci"),
        "{}",
        output.stderr
    );

    let (buildx, output, _) = both("", "amd64 again").await;
    assert_eq!(buildx.ok().stdout.matches("\"amd64\"").count(), 2);
    assert_eq!(output.code, 5, "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_bars() {
    let mut registries = Registries::new().await;
    registries.home.set("TERM", "xterm");
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64").virtual_layers(&[64 << 20]);
    image.load(&registry, "team/big", "1");
    let line = format!(
        "stty cols 120 rows 30; {} publish -t {}/team/big:1 {}",
        env!("CARGO_BIN_EXE_polyarch"),
        registries.open.host(),
        registry.reference("team/big", "1")
    );
    let output = registries
        .home
        .program("script", &["-qec", &line, "typescript"])
        .await;
    let shown = output.ok().stdout;
    assert!(shown.contains("[=") || shown.contains("[>"), "{shown}");
    assert!(shown.contains("/   67.11 MB"), "{shown}");
    assert!(shown.contains("Pushed (67.1 MB)"), "{shown}");
}
