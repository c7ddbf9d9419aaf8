//! The binary among shells, scripts and other programs: options from the environment, closed pipes, help,
//! completions, the version, Docker's plugin protocol.

use std::{
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::bench::Bench;
use crate::support::image::{Image, Index};

const BINARY: &str = env!("CARGO_BIN_EXE_polyarch");

#[test]
fn options_come_from_the_environment_too() {
    let mut bench = Bench::new();
    Image::new("linux/amd64").load(&bench.registry, "app", "a");
    bench.set("POLYARCH_AMEND", "true");
    bench.ok("create HOST/app:1 HOST/app:a");
    bench.ok("create HOST/app:1 HOST/app:a");
    bench.fails(1, "create --amend=false HOST/app:1 HOST/app:a");
    bench.set("PLUGIN_TAG", "2,3");
    bench.ok("push HOST/app:1");
    assert_eq!(bench.registry.tags("app").len(), 4);
    bench.set("POLYARCH_TAG", "");
    bench.set("POLYARCH_JOBS", "many");
    let error = bench.fails(2, "push HOST/app:1");
    assert!(
        error.contains("'many'") && error.contains("--jobs"),
        "{error}"
    );
    bench.ok("push HOST/app:1 --jobs 1");
    bench.set("POLYARCH_HOME", "elsewhere");
    assert_eq!(bench.ok("ls"), "");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let bench = Bench::new();
    let image = Image::new("linux/amd64").layers(&[1; 900]);
    image.load(&bench.registry, "app", "a");
    for arguments in [
        vec!["man".to_owned()],
        vec!["completions".into(), "bash".into()],
        vec!["inspect".into(), bench.registry.reference("app", "a")],
        vec!["--help".into()],
    ] {
        let mut child = Command::new(BINARY)
            .args(&arguments)
            .env_clear()
            .env("HOME", bench.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn completions_are_for_the_usual_shells() {
    let bench = Bench::new();
    for (shell, words) in [
        ("bash", "complete -F _polyarch"),
        ("zsh", "#compdef polyarch"),
        ("fish", "complete -c polyarch"),
    ] {
        let script = bench.ok(&format!("completions {shell}"));
        for words in [words, "annotate", "amend", "os-features", "purge"] {
            assert!(script.contains(words), "{shell}: {words}");
        }
    }
}

#[test]
fn the_manual_page_has_every_command() {
    let page = Bench::new().ok("man");
    assert!(
        page.starts_with(".ie \\n(.g .ds Aq") && page.contains(".TH polyarch 1"),
        "{page}"
    );
    for command in [
        "publish", "copy", "create", "annotate", "inspect", "push", "rm", "ls", "auth",
    ] {
        let section = format!(
            ".SH \"POLYARCH {}\"\n.SS DESCRIPTION",
            command.to_uppercase()
        );
        assert!(page.contains(&section), "{command}");
    }
    assert!(page.contains("EXIT CODES\""), "{page}");
    // Every option says what it is for: after its name on a line of its own.
    let options: Vec<&str> = page.split(".TP\n").skip(1).collect();
    assert!(options.len() > 50, "{}", options.len());
    for option in options {
        let text = option.lines().nth(1).unwrap_or_default();
        assert!(!text.is_empty() && !text.starts_with('.'), "{option}");
    }
}

#[test]
fn help_names_what_docker_users_know() {
    let bench = Bench::new();
    for (command, usage, words) in [
        (
            "create",
            "polyarch create [OPTIONS] <MANIFEST_LIST> <MANIFEST>...",
            ["-a, --amend", "--insecure", "--replace"],
        ),
        (
            "annotate",
            "polyarch annotate [OPTIONS] <MANIFEST_LIST> [MANIFEST]",
            [
                "--os-features <FEATURE>",
                "--variant",
                "--annotation <KEY=VALUE>",
            ],
        ),
        (
            "inspect",
            "polyarch inspect [OPTIONS] [MANIFEST_LIST] MANIFEST",
            ["-v, --verbose", "--raw", "--tree"],
        ),
        (
            "push",
            "polyarch push [OPTIONS] <MANIFEST_LIST>",
            ["-p, --purge", "--insecure", "-t, --tag <TAG>"],
        ),
        (
            "rm",
            "polyarch rm [OPTIONS] <MANIFEST_LIST>...",
            ["-h, --help"; 3],
        ),
        ("ls", "polyarch ls [OPTIONS]", ["--format <FORMAT>"; 3]),
    ] {
        let help = bench.ok(&format!("{command} --help"));
        assert_eq!(help, bench.ok(&format!("{command} -h")), "{command}");
        assert_eq!(help, bench.ok(&format!("help {command}")), "{command}");
        for words in words.iter().chain([&format!("Usage: {usage}\n").as_str()]) {
            assert!(help.contains(words), "{words}: {help}");
        }
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
    assert!(bench.ok("--help").contains("docker manifest"));
    let said = bench.run("");
    assert_eq!(said.code, 2);
}

#[test]
fn the_version_says_what_it_was_built_from() {
    let bench = Bench::new();
    let version = format!("polyarch {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(bench.ok("--version"), version);
    assert_eq!(bench.ok("-V"), version);
    let verbose = bench.ok("--version --verbose");
    let lines: Vec<&str> = verbose.lines().collect();
    assert_eq!(format!("{}\n", lines[0]), version);
    for (line, key) in lines[1..]
        .iter()
        .zip(["source: ", "toolchain: ", "platform: "])
    {
        assert!(line.starts_with(key), "{verbose}");
    }
}

#[test]
fn docker_is_told_what_the_plugin_is() {
    let bench = Bench::new();
    Index::oci()
        .of(["linux/amd64"])
        .load(&bench.registry, "app", "1");
    let plugin = bench.path("docker-polyarch");
    symlink(BINARY, &plugin).expect("a link");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&plugin);
        let command = command
            .args(arguments)
            .env_clear()
            .env("HOME", bench.path(""));
        let output = command.output().expect("the plugin runs");
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let metadata: Value =
        serde_json::from_str(&run(&["docker-cli-plugin-metadata"])).expect("JSON");
    assert_eq!(metadata["SchemaVersion"], "0.1.0");
    assert!(!metadata["Vendor"].as_str().expect("text").is_empty());
    let list = bench.registry.reference("app", "1");
    assert_eq!(
        run(&["polyarch", "inspect", &list]),
        run(&["--debug", "polyarch", "inspect", &list])
    );
}
