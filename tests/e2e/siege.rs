//! Drafts and the cache while the system fails under them: killed at every system call that a write is made of, told
//! at each of them that the disk is full or cannot be written to. What is left is the old state or the new one.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use crate::support::{image::Image, registry::Registry};

const BINARY: &str = env!("CARGO_BIN_EXE_polyarch");

/// What a write consists of. A question mark: where the processor has such a call.
const CALLS: [&str; 12] = [
    "openat",
    "?mkdir",
    "mkdirat",
    "write",
    "fsync",
    "?rename",
    "renameat",
    "?renameat2",
    "?unlink",
    "unlinkat",
    "flock",
    "close",
];

/// A home with a registry beside it, and what is in the home at first.
struct Scene {
    registry: Registry,
    home: TempDir,
    /// The files at first: paths relative to the home, and their content.
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::builder().start_in_background();
        for (platform, tag) in [("linux/amd64", "a"), ("linux/arm64", "b")] {
            Image::new(platform).load(&registry, "app", tag);
        }
        Self {
            registry,
            home: tempfile::tempdir().expect("a temporary directory"),
            before: Vec::new(),
        }
    }

    /// What is there now is what is there before each run.
    fn begin_here(&mut self) {
        self.before = self.files();
    }

    /// Runs the words of `line` under `strace`, with what shall happen to it. HOST is the registry.
    fn traced(&self, options: &[&str], line: &str) -> Output {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq"]).args(options).arg(BINARY);
        self.finish(command, line)
    }

    fn run(&self, line: &str) -> Output {
        self.finish(Command::new(BINARY), line)
    }

    fn finish(&self, mut command: Command, line: &str) -> Output {
        let host = self.registry.host();
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .args(
                line.split_whitespace()
                    .map(|word| word.replace("HOST", host)),
            )
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("strace must be installed for this test: {error}"))
    }

    /// Every file of the home.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut directories = vec![self.home.path().to_owned()];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let relative = path.strip_prefix(self.home.path()).expect("in it");
                    files.push((relative.to_owned(), fs::read(&path).expect("a file")));
                }
            }
        }
        files.sort();
        files
    }

    /// Puts the home back into its first state.
    fn restore(&self) {
        for entry in fs::read_dir(self.home.path()).expect("a directory") {
            let path = entry.expect("an entry").path();
            fs::remove_dir_all(&path).expect("it goes");
        }
        for (relative, content) in &self.before {
            let path = self.home.path().join(relative);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
    }

    /// How often `line` makes a call.
    fn count(&self, call: &str, line: &str) -> usize {
        self.restore();
        let trace = self.home.path().with_extension("trace");
        let output = self.traced(
            &[
                "-o",
                &trace.display().to_string(),
                "-e",
                &format!("trace={call}"),
            ],
            line,
        );
        let lines = fs::read_to_string(&trace).expect("a trace");
        fs::remove_file(&trace).expect("it goes");
        assert!(output.status.success(), "{line}: {output:?}");
        lines.lines().count()
    }

    /// Age that makes leftovers old.
    fn age(&self) {
        let long_ago = SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60);
        for (relative, _) in self.files() {
            let file = fs::File::options()
                .write(true)
                .open(self.home.path().join(relative));
            file.expect("a file")
                .set_modified(long_ago)
                .expect("an age");
        }
    }
}

/// The files that people would miss: neither locks nor temporary files.
fn kept(files: Vec<(PathBuf, Vec<u8>)>) -> Vec<(PathBuf, Vec<u8>)> {
    let is_litter = |path: &Path| {
        let name = path.file_name().expect("a name").to_string_lossy();
        let ends = |ending: &str| path.extension() == Some(ending.as_ref());
        ends("lock") || (name.starts_with(".polyarch-") && ends("tmp"))
    };
    let mut files = files;
    // The cache may be lost at any time, and has a test of its own.
    files.retain(|(path, _)| !is_litter(path) && !path.starts_with(".cache"));
    files
}

fn assert_no_panic(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{what}: {said}");
}

/// Commands that write a draft, and whether one is there before.
const WRITES: [(&str, bool); 4] = [
    ("create HOST/app:1 HOST/app:a", false),
    ("create --amend HOST/app:1 HOST/app:b", true),
    ("annotate --variant v8 HOST/app:1 HOST/app:a", true),
    ("push --purge HOST/app:1", true),
];

fn scene(has_draft: bool) -> Scene {
    let mut scene = Scene::new();
    if has_draft {
        let made = scene.run("create HOST/app:1 HOST/app:a");
        assert!(made.status.success(), "{made:?}");
    }
    scene.begin_here();
    scene
}

/// The states between which each command leads.
fn states(scene: &Scene, line: &str) -> [Vec<(PathBuf, Vec<u8>)>; 2] {
    scene.restore();
    let old = kept(scene.files());
    let done = scene.run(line);
    assert!(done.status.success(), "{line}: {done:?}");
    let new = kept(scene.files());
    assert_ne!(old, new, "{line}");
    [old, new]
}

