//! Lists that are made from an index. The fields of the index are kept while it is the only source.

use serde_json::{Value, json};

use crate::support::{
    Scene,
    image::{Image, Index, media},
};

/// An index with every optional field, under `app:old`.
struct Old {
    scene: Scene,
    digest: String,
    document: Value,
}

fn old() -> Old {
    let mut scene = Scene::new();
    let registry = scene.registry();
    let load = |platform: &str, tag: &str| Image::new(platform).load(registry, "app", tag);
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
    let digest = scene
        .registry()
        .put_manifest("app", Some("old"), media::OCI_INDEX, bytes);
    scene.name("ARM", format!("HOST/app@{}", images[0].digest));
    scene.ok("create HOST/app:1 HOST/app:old");
    Old {
        scene,
        digest,
        document,
    }
}

impl Old {
    /// Returns the list as `inspect` shows it. It is pushed in this form.
    fn pushed(&self) -> Value {
        let shown: Value = self.scene.run("inspect HOST/app:1").ok().json();
        self.scene.ok("push HOST/app:1");
        let pushed = self
            .scene
            .registry()
            .document("app", "1")
            .expect("an index");
        assert_eq!(pushed, shown);
        assert_eq!(self.scene.registry().problems(), Vec::<String>::new());
        pushed
    }
}

#[test]
fn annotation_without_effect_keeps_the_digest() {
    let old = old();
    for line in [
        "annotate HOST/app:1",
        "annotate HOST/app:1 ARM",
        "annotate HOST/app:1 ARM --os linux --arch= --annotation none=",
        "annotate HOST/app:1 --annotation a=b",
        "create --amend HOST/app:1 HOST/app:old",
    ] {
        old.scene.ok(line);
        assert_eq!(old.scene.ok("push HOST/app:1"), format!("{}\n", old.digest));
    }
    old.scene.ok("annotate HOST/app:1 --annotation a=z");
    assert_ne!(old.scene.ok("push HOST/app:1"), format!("{}\n", old.digest));
}

#[test]
fn changed_index_keeps_its_own_fields() {
    let old = old();
    let mut expected = old.document.clone();
    let entries = expected["manifests"].as_array_mut().expect("entries");
    entries.sort_by_key(|entry| entry["digest"].to_string());
    let arm = entries
        .iter()
        .position(|entry| entry["platform"]["architecture"] == "arm");
    let arm = arm.expect("an entry");

    old.scene.ok("annotate --variant v6 HOST/app:1 ARM");
    expected["manifests"][arm]["platform"]["variant"] = "v6".into();
    assert_eq!(old.pushed(), expected);

    old.scene
        .ok("annotate HOST/app:1 --annotation a= --annotation c=e --annotation new=1");
    old.scene
        .ok("annotate HOST/app:1 ARM --annotation of= --annotation x=y");
    expected["annotations"] = json!({"c": "e", "new": "1"});
    expected["manifests"][arm]["annotations"] = json!({"x": "y"});
    assert_eq!(old.pushed(), expected);

    old.scene.ok("create --amend HOST/app:1 HOST/app:old");
    assert_eq!(old.pushed(), expected);
}

#[test]
fn second_source_discards_the_fields_of_an_index() {
    let old = old();
    let scene = &old.scene;
    insta::assert_snapshot!(scene.transcript([
        "create HOST/app:both HOST/app:old HOST/app:subject",
        "annotate HOST/app:1 --annotation c=e",
        "create --amend HOST/app:1 HOST/app:subject",
    ]), @"
    $ polyarch create HOST/app:both HOST/app:old HOST/app:subject
    exit code: 0
    ----- stdout -----
    Created manifest list HOST/app:both
    ----- stderr -----
    notice: these fields of HOST/app:old are not copied to the new index: a, c, subject, artifactType

    $ polyarch annotate HOST/app:1 --annotation c=e
    exit code: 0

    $ polyarch create --amend HOST/app:1 HOST/app:subject
    exit code: 0
    ----- stdout -----
    Created manifest list HOST/app:1
    ----- stderr -----
    notice: these fields of HOST/app:old are not copied to the new index: a, subject, artifactType
    ");
    let pushed = old.pushed();
    assert_eq!(pushed["annotations"], json!({"c": "e"}));
    assert_eq!(pushed.get("artifactType"), None);
    assert_eq!(pushed["manifests"].as_array().map(Vec::len), Some(3));
}

#[test]
fn nested_index_is_flattened_and_keeps_its_annotations() {
    let scene = Scene::new();
    let inner = Index::oci()
        .of(["linux/arm64"])
        .annotations(json!({"in": "1"}));
    let outer = Index::oci().of(["linux/amd64"]).nested(inner);
    let outer = outer.annotations(json!({"out": "1"}));
    outer.load(scene.registry(), "app", "nested");
    insta::assert_snapshot!(scene.run("create HOST/app:1 HOST/app:nested"), @"
    exit code: 0
    ----- stdout -----
    Created manifest list HOST/app:1
    ----- stderr -----
    notice: these fields of HOST/app:nested are not copied to the new index: in
    ");
    scene.ok("push HOST/app:1");
    let pushed = scene.registry().document("app", "1").expect("an index");
    assert_eq!(pushed["annotations"], json!({"out": "1"}));
}
