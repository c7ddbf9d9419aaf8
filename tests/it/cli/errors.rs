//! Everyday errors: exit code, message, and that nothing was changed.

use crate::support::{
    Scene,
    image::{Image, media},
    registry::closed_address,
};

fn scene() -> Scene {
    let scene = Scene::new();
    for (tag, platform) in [("a", "linux/amd64"), ("b", "linux/arm64/v8")] {
        Image::new(platform).load(scene.registry(), "app", tag);
    }
    scene
}

#[test]
fn missing_manifests_and_lists_are_named() {
    let scene = scene();
    insta::assert_snapshot!(scene.transcript([
        "create HOST/app:1 HOST/app:a HOST/app:none",
        "inspect HOST/app:none",
        "inspect HOST/nowhere:1",
        "inspect HOST/app:1 HOST/app:a",
        "push HOST/app:1",
        "annotate HOST/app:1 HOST/app:a",
        "annotate HOST/app:1 --annotation a=b",
        "rm HOST/app:1",
    ]), @"
    $ polyarch create HOST/app:1 HOST/app:a HOST/app:none
    exit code: 4
    ----- stderr -----
    error: no such manifest: HOST/app:none: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)

    $ polyarch inspect HOST/app:none
    exit code: 4
    ----- stderr -----
    error: no such manifest: HOST/app:none: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)

    $ polyarch inspect HOST/nowhere:1
    exit code: 4
    ----- stderr -----
    error: no such manifest: HOST/nowhere:1: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)

    $ polyarch inspect HOST/app:1 HOST/app:a
    exit code: 4
    ----- stderr -----
    error: No such manifest: HOST/app:a

    $ polyarch push HOST/app:1
    exit code: 1
    ----- stderr -----
    error: No such manifest: HOST/app:1
     hint: create it first with `polyarch create HOST/app:1 MANIFEST...`

    $ polyarch annotate HOST/app:1 HOST/app:a
    exit code: 1
    ----- stderr -----
    error: manifest for image HOST/app:a does not exist in HOST/app:1
     hint: run `polyarch ls` to see the local lists

    $ polyarch annotate HOST/app:1 --annotation a=b
    exit code: 1
    ----- stderr -----
    error: No such manifest: HOST/app:1
     hint: run `polyarch ls` to see the local lists

    $ polyarch rm HOST/app:1
    exit code: 1
    ----- stderr -----
    error: No such manifest: HOST/app:1
    ");
    assert!(scene.drafts().is_empty());
}

