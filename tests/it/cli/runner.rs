//! What a step of GitHub Actions is told by the commands one by one.

use super::bench::Bench;
use crate::support::image::Image;

/// A value that would be an order to a runner.
const ORDER: &str = "--media-type=x\n::error::pwn\u{1b}[2J";

fn bench() -> Bench {
    let mut bench = Bench::new();
    Image::new("linux/amd64").load(&bench.registry, "app", "a");
    bench.set("GITHUB_ACTIONS", "true");
    bench
}

/// The lines that a runner obeys.
fn commands(text: &str) -> Vec<&str> {
    let lines = text.split(['\r', '\n']);
    lines
        .filter(|line| line.trim_start().starts_with("::"))
        .collect()
}

#[test]
fn wrong_usage_is_one_error_and_quotes_no_command() {
    let bench = bench();
    let said = bench.run_words(&["publish", "-t", "HOST/app:1", ORDER, "HOST/app:a"]);
    assert_eq!(said.code, 2);
    assert_eq!(commands(&said.stderr).len(), 1, "{}", said.stderr);
    assert!(
        said.stderr
            .starts_with("::error title=polyarch%3A wrong usage::invalid value 'x%0A"),
        "{}",
        said.stderr
    );

    let elsewhere = Bench::new().run_words(&["publish", "-t", "HOST/app:1", ORDER, "HOST/app:a"]);
    assert_eq!(elsewhere.code, 2);
    assert!(elsewhere.stderr.starts_with("error: invalid value 'x\n"));
    let plain = |c: char| c == '\n' || !c.is_control();
    assert!(elsewhere.stderr.chars().all(plain), "{}", elsewhere.stderr);
    assert_eq!(commands(&elsewhere.stderr), [""; 0]);
}

#[test]
fn every_command_tells_its_failure_once() {
    let bench = bench();
    for (name, line) in [
        ("create", "create HOST/app:1 HOST/app:none"),
        ("annotate", "annotate HOST/app:1 HOST/app:a --os linux"),
        ("inspect", "inspect HOST/app:none"),
        ("push", "push HOST/app:1"),
    ] {
        let said = bench.run(line);
        let told = commands(&said.stderr);
        assert_eq!(told.len(), 1, "{line}: {}", said.stderr);
        let title = format!("::error title=polyarch%3A {name} failed::");
        assert!(told[0].starts_with(&title), "{line}: {}", said.stderr);
        assert!(said.stderr.contains("\nerror: "), "{line}: {}", said.stderr);
    }
    let said = bench.run("copy HOST/app:none HOST/app:2");
    assert_eq!(commands(&said.stderr).len(), 1, "{}", said.stderr);
}

#[test]
fn push_leaves_the_outputs_of_publish() {
    let mut bench = bench();
    bench.set("GITHUB_OUTPUT", &bench.path("output").display().to_string());
    bench.ok("create HOST/app:1 HOST/app:a");
    let digest = bench.ok("push HOST/app:1");
    let digest = digest.lines().last().expect("a digest");
    let outputs = std::fs::read_to_string(bench.path("output")).expect("outputs");
    assert!(outputs.contains(&format!("\n{digest}\n")), "{outputs}");
    let host = bench.registry.host();
    assert!(outputs.contains(&format!("\n{host}/app:1\n")), "{outputs}");
}
