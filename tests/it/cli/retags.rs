//! Lists made of an index: what it says about itself stays, as long as it is the only source.

use serde_json::{Value, json};

use super::bench::Bench;
use crate::support::image::{Image, Index, Loaded, media};

/// An index that says all there is to say about itself, under `app:old`.
struct Old {
    bench: Bench,
    digest: String,
    images: [Loaded; 2],
    document: Value,
}

fn old() -> Old {
    let bench = Bench::new();
    let load = |platform: &str, tag: &str| Image::new(platform).load(&bench.registry, "app", tag);
    let images = [load("linux/arm", "arm"), load("linux/amd64", "amd64")];
    let mut arm = images[0].descriptor();
    arm["annotations"] = json!({"of": "entry"});
    let document = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "artifactType": "application/vnd.example",
        "manifests": [arm, images[1].descriptor()],
        "subject": load("linux/s390x", "subject").descriptor(),
        "annotations": {"a": "b", "c": "d"},
    });
    let bytes = document.to_string();
    let registry = &bench.registry;
    let digest = registry.put_manifest("app", Some("old"), media::OCI_INDEX, bytes);
    bench.ok("create HOST/app:1 HOST/app:old");
    Old {
        bench,
        digest,
        images,
        document,
    }
}

impl Old {
    /// Runs the line, in which ARM is the image for arm.
    fn ok(&self, line: &str) -> String {
        let arm = format!("HOST/app@{}", self.images[0].digest);
        self.bench.ok(&line.replace("ARM", &arm))
    }

    /// What is shown of the list, which is what is pushed then.
    fn pushed(&self) -> Value {
        let shown: Value = serde_json::from_str(&self.ok("inspect HOST/app:1")).expect("JSON");
        self.ok("push HOST/app:1");
        let pushed = self.bench.registry.document("app", "1").expect("an index");
        assert_eq!(pushed, shown);
        assert_eq!(self.bench.registry.problems(), Vec::<String>::new());
        pushed
    }
}

#[test]
fn what_changes_nothing_keeps_the_digest() {
    let old = old();
    for line in [
        "annotate HOST/app:1",
        "annotate HOST/app:1 ARM",
        "annotate HOST/app:1 ARM --os linux --arch= --annotation none=",
        "annotate HOST/app:1 --annotation a=b",
        "create --amend HOST/app:1 HOST/app:old",
    ] {
        old.ok(line);
        assert_eq!(old.ok("push HOST/app:1"), format!("{}\n", old.digest));
    }
    old.ok("annotate HOST/app:1 --annotation a=z");
    assert_ne!(old.ok("push HOST/app:1"), format!("{}\n", old.digest));
}

#[test]
fn an_index_that_is_changed_says_the_same_about_itself() {
    let old = old();
    let mut expected = old.document.clone();
    let entries = expected["manifests"].as_array_mut().expect("entries");
    entries.sort_by_key(|entry| entry["digest"].to_string());
    let arm = entries
        .iter()
        .position(|entry| entry["platform"]["architecture"] == "arm");
    let arm = arm.expect("an entry");

    old.ok("annotate --variant v6 HOST/app:1 ARM");
    expected["manifests"][arm]["platform"]["variant"] = "v6".into();
    assert_eq!(old.pushed(), expected);

    old.ok("annotate HOST/app:1 --annotation a= --annotation c=e --annotation new=1");
    old.ok("annotate HOST/app:1 ARM --annotation of= --annotation x=y");
    expected["annotations"] = json!({"c": "e", "new": "1"});
    expected["manifests"][arm]["annotations"] = json!({"x": "y"});
    assert_eq!(old.pushed(), expected);

    old.ok("create --amend HOST/app:1 HOST/app:old");
    assert_eq!(old.pushed(), expected);
}

#[test]
fn with_another_source_a_list_says_only_what_a_person_said() {
    let notice = "notice: what the index HOST/app:old says about itself is not carried over to the new index: ";
    let old = old();
    let bench = &old.bench;
    let said = bench.run("create HOST/app:both HOST/app:old HOST/app:subject");
    let all = format!("{notice}a, c, subject, artifactType");
    assert!(
        said.code == 0 && said.stderr.contains(&all),
        "{}",
        said.stderr
    );

    old.ok("annotate HOST/app:1 --annotation c=e");
    let said = bench.run("create --amend HOST/app:1 HOST/app:subject");
    let rest = format!("{notice}a, subject, artifactType");
    assert!(
        said.code == 0 && said.stderr.contains(&rest),
        "{}",
        said.stderr
    );
    let pushed = old.pushed();
    assert_eq!(pushed["annotations"], json!({"c": "e"}));
    assert_eq!(pushed.get("artifactType"), None);
    assert_eq!(pushed["manifests"].as_array().map(Vec::len), Some(3));
}

#[test]
fn an_index_of_indexes_is_flattened_and_keeps_its_annotations() {
    let bench = Bench::new();
    let inner = Index::oci()
        .of(["linux/arm64"])
        .annotations(json!({"in": "1"}));
    let outer = Index::oci().of(["linux/amd64"]).nested(inner);
    let outer = outer.annotations(json!({"out": "1"}));
    outer.load(&bench.registry, "app", "nested");
    let said = bench.run("create HOST/app:1 HOST/app:nested");
    assert!(
        said.stderr.contains("over to the new index: in\n"),
        "{}",
        said.stderr
    );
    bench.ok("push HOST/app:1");
    let pushed = bench.registry.document("app", "1").expect("an index");
    assert_eq!(pushed["annotations"], json!({"out": "1"}));
}
