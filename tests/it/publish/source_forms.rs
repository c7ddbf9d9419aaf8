//! All forms of sources, and invalid sources.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::json;

use super::{load, scene};
use crate::support::{
    Scene,
    image::{Image, Index},
    registry::{Accounts, Bearer, Class, Registry},
    scene::{entries, platforms},
};

const PAIR: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Returns a scene with images for both platforms in `team/app`. AMD and ARM are their digests, the names with `_HEX`
/// are the hexadecimal parts, and the names with `_DESCRIPTOR` are the whole descriptors.
fn pair() -> Scene {
    let mut scene = scene(&[]);
    for (name, architecture) in [("AMD", "amd64"), ("ARM", "arm64")] {
        let image = Image::new(&format!("linux/{architecture}"));
        let image = image.load(scene.registry(), "team/app", architecture);
        let hex = image.digest.trim_start_matches("sha256:");
        scene.name(&format!("{name}_HEX"), hex);
        scene.name(
            &format!("{name}_DESCRIPTOR"),
            image.descriptor().to_string(),
        );
        scene.name(name, &image.digest);
    }
    scene
}

/// A form of the two sources: files that are written first, and the words for them.
struct Form {
    files: &'static [(&'static str, &'static str)],
    words: &'static [&'static str],
}

const fn words(words: &'static [&'static str]) -> Form {
    Form { files: &[], words }
}

