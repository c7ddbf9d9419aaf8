//! Writes of local lists that fail: the program is killed at each system call of a write, or the call returns an error.
//! Afterwards the list is the old one or the new one.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::support::{
    Scene,
    image::Image,
    polyarch::{BINARY, Output},
};

/// The exit code of a program that SIGKILL ended.
const KILLED: i32 = 128 + 9;

/// The system calls of a write. A question mark marks a call that some architectures do not have.
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

/// A scene, and the files of its home before each run.
struct Fixture {
    scene: Scene,
    /// Paths relative to the home, and the content.
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Fixture {
    fn new() -> Self {
        let mut scene = Scene::new();
        scene.set("PATH", &std::env::var("PATH").unwrap_or_default());
        for (platform, tag) in [("linux/amd64", "a"), ("linux/arm64", "b")] {
            Image::new(platform).load(scene.registry(), "app", tag);
        }
        Self {
            scene,
            before: Vec::new(),
        }
    }

    /// Stores the current files. [`Self::restore`] restores them before each run.
    fn store_files(&mut self) {
        self.before = self.files();
    }

    /// Runs the words of `line` under `strace` with these options.
    fn traced(&self, options: &[&str], line: &str) -> Output {
        let run = self.scene.polyarch().program("strace").args(["-f", "-qq"]);
        let run = run.args(options).args([BINARY]);
        run.args(line.split_whitespace()).run()
    }

    fn run(&self, line: &str) -> Output {
        let run = self.scene.polyarch().unwatched();
        run.args(line.split_whitespace()).run()
    }

    /// Returns every file of the home.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut directories = vec![self.scene.home().clone()];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let relative = path
                        .strip_prefix(self.scene.home())
                        .expect("a path in the home");
                    files.push((relative.to_owned(), fs::read(&path).expect("a file")));
                }
            }
        }
        files.sort();
        files
    }

    /// Restores the stored files of the home.
    fn restore(&self) {
        for entry in fs::read_dir(self.scene.home()).expect("a directory") {
            let path = entry.expect("an entry").path();
            fs::remove_dir_all(&path).expect("a removed directory");
        }
        for (relative, content) in &self.before {
            let path = self.scene.home().join(relative);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
    }

    /// Returns how often `line` makes a system call.
    fn count(&self, call: &str, line: &str) -> usize {
        self.restore();
        let trace = self.scene.home().with_extension("trace");
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
        fs::remove_file(&trace).expect("a removed file");
        assert_eq!(output.code, 0, "{line}: {output:?}");
        lines.lines().count()
    }

    /// Sets the times of all files to three days ago, so that leftovers are removed.
    fn age(&self) {
        let long_ago = SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60);
        for (relative, _) in self.files() {
            let file = fs::File::options()
                .write(true)
                .open(self.scene.home().join(relative));
            file.expect("a file")
                .set_modified(long_ago)
                .expect("an age");
        }
    }
}

/// Returns the files without locks and temporary files.
fn kept(files: Vec<(PathBuf, Vec<u8>)>) -> Vec<(PathBuf, Vec<u8>)> {
    let is_leftover = |path: &Path| {
        let name = path.file_name().expect("a name").to_string_lossy();
        let ends = |ending: &str| path.extension() == Some(ending.as_ref());
        ends("lock") || (name.starts_with(".polyarch-") && ends("tmp"))
    };
    let mut files = files;
    // The cache may be lost at any time, and has a separate test.
    files.retain(|(path, _)| !is_leftover(path) && !path.starts_with(".cache"));
    files
}

/// Commands that write a draft, and whether a draft exists before.
const WRITES: [(&str, bool); 4] = [
    ("create HOST/app:1 HOST/app:a", false),
    ("create --amend HOST/app:1 HOST/app:b", true),
    ("annotate --variant v8 HOST/app:1 HOST/app:a", true),
    ("push --purge HOST/app:1", true),
];

fn fixture(has_draft: bool) -> Fixture {
    let mut fixture = Fixture::new();
    if has_draft {
        let made = fixture.run("create HOST/app:1 HOST/app:a");
        assert_eq!(made.code, 0, "{made:?}");
    }
    fixture.store_files();
    fixture
}

/// Returns the files before and after a run that does not fail.
fn states(fixture: &Fixture, line: &str) -> [Vec<(PathBuf, Vec<u8>)>; 2] {
    fixture.restore();
    let old = kept(fixture.files());
    let done = fixture.run(line);
    assert_eq!(done.code, 0, "{line}: {done:?}");
    let new = kept(fixture.files());
    assert_ne!(old, new, "{line}");
    [old, new]
}

