//! Local lists and the cache in a crowd, and in homes that are not as they should be.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::bench::Bench;
use crate::support::image::Image;

const PROCESSES: u32 = 20;

fn bench() -> Bench {
    let bench = Bench::new();
    for number in 0..PROCESSES {
        let platform = format!("linux/arch{number}");
        Image::new(&platform).load(&bench.registry, "app", format!("s{number}").as_str());
    }
    bench
}

/// Starts a process with the words of `line`, in which HOST is the registry.
fn start(bench: &Bench, line: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_polyarch"))
        .args(
            line.split_whitespace()
                .map(|word| word.replace("HOST", bench.registry.host())),
        )
        .env_clear()
        .env("HOME", bench.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

fn all_succeed(children: Vec<Child>) {
    for child in children {
        let output = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn twenty_processes_amend_and_annotate_one_list_at_once() {
    let bench = bench();
    let amend = |number| {
        start(
            &bench,
            &format!("create --amend HOST/app:1 HOST/app:s{number}"),
        )
    };
    all_succeed((0..PROCESSES).map(amend).collect());
    let annotate = |number| {
        let line = format!("annotate --variant v{number} HOST/app:1 HOST/app:s{number}");
        start(&bench, &line)
    };
    all_succeed((0..PROCESSES).map(annotate).collect());
    assert_eq!(bench.drafts().len(), 1);
    bench.ok("push HOST/app:1");
    let index = bench.registry.document("app", "1").expect("the index");
    let entries = index["manifests"].as_array().expect("entries");
    let mut platforms: Vec<String> = entries
        .iter()
        .map(|entry| {
            let text = |key: &str| entry["platform"][key].as_str().expect("text").to_owned();
            format!("{} {}", text("architecture"), text("variant"))
        })
        .collect();
    platforms.sort();
    let mut wanted: Vec<_> = (0..PROCESSES).map(|it| format!("arch{it} v{it}")).collect();
    wanted.sort();
    assert_eq!(platforms, wanted, "nobody's work is lost");
}

#[test]
fn twenty_processes_write_lists_of_their_own_at_once() {
    let bench = bench();
    let create = |number| {
        start(
            &bench,
            &format!("create HOST/app:l{number} HOST/app:s{number}"),
        )
    };
    all_succeed((0..PROCESSES).map(create).collect());
    assert_eq!(bench.drafts().len(), PROCESSES as usize);
    let listed = bench.ok("ls");
    for number in 0..PROCESSES {
        assert!(listed.contains(&format!("/app:l{number}")), "{listed}");
    }
    let remove = |number| start(&bench, &format!("rm HOST/app:l{number}"));
    all_succeed((0..PROCESSES).map(remove).collect());
    assert_eq!(bench.drafts().len(), 0);
}

const PUBLISH: &str = "publish -t HOST/app:9 HOST/app:s0 HOST/app:s1";

#[test]
fn without_a_home_only_lists_are_refused() {
    let mut bench = bench();
    bench.set("HOME", "");
    bench.ok(PUBLISH);
    bench.ok("inspect --raw HOST/app:s0");
    for line in [
        "create HOST/app:1 HOST/app:s0",
        "annotate --os linux HOST/app:1 HOST/app:s0",
        "push HOST/app:1",
        "ls",
        "rm HOST/app:1",
    ] {
        let error = bench.fails(1, line);
        assert!(error.contains("POLYARCH_HOME"), "{line}: {error}");
    }
}

#[test]
fn a_home_that_takes_no_files_costs_nothing_but_the_lists() {
    let mut bench = bench();
    bench.write("file", "");
    for home in ["HOME/file", "HOME/file/below", "/proc", "/dev/null"] {
        bench.set(
            "POLYARCH_HOME",
            &home.replace("HOME", &bench.path("").display().to_string()),
        );
        let said = bench.run(PUBLISH);
        assert_eq!(
            (said.code, said.stderr.contains("error")),
            (0, false),
            "{home}: {said:?}"
        );
        let error = bench.fails(1, "create HOST/app:1 HOST/app:s0");
        assert!(
            error.contains("cannot create") || error.contains("cannot "),
            "{error}"
        );
        assert!(error.contains("/drafts"), "{home}: {error}");
        assert!(error.contains(" hint: "), "{home}: {error}");
    }
}

/// As root every file can be read and written: then all of it works.
#[test]
fn wrong_permissions_are_told_with_the_path() {
    let bench = bench();
    bench.ok("create HOST/app:1 HOST/app:s0");
    let draft = bench.drafts().pop().expect("a draft");
    let directory = draft.parent().expect("its directory").to_owned();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    for (path, bits) in [(&draft, 0o000), (&directory, 0o500), (&directory, 0o000)] {
        mode(path, bits);
        for line in [
            "annotate --variant v8 HOST/app:1 HOST/app:s0",
            "create --amend HOST/app:1 HOST/app:s1",
            "inspect HOST/app:1 HOST/app:s0",
        ] {
            let said = bench.run(line);
            let is_told = said.stderr.contains("HOME/.local/share/polyarch/drafts");
            assert!(
                said.code == 0 || (said.code == 1 && is_told),
                "{line}: {said:?}"
            );
        }
        assert_eq!(bench.run(PUBLISH).code, 0);
        mode(path, if path == &draft { 0o600 } else { 0o700 });
    }
    bench.ok("push HOST/app:1");
}

/// Somebody keeps the data elsewhere: the directories may be links, the files in them are ours.
#[test]
fn directories_may_be_links_files_may_not() {
    let bench = bench();
    fs::create_dir_all(bench.path("elsewhere")).expect("a directory");
    fs::create_dir_all(bench.path(".local/share")).expect("a directory");
    symlink(bench.path("elsewhere"), bench.path(".local/share/polyarch")).expect("a link");
    bench.ok("create HOST/app:1 HOST/app:s0");
    assert_eq!(
        fs::read_dir(bench.path("elsewhere/drafts"))
            .expect("it")
            .count(),
        1
    );

    let draft = bench.drafts().pop().expect("a draft");
    let precious = bench.path("precious");
    fs::rename(&draft, &precious).expect("a new name");
    let before = fs::read(&precious).expect("a file");
    symlink(&precious, &draft).expect("a link");
    for line in [
        "annotate --os linux HOST/app:1 HOST/app:s0",
        "create --amend HOST/app:1 HOST/app:s1",
        "push HOST/app:1",
        "inspect HOST/app:1 HOST/app:s0",
    ] {
        let error = bench.fails(1, line);
        assert!(error.contains("is a symbolic link"), "{line}: {error}");
    }
    bench.ok("create --replace HOST/app:1 HOST/app:s1");
    assert_eq!(
        fs::read(&precious).expect("it"),
        before,
        "nothing is written through a link"
    );
    bench.ok("rm HOST/app:1");
    assert!(precious.exists());
}

#[test]
fn names_that_lead_elsewhere_are_refused_and_write_nothing() {
    let bench = bench();
    let long = "a".repeat(5_000);
    let names = [
        "..",
        "../..",
        "../../etc/passwd",
        "HOST/../x:1",
        "HOST/a/..:1",
        "HOST/./a",
        "HOST//a:1",
        "/etc/passwd",
        "HOST/app:..",
        "HOST/app:a/b",
        "HOST/app:-x",
        "HOST/app@sha256:../..",
        "HOST/app:a\nb",
        "HOST/app:a%2fb",
        "~/x:~",
        &long,
    ];
    for name in names {
        for words in [
            vec!["create", name, "HOST/app:s0"],
            vec!["create", "HOST/app:1", name],
            vec!["annotate", "--os", "linux", name, "HOST/app:s0"],
            vec!["push", name],
            vec!["rm", name],
        ] {
            let said = bench.run_words(&words);
            assert_ne!(said.code, 0, "{words:?}: {said:?}");
            assert!(said.stderr.starts_with("error: "), "{words:?}: {said:?}");
        }
    }
    assert_eq!(bench.drafts().len(), 0);
    let spec = format!(
        "image: {}/app:\"a\\0b\"\nsources: []\n",
        bench.registry.host()
    );
    bench.write("spec.yml", spec);
    let home = bench.path("spec.yml").display().to_string();
    bench.fails(2, &format!("publish --file {home}"));
    assert!(bench.registry.writes().is_empty());
}