const FORMS: [Form; 13] = [
    words(&["HOST/team/app:amd64", "HOST/team/app:arm64"]),
    words(&["HOST/team/app@AMD", "HOST/team/app@ARM"]),
    words(&["AMD", "ARM"]),
    words(&["AMD\nARM\n"]),
    words(&["HOST/team/app@AMD,ARM"]),
    words(&["AMD_DESCRIPTOR", "ARM_DESCRIPTOR"]),
    words(&[r#"["AMD",ARM_DESCRIPTOR]"#]),
    // The outputs of two jobs; `imageid` is not the digest of the image.
    words(&[
        r#"{"build-amd64": {"digest": "AMD", "imageid": "sha256:1111111111111111111111111111111111111111111111111111111111111111", "metadata": "{}"},
            "build-arm64": {"digest": "ARM", "version": "1.2.3"}}"#,
    ]),
    // The context `needs` of GitHub Actions.
    words(&[
        r#"{"build": {"result": "success", "outputs": {"digest-amd64": "AMD", "digest-arm64": "ARM"}}}"#,
    ]),
    Form {
        files: &[
            ("deep/digests-amd64/AMD_HEX", ""),
            ("deep/digests-arm64/ARM_HEX", ""),
        ],
        words: &["--digests", "deep"],
    },
    words(&["oci:amd:1", "oci-archive:arm.tar:1"]),
    words(&["oci:amd", "oci-archive:arm.tar"]),
    words(&["HOST/team/app:pair"]),
];

#[test]
fn every_form_gives_the_same_index() {
    let scene = pair();
    scene.ok("copy HOST/team/app:amd64 oci:amd:1");
    scene.ok("copy HOST/team/app:arm64 oci-archive:arm.tar:1");
    let index = scene
        .run("publish -t HOST/team/app:pair HOST/team/app:amd64 HOST/team/app:arm64")
        .ok()
        .digest();
    assert_eq!(platforms(scene.registry(), "team/app", "pair"), PAIR);
    for form in FORMS {
        for (path, content) in form.files {
            scene.write(path, content);
        }
        let command = ["publish", "-t", "HOST/team/app:1"];
        let output = scene.run_words(command.iter().chain(form.words)).ok();
        assert_eq!(output.digest(), index, "{:?}", form.words);
        assert_eq!(scene.registry().tag("team/app", "1"), Some(index.clone()));
        scene.registry().remove("team/app", "1");
    }
    assert_eq!(scene.registry().problems(), Vec::<String>::new());
}

/// The file names do not contain the platform, so the entries of the index are in the order of the names.
#[test]
fn digest_files_are_read_in_the_order_of_their_names() {
    let scene = pair();
    scene.write("flat/AMD_HEX", "");
    scene.write("flat/ARM_HEX", "");
    scene.ok("publish -t HOST/team/app:1 --digests flat");
    let mut expected = [scene.expand("AMD"), scene.expand("ARM")];
    expected.sort();
    let entries = entries(scene.registry(), "team/app", "1");
    let digests: Vec<_> = entries.iter().map(|entry| &entry["digest"]).collect();
    assert_eq!(digests, expected.each_ref());
}

#[test]
fn spec_files_give_the_same_index() {
    let scene = pair();
    let index = scene
        .run("publish -t HOST/team/app:pair HOST/team/app:amd64 HOST/team/app:arm64")
        .ok()
        .digest();
    for spec in [
        "image: HOST/team/app:1\nsources: ['HOST/team/app:amd64', 'HOST/team/app:arm64']\n",
        "image: HOST/team/app:1\nmanifests:\n- image: HOST/team/app:amd64\n  platform: {architecture: amd64, os: linux}\n\
         - image: HOST/team/app:arm64\n  platform:\n    architecture: arm64\n    os: linux\n",
    ] {
        scene.write("spec.yml", spec);
        let output = scene.run("publish -f spec.yml").ok();
        assert_eq!(output.digest(), index, "{spec}");
        scene.registry().remove("team/app", "1");
    }
}

#[test]
fn images_of_layouts_are_copied_byte_for_byte() {
    let scene = pair();
    scene.ok("copy HOST/team/app:amd64 oci:amd:1");
    scene.ok("copy HOST/team/app:arm64 oci-archive:arm.tar:1");
    scene.ok("publish -t HOST/other/app:1 oci:amd:1 oci-archive:arm.tar");
    let registry = scene.registry();
    for name in ["AMD", "ARM"] {
        let digest = scene.expand(name);
        let source = registry.manifest("team/app", &digest);
        assert_eq!(registry.manifest("other/app", &digest), source);
    }
    assert_eq!(registry.problems(), Vec::<String>::new());
}

#[test]
fn complete_descriptors_are_not_read() {
    let scene = pair();
    scene.ok("publish -t HOST/team/app:1 --no-verify AMD_DESCRIPTOR ARM_DESCRIPTOR");
    // Each descriptor is looked up once, and its manifest is not read.
    let registry = scene.registry();
    assert_eq!(registry.count(Class::ManifestGet), 0);
    let digests = [scene.expand("AMD"), scene.expand("ARM")];
    let is_of_image = |path: &str| digests.iter().any(|digest| path.contains(digest));
    assert_eq!(registry.count_where(|it| is_of_image(&it.path)), 2);
}

#[test]
fn index_is_flattened_to_its_third_level() {
    let scene = scene(&["s390x"]);
    let third = Index::oci().of(["linux/386"]);
    let second = Index::oci().of(["linux/arm64"]).nested(third);
    let nested = Index::oci().of(["linux/amd64"]).nested(second);
    nested.load(scene.registry(), "team/app", "nested");
    scene.ok("publish -t HOST/team/app:flat HOST/team/app:nested HOST/team/app:s390x");
    let expected = ["linux/amd64", "linux/arm64", "linux/386", "linux/s390x"];
    assert_eq!(platforms(scene.registry(), "team/app", "flat"), expected);
}

#[test]
fn single_index_keeps_its_digest() {
    let scene = scene(&[]);
    let index = Index::oci().of(PAIR).attested();
    let index = index.load(scene.registry(), "team/app", "index");
    let output = scene
        .run("publish -t HOST/b/app:1 HOST/team/app:index")
        .ok();
    assert_eq!(output.digest(), index.digest);
}

#[test]
fn single_image_becomes_an_index() {
    let scene = scene(&[]);
    let image = Image::new("linux/amd64").load(scene.registry(), "team/app", "amd64");
    scene.ok("publish -t HOST/b/app:1 HOST/team/app:amd64");
    let document = scene.registry().document("b/app", "1").unwrap();
    assert_eq!(document["manifests"], json!([image.descriptor()]));
}

#[test]
fn spec_file_of_manifest_tool_may_have_several_images() {
    let scene = pair();
    scene.write(
        "spec.yml",
        "\
image: HOST/team/app:1.2
tags: ['1', latest]
manifests:
- image: HOST/team/app:amd64
  platform: {architecture: amd64, os: linux}
- image: HOST/team/app:arm64
  platform:
    architecture: arm64
    os: linux
    variant: v8
---
image: HOST/team/other:1
annotations: {org.example.a: b}
manifests:
- image: HOST/team/app:amd64
",
    );
    scene.ok("publish -f spec.yml");
    let registry = scene.registry();
    let tag = |tag| registry.tag("team/app", tag).unwrap();
    assert_eq!(tag("1.2"), tag("1"));
    assert_eq!(tag("1.2"), tag("latest"));
    let expected = ["linux/amd64", "linux/arm64/v8"];
    assert_eq!(platforms(registry, "team/app", "1"), expected);
    let other = registry.document("team/other", "1").unwrap();
    assert_eq!(other["annotations"], json!({"org.example.a": "b"}));
}

#[test]
fn target_may_be_the_repository_of_an_earlier_source() {
    // The registry denies a token with too few permissions, without a challenge that names the missing ones.
    let server = Bearer::new(Accounts::new("ci", "hunter2")).deny();
    let mut scene = Scene::with(Registry::builder().bearer(server));
    load(&scene, &["amd64", "arm64"]);
    scene.log_in("ci", "hunter2");
    scene.write(
        "spec.yml",
        "image: HOST/team/first:1\nmanifests:\n- image: HOST/team/app:amd64\n\
         ---\nimage: HOST/team/app:1\nmanifests:\n- image: HOST/team/app:arm64\n",
    );
    scene.ok("publish -f spec.yml");
    let registry = scene.registry();
    assert_eq!(platforms(registry, "team/app", "1").len(), 1);
    let is_denied = |status: StatusCode| status == StatusCode::FORBIDDEN;
    assert_eq!(
        registry.count_where(|it| it.status.is_some_and(is_denied)),
        0
    );
}

#[test]
fn incomplete_platform_in_a_spec_file_is_completed() {
    let scene = scene(&[]);
    for (tag, version) in [("w2019", "10.0.17763.1"), ("w2022", "10.0.20348.1")] {
        let image = Image::new("windows/amd64").docker().os_version(version);
        image.load(scene.registry(), "team/app", tag);
    }
    Image::new("linux/arm/v6").load(scene.registry(), "team/app", "arm");
    scene.write(
        "spec.yml",
        "\
image: HOST/team/app:1
manifests:
- image: HOST/team/app:w2019
  platform: {architecture: amd64, os: windows}
- image: HOST/team/app:w2022
  platform: {architecture: amd64, os: windows}
- image: HOST/team/app:arm
  platform: {architecture: arm, os: linux}
",
    );
    scene.ok("publish -f spec.yml");
    let index = scene.registry().document("team/app", "1").unwrap();
    let platform = |entry: usize| index["manifests"][entry]["platform"].clone();
    assert_eq!(
        [platform(0), platform(1), platform(2)],
        [
            json!({"architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1"}),
            json!({"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.1"}),
            json!({"architecture": "arm", "os": "linux", "variant": "v6"}),
        ]
    );
}

#[test]
fn two_hundred_images_in_one_spec_file_are_published() {
    let scene = pair();
    let mut spec = String::new();
    for number in 0..200 {
        write!(
            spec,
            "---\nimage: HOST/many/app-{number}:1\nannotations: {{number: '{number}'}}\n\
             sources: ['HOST/team/app:amd64', 'HOST/team/app:arm64']\n"
        )
        .unwrap();
    }
    scene.write("spec.yml", spec);
    let result = scene.run("publish -f spec.yml --output json").ok().json();
    assert_eq!(result["results"].as_array().unwrap().len(), 200);
    let registry = scene.registry();
    for number in 0..200 {
        let index = registry
            .document(&format!("many/app-{number}"), "1")
            .unwrap();
        assert_eq!(index["annotations"]["number"], number.to_string());
    }
    assert_eq!(registry.problems(), Vec::<String>::new());
}

#[test]
fn invalid_sources_are_refused_and_nothing_is_pushed() {
    let scene = pair();
    scene.write("digests/AMD_HEX", "");
    scene.write("digests/build.log", "it worked");
    std::fs::create_dir(scene.path("empty")).unwrap();
    scene.write(
        "spec.yml",
        "image: HOST/team/app:1\nsources: ['HOST/team/app:amd64']\n",
    );
    // buildx takes this file together with a tag.
    scene.write(
        "descriptor.json",
        r#"{"mediaType":"a/b","digest":"sha256:0","size":1}"#,
    );
    insta::assert_snapshot!(scene.transcript([
        "publish -t HOST/team/app:1 --digests digests",
        "publish -t HOST/team/app:1 --digests empty",
        "publish -t HOST/team/app:1 --digests nowhere",
        "publish -t HOST/team/app:2 -f spec.yml",
        "publish -t HOST/team/app:2 -f descriptor.json",
        "publish -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:riscv64",
    ]), @r#"
    $ polyarch publish -t HOST/team/app:1 --digests digests
    exit code: 2
    ----- stderr -----
    error: digests/build.log is not a digest file: neither its name nor its content is a digest
     hint: name each file after the 64 hex digits of a digest (`touch "digests/${digest#sha256:}"`), or write one digest to it

    $ polyarch publish -t HOST/team/app:1 --digests empty
    exit code: 2
    ----- stderr -----
    error: no digest file in empty
     hint: run `touch "digests/${digest#sha256:}"` after the build

    $ polyarch publish -t HOST/team/app:1 --digests nowhere
    exit code: 2
    ----- stderr -----
    error: cannot read nowhere: No such file or directory (os error 2)
     hint: check the path, which is relative to the working directory, and whether an earlier job uploaded the files and this job downloaded them

    $ polyarch publish -t HOST/team/app:2 -f spec.yml
    exit code: 2
    ----- stderr -----
    error: --tag cannot be used with --file

    $ polyarch publish -t HOST/team/app:2 -f descriptor.json
    exit code: 2
    ----- stderr -----
    error: descriptor.json: the file contains a descriptor, not a spec file
     hint: pass the descriptor as a source: "$(cat descriptor.json)"

    $ polyarch publish -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:riscv64
    exit code: 4
    ----- stderr -----
    error: failed to read HOST/team/app:riscv64: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
     hint: check the name, or wait with --wait 5m if another job still pushes it
    "#);
    assert!(scene.registry().writes().is_empty());
}

#[test]
fn wrong_descriptors_are_refused() {
    let mut scene = pair();
    let image = Image::new("linux/amd64").load(scene.registry(), "team/app", "amd64");
    let mut size = image.descriptor();
    size["size"] = 7.into();
    let mut kind = image.descriptor();
    kind["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json".into();
    scene.name("WRONG_SIZE", size.to_string());
    scene.name("WRONG_TYPE", kind.to_string());
    insta::assert_snapshot!(scene.transcript([
        "publish -t HOST/other/app:1 --image HOST/team/app WRONG_SIZE",
        "publish -t HOST/other/app:1 --image HOST/team/app WRONG_TYPE",
    ]), @"
    $ polyarch publish -t HOST/other/app:1 --image HOST/team/app WRONG_SIZE
    exit code: 5
    ----- stderr -----
    error: failed to use HOST/team/app@AMD: its descriptor declares the size 7, the registry has 477

    $ polyarch publish -t HOST/other/app:1 --image HOST/team/app WRONG_TYPE
    exit code: 5
    ----- stderr -----
    error: failed to use HOST/team/app@AMD: its descriptor declares the media type application/vnd.docker.distribution.manifest.v2+json, the registry has application/vnd.oci.image.manifest.v1+json
    ");
    assert!(scene.registry().writes().is_empty());
}

#[test]
fn layouts_can_be_inspected() {
    let scene = pair();
    scene.ok("publish -t oci:out:1.0 HOST/team/app:amd64 HOST/team/app:arm64");
    insta::assert_snapshot!(scene.transcript([
        "inspect --tree oci:out:1.0",
        "inspect oci:out:2.0",
        "inspect oci:nowhere:1",
    ]), @r#"
    $ polyarch inspect --tree oci:out:1.0
    exit code: 0
    ----- stdout -----
    oci:out:1.0
    sha256:0fa48a336f732d11cacbbfff31d0115c17f51895f6d5803953d2ef6ffcd5775b application/vnd.oci.image.index.v1+json 645 B
    ├── linux/amd64      AMD  477 B
    └── linux/arm64      ARM  477 B

    $ polyarch inspect oci:out:2.0
    exit code: 4
    ----- stderr -----
    error: no such manifest: oci:out:2.0: no entry of index.json is named "2.0"
     hint: use one of the names in index.json: "1.0"

    $ polyarch inspect oci:nowhere:1
    exit code: 4
    ----- stderr -----
    error: failed to open oci:nowhere: cannot read nowhere/oci-layout: No such file or directory (os error 2)
    "#);
    let verbose = scene.run("inspect -v oci:out").ok().json();
    assert_eq!(verbose[1]["Ref"], "oci:out@ARM");
}
