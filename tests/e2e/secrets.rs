//! What the kernel sees of a run: no secret in the arguments of any process, and none in anything that is written,
//! but for what goes to a registry.

use std::os::unix::fs::PermissionsExt;

use crate::{
    distribution::Distribution,
    program::Home,
    support::{image::Image, registry::Registry, secrets::forms},
};

const PASSWORD: &str = "hunter2";

/// A registry with a password, and two images to publish there.
struct Scene {
    closed: Distribution,
    home: Home,
    words: Vec<String>,
}

impl Scene {
    async fn new(open: &Registry) -> Self {
        let closed = Distribution::start_for(Some(("ci", PASSWORD))).await;
        let tag = format!("{}/team/app:1", closed.host());
        let mut words = [
            "--debug",
            "publish",
            "--metadata-file",
            "metadata.json",
            "-t",
        ]
        .map(str::to_owned)
        .to_vec();
        words.push(tag);
        for name in ["amd64", "arm64"] {
            let image = Image::new(&format!("linux/{name}")).layers(&[10, 300_000]);
            image.load(open, "team/app", name);
            words.push(open.reference("team/app", name));
        }
        let home = Home::new();
        Self {
            closed,
            home,
            words,
        }
    }

    /// The system calls of a run that succeeds.
    async fn trace(&self, calls: &str) -> String {
        let calls = format!("trace={calls}");
        let strace = [
            "-f", "-qq", "-yy", "-s", "1000000", "-o", "trace", "-e", &calls,
        ];
        let mut args: Vec<&str> = strace.to_vec();
        args.push(env!("CARGO_BIN_EXE_polyarch"));
        args.extend(self.words.iter().map(String::as_str));
        let said = self.home.run("strace", &args).await;
        assert!(said.stderr.contains("debug: PUT "), "{}", said.stderr);
        said.expect();
        let trace = std::fs::read(self.home.path("trace")).expect("a trace");
        String::from_utf8_lossy(&trace).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_written_to_the_registry_only() {
    let open = Registry::plain().await;
    let mut scene = Scene::new(&open).await;
    for (name, value) in [
        ("POLYARCH_REGISTRY", scene.closed.host().to_owned()),
        ("POLYARCH_USERNAME", "ci".to_owned()),
        ("POLYARCH_PASSWORD", PASSWORD.to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_STEP_SUMMARY", scene.home.arg("summary")),
        ("GITHUB_OUTPUT", scene.home.arg("output")),
    ] {
        scene.home.set(name, &value);
    }
    let trace = scene
        .trace("execve,execveat,write,pwrite64,writev,pwritev,sendto,sendmsg,sendmmsg")
        .await;
    let forms = forms(PASSWORD);
    let has_secret = |line: &&str| forms.iter().any(|form| line.contains(form.as_str()));
    let to_registry = format!("->{}]>", scene.closed.host());
    let (sent, leaked): (Vec<&str>, Vec<&str>) = trace
        .lines()
        .filter(has_secret)
        // That the runner is to hide it, the runner must be told.
        .filter(|line| !line.contains("::add-mask::"))
        .partition(|line| line.contains(&to_registry));
    assert!(!sent.is_empty(), "nothing was sent to {to_registry}");
    assert!(leaked.is_empty(), "{leaked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_has_a_password_among_its_arguments() {
    let open = Registry::plain().await;
    let scene = Scene::new(&open).await;
    let helper = scene.home.path("docker-credential-vault");
    let answer = format!(r#"{{"Username":"ci","Secret":"{PASSWORD}"}}"#);
    scene.home.write("answer", &answer);
    scene.home.write(
        "docker-credential-vault",
        "#!/bin/sh\nexec cat \"$HOME/answer\"\n",
    );
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).expect("a mode");
    let path = std::env::var("PATH").expect("a path");
    let mut scene = scene;
    scene
        .home
        .set("PATH", &format!("{}:{path}", scene.home.path("").display()));
    let config = format!(r#"{{"credHelpers":{{"{}":"vault"}}}}"#, scene.closed.host());
    scene.home.write(".docker/config.json", &config);
    let trace = scene.trace("execve,execveat").await;
    assert!(trace.contains("docker-credential-vault"), "{trace}");
    for form in forms(PASSWORD) {
        assert!(!trace.contains(&form), "{trace}");
    }
}
