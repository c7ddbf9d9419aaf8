//! Drafts: many processes, killed processes, full disks, and files that are truncated, edited, linked, or written by a
//! later version.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use polyarch::draft::{Draft, DraftError, Drafts, Entry, Exact};
use polyarch::hint::Hint;
use polyarch::spec::{Manifest, MediaType, Reference};
use tempfile::TempDir;

const LIST: &str = "ghcr.io/o/app:1";

/// The variable with the directory of a child process.
const DIRECTORY: &str = "POLYARCH_TEST_DRAFTS";
/// The variable with the task of a child process.
const TASK: &str = "POLYARCH_TEST_TASK";

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn manifest(name: &str) -> Manifest {
    let json = format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"name":{name:?}}}}}"#);
    Manifest::parse(Bytes::from(json), &MediaType::default()).unwrap()
}

fn entry(name: &str) -> Entry {
    let manifest = manifest(name);
    let mut descriptor = manifest.descriptor();
    descriptor.platform = Some("linux/arm64/v8".parse().unwrap());
    descriptor.annotations.insert("key".into(), "value".into());
    let source = reference("docker.io/o/source:1");
    Entry {
        reference: source.repository().with_digest(manifest.digest.clone()),
        source,
        resolved: None,
        descriptor,
        manifest,
    }
}

fn draft(list: &str, entries: &[&str]) -> Draft {
    let mut draft = Draft::new(reference(list));
    draft.annotations.insert("a".into(), "<b>".into());
    draft.entries = entries.iter().map(|name| entry(name)).collect();
    draft
}

fn empty() -> (TempDir, Drafts) {
    let dir = TempDir::new().unwrap();
    let drafts = Drafts::at(dir.path().join("home/drafts"));
    (dir, drafts)
}

fn files(dir: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.path().join("home/drafts")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Returns a directory with one draft, and the file of the draft.
fn one_draft() -> (TempDir, Drafts, PathBuf) {
    let (dir, drafts) = empty();
    drafts.replace(&draft(LIST, &["a"])).unwrap();
    let file = files(&dir).pop().unwrap();
    (dir, drafts, file)
}

#[test]
fn draft_is_read_back_unchanged() {
    let (dir, drafts) = empty();
    let list = reference(LIST);
    assert_eq!(drafts.load(&list).unwrap(), None);
    assert!(!drafts.remove(&list).unwrap());
    assert!(!dir.path().join("home").exists(), "reading creates nothing");

    let mut wanted = draft(LIST, &["a", "b"]);
    wanted.exact = Some(Exact {
        source: reference("docker.io/o/source:1"),
        manifest: manifest("whole"),
    });
    drafts.replace(&wanted).unwrap();
    assert_eq!(drafts.load(&list).unwrap().unwrap(), wanted);
    wanted.mark_changed();
    assert!(wanted.exact.is_none() && wanted.base.is_some());
    drafts.replace(&wanted).unwrap();
    assert_eq!(drafts.load(&list).unwrap().unwrap(), wanted);
    let file = files(&dir);
    assert_eq!(
        file.len(),
        1,
        "no lock and no temporary file is left: {file:?}"
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file[0]), 0o600);
    assert_eq!(mode(file[0].parent().unwrap()), 0o700);

    let changed = drafts.update(&list, |old| {
        let mut draft = old.expect("it is there");
        draft.base = None;
        Ok::<_, DraftError>(Some(draft))
    });
    assert_eq!(drafts.load(&list).unwrap(), changed.unwrap());
    assert!(drafts.remove(&list).unwrap());
    assert_eq!(files(&dir), [] as [PathBuf; 0]);
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let (dir, drafts, _) = one_draft();
    let list = reference(LIST);
    let before = drafts.load(&list).unwrap();
    let failed = drafts.update(&list, |_| Err(DraftError::NoHome));
    assert!(matches!(failed, Err(DraftError::NoHome)));
    assert_eq!(drafts.load(&list).unwrap(), before);

    let misnamed = drafts.update(&list, |_| Ok::<_, DraftError>(Some(draft("other", &[]))));
    assert!(
        misnamed
            .unwrap_err()
            .to_string()
            .contains("docker.io/library/other")
    );
    let mut forged = draft(LIST, &["a"]);
    forged.entries[0].descriptor.size += 1;
    assert!(matches!(
        drafts.replace(&forged),
        Err(DraftError::Unsound { .. })
    ));
    assert_eq!(drafts.load(&list).unwrap(), before);

    drafts.update(&list, |_| Ok::<_, DraftError>(None)).unwrap();
    assert_eq!(files(&dir), [] as [PathBuf; 0]);
}

