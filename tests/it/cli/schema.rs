//! The output conforms to the OCI image specification.

use jsonschema::{Retrieve, Uri};
use serde_json::Value;

use crate::support::{
    Scene,
    image::{Image, Index},
};

/// The files of `tests/schema`, by name, whatever URL they are referred to by.
struct Schemas;

impl Retrieve for Schemas {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let text = match uri.as_str().rsplit('/').next() {
            Some("defs.json") => include_str!("../../schema/defs.json"),
            Some("defs-descriptor.json") => include_str!("../../schema/defs-descriptor.json"),
            Some("content-descriptor.json") => include_str!("../../schema/content-descriptor.json"),
            _ => return Err(format!("no schema {uri}").into()),
        };
        Ok(serde_json::from_str(text)?)
    }
}

#[test]
fn pushed_and_shown_indexes_are_valid() {
    let schema = include_str!("../../schema/image-index-schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let schema = jsonschema::options()
        .with_retriever(Schemas)
        .build(&schema)
        .expect("a schema");
    let check = |what: &str, text: &[u8]| {
        let document: Value = serde_json::from_slice(text).expect("JSON");
        let flaws: Vec<String> = schema
            .iter_errors(&document)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(flaws, Vec::<String>::new(), "{what}: {document:#}");
    };
    assert!(!schema.is_valid(&serde_json::json!({"schemaVersion": 2, "manifests": [{"size": 1}]})));

    let scene = Scene::new();
    let windows = Image::new("windows/amd64")
        .docker()
        .os_version("10.0.1")
        .os_features(["win32k"]);
    windows.load(scene.registry(), "app", "docker");
    Image::new("linux/arm/v7").load(scene.registry(), "app", "oci");
    Index::oci()
        .of(["linux/amd64", "linux/arm64"])
        .attested()
        .load(scene.registry(), "app", "index");
    for (list, sources) in [
        ("one", "HOST/app:docker"),
        ("two", "HOST/app:docker HOST/app:oci"),
        ("all", "HOST/app:index HOST/app:docker HOST/app:oci"),
    ] {
        scene.ok(&format!("create HOST/app:{list} {sources}"));
        scene.ok(&format!(
            "annotate HOST/app:{list} HOST/app:docker --annotation a=<b> --variant v1"
        ));
        scene.ok(&format!("annotate HOST/app:{list} --annotation c=d"));
        check(
            list,
            scene.ok(&format!("inspect HOST/app:{list}")).as_bytes(),
        );
        scene.ok(&format!("push HOST/app:{list}"));
        let (_, bytes) = scene.registry().manifest("app", list).expect("an index");
        check(list, &bytes);
    }
}
