//! Options from the environment, closed pipes, help, completions, the version, and Docker's plugin protocol.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::support::{
    Scene,
    image::{Image, Index},
    polyarch::BINARY,
};

#[test]
fn options_can_be_set_by_variables() {
    let mut scene = Scene::new();
    Image::new("linux/amd64").load(scene.registry(), "app", "a");
    scene.set("POLYARCH_AMEND", "true");
    scene.ok("create HOST/app:1 HOST/app:a");
    scene.ok("create HOST/app:1 HOST/app:a");
    scene.fails(1, "create --amend=false HOST/app:1 HOST/app:a");
    scene.set("PLUGIN_TAG", "2,3");
    scene.ok("push HOST/app:1");
    assert_eq!(scene.registry().tags("app").len(), 4);
    scene.set("POLYARCH_TAG", "");
    scene.set("POLYARCH_JOBS", "many");
    insta::assert_snapshot!(scene.run("push HOST/app:1"), @r#"
    exit code: 2
    ----- stderr -----
    error: invalid value "many" of --jobs: invalid digit found in string
     hint: see `polyarch push --help`
    "#);
    scene.ok("push HOST/app:1 --jobs 1");
    scene.set("POLYARCH_HOME", "elsewhere");
    assert_eq!(scene.ok("ls"), "");
}

#[test]
fn closed_standard_output_is_no_error() {
    let scene = Scene::new();
    let image = Image::new("linux/amd64").layers(&[1; 900]);
    image.load(scene.registry(), "app", "a");
    for line in ["man", "completions bash", "inspect HOST/app:a", "--help"] {
        let words = line.split_whitespace();
        let output = scene.polyarch().args(words).without_reader().run();
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn completions_exist_for_three_shells() {
    let scene = Scene::new();
    for (shell, words) in [
        ("bash", "complete -F _polyarch"),
        ("zsh", "#compdef polyarch"),
        ("fish", "complete -c polyarch"),
    ] {
        let script = scene.ok(&format!("completions {shell}"));
        for words in [words, "annotate", "amend", "os-features", "purge"] {
            assert!(script.contains(words), "{shell}: {words}");
        }
    }
}

#[test]
fn manual_page_documents_every_command() {
    let page = Scene::new().ok("man");
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
    // Every option has a description, on the line after its name.
    let options: Vec<&str> = page.split(".TP\n").skip(1).collect();
    assert!(options.len() > 50, "{}", options.len());
    for option in options {
        let text = option.lines().nth(1).unwrap_or_default();
        assert!(!text.is_empty() && !text.starts_with('.'), "{option}");
    }
}

#[test]
fn help_shows_the_options_of_docker_manifest() {
    let scene = Scene::new();
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
        let help = scene.ok(&format!("{command} --help"));
        let short = scene.ok(&format!("{command} -h"));
        assert!(short.lines().count() <= help.lines().count(), "{command}");
        assert!(short.contains(&format!("Usage: {usage}\n")), "{short}");
        assert_eq!(help, scene.ok(&format!("help {command}")), "{command}");
        for words in words.iter().chain([&format!("Usage: {usage}\n").as_str()]) {
            assert!(help.contains(words), "{words}: {help}");
        }
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
    assert!(scene.ok("--help").contains("docker manifest"));
    assert_eq!(scene.run("").code, 2);
}

#[test]
fn version_shows_how_it_was_built() {
    let scene = Scene::new();
    let version = format!("polyarch {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(scene.ok("--version"), version);
    assert_eq!(scene.ok("-V"), version);
    let verbose = scene.ok("--version --verbose");
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
fn plugin_describes_itself_to_docker() {
    let scene = Scene::new();
    Index::oci()
        .of(["linux/amd64"])
        .load(scene.registry(), "app", "1");
    let plugin = scene.path("docker-polyarch");
    symlink(BINARY, &plugin).expect("a link");
    let run = |words: &[&str]| {
        let output = scene.polyarch().program(&plugin).args(words).run();
        output.ok().stdout
    };
    let metadata: Value =
        serde_json::from_str(&run(&["docker-cli-plugin-metadata"])).expect("JSON");
    assert_eq!(metadata["SchemaVersion"], "0.1.0");
    assert!(!metadata["Vendor"].as_str().expect("text").is_empty());
    assert_eq!(
        run(&["polyarch", "inspect", "HOST/app:1"]),
        run(&["--debug", "polyarch", "inspect", "HOST/app:1"])
    );
}

#[test]
fn docker_manifest_is_handled_under_the_name_docker() {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    let mut scene = Scene::new();
    Index::oci()
        .of(["linux/amd64"])
        .load(scene.registry(), "app", "1");
    let (own, next) = (scene.path("own"), scene.path("next"));
    for directory in [&own, &next] {
        fs::create_dir(directory).expect("a directory");
    }
    let docker = own.join("docker");
    symlink(BINARY, &docker).expect("a link");
    let script = next.join("docker");
    fs::write(&script, "#!/bin/sh\necho next \"$@\"\nexit 9\n").expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode");
    let path = format!("{}:{}:/bin", own.display(), next.display());
    scene.set("PATH", &path);
    let run = |words: &[&str]| scene.polyarch().program(&docker).args(words).run();
    assert_eq!(
        run(&["--debug", "manifest", "inspect", "HOST/app:1"])
            .ok()
            .stdout,
        run(&["manifest", "inspect", "HOST/app:1"]).ok().stdout
    );
    let other = run(&["buildx", "build", "a b"]);
    assert_eq!((other.code, &*other.stdout), (9, "next buildx build a b\n"));
    fs::remove_file(&script).expect("a file");
    assert_eq!(run(&["ps"]).code, 127);
}

#[test]
fn leading_manifest_is_accepted() {
    let scene = Scene::new();
    Image::new("linux/amd64").load(scene.registry(), "app", "a");
    scene.ok("manifest create HOST/app:1 HOST/app:a");
    scene.ok("manifest push --purge HOST/app:1");
}

/// Fewer than four files are too few for the dynamic linker.
#[test]
fn few_open_files_end_the_run_with_an_error() {
    let scene = Scene::new();
    for platform in ["amd64", "arm64"] {
        let image = Image::new(&format!("linux/{platform}")).layers(&[1; 4]);
        image.load(scene.registry(), "app", platform);
    }
    let publish = "publish -t oci:layout:1 HOST/app:amd64 HOST/app:arm64";
    let copy = "copy HOST/app:amd64 HOST/copy:1";
    let create = "create --replace HOST/app:list HOST/app:amd64 HOST/app:arm64";
    let inspect = "inspect --tree HOST/app:amd64";
    let mut explained = 0;
    for line in [publish, copy, create, inspect, "auth HOST/app", "ls"] {
        for limit in 4..=20 {
            let script = format!(r#"ulimit -n {limit}; exec "$0" "$@""#);
            let words = ["-c", &script, BINARY].into_iter().chain(line.split(' '));
            let output = scene.polyarch().program("/bin/sh").args(words).run();
            let is_explained = output.stderr.contains("open files");
            explained += usize::from(is_explained);
            assert!(
                output.code == 0 || (output.code < 100 && is_explained),
                "{line} with {limit} open files: {output}"
            );
            assert!(!output.stderr.contains("panicked"), "{limit}: {output}");
        }
    }
    assert!(explained > 0);
}
