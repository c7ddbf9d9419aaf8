//! Local lists: many processes at once, and home directories that cannot be used.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use crate::support::{Scene, image::Image, polyarch::Running};

const PROCESSES: u32 = 20;

const PUBLISH: &str = "publish -t HOST/app:9 HOST/app:s0 HOST/app:s1";

fn scene() -> Scene {
    let scene = Scene::new();
    for number in 0..PROCESSES {
        let platform = format!("linux/arch{number}");
        Image::new(&platform).load(scene.registry(), "app", format!("s{number}").as_str());
    }
    scene
}

/// Runs a line for each process, all at once; all must succeed.
fn all_at_once(scene: &Scene, line: impl Fn(u32) -> String) {
    let lines = (0..PROCESSES).map(line);
    let running: Vec<Running> = lines.map(|line| scene.start(&line)).collect();
    for running in running {
        running.wait().ok();
    }
}

#[test]
fn twenty_processes_change_one_list_at_once() {
    let scene = scene();
    all_at_once(&scene, |it| {
        format!("create --amend HOST/app:1 HOST/app:s{it}")
    });
    all_at_once(&scene, |it| {
        format!("annotate --variant v{it} HOST/app:1 HOST/app:s{it}")
    });
    assert_eq!(scene.drafts().len(), 1);
    scene.ok("push HOST/app:1");
    let index = scene.registry().document("app", "1").expect("the index");
    let entries = index["manifests"].as_array().expect("entries");
    let mut platforms: Vec<String> = entries
        .iter()
        .map(|entry| {
            let text = |key: &str| entry["platform"][key].as_str().expect("text").to_owned();
            format!("{} {}", text("architecture"), text("variant"))
        })
        .collect();
    platforms.sort();
    let mut expected: Vec<_> = (0..PROCESSES).map(|it| format!("arch{it} v{it}")).collect();
    expected.sort();
    assert_eq!(platforms, expected, "no change is lost");
}

#[test]
fn twenty_processes_write_separate_lists_at_once() {
    let scene = scene();
    all_at_once(&scene, |it| format!("create HOST/app:l{it} HOST/app:s{it}"));
    assert_eq!(scene.drafts().len(), PROCESSES as usize);
    let listed = scene.ok("ls");
    for number in 0..PROCESSES {
        assert!(listed.contains(&format!("/app:l{number}")), "{listed}");
    }
    all_at_once(&scene, |it| format!("rm HOST/app:l{it}"));
    assert_eq!(scene.drafts().len(), 0);
}

#[test]
fn without_a_home_only_lists_are_refused() {
    let mut scene = scene();
    scene.set("HOME", "");
    scene.ok(PUBLISH);
    scene.ok("inspect --raw HOST/app:s0");
    insta::assert_snapshot!(scene.transcript([
        "create HOST/app:1 HOST/app:s0",
        "annotate --os linux HOST/app:1 HOST/app:s0",
        "push HOST/app:1",
        "ls",
        "rm HOST/app:1",
    ]), @"
    $ polyarch create HOST/app:1 HOST/app:s0
    exit code: 1
    ----- stderr -----
    error: no directory for drafts: the user has no home directory
     hint: set POLYARCH_HOME to a directory that persists until the push

    $ polyarch annotate --os linux HOST/app:1 HOST/app:s0
    exit code: 1
    ----- stderr -----
    error: no directory for drafts: the user has no home directory
     hint: set POLYARCH_HOME to a directory that persists until the push

    $ polyarch push HOST/app:1
    exit code: 1
    ----- stderr -----
    error: no directory for drafts: the user has no home directory
     hint: set POLYARCH_HOME to a directory that persists until the push

    $ polyarch ls
    exit code: 1
    ----- stderr -----
    error: no directory for drafts: the user has no home directory
     hint: set POLYARCH_HOME to a directory that persists until the push

    $ polyarch rm HOST/app:1
    exit code: 1
    ----- stderr -----
    error: no directory for drafts: the user has no home directory
     hint: set POLYARCH_HOME to a directory that persists until the push
    ");
}

#[test]
fn without_a_writable_home_only_lists_are_refused() {
    let mut scene = scene();
    scene.write("file", "");
    let mut outputs = String::new();
    for home in ["HOME/file", "HOME/file/below", "/proc", "/dev/null"] {
        scene.set("POLYARCH_HOME", home);
        let output = scene.run(PUBLISH).ok();
        assert!(!output.stderr.contains("error"), "{home}: {output}");
        outputs += &scene.transcript(["create HOST/app:1 HOST/app:s0"]);
    }
    insta::assert_snapshot!(outputs, @"
    $ polyarch create HOST/app:1 HOST/app:s0
    exit code: 1
    ----- stderr -----
    error: cannot read HOME/file/drafts/HOST_app_1-HASH.json: Not a directory (os error 20)
     hint: set POLYARCH_HOME to a writable directory

    $ polyarch create HOST/app:1 HOST/app:s0
    exit code: 1
    ----- stderr -----
    error: cannot read HOME/file/below/drafts/HOST_app_1-HASH.json: Not a directory (os error 20)
     hint: set POLYARCH_HOME to a writable directory

    $ polyarch create HOST/app:1 HOST/app:s0
    exit code: 1
    ----- stderr -----
    error: cannot create /proc/drafts: No such file or directory (os error 2)
     hint: set POLYARCH_HOME to a writable directory

    $ polyarch create HOST/app:1 HOST/app:s0
    exit code: 1
    ----- stderr -----
    error: cannot read /dev/null/drafts/HOST_app_1-HASH.json: Not a directory (os error 20)
     hint: set POLYARCH_HOME to a writable directory
    ");
}

/// For root, all operations succeed, since root can read and write every file.
#[test]
fn wrong_permissions_are_reported_with_the_path() {
    let scene = scene();
    scene.ok("create HOST/app:1 HOST/app:s0");
    let draft = scene.drafts().pop().expect("a draft");
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
            let output = scene.run(line);
            let names_it = output.stderr.contains("HOME/.local/share/polyarch/drafts");
            let is_refused = output.code == 1 && names_it;
            assert!(output.code == 0 || is_refused, "{line}: {output}");
        }
        assert_eq!(scene.run(PUBLISH).code, 0);
        mode(path, if path == &draft { 0o600 } else { 0o700 });
    }
    scene.ok("push HOST/app:1");
}