#[test]
fn rm_continues_after_a_missing_list() {
    let scene = scene();
    scene.ok("create HOST/app:1 HOST/app:a");
    insta::assert_snapshot!(scene.run("rm HOST/App HOST/app:0 HOST/app:1"), @"
    exit code: 1
    ----- stderr -----
    error: invalid reference format: repository name (App) must be lowercase
     hint: use HOST/app
    error: No such manifest: HOST/app:0
    ");
    assert!(scene.drafts().is_empty());
}

#[test]
fn unknown_entry_is_reported_with_the_known_ones() {
    let scene = scene();
    scene.ok("create HOST/app:1 HOST/app:a HOST/app:b");
    insta::assert_snapshot!(scene.run("annotate HOST/app:1 HOST/app:c --arch arm"), @"
    exit code: 1
    ----- stderr -----
    error: manifest for image HOST/app:c does not exist in HOST/app:1
     hint: use one of its entries: HOST/app:a, HOST/app:b
    ");
}

#[test]
fn unreachable_registry_is_reported() {
    let mut scene = scene();
    scene.ok("create HOST/app:1 HOST/app:a");
    scene.name("CLOSED", closed_address().to_string());
    insta::assert_snapshot!(scene.transcript([
        "inspect --retry-for 0 CLOSED/app:1",
        "create --retry-for 0 HOST/app:2 HOST/app:a CLOSED/app:1",
        "push --jobs 1 --retry-for 0 HOST/app:1 -t CLOSED/app:1",
    ]), @"
    $ polyarch inspect --retry-for 0 CLOSED/app:1
    exit code: 6
    ----- stderr -----
    error: failed to read CLOSED/app:1: cannot connect to CLOSED: Connection refused (os error 111) (gave up after waiting 0 s for retries)
     hint: check that CLOSED is running and reachable from here
     hint: allow more time for retries with --retry-for DURATION

    $ polyarch create --retry-for 0 HOST/app:2 HOST/app:a CLOSED/app:1
    exit code: 6
    ----- stderr -----
    error: failed to read CLOSED/app:1: cannot connect to CLOSED: Connection refused (os error 111) (gave up after waiting 0 s for retries)
     hint: check that CLOSED is running and reachable from here
     hint: allow more time for retries with --retry-for DURATION

    $ polyarch push --jobs 1 --retry-for 0 HOST/app:1 -t CLOSED/app:1
    exit code: 7
    ----- stderr -----
    error: failed to look for blob 58eeb94c299a of CLOSED/app: cannot connect to CLOSED: Connection refused (os error 111) (gave up after waiting 0 s for retries)
     hint: check that CLOSED is running and reachable from here
     hint: allow more time for retries with --retry-for DURATION
     note: these tags were pushed: HOST/app:1
    ");
    assert_eq!(scene.drafts().len(), 1);
    assert!(scene.registry().tag("app", "1").is_some());
}

#[test]
fn mistyped_words_are_explained() {
    let scene = scene();
    scene.ok("create HOST/app:1 HOST/app:a");
    let before = scene.registry().snapshot();
    insta::assert_snapshot!(scene.transcript([
        "crate x y",
        "create HOST/app:1",
        "push HOST/app:1 --purg",
        "push HOST/app:1 HOST/app:2",
        "push HOST/app:1 --purge=maybe",
        "push HOST/app:1 -t sha256:00",
        "push HOST/app:1 -t a:b:c",
        "push HOST/app:1 --retry-for soon",
        "push HOST/app:1 --jobs 0",
        "create HOST/app:1 HOST/app:a --amend --replace",
        "annotate HOST/app:1 --arch arm",
        "annotate HOST/app:1 HOST/app:a --arch amr64",
        "annotate HOST/app:1 HOST/app:a --os linus",
        "annotate HOST/app:1 HOST/app:a --annotation x",
        "inspect --format yaml HOST/app:1",
        "inspect --raw -v HOST/app:1",
        "--verbose",
    ]), @r#"
    $ polyarch crate x y
    exit code: 2
    ----- stderr -----
    error: unknown command "crate"
     hint: use create
     hint: see `polyarch --help`

    $ polyarch create HOST/app:1
    exit code: 2
    ----- stderr -----
    error: missing MANIFEST
     hint: use `polyarch create [OPTIONS] <MANIFEST_LIST> <MANIFEST>...`

    $ polyarch push HOST/app:1 --purg
    exit code: 2
    ----- stderr -----
    error: unknown option --purg
     hint: use --purge
     hint: see `polyarch push --help`

    $ polyarch push HOST/app:1 HOST/app:2
    exit code: 2
    ----- stderr -----
    error: unexpected argument "HOST/app:2"
     hint: use `polyarch push [OPTIONS] <MANIFEST_LIST>`

    $ polyarch push HOST/app:1 --purge=maybe
    exit code: 2
    ----- stderr -----
    error: --purge=maybe: --purge must be true or false
     hint: see `polyarch push --help`

    $ polyarch push HOST/app:1 -t sha256:00
    exit code: 2
    ----- stderr -----
    error: --tag sha256:00: expected a tag, not a digest

    $ polyarch push HOST/app:1 -t a:b:c
    exit code: 2
    ----- stderr -----
    error: --tag a:b:c: invalid reference format
     note: invalid tag "b:c": a tag has 1 to 128 characters of A-Z a-z 0-9 . _ - and does not start with . or -

    $ polyarch push HOST/app:1 --retry-for soon
    exit code: 2
    ----- stderr -----
    error: invalid value "soon" of --retry-for: expected a duration such as 30s, 2m, 1h or 0
     hint: see `polyarch push --help`

    $ polyarch push HOST/app:1 --jobs 0
    exit code: 2
    ----- stderr -----
    error: invalid value "0" of --jobs: 0 is not in 1..=256
     hint: see `polyarch push --help`

    $ polyarch create HOST/app:1 HOST/app:a --amend --replace
    exit code: 2
    ----- stderr -----
    error: --amend cannot be used with --replace
     hint: see `polyarch create --help`

    $ polyarch annotate HOST/app:1 --arch arm
    exit code: 2
    ----- stderr -----
    error: missing MANIFEST: only an entry of the list has a platform

    $ polyarch annotate HOST/app:1 HOST/app:a --arch amr64
    exit code: 2
    ----- stderr -----
    error: unknown architecture "amr64" (did you mean "amd64"?)
     hint: use --force to accept unknown names

    $ polyarch annotate HOST/app:1 HOST/app:a --os linus
    exit code: 2
    ----- stderr -----
    error: unknown operating system "linus" (did you mean "linux"?)
     hint: use --force to accept unknown names

    $ polyarch annotate HOST/app:1 HOST/app:a --annotation x
    exit code: 2
    ----- stderr -----
    error: invalid annotation "x": expected KEY=VALUE

    $ polyarch inspect --format yaml HOST/app:1
    exit code: 2
    ----- stderr -----
    error: invalid value "yaml" of --format
     hint: use json
     hint: see `polyarch inspect --help`

    $ polyarch inspect --raw -v HOST/app:1
    exit code: 2
    ----- stderr -----
    error: --raw cannot be used with --verbose
     hint: see `polyarch inspect --help`

    $ polyarch --verbose
    exit code: 2
    ----- stderr -----
    error: missing --version
     hint: see `polyarch --help`
    "#);
    assert_eq!(scene.registry().snapshot(), before);
}

#[test]
fn image_without_platform_is_not_pushed() {
    let scene = scene();
    let config = scene.registry().put_blob("app", "{}");
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "size": 2, "digest": config},
        "layers": [],
    });
    let manifest = manifest.to_string();
    scene
        .registry()
        .put_manifest("app", Some("bare"), media::OCI_MANIFEST, manifest);
    insta::assert_snapshot!(scene.transcript([
        "create HOST/app:1 HOST/app:bare",
        "push HOST/app:1",
        "annotate --os linux --arch amd64 HOST/app:1 HOST/app:bare",
        "push HOST/app:1",
    ]), @"
    $ polyarch create HOST/app:1 HOST/app:bare
    exit code: 0
    ----- stdout -----
    Created manifest list HOST/app:1
    ----- stderr -----
    warning: HOST/app:bare has no platform: set it with `polyarch annotate --os OS --arch ARCH HOST/app:1 HOST/app:bare` before the push

    $ polyarch push HOST/app:1
    exit code: 5
    ----- stderr -----
    error: manifest HOST/app:bare must have an OS and Architecture to be pushed to a registry
     hint: set its platform with `polyarch annotate --os OS --arch ARCH HOST/app:1 HOST/app:bare`

    $ polyarch annotate --os linux --arch amd64 HOST/app:1 HOST/app:bare
    exit code: 0

    $ polyarch push HOST/app:1
    exit code: 0
    ----- stdout -----
    sha256:1eef664a8d38f3c4dbff9bd794c4d43cd9b840827d2ccf3292fdceca71d54ad5
    ");
}
