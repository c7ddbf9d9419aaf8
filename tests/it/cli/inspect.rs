//! `inspect`: of unfinished lists, of single entries, and without local lists.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::{
    Scene,
    image::{Image, Index, media},
};

fn json_of(scene: &Scene, line: &str) -> Value {
    scene.run(line).ok().json()
}

/// Returns a scene in which `app:a` is an image for linux/amd64.
fn scene() -> Scene {
    let scene = Scene::new();
    Image::new("linux/amd64").load(scene.registry(), "app", "a");
    scene
}

#[test]
fn list_with_unknown_platforms_is_shown() {
    let scene = Scene::new();
    Image::new("/").load(scene.registry(), "app", "a");
    Image::new("linux/amd64").load(scene.registry(), "app", "b");
    scene.ok("create HOST/app:1 HOST/app:a HOST/app:b");
    let nothing = json!({"architecture": "", "os": ""});
    let list = json_of(&scene, "inspect HOST/app:1");
    assert_eq!(list["manifests"][0]["platform"], nothing);
    assert_eq!(list["manifests"][1]["platform"]["os"], "linux");
    let verbose = json_of(&scene, "inspect -v HOST/app:1");
    assert_eq!(verbose[0]["Descriptor"]["platform"], nothing);
    let entry = json_of(&scene, "inspect -v HOST/app:1 HOST/app:a");
    assert_eq!(entry["Descriptor"]["platform"], nothing);
    insta::assert_snapshot!(scene.transcript([
        "inspect --tree HOST/app:1",
        "push HOST/app:1",
        "annotate --os linux --arch arm64 HOST/app:1 HOST/app:a",
        "push HOST/app:1",
    ]), @"
    $ polyarch inspect --tree HOST/app:1
    exit code: 0
    ----- stdout -----
    HOST/app:1
    sha256:f09fd9161501a7ecead4315f2981302a404c2c923620d80b1238412c01d613cd application/vnd.oci.image.index.v1+json 693 B
    ├── /                sha256:969a6e7bb4cc539ac320cbbc515cabcc91144aa5c381225c559efc8aee731091  477 B
    └── linux/amd64      sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce  477 B

    $ polyarch push HOST/app:1
    exit code: 5
    ----- stderr -----
    error: manifest HOST/app:a must have an OS and Architecture to be pushed to a registry
     hint: set its platform with `polyarch annotate --os OS --arch ARCH HOST/app:1 HOST/app:a`

    $ polyarch annotate --os linux --arch arm64 HOST/app:1 HOST/app:a
    exit code: 0

    $ polyarch push HOST/app:1
    exit code: 0
    ----- stdout -----
    sha256:06830d192dd50a7ef73238bae358d9bb13670dc579f7fbbc0f300dffe9c502d7
    ");
}

#[test]
fn index_without_media_type_gets_the_served_one() {
    let scene = Scene::new();
    let image = Image::new("linux/amd64").load(scene.registry(), "app", "a");
    let index = json!({"schemaVersion": 2, "manifests": [image.descriptor()]});
    let bytes = Bytes::from(index.to_string());
    let digest = scene
        .registry()
        .put_manifest("app", Some("i"), media::OCI_INDEX, bytes.clone());
    for local in [false, true] {
        if local {
            scene.ok("create HOST/app:i HOST/app:i");
        }
        let shown = json_of(&scene, "inspect HOST/app:i");
        assert_eq!(shown["mediaType"], media::OCI_INDEX);
        assert_eq!(scene.ok("inspect --raw HOST/app:i").as_bytes(), bytes);
    }
    assert_eq!(scene.ok("push HOST/app:i"), format!("{digest}\n"));
}

#[test]
fn annotations_of_an_entry_are_shown_with_the_entry() {
    let scene = scene();
    scene.ok("create HOST/app:1 HOST/app:a");
    let plain = json_of(&scene, "inspect --format json HOST/app:1 HOST/app:a");
    assert_eq!(plain["annotations"], Value::Null);
    scene.ok("annotate --annotation x=y HOST/app:1 HOST/app:a");
    let annotations = json!({"x": "y"});
    let verbose = json_of(&scene, "inspect -v HOST/app:1 HOST/app:a");
    assert_eq!(verbose["Descriptor"]["annotations"], annotations);
    let summary = json_of(&scene, "inspect --format json HOST/app:1 HOST/app:a");
    assert_eq!(summary["annotations"], annotations);
    insta::assert_snapshot!(scene.run("inspect --tree HOST/app:1 HOST/app:a"), @"
    exit code: 0
    ----- stdout -----
    HOST/app:a
    sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce application/vnd.oci.image.manifest.v1+json 477 B
    ├── config  sha256:58eeb94c299a3058e33d8cb58e612aec73a32ac5b56e8a91f9ac32a4101854d7  299 B
    ├── layer   sha256:fd2d11818848c1ef9abe04ab8fdd0149210ef94e214ac28bf50d158f1ab9e0f3  2.0 kB
    └── annotations in the list
        └── x=y
    ");
}

#[test]
fn empty_name_of_a_list_is_ignored() {
    let scene = scene();
    let expected = scene.ok("inspect HOST/app:a");
    let output = scene.run_words(["inspect", "", "HOST/app:a"]).ok();
    assert_eq!(output.stdout, expected);
    insta::assert_snapshot!(scene.run_words(["inspect", "HOST/app:a", ""]), @"
    exit code: 2
    ----- stderr -----
    error: invalid reference format
     note: the reference is empty
    ");
    insta::assert_snapshot!(scene.run_words(["inspect", "", ""]), @"
    exit code: 2
    ----- stderr -----
    error: invalid reference format
     note: the reference is empty
    ");
}

#[test]
fn ambiguous_entry_is_refused() {
    let scene = Scene::new();
    let several = Index::oci().of(["linux/amd64", "linux/s390x"]);
    several.load(scene.registry(), "app", "several");
    let one = Index::oci().of(["linux/arm64"]).attested();
    one.load(scene.registry(), "app", "one");
    scene.ok("create HOST/app:1 HOST/app:several HOST/app:one");
    insta::assert_snapshot!(scene.run("inspect HOST/app:1 HOST/app:several"), @"
    exit code: 2
    ----- stderr -----
    error: HOST/app:several is an index with 2 images; name one of them: HOST/app@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce, HOST/app@sha256:baf49a0f5b0b002c94c3af29bb7ffc97234922a8224fd1eaf671bd5968d6eec2
    ");
    let shown = json_of(&scene, "inspect -v HOST/app:1 HOST/app:one");
    assert_eq!(shown["Descriptor"]["platform"]["architecture"], "arm64");
}

#[test]
fn unreadable_local_lists_are_skipped_by_inspect_only() {
    let mut scene = scene();
    let expected = scene.ok("inspect HOST/app:a");
    scene.set("POLYARCH_HOME", "/dev/null");
    let output = scene.run("inspect HOST/app:a").ok();
    assert_eq!(output.stdout, expected);
    insta::assert_snapshot!(output.stderr, @"warning: local lists are ignored: cannot read /dev/null/drafts: Not a directory (os error 20)");
    insta::assert_snapshot!(scene.transcript([
        "inspect HOST/app:1 HOST/app:a",
        "create HOST/app:1 HOST/app:a",
    ]), @"
    $ polyarch inspect HOST/app:1 HOST/app:a
    exit code: 1
    ----- stderr -----
    error: cannot read /dev/null/drafts/HOST_app_1-HASH.json: Not a directory (os error 20)
     hint: set POLYARCH_HOME to a writable directory

    $ polyarch create HOST/app:1 HOST/app:a
    exit code: 1
    ----- stderr -----
    error: cannot read /dev/null/drafts/HOST_app_1-HASH.json: Not a directory (os error 20)
     hint: set POLYARCH_HOME to a writable directory
    ");

    scene.set("POLYARCH_HOME", "HOME/home");
    scene.ok("create HOST/app:a HOST/app:a");
    let drafts = std::fs::read_dir(scene.path("home/drafts")).expect("drafts");
    let draft = drafts.last().expect("a draft").expect("a draft").path();
    std::fs::write(draft, "{").expect("a file");
    insta::assert_snapshot!(scene.run("inspect HOST/app:a"), @"
    exit code: 1
    ----- stderr -----
    error: the draft in HOME/home/drafts/HOST_app_a-HASH.json is damaged: not valid JSON: EOF while parsing an object at line 1 column 1
     hint: remove it with `polyarch rm HOST/app:a`, or start over with `polyarch create --replace HOST/app:a …`
    ");
}
