//! `inspect`: of lists that are not ready yet, of single entries, and where there are no local lists.

use bytes::Bytes;
use serde_json::{Value, json};

use super::bench::Bench;
use crate::support::image::{Image, Index, Loaded, media};

fn json_of(bench: &Bench, line: &str) -> Value {
    serde_json::from_str(&bench.ok(line)).expect("JSON")
}

/// An image whose config says nothing of a platform, and one that does, in a local list.
fn unfinished(bench: &Bench) -> Loaded {
    Image::new("linux/amd64").load(&bench.registry, "app", "b");
    let image = Image::new("/").load(&bench.registry, "app", "a");
    bench.ok("create HOST/app:1 HOST/app:a HOST/app:b");
    image
}

#[test]
fn a_list_is_shown_before_every_platform_is_known() {
    let bench = Bench::new();
    unfinished(&bench);
    let nothing = json!({"architecture": "", "os": ""});
    let list = json_of(&bench, "inspect HOST/app:1");
    assert_eq!(list["manifests"][0]["platform"], nothing);
    assert_eq!(list["manifests"][1]["platform"]["os"], "linux");
    let verbose = json_of(&bench, "inspect -v HOST/app:1");
    assert_eq!(verbose[0]["Descriptor"]["platform"], nothing);
    let entry = json_of(&bench, "inspect -v HOST/app:1 HOST/app:a");
    assert_eq!(entry["Descriptor"]["platform"], nothing);
    bench.ok("inspect --tree HOST/app:1");

    let error = bench.fails(5, "push HOST/app:1");
    assert!(
        error.contains("must have an OS and Architecture to be pushed to a registry")
            && error.contains("polyarch annotate --os OS --arch ARCH"),
        "{error}"
    );
    bench.ok("annotate --os linux --arch arm64 HOST/app:1 HOST/app:a");
    bench.ok("push HOST/app:1");
}

#[test]
fn an_index_that_does_not_say_its_type_is_shown_with_the_one_it_was_served_as() {
    let bench = Bench::new();
    let image = Image::new("linux/amd64").load(&bench.registry, "app", "a");
    let index = json!({"schemaVersion": 2, "manifests": [image.descriptor()]});
    let bytes = Bytes::from(index.to_string());
    let digest = bench
        .registry
        .put_manifest("app", Some("i"), media::OCI_INDEX, bytes.clone());
    for local in [false, true] {
        if local {
            bench.ok("create HOST/app:i HOST/app:i");
        }
        let shown = json_of(&bench, "inspect HOST/app:i");
        assert_eq!(shown["mediaType"], media::OCI_INDEX);
        assert_eq!(bench.ok("inspect --raw HOST/app:i").as_bytes(), bytes);
    }
    assert_eq!(bench.ok("push HOST/app:i"), format!("{digest}\n"));
}

#[test]
fn what_a_list_says_of_an_entry_is_shown_with_the_entry() {
    let bench = Bench::new();
    Image::new("linux/amd64").load(&bench.registry, "app", "a");
    bench.ok("create HOST/app:1 HOST/app:a");
    let plain = json_of(&bench, "inspect --format json HOST/app:1 HOST/app:a");
    assert_eq!(plain["annotations"], Value::Null);
    bench.ok("annotate --annotation x=y HOST/app:1 HOST/app:a");
    let said = json!({"x": "y"});
    let verbose = json_of(&bench, "inspect -v HOST/app:1 HOST/app:a");
    assert_eq!(verbose["Descriptor"]["annotations"], said);
    let summary = json_of(&bench, "inspect --format json HOST/app:1 HOST/app:a");
    assert_eq!(summary["annotations"], said);
    let tree = bench.ok("inspect --tree HOST/app:1 HOST/app:a");
    let end = "└── annotations in the list\n    └── x=y\n";
    assert!(tree.ends_with(end), "{tree}");
}

#[test]
fn an_empty_name_of_a_list_is_none() {
    let bench = Bench::new();
    Image::new("linux/amd64").load(&bench.registry, "app", "a");
    let wanted = bench.run("inspect HOST/app:a");
    assert_eq!(bench.run_words(&["inspect", "", "HOST/app:a"]), wanted);
    assert_eq!(bench.run_words(&["inspect", "HOST/app:a", ""]).code, 2);
    assert_eq!(bench.run_words(&["inspect", "", ""]).code, 2);
}

#[test]
fn an_entry_that_could_be_several_is_not_guessed() {
    let bench = Bench::new();
    let several = Index::oci().of(["linux/amd64", "linux/s390x"]);
    several.load(&bench.registry, "app", "several");
    let one = Index::oci().of(["linux/arm64"]).attested();
    one.load(&bench.registry, "app", "one");
    bench.ok("create HOST/app:1 HOST/app:several HOST/app:one");
    let error = bench.fails(2, "inspect HOST/app:1 HOST/app:several");
    let words = "HOST/app:several is an index with 2 images; name one of them: HOST/app@sha256:";
    assert!(error.contains(words), "{error}");
    let shown = json_of(&bench, "inspect -v HOST/app:1 HOST/app:one");
    assert_eq!(shown["Descriptor"]["platform"]["architecture"], "arm64");
}

#[test]
fn where_nobody_may_look_for_local_lists_there_are_none() {
    let mut bench = Bench::new();
    Image::new("linux/amd64").load(&bench.registry, "app", "a");
    let wanted = bench.ok("inspect HOST/app:a");
    bench.set("POLYARCH_HOME", "/dev/null");
    let said = bench.run("inspect HOST/app:a");
    assert_eq!((said.code, said.stdout.as_str()), (0, wanted.as_str()));
    let words = "warning: local lists are left out: cannot read /dev/null/drafts: ";
    assert!(said.stderr.contains(words), "{}", said.stderr);
    bench.fails(1, "inspect HOST/app:1 HOST/app:a");
    bench.fails(1, "create HOST/app:1 HOST/app:a");

    let home = bench.path("home").display().to_string();
    bench.set("POLYARCH_HOME", &home);
    bench.ok("create HOST/app:a HOST/app:a");
    let drafts = std::fs::read_dir(bench.path("home/drafts")).expect("drafts");
    let draft = drafts.last().expect("a draft").expect("a draft").path();
    std::fs::write(draft, "{").expect("a file");
    let error = bench.fails(1, "inspect HOST/app:a");
    assert!(error.contains("is damaged"), "{error}");
}
