//! Checks the system calls of a run: no argument of a process contains a secret, and secrets are written only to the
//! registry.

use std::os::unix::fs::PermissionsExt;

use crate::{
    distribution::Distribution,
    program::home,
    support::{Scene, image::Image, registry::Registry, secrets::forms},
};

const PASSWORD: &str = "hunter2";

/// A registry with a password, and the command line that publishes two images in it.
struct Traced {
    closed: Distribution,
    home: Scene,
    words: Vec<String>,
}

impl Traced {
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
        let home = home();
        Self {
            closed,
            home,
            words,
        }
    }

    /// Runs the command line, expects success, and returns its system calls of these kinds.
    async fn trace(&self, calls: &str) -> String {
        let calls = format!("trace={calls}");
        let strace = [
            "-f", "-qq", "-yy", "-s", "1000000", "-o", "trace", "-e", &calls,
        ];
        let mut args: Vec<&str> = strace.to_vec();
        args.push(env!("CARGO_BIN_EXE_polyarch"));
        args.extend(self.words.iter().map(String::as_str));
        let output = self.home.program("strace", &args).await;
        assert!(output.stderr.contains("debug: PUT "), "{}", output.stderr);
        output.ok();
        let trace = std::fs::read(self.home.path("trace")).expect("a trace");
        String::from_utf8_lossy(&trace).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_written_to_the_registry_only() {
    let open = Registry::plain().await;
    let mut traced = Traced::new(&open).await;
    for (name, value) in [
        ("POLYARCH_REGISTRY", traced.closed.host().to_owned()),
        ("POLYARCH_USERNAME", "ci".to_owned()),
        ("POLYARCH_PASSWORD", PASSWORD.to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_STEP_SUMMARY", traced.home.arg("summary")),
        ("GITHUB_OUTPUT", traced.home.arg("output")),
    ] {
        traced.home.set(name, &value);
    }
    let trace = traced
        .trace("execve,execveat,write,pwrite64,writev,pwritev,sendto,sendmsg,sendmmsg")
        .await;
    let forms = forms(PASSWORD);
    let has_secret = |line: &&str| forms.iter().any(|form| line.contains(form.as_str()));
    let to_registry = format!("->{}]>", traced.closed.host());
    let (sent, leaked): (Vec<&str>, Vec<&str>) = trace
        .lines()
        .filter(has_secret)
        // The command that masks the secret contains it.
        .filter(|line| !line.contains("::add-mask::"))
        .partition(|line| line.contains(&to_registry));
    assert!(!sent.is_empty(), "nothing was sent to {to_registry}");
    assert!(leaked.is_empty(), "{leaked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_has_a_password_among_its_arguments() {
    let open = Registry::plain().await;
    let traced = Traced::new(&open).await;
    let helper = traced.home.path("docker-credential-vault");
    let answer = format!(r#"{{"Username":"ci","Secret":"{PASSWORD}"}}"#);
    traced.home.write("answer", &answer);
    traced.home.write(
        "docker-credential-vault",
        "#!/bin/sh\nexec cat \"$HOME/answer\"\n",
    );
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).expect("a mode");
    let path = std::env::var("PATH").expect("a path");
    let mut traced = traced;
    traced.home.set(
        "PATH",
        &format!("{}:{path}", traced.home.path("").display()),
    );
    let config = format!(
        r#"{{"credHelpers":{{"{}":"vault"}}}}"#,
        traced.closed.host()
    );
    traced.home.write(".docker/config.json", &config);
    let trace = traced.trace("execve,execveat").await;
    assert!(trace.contains("docker-credential-vault"), "{trace}");
    for form in forms(PASSWORD) {
        assert!(!trace.contains(&form), "{trace}");
    }
}