/// A user may store the data elsewhere: directories may be links, the files in them may not.
#[test]
fn directories_may_be_links_and_files_may_not() {
    let scene = scene();
    fs::create_dir_all(scene.path("elsewhere")).expect("a directory");
    fs::create_dir_all(scene.path(".local/share")).expect("a directory");
    symlink(scene.path("elsewhere"), scene.path(".local/share/polyarch")).expect("a link");
    scene.ok("create HOST/app:1 HOST/app:s0");
    let drafts = fs::read_dir(scene.path("elsewhere/drafts"));
    assert_eq!(drafts.expect("a directory").count(), 1);

    let draft = scene.drafts().pop().expect("a draft");
    let target = scene.path("target");
    fs::rename(&draft, &target).expect("a new name");
    let before = fs::read(&target).expect("a file");
    symlink(&target, &draft).expect("a link");
    let outputs = scene.transcript([
        "annotate --os linux HOST/app:1 HOST/app:s0",
        "create --amend HOST/app:1 HOST/app:s1",
        "push HOST/app:1",
        "inspect HOST/app:1 HOST/app:s0",
    ]);
    insta::assert_snapshot!(outputs, @"
    $ polyarch annotate --os linux HOST/app:1 HOST/app:s0
    exit code: 1
    ----- stderr -----
    error: the draft in HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is damaged: HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is a symbolic link, not a regular file
     hint: remove it with `polyarch rm HOST/app:1`, or start over with `polyarch create --replace HOST/app:1 …`

    $ polyarch create --amend HOST/app:1 HOST/app:s1
    exit code: 1
    ----- stderr -----
    error: the draft in HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is damaged: HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is a symbolic link, not a regular file
     hint: remove it with `polyarch rm HOST/app:1`, or start over with `polyarch create --replace HOST/app:1 …`

    $ polyarch push HOST/app:1
    exit code: 1
    ----- stderr -----
    error: the draft in HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is damaged: HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is a symbolic link, not a regular file
     hint: remove it with `polyarch rm HOST/app:1`, or start over with `polyarch create --replace HOST/app:1 …`

    $ polyarch inspect HOST/app:1 HOST/app:s0
    exit code: 1
    ----- stderr -----
    error: the draft in HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is damaged: HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is a symbolic link, not a regular file
     hint: remove it with `polyarch rm HOST/app:1`, or start over with `polyarch create --replace HOST/app:1 …`
    ");
    scene.ok("create --replace HOST/app:1 HOST/app:s1");
    let now = fs::read(&target).expect("a file");
    assert_eq!(now, before, "nothing is written through a link");
    scene.ok("rm HOST/app:1");
    assert!(target.exists());
}

#[test]
fn names_that_are_paths_are_refused_and_write_nothing() {
    let scene = scene();
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
            let output = scene.run_words(&words);
            assert_ne!(output.code, 0, "{words:?}: {output}");
            assert!(output.stderr.starts_with("error: "), "{words:?}: {output}");
        }
    }
    assert_eq!(scene.drafts().len(), 0);
    scene.write("spec.yml", "image: HOST/app:\"a\\0b\"\nsources: []\n");
    scene.fails(2, "publish --file HOME/spec.yml");
    assert!(scene.registry().writes().is_empty());
}
