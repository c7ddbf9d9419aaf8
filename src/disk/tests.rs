use std::time::SystemTime;

use super::*;

#[test]
fn a_write_replaces_a_symbolic_link() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(matches!(
        read_own(&link, 10),
        Err(DiskError::NotRegular { .. })
    ));
    write(&link, b"new", Access::Private).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"old");
    assert_eq!(read_own(&link, 10).unwrap().unwrap(), b"new");
}

#[test]
fn new_files_have_the_requested_mode() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    create_directory(&inner, Access::Private).unwrap();
    write(&inner.join("f"), b"", Access::Private).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("a")), 0o700);
    assert_eq!(mode(&inner), 0o700);
    assert_eq!(mode(&inner.join("f")), 0o600);
}

#[test]
fn only_regular_files_within_the_limit_are_read() {
    for path in ["/dev/zero", "/"] {
        let error = read(Path::new(path), 10).unwrap_err();
        assert!(matches!(error, DiskError::NotRegular { .. }), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "12345").unwrap();
    assert!(matches!(
        read(&dir.path().join("f"), 4),
        Err(DiskError::TooLarge { limit: 4, .. })
    ));
    assert!(
        read(&dir.path().join("none"), 4)
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn only_old_temporary_files_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let long_ago = SystemTime::now() - LEFTOVER_AGE - Duration::from_secs(60);
    for (name, modified) in [
        (".polyarch-old.tmp", long_ago),
        (".polyarch-new.tmp", SystemTime::now()),
        ("mine.tmp", long_ago),
    ] {
        let file = File::create(dir.path().join(name)).unwrap();
        file.set_modified(modified).unwrap();
    }
    clean_leftovers(dir.path());
    let mut left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, [".polyarch-new.tmp", "mine.tmp"]);
}

#[test]
fn an_unpublished_file_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = NewFile::inside(dir.path(), Access::Shared).unwrap();
    file.write(b"half").unwrap();
    drop(file);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
