//! The examples of Docker's manual pages for `docker manifest`, with `polyarch` in place of `docker manifest` and
//! another registry. They run over plain HTTP, over TLS with an untrusted certificate, and as a plugin (`docker
//! polyarch`).

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::{
    distribution::Distribution,
    program::home,
    support::{
        Scene,
        image::{Image, media},
        polyarch::Output,
        registry::{Registry, Scheme},
    },
};

/// The images of `coolapp:v1` in the manual, with their platforms.
const IMAGES: [(&str, &str); 5] = [
    ("coolapp-ppc64le-linux", "linux/ppc64le"),
    ("coolapp-arm-linux", "linux/amd64"),
    ("coolapp-amd64-linux", "linux/amd64/v2"),
    ("coolapp-arm64-linux", "linux/arm64/v8"),
    ("coolapp-amd64-windows", "windows/amd64"),
];

/// How `polyarch` is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Binary,
    Plugin,
}

struct Shell {
    home: Scene,
    form: Form,
    host: String,
    insecure: bool,
}

impl Shell {
    fn new(host: &str, form: Form, insecure: bool) -> Self {
        let home = home();
        if form == Form::Plugin {
            std::fs::create_dir_all(home.path(".docker/cli-plugins")).expect("a directory");
            let plugin = home.path(".docker/cli-plugins/docker-polyarch");
            symlink(env!("CARGO_BIN_EXE_polyarch"), plugin).expect("a link");
        }
        Self {
            home,
            form,
            host: host.to_owned(),
            insecure,
        }
    }

    /// Runs a line of the manual. `HOST` is replaced by the registry, and ` INSECURE` by `--insecure` or nothing.
    async fn output(&self, line: &str) -> Output {
        let insecure = if self.insecure { " --insecure" } else { "" };
        let line = line
            .replace("HOST", &self.host)
            .replace(" INSECURE", insecure);
        match self.form {
            Form::Binary => self.home.run_line(&line).await,
            Form::Plugin => {
                let words: Vec<&str> = ["polyarch"].into_iter().chain(line.split(' ')).collect();
                self.home.program("docker", &words).await
            }
        }
    }

    async fn run(&self, line: &str) -> String {
        self.output(line).await.ok().stdout
    }

    async fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(line).await).expect("JSON")
    }
}

async fn the_whole_manual(shell: &Shell) {
    let host = &shell.host;
    // "Inspect an image's manifest object", then with `-v`.
    let image = shell
        .json("inspect INSECURE HOST/coolapp-arm-linux:v1")
        .await;
    assert_eq!(image["mediaType"], media::DOCKER_MANIFEST);
    let verbose = shell
        .json("inspect -v INSECURE HOST/coolapp-arm-linux:v1")
        .await;
    assert_eq!(verbose["Ref"], format!("{host}/coolapp-arm-linux:v1"));
    assert_eq!(verbose["SchemaV2Manifest"], image);
    let platform = json!({"architecture": "amd64", "os": "linux"});
    assert_eq!(verbose["Descriptor"]["platform"], platform);

    // "Create and push a manifest list": five images. The config of one has a wrong platform.
    let sources = IMAGES.map(|(name, _)| format!(" HOST/{name}:v1")).concat();
    let output = shell
        .run(&format!("create INSECURE HOST/coolapp:v1{sources}"))
        .await;
    assert_eq!(output, format!("Created manifest list {host}/coolapp:v1\n"));
    let output = shell
        .run("annotate HOST/coolapp:v1 HOST/coolapp-arm-linux:v1 --arch arm")
        .await;
    assert_eq!(output, "");
    let local = shell.run("inspect HOST/coolapp:v1").await;
    let output = shell.run("push --purge INSECURE HOST/coolapp:v1").await;
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), IMAGES.len() + 1, "{output}");
    for line in &lines[..IMAGES.len()] {
        let (reference, digest) = line
            .split_once(" with digest: ")
            .expect("a line in Docker's form");
        assert_eq!(reference, format!("Pushed ref {host}/coolapp@{digest}"));
    }
    assert_eq!(shell.run("ls").await, "", "the local list was purged");

    // "Inspect a manifest list".
    let remote = shell.run("inspect INSECURE HOST/coolapp:v1").await;
    assert_eq!(remote, local);
    let list: Value = serde_json::from_str(&remote).expect("JSON");
    assert_eq!(list["mediaType"], media::DOCKER_LIST);
    let architectures: Vec<&str> = list["manifests"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["platform"]["architecture"].as_str())
        .collect();
    assert_eq!(architectures, ["amd64", "amd64", "arm", "arm64", "ppc64le"]);
    let entries = shell
        .json("inspect --verbose INSECURE HOST/coolapp:v1")
        .await;
    assert_eq!(entries.as_array().map(Vec::len), Some(IMAGES.len()));
    assert_eq!(entries[2]["Descriptor"]["platform"]["architecture"], "arm");

    // "Retag without a pull", within a repository.
    shell
        .run("create INSECURE HOST/coolapp-arm-linux:latest HOST/coolapp-arm-linux:v1")
        .await;
    shell
        .run("push INSECURE HOST/coolapp-arm-linux:latest")
        .await;
    shell.run("rm HOST/coolapp-arm-linux:latest").await;
    let retagged = shell.json("inspect INSECURE HOST/coolapp-arm-linux").await;
    assert_eq!(
        retagged["manifests"][0]["digest"],
        verbose["Descriptor"]["digest"]
    );

    // An existing list is updated.
    let create = "create INSECURE HOST/coolapp:v2 HOST/coolapp-amd64-linux:v1";
    shell.run(create).await;
    let again = shell.output(create).await;
    assert!(
        again.code != 0 && again.stderr.contains("refusing to amend"),
        "{}",
        again.stderr
    );
    shell
        .run("create INSECURE --amend HOST/coolapp:v2 HOST/coolapp-arm64-linux:v1")
        .await;
    shell.run("push INSECURE -p HOST/coolapp:v2").await;
    let list = shell.json("inspect INSECURE HOST/coolapp:v2").await;
    assert_eq!(list["manifests"].as_array().map(Vec::len), Some(2));

    // Removal of a list.
    shell
        .run("create INSECURE HOST/coolapp:v3 HOST/coolapp-amd64-linux:v1")
        .await;
    assert_eq!(shell.run("rm HOST/coolapp:v3").await, "");
    let missing = shell.output("rm HOST/coolapp:v3").await;
    assert_eq!(missing.code, 1);
    assert!(
        missing
            .stderr
            .contains(&format!("No such manifest: {host}/coolapp:v3"))
    );
}