#[test]
fn a_write_that_is_killed_at_any_system_call_leaves_the_old_or_the_new_draft() {
    let mut kills = 0;
    for (line, has_draft) in WRITES {
        let scene = scene(has_draft);
        let [old, new] = states(&scene, line);
        let (mut saw_old, mut saw_new) = (false, false);
        for call in CALLS {
            for number in 1..=scene.count(call, line) {
                scene.restore();
                let inject = format!("inject={call}:signal=KILL:when={number}");
                let trace = format!("trace={call}");
                let output = scene.traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject], line);
                if output.status.signal() != Some(9) {
                    // Several threads make the call, none of them so often.
                    break;
                }
                kills += 1;
                let what = format!("{line}, killed at {call} {number}");
                let left = kept(scene.files());
                saw_old |= left == old;
                saw_new |= left == new;
                assert!(left == old || left == new, "{what}: {left:?}");
                // Nothing that was left behind is in the way.
                assert!(scene.run("ls").status.success(), "{what}");
                if left == old {
                    let again = scene.run(line);
                    assert!(again.status.success(), "{what}: {again:?}");
                    assert_eq!(kept(scene.files()), new, "{what}");
                }
            }
        }
        assert!(saw_old && saw_new, "{line}: the kills were all on one side");
    }
    println!("{kills} kills");
    assert!(kills > 100, "{kills}");
}

#[test]
fn leftovers_of_killed_writes_go_in_time() {
    let scene = scene(true);
    let line = "annotate --variant v8 HOST/app:1 HOST/app:a";
    let output = scene.traced(
        &[
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync",
            "-e",
            "inject=fsync:signal=KILL:when=1",
        ],
        line,
    );
    assert_eq!(output.status.signal(), Some(9));
    let litter = |scene: &Scene| scene.files().len() - kept(scene.files()).len();
    assert!(
        litter(&scene) >= 2,
        "a lock and a temporary file: {:?}",
        scene.files()
    );
    assert!(scene.run(line).status.success());
    scene.age();
    assert!(scene.run(line).status.success());
    let left = scene.files();
    let drafts: Vec<_> = left
        .iter()
        .filter(|(path, _)| !path.starts_with(".cache"))
        .collect();
    assert_eq!(drafts.len(), 1, "{drafts:?}");
}

#[test]
fn a_write_that_is_refused_at_any_system_call_leaves_the_old_or_the_new_draft_and_says_so() {
    let mut refusals = 0;
    for (line, has_draft) in WRITES {
        let scene = scene(has_draft);
        let [old, new] = states(&scene, line);
        // An event loop that cannot write to its own pipes is not what a full disk makes.
        let has_event_loop = !line.starts_with("annotate");
        for (call, error) in [
            ("?mkdir", "EROFS"),
            ("openat", "EACCES"),
            ("openat", "EROFS"),
            ("write", "ENOSPC"),
            ("fsync", "EIO"),
            ("?rename", "ENOSPC"),
            ("?unlink", "EROFS"),
            ("flock", "ENOLCK"),
        ] {
            if call == "write" && has_event_loop {
                continue;
            }
            for number in 1..=scene.count(call, line) {
                scene.restore();
                let inject = format!("inject={call}:error={error}:when={number}");
                let trace = format!("trace={call}");
                let output = scene.traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject], line);
                refusals += 1;
                let what = format!("{line}, {call} {number} answered with {error}: {output:?}");
                assert_no_panic(&output, &what);
                let left = kept(scene.files());
                assert!(left == old || left == new, "{what}: {left:?}");
                match output.status.code() {
                    Some(0) => assert_eq!(left, new, "{what}"),
                    Some(_) => {}
                    None => panic!("{what}"),
                }
                assert!(scene.run("ls").status.success(), "{what}");
            }
        }
    }
    println!("{refusals} refusals");
    assert!(refusals > 50, "{refusals}");
}

/// A limit on the size of files, for every file of the run at once: the disk is full.
#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let scene = scene(true);
    let [old, _] = states(&scene, "annotate --variant v8 HOST/app:1 HOST/app:a");
    scene.restore();
    let full = |line: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#])
            .arg(BINARY);
        scene.finish(command, line)
    };
    for line in [
        "annotate --variant v8 HOST/app:1 HOST/app:a",
        "create --amend HOST/app:1 HOST/app:b",
        "create HOST/app:2 HOST/app:b",
    ] {
        let output = full(line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("error: cannot write"), "{line}: {said}");
        assert!(said.contains("polyarch/drafts/"), "{line}: {said}");
        // Neither a lock nor anything half written is left.
        assert_eq!(scene.files(), old, "{line}");
    }
    // What needs no draft works as ever.
    let output = full("publish -t HOST/app:9 HOST/app:a HOST/app:b");
    assert!(output.status.success(), "{output:?}");
    assert!(scene.registry.tag("app", "9").is_some());
}