#[test]
fn lists_with_similar_names_are_stored_separately() {
    let (dir, drafts) = empty();
    let names = ["a/b:c", "a_b-c", "a-b:c", "localhost:5000/x:_.."];
    for name in names {
        drafts.replace(&draft(name, &[name])).unwrap();
    }
    let (one, two) = (&files(&dir)[0].clone(), &files(&dir)[1].clone());
    fs::write(one, "{").unwrap();
    // The file of this name contains another draft.
    fs::copy(&files(&dir)[2], two).unwrap();
    fs::write(dir.path().join("home/drafts/.polyarch-x.tmp"), "half").unwrap();
    fs::write(dir.path().join("home/drafts/y.lock"), "").unwrap();
    let listing = drafts.list().unwrap();
    assert_eq!(listing.drafts.len(), 2);
    assert!(listing.drafts.is_sorted_by_key(|draft| draft.list.clone()));
    let broken: Vec<_> = listing.broken.iter().map(ToString::to_string).collect();
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken[0].contains("not valid JSON"), "{broken:?}");
    assert!(broken[1].contains("it is the draft of"), "{broken:?}");
}

#[test]
fn a_damaged_draft_is_named_and_can_be_removed_or_replaced() {
    let (_dir, drafts, file) = one_draft();
    let list = reference(LIST);
    let whole = fs::read_to_string(&file).unwrap();
    let content = whole.split("\"content\": \"").nth(1).unwrap();
    let content = &content[..content.find('"').unwrap()];
    let other = whole.replace("app:1", "app:2");
    let flipped = whole.replace(content, &content.replace('e', "f"));
    let not_base64 = whole.replace(content, "%%%");
    let resized = whole.replacen("\"size\": ", "\"size\": 1", 1);
    let old_format = whole.replace("\"version\": 1", "\"version\": 0");
    for (text, cause) in [
        ("", "not valid JSON"),
        (&whole[..whole.len() / 2], "not valid JSON"),
        ("null", "not valid JSON"),
        ("{}", "missing field `version`"),
        (&"[".repeat(100_000), "nested deeper"),
        (&other, "it is the draft of ghcr.io/o/app:2"),
        (&flipped, "the content does not match sha256:"),
        (&not_base64, "the content of sha256:"),
        (&resized, "the descriptor declares"),
        (&old_format, "unknown format 0"),
    ] {
        fs::write(&file, text).unwrap();
        let error = drafts.load(&list).unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(cause), "{shown} / {cause}");
        assert!(shown.contains(file.to_str().unwrap()), "{shown}");
        assert!(
            matches!(error.hint(), Some(Hint::ReplaceDraft { list }) if list == "ghcr.io/o/app:1")
        );
        let update = drafts.update(&list, |_| Ok::<_, DraftError>(None));
        assert!(update.is_err());
        assert!(drafts.remove(&list).unwrap());
        drafts.replace(&draft(LIST, &["a"])).unwrap();
        assert!(drafts.load(&list).unwrap().is_some());
    }
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(65 << 20)
        .unwrap();
    let error = drafts.load(&list).unwrap_err();
    assert!(
        error.to_string().contains("larger than 67108864 bytes"),
        "{error}"
    );
}

#[test]
fn a_later_format_requires_an_upgrade_and_is_kept() {
    let (_dir, drafts, file) = one_draft();
    let later = r#"{"version": 2, "list": {"not": "as we know it"}}"#;
    fs::write(&file, later).unwrap();
    let list = reference(LIST);
    let error = drafts.update(&list, |_| Ok::<_, DraftError>(Some(draft(LIST, &[]))));
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("newer polyarch (format 2)"),
        "{error}"
    );
    assert_eq!(error.hint(), Some(Hint::from("upgrade polyarch")));
    assert_eq!(fs::read_to_string(&file).unwrap(), later);
}