#[test]
fn killed_write_leaves_the_old_or_the_new_draft() {
    let mut kills = 0;
    for (line, has_draft) in WRITES {
        let fixture = fixture(has_draft);
        let [old, new] = states(&fixture, line);
        let (mut saw_old, mut saw_new) = (false, false);
        for call in CALLS {
            for number in 1..=fixture.count(call, line) {
                fixture.restore();
                let inject = format!("inject={call}:signal=KILL:when={number}");
                let trace = format!("trace={call}");
                let output =
                    fixture.traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject], line);
                if output.code != KILLED {
                    // Each thread counts its own calls, and no thread makes so many of them.
                    break;
                }
                kills += 1;
                let what = format!("{line}, killed at {call} {number}");
                let left = kept(fixture.files());
                saw_old |= left == old;
                saw_new |= left == new;
                assert!(left == old || left == new, "{what}: {left:?}");
                // Leftovers do not prevent further runs.
                assert_eq!(fixture.run("ls").code, 0, "{what}");
                if left == old {
                    let again = fixture.run(line);
                    assert_eq!(again.code, 0, "{what}: {again:?}");
                    assert_eq!(kept(fixture.files()), new, "{what}");
                }
            }
        }
        assert!(saw_old && saw_new, "{line}: all kills left the same draft");
    }
    println!("{kills} kills");
    assert!(kills > 100, "{kills}");
}

#[test]
fn leftovers_of_killed_writes_are_removed_later() {
    let fixture = fixture(true);
    let line = "annotate --variant v8 HOST/app:1 HOST/app:a";
    let output = fixture.traced(
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
    assert_eq!(output.code, KILLED);
    let leftovers = |fixture: &Fixture| fixture.files().len() - kept(fixture.files()).len();
    assert!(
        leftovers(&fixture) >= 2,
        "a lock and a temporary file: {:?}",
        fixture.files()
    );
    assert_eq!(fixture.run(line).code, 0);
    fixture.age();
    assert_eq!(fixture.run(line).code, 0);
    let left = fixture.files();
    let drafts: Vec<_> = left
        .iter()
        .filter(|(path, _)| !path.starts_with(".cache"))
        .collect();
    assert_eq!(drafts.len(), 1, "{drafts:?}");
}

#[test]
fn failing_write_leaves_the_old_or_the_new_draft() {
    let mut refusals = 0;
    for (line, has_draft) in WRITES {
        let fixture = fixture(has_draft);
        let [old, new] = states(&fixture, line);
        // A failing write to the pipes of the event loop is not a fault of the disk.
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
            for number in 1..=fixture.count(call, line) {
                fixture.restore();
                let inject = format!("inject={call}:error={error}:when={number}");
                let trace = format!("trace={call}");
                let output =
                    fixture.traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject], line);
                refusals += 1;
                let what = format!("{line}, {call} {number} answered with {error}: {output:?}");
                let left = kept(fixture.files());
                assert!(left == old || left == new, "{what}: {left:?}");
                assert!(output.code < 128, "{what}");
                if output.code == 0 {
                    assert_eq!(left, new, "{what}");
                }
                assert_eq!(fixture.run("ls").code, 0, "{what}");
            }
        }
    }
    println!("{refusals} refusals");
    assert!(refusals > 50, "{refusals}");
}

/// A limit on the size of all files imitates a full disk.
#[test]
fn full_disk_is_reported_and_loses_nothing() {
    let fixture = fixture(true);
    let [old, _] = states(&fixture, "annotate --variant v8 HOST/app:1 HOST/app:a");
    fixture.restore();
    let full = |line: &str| {
        let shell = r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#;
        let run = fixture.scene.polyarch().program("sh").args(["-c", shell]);
        run.args([BINARY]).args(line.split_whitespace()).run()
    };
    for line in [
        "annotate --variant v8 HOST/app:1 HOST/app:a",
        "create --amend HOST/app:1 HOST/app:b",
        "create HOST/app:2 HOST/app:b",
    ] {
        let output = full(line);
        assert_eq!(output.code, 1, "{line}: {output}");
        assert!(
            output.stderr.contains("error: cannot write"),
            "{line}: {output}"
        );
        assert!(
            output.stderr.contains("polyarch/drafts/"),
            "{line}: {output}"
        );
        // No lock and no incomplete file is left.
        assert_eq!(fixture.files(), old, "{line}");
    }
    // A command without a draft succeeds.
    let output = full("publish -t HOST/app:9 HOST/app:a HOST/app:b");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(fixture.scene.registry().tag("app", "9").is_some());
}