fn load_images(registry: &Registry) {
    for (name, platform) in IMAGES {
        let image = Image::new(platform).docker().os_version_of_windows();
        image.load(registry, name, "v1");
    }
}

trait Windows {
    /// Sets the version of the operating system if this is a Windows image.
    fn os_version_of_windows(self) -> Self;
}

impl Windows for Image {
    fn os_version_of_windows(self) -> Self {
        if self.platform()["os"] == "windows" {
            self.os_version("10.0.14393.2189")
        } else {
            self
        }
    }
}

/// Starts Debian's docker-registry over plain HTTP, with the images of the manual.
async fn plain() -> Distribution {
    let registry = Distribution::start().await;
    let scratch = Registry::plain().await;
    for (name, platform) in IMAGES {
        let image = Image::new(platform).docker().os_version_of_windows();
        let image = image.load(&scratch, name, None);
        registry.put_image(&scratch, name, &image, name, "v1").await;
    }
    registry
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plain_http() {
    let registry = plain().await;
    the_whole_manual(&Shell::new(registry.host(), Form::Binary, true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plain_http_on_loopback_without_a_flag() {
    let registry = plain().await;
    the_whole_manual(&Shell::new(registry.host(), Form::Binary, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_certificate_is_refused() {
    for scheme in [Scheme::TlsHttp1, Scheme::TlsHttp2] {
        let registry = Registry::builder().scheme(scheme).start().await;
        load_images(&registry);
        let shell = Shell::new(registry.host(), Form::Binary, true);
        let refused = shell.output("inspect HOST/coolapp-arm-linux:v1").await;
        assert!(
            refused.code != 0 && refused.stderr.contains("certificate"),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("--insecure"), "{}", refused.stderr);
        the_whole_manual(&shell).await;
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_authority_needs_no_flag() {
    let registry = Registry::builder().tls().start().await;
    load_images(&registry);
    let mut shell = Shell::new(registry.host(), Form::Binary, false);
    let authority = shell.home.arg("certs/ca.crt");
    shell.home.set("POLYARCH_CA_CERT", &authority);
    the_whole_manual(&shell).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_a_plugin_of_docker() {
    let registry = plain().await;
    let shell = Shell::new(registry.host(), Form::Plugin, true);
    let listed = shell.home.program("docker", &["--help"]).await.ok().stdout;
    assert!(listed.contains("polyarch*"), "{listed}");
    let help = shell.run("create --help").await;
    assert!(help.contains("MANIFEST_LIST"), "{help}");
    the_whole_manual(&shell).await;
    let failed = shell.output("inspect HOST/coolapp:none").await;
    assert_eq!(failed.code, 4, "{}", failed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manual_page_renders() {
    let home = home();
    let page = home.run_line("man").await.ok().stdout;
    home.write("polyarch.1", &page);
    let path = home.arg("polyarch.1");
    let output = home
        .program("man", &["--warnings", "-E", "UTF-8", "-l", &path])
        .await;
    assert_eq!(output.stderr, "");
    let text = output.ok().stdout;
    for words in [
        "NAME",
        "SYNOPSIS",
        "POLYARCH CREATE",
        "--amend",
        "--purge",
        "MANIFEST_LIST",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
}
