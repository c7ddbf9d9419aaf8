//! Several images in one spec file, of which some fail.

use serde_json::Value;

use super::{outputs::check_schema, scene};
use crate::support::{
    Scene,
    image::Image,
    registry::{Class, Fault, Recorded, Registry, Rule},
};

const GOOD: &str = "HOST/team/app:amd64";
const MISSING: &str = "HOST/team/app:missing";

/// Writes a spec file of images with one source each.
fn write_spec(scene: &Scene, images: &[(&str, &str)]) {
    let documents: Vec<String> = images
        .iter()
        .map(|(image, source)| format!("image: {image}\nsources: ['{source}']\n"))
        .collect();
    scene.write("spec.yml", documents.join("---\n"));
}

#[test]
fn one_of_three_images_fails_and_the_others_are_published() {
    let scene = scene(&["amd64"]);
    write_spec(
        &scene,
        &[
            ("HOST/a/one:1", GOOD),
            ("HOST/a/two:1", MISSING),
            ("HOST/a/three:1", GOOD),
        ],
    );
    let output = scene.run("publish -f spec.yml --output json").exits(7);
    insta::assert_snapshot!(output.stderr, @"
    error: publish HOST/a/two:1: failed to read HOST/team/app:missing: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
     hint: check the name, or wait with --wait 5m if another job still pushes it
     note: these tags were pushed: HOST/a/one:1, HOST/a/three:1
    ");
    let registry = scene.registry();
    assert!(registry.tag("a/one", "1").is_some());
    assert_eq!(registry.tag("a/two", "1"), None);
    assert!(registry.tag("a/three", "1").is_some());
    let result = output.json();
    check_schema(&result);
    let results = result["results"].as_array().unwrap();
    let statuses: Vec<_> = results
        .iter()
        .map(|it| {
            let tag = &it["targets"][0]["tags"][0]["reference"];
            (it["status"].as_str().unwrap(), tag.as_str().unwrap())
        })
        .collect();
    let expected = [
        ("published", "HOST/a/one:1"),
        ("failed", "HOST/a/two:1"),
        ("published", "HOST/a/three:1"),
    ];
    assert_eq!(statuses, expected);
    insta::assert_snapshot!(results[1]["targets"][0]["error"]["message"], @r#""publish HOST/a/two:1: failed to read HOST/team/app:missing: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)""#);
}

/// Programs read the result of several images, so its form does not depend on how many of them were published.
#[test]
fn one_of_two_images_fails_and_the_result_keeps_its_form() {
    let scene = scene(&["amd64"]);
    write_spec(&scene, &[("HOST/a/no:1", MISSING), ("HOST/a/good:1", GOOD)]);
    let line = "publish -f spec.yml --output json --metadata-file metadata.json";
    let result = scene.run(line).exits(7).json();
    check_schema(&result);
    assert_eq!(result["results"][0]["status"], "failed");
    assert_eq!(result["results"][1]["status"], "published");
    let metadata: Value = serde_json::from_str(&scene.read("metadata.json")).unwrap();
    let names: Vec<&String> = metadata.as_object().unwrap().keys().collect();
    assert_eq!(names, ["HOST/a/good:1"]);
}

#[test]
fn dry_run_of_several_images_is_never_partial() {
    let scene = scene(&["amd64"]);
    write_spec(&scene, &[("HOST/a/good:1", GOOD), ("HOST/a/no:1", MISSING)]);
    insta::assert_snapshot!(scene.run("publish -f spec.yml --dry-run"), @"
    exit code: 4
    ----- stdout -----
    OCI image index  07d771bca00f  374 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:amd64

    HOST/a/good:1  would be pushed (new)

    operations at HOST/a/good
      mount blob     58eeb94c299a      299 B  from HOST/team/app
      mount blob     fd2d11818848     2.0 kB  from HOST/team/app
      push manifest  d744833917e1      477 B  from HOST/team/app
      create tag     1

    sha256:07d771bca00f1765770156863eef994d02a11c1863bb7c30a3ad45ea1412a708
    ----- stderr -----
    error: publish HOST/a/no:1: failed to read HOST/team/app:missing: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
     hint: check the name, or wait with --wait 5m if another job still pushes it
    ");
}

/// The uploads of the failed image are cancelled at the end of the run; the uploads of the other image are not
/// cancelled.
#[test]
fn failed_image_does_not_cancel_the_uploads_of_another() {
    let scene = Scene::two();
    let (from, to) = (scene.registry(), scene.other());
    let blobs = Image::new("linux/amd64")
        .load(from, "team/app", "amd64")
        .blobs
        .len();
    write_spec(&scene, &[("OTHER/a/one:1", GOOD), ("OTHER/a/two:1", GOOD)]);
    let of_second = |it: &Recorded| it.path.starts_with("/v2/a/two/");
    // Only an upload that the registry has confirmed can be cancelled.
    let all_started = move |requests: &[Recorded]| {
        let started = requests.iter().filter(|it| it.class == Class::UploadPost);
        started.filter(|it| it.status.is_some()).count() == 2 * blobs
    };
    let is_refused = move |requests: &[Recorded]| {
        let puts = requests.iter().filter(|it| it.class == Class::UploadPut);
        let mut of_first = puts.filter(|it| !of_second(it));
        of_first.any(|it| it.status.is_some())
    };
    to.rule(
        Rule::on(Class::UploadPut)
            .path("/v2/a/one/*")
            .forever()
            .then(Fault::until(all_started))
            .then(Fault::status(403)),
    );
    to.rule(
        Rule::on(Class::UploadPut)
            .path("/v2/a/two/*")
            .forever()
            .then(Fault::until(is_refused)),
    );
    let output = scene.run("publish -f spec.yml").exits(7);
    assert!(output.stderr.contains("OTHER/a/one"), "{output}");
    assert!(to.tag("a/two", "1").is_some());
    let requests = to.requests();
    let cancelled = requests.iter().filter(|it| it.class == Class::UploadDelete);
    let cancelled: Vec<_> = cancelled.collect();
    let started = |it: &Recorded| it.class == Class::UploadPost && of_second(it);
    assert_eq!(to.count_where(started), blobs);
    assert!(!cancelled.is_empty());
    let tag = requests
        .iter()
        .find(|it| it.class == Class::ManifestPut && it.path.ends_with("a/two/manifests/1"))
        .expect("the tag of the second");
    for request in cancelled {
        assert!(!of_second(request), "{request:?}");
        assert!(request.number > tag.number, "{request:?}");
    }
    assert_eq!(to.uploads(), 0, "no upload is left open");
}

#[test]
fn all_of_several_images_fail() {
    let scene = scene(&[]);
    write_spec(
        &scene,
        &[("HOST/a/one:1", MISSING), ("HOST/a/two:1", "HOST/a/no:2")],
    );
    insta::assert_snapshot!(scene.run("publish -f spec.yml"), @"
    exit code: 4
    ----- stderr -----
    error: publish HOST/a/one:1: failed to read HOST/team/app:missing: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
     hint: check the name, or wait with --wait 5m if another job still pushes it
     note: this failed too: publish HOST/a/two:1: failed to read HOST/a/no:2: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
    ");
    let registry: &Registry = scene.registry();
    assert!(registry.writes().is_empty());
}