#[test]
fn links_are_neither_read_nor_written_through() {
    let (dir, drafts, file) = one_draft();
    let list = reference(LIST);
    let target = dir.path().join("target");
    fs::rename(&file, &target).unwrap();
    symlink(&target, &file).unwrap();
    let error = drafts.load(&list).unwrap_err();
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
    let before = fs::read(&target).unwrap();
    drafts.replace(&draft(LIST, &["new"])).unwrap();
    assert_eq!(fs::read(&target).unwrap(), before);
    assert_eq!(drafts.load(&list).unwrap().unwrap(), draft(LIST, &["new"]));

    let lock = file.with_extension("lock");
    symlink(&target, &lock).unwrap();
    let error = drafts.replace(&draft(LIST, &[])).unwrap_err();
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let drafts = Drafts::at(file.join("drafts"));
    let list = reference(LIST);
    for error in [
        drafts.load(&list).err(),
        drafts.list().err(),
        drafts.remove(&list).err(),
        drafts.replace(&draft(LIST, &[])).err(),
        Drafts::at("/proc/drafts".into())
            .replace(&draft(LIST, &[]))
            .err(),
    ] {
        let error = error.expect("it cannot work");
        let shown = error.to_string();
        assert!(
            shown.starts_with("cannot ") && shown.contains("/drafts"),
            "{shown}"
        );
        assert_eq!(error.hint(), Some(Hint::SetWritableHome));
    }
}

/// Starts a separate process that runs `task` of [`child_process`] on `drafts`.
fn start(dir: &TempDir, task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "draft::child_process", "--ignored"])
        .env(DIRECTORY, dir.path().join("home/drafts"))
        .env(TASK, task)
        .stdout(Stdio::null());
    command
}

#[test]
#[ignore = "started by the tests below as a separate process"]
fn child_process() {
    let (Ok(directory), Ok(task)) = (std::env::var(DIRECTORY), std::env::var(TASK)) else {
        panic!("only for the other tests of this module");
    };
    let drafts = Drafts::at(directory.into());
    let (verb, name) = task.split_once(' ').unwrap();
    let rounds = if verb == "add" { 1 } else { 20_000 };
    for round in 0..rounds {
        add(&drafts, &format!("{name} {round}"), verb == "add");
    }
}

/// Adds an entry to the draft (`keep`), or replaces all its entries by three.
fn add(drafts: &Drafts, name: &str, keep: bool) {
    let changed = drafts.update(&reference(LIST), |old| {
        let mut new = old.unwrap_or_else(|| draft(LIST, &[]));
        if keep {
            new.entries.push(entry(name));
        } else {
            new.entries = vec![entry(name); 3];
        }
        Ok::<_, DraftError>(Some(new))
    });
    changed.unwrap();
}

#[test]
fn twenty_processes_at_once_lose_nothing() {
    let (dir, drafts) = empty();
    let children: Vec<Child> = (0..20)
        .map(|number| start(&dir, &format!("add {number}")).spawn().unwrap())
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let draft = drafts.load(&reference(LIST)).unwrap().unwrap();
    assert_eq!(draft.entries.len(), 20);
    assert_eq!(files(&dir).len(), 1);
}

#[test]
fn killed_process_leaves_a_whole_draft_and_no_lock() {
    let (dir, drafts) = empty();
    let list = reference(LIST);
    for round in 0..10 {
        let mut child = start(&dir, &format!("replace {round}")).spawn().unwrap();
        while !is_under_way(&drafts, round) {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let left = drafts.load(&list).unwrap().unwrap();
        assert_eq!(left.entries.len(), 3);
        // The lock was released with the end of the process, so this does not wait.
        add(&drafts, "after", false);
    }
    assert!(drafts.list().unwrap().broken.is_empty());
}

/// Returns whether the process of this round has written more than once, so that it is killed during its work.
fn is_under_way(drafts: &Drafts, round: u32) -> bool {
    let draft = drafts.load(&reference(LIST)).unwrap();
    draft.is_some_and(|draft| {
        let text = String::from_utf8_lossy(&draft.entries[0].manifest.bytes).into_owned();
        text.contains(&format!("\"{round} ")) && !text.contains(&format!("\"{round} 0\""))
    })
}

/// A limit on file sizes makes a write fail half way, like a full disk.
#[test]
fn a_full_disk_keeps_the_old_draft_and_is_reported() {
    let (dir, drafts, file) = one_draft();
    let before = fs::read(&file).unwrap();
    let test = start(&dir, &format!("add {}", "x".repeat(100_000)));
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#])
        .arg(test.get_program())
        .args(test.get_args())
        .arg("--nocapture")
        .envs(
            test.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap();
    assert!(!output.status.success());
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(shown.contains("File too large"), "{shown}");
    assert!(shown.contains("home/drafts/"), "{shown}");
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(files(&dir), [file], "nothing half written is left");
    assert!(drafts.load(&reference(LIST)).unwrap().is_some());
}
