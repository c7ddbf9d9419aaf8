//! Every form in which a source can be written leads to the same index.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::json;

use super::{Home, platforms, registry};
use crate::support::{
    Registry,
    image::{Image, Index, Loaded},
    registry::{Accounts, Bearer, Class},
};

/// Two images in `team/app`, tagged by their architecture.
fn pair(registry: &Registry) -> [Loaded; 2] {
    ["amd64", "arm64"].map(|architecture| {
        Image::new(&format!("linux/{architecture}")).load(registry, "team/app", architecture)
    })
}

const PAIR: [&str; 2] = ["linux/amd64", "linux/arm64"];

fn hex(image: &Loaded) -> &str {
    image.digest.strip_prefix("sha256:").unwrap()
}

#[test]
fn references_digests_and_descriptors_give_one_digest() {
    let registry = registry();
    let home = Home::new();
    let [amd, arm] = pair(&registry);
    let target = registry.reference("team/app", "1");
    let by_tag = home
        .publish(
            &target,
            &[
                &registry.reference("team/app", "amd64"),
                &registry.reference("team/app", "arm64"),
            ],
        )
        .ok()
        .digest();
    assert_eq!(registry.tag("team/app", "1").unwrap(), by_tag);
    assert_eq!(platforms(&registry, "team/app", "1"), PAIR);
    let reference = |image: &Loaded| format!("{}/team/app@{}", registry.host(), image.digest);
    let outputs = json!({
        "build-amd64": {"digest": amd.digest, "imageid": format!("sha256:{}", "1".repeat(64)), "metadata": "{}"},
        "build-arm64": {"digest": arm.digest, "version": "1.2.3"},
    });
    let needs = json!({
        "build": {"result": "success", "outputs": {"digest-amd64": amd.digest, "digest-arm64": arm.digest}},
    });
    let forms: [Vec<String>; 8] = [
        vec![reference(&amd), reference(&arm)],
        vec![amd.digest.clone(), arm.digest.clone()],
        vec![format!("{}\n{}\n", amd.digest, arm.digest)],
        vec![format!("{},{}", reference(&amd), arm.digest)],
        vec![amd.descriptor().to_string(), arm.descriptor().to_string()],
        vec![json!([amd.digest, arm.descriptor()]).to_string()],
        vec![outputs.to_string()],
        vec![needs.to_string()],
    ];
    for form in forms {
        let words: Vec<&str> = form.iter().map(String::as_str).collect();
        let target = registry.reference("team/app", "again");
        let said = home.publish(&target, &words).ok();
        assert_eq!(said.digest(), by_tag, "{form:?}");
        registry.remove("team/app", "again");
    }
    assert_eq!(registry.problems(), Vec::<String>::new());
}

#[test]
fn descriptors_that_say_everything_are_not_read() {
    let registry = registry();
    let home = Home::new();
    let [amd, arm] = pair(&registry);
    let target = registry.reference("team/app", "1");
    let sources = [amd.descriptor().to_string(), arm.descriptor().to_string()];
    let words = ["--no-verify", &sources[0], &sources[1]];
    home.publish(&target, &words).ok();
    // Each is looked at once, and not read.
    assert_eq!(registry.count(Class::ManifestGet), 0);
    let looks = registry.count_where(|request| {
        request.path.contains(&amd.digest) || request.path.contains(&arm.digest)
    });
    assert_eq!(looks, 2);
}

#[test]
fn digests_from_a_directory_and_one_level_below() {
    let registry = registry();
    let home = Home::new();
    let [amd, arm] = pair(&registry);
    home.write(&format!("flat/{}", hex(&amd)), "");
    home.write(&format!("flat/{}", hex(&arm)), "");
    home.write(&format!("deep/digests-amd64/{}", hex(&amd)), "");
    home.write(&format!("deep/digests-arm64/{}", hex(&arm)), "");
    for directory in ["flat", "deep"] {
        let target = registry.reference("team/app", directory);
        home.publish(&target, &["--digests", directory]).ok();
        let mut found = platforms(&registry, "team/app", directory);
        found.sort();
        assert_eq!(found, PAIR);
    }
}

#[test]
fn a_foreign_file_among_digests_is_named_and_nothing_is_pushed() {
    let registry = registry();
    let home = Home::new();
    let [amd, _] = pair(&registry);
    home.write(&format!("digests/{}", hex(&amd)), "");
    home.write("digests/build.log", "it worked");
    let target = registry.reference("team/app", "1");
    home.publish(&target, &["--digests", "digests"])
        .refused(2, &["build.log", "is not a digest file", "hint"]);
    std::fs::create_dir(home.path("empty")).unwrap();
    home.publish(&target, &["--digests", "empty"])
        .refused(2, &["no digest file in empty"]);
    assert!(registry.writes().is_empty());
}

#[test]
fn layouts_in_a_directory_and_in_an_archive() {
    let registry = registry();
    let home = Home::new();
    let [amd, arm] = pair(&registry);
    let copy = |image: &str, layout: &str| {
        home.run(&["copy", &registry.reference("team/app", image), layout])
            .ok();
    };
    copy("amd64", "oci:amd:1");
    copy("arm64", "oci-archive:arm.tar:1");
    let target = registry.reference("other/app", "1");
    let said = home
        .publish(&target, &["oci:amd:1", "oci-archive:arm.tar"])
        .ok();
    assert_eq!(platforms(&registry, "other/app", "1"), PAIR);
    assert_eq!(registry.tag("other/app", "1").unwrap(), said.digest());
    for image in [amd, arm] {
        let (_, bytes) = registry.manifest("other/app", &image.digest).unwrap();
        assert_eq!(bytes, image.bytes);
    }
    assert_eq!(registry.problems(), Vec::<String>::new());
}

#[test]
fn an_index_is_flattened_to_its_third_level() {
    let registry = registry();
    let home = Home::new();
    let nested = Index::oci().of(["linux/amd64"]).nested(
        Index::oci()
            .of(["linux/arm64"])
            .nested(Index::oci().of(["linux/386"])),
    );
    nested.load(&registry, "team/app", "nested");
    Image::new("linux/s390x").load(&registry, "team/app", "more");
    home.publish(
        &registry.reference("team/app", "flat"),
        &[
            &registry.reference("team/app", "nested"),
            &registry.reference("team/app", "more"),
        ],
    )
    .ok();
    let expected = ["linux/amd64", "linux/arm64", "linux/386", "linux/s390x"];
    assert_eq!(platforms(&registry, "team/app", "flat"), expected);
}

#[test]
fn a_single_index_keeps_its_digest_and_a_single_image_becomes_an_index() {
    let registry = registry();
    let home = Home::new();
    let index = Index::oci()
        .of(PAIR)
        .attested()
        .load(&registry, "a/app", "index");
    let image = Image::new("linux/amd64").load(&registry, "a/app", "image");
    let source = registry.reference("a/app", "index");
    let said = home
        .publish(&registry.reference("b/app", "index"), &[&source])
        .ok();
    assert_eq!(said.digest(), index.digest);
    let source = registry.reference("a/app", "image");
    home.publish(&registry.reference("b/app", "image"), &[&source])
        .ok();
    let document = registry.document("b/app", "image").unwrap();
    assert_eq!(document["manifests"], json!([image.descriptor()]));
}

#[test]
fn a_spec_file_in_the_format_of_manifest_tool_with_several_images() {
    let registry = registry();
    let home = Home::new();
    pair(&registry);
    let host = registry.host();
    home.write(
        "spec.yml",
        format!(
            "image: {host}/team/app:1.2\ntags: ['1', latest]\nmanifests:\n\
             - image: {host}/team/app:amd64\n  platform: {{architecture: amd64, os: linux}}\n\
             - image: {host}/team/app:arm64\n  platform:\n    architecture: arm64\n    os: linux\n    variant: v8\n\
             ---\nimage: {host}/team/other:1\nannotations: {{org.example.a: b}}\nmanifests:\n\
             - image: {host}/team/app:amd64\n"
        ),
    );
    home.run(&["publish", "-f", "spec.yml"]).ok();
    let tag = |tag| registry.tag("team/app", tag).unwrap();
    assert_eq!(tag("1.2"), tag("1"));
    assert_eq!(tag("1.2"), tag("latest"));
    assert_eq!(
        platforms(&registry, "team/app", "1"),
        ["linux/amd64", "linux/arm64/v8"]
    );
    let other = registry.document("team/other", "1").unwrap();
    assert_eq!(other["annotations"], json!({"org.example.a": "b"}));
}

#[test]
fn a_target_of_a_spec_file_that_an_earlier_image_is_made_of() {
    // Too narrow a token is a denial here, not a challenge that says what is missing.
    let server = Bearer::new(Accounts::new("ci", "hunter2")).deny();
    let registry = Registry::builder().bearer(server).start_in_background();
    pair(&registry);
    let mut home = Home::new();
    home.set("POLYARCH_USERNAME", "ci");
    home.set("POLYARCH_PASSWORD", "hunter2");
    home.set("POLYARCH_REGISTRY", registry.host());
    let host = registry.host();
    home.write(
        "spec.yml",
        format!(
            "image: {host}/team/first:1\nmanifests:\n- image: {host}/team/app:amd64\n\
             ---\nimage: {host}/team/app:1\nmanifests:\n- image: {host}/team/app:arm64\n"
        ),
    );
    home.run(&["publish", "-f", "spec.yml"]).ok();
    assert_eq!(platforms(&registry, "team/app", "1").len(), 1);
    assert_eq!(
        registry.count_where(|it| it.status == Some(StatusCode::FORBIDDEN)),
        0
    );
}

#[test]
fn what_a_platform_in_a_spec_file_leaves_open_comes_from_the_image() {
    let registry = registry();
    let home = Home::new();
    let host = registry.host();
    for (tag, version) in [("w2019", "10.0.17763.1"), ("w2022", "10.0.20348.1")] {
        Image::new("windows/amd64")
            .docker()
            .os_version(version)
            .load(&registry, "team/app", tag);
    }
    Image::new("linux/arm/v6").load(&registry, "team/app", "arm");
    home.write(
        "spec.yml",
        format!(
            "image: {host}/team/app:1\nmanifests:\n\
             - image: {host}/team/app:w2019\n  platform: {{architecture: amd64, os: windows}}\n\
             - image: {host}/team/app:w2022\n  platform: {{architecture: amd64, os: windows}}\n\
             - image: {host}/team/app:arm\n  platform: {{architecture: arm, os: linux}}\n"
        ),
    );
    home.run(&["publish", "-f", "spec.yml"]).ok();
    let index = registry.document("team/app", "1").unwrap();
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
fn options_that_a_spec_file_would_leave_unheard_are_refused() {
    let registry = registry();
    let home = Home::new();
    pair(&registry);
    let host = registry.host();
    home.write(
        "spec.yml",
        format!("image: {host}/team/app:1\nsources: ['{host}/team/app:amd64']\n"),
    );
    let elsewhere = registry.reference("team/app", "2");
    home.publish(&elsewhere, &["-f", "spec.yml"])
        .refused(2, &["--tag", "--file"]);
    assert!(registry.writes().is_empty());
}

#[test]
fn two_hundred_images_in_one_spec_file() {
    let registry = registry();
    let home = Home::new();
    pair(&registry);
    let host = registry.host();
    let mut spec = String::new();
    for number in 0..200 {
        write!(
            spec,
            "---\nimage: {host}/many/app-{number}:1\nannotations: {{number: '{number}'}}\n\
             sources: ['{host}/team/app:amd64', '{host}/team/app:arm64']\n"
        )
        .unwrap();
    }
    home.write("spec.yml", spec);
    let said = home
        .run(&["publish", "-f", "spec.yml", "--output", "json"])
        .ok();
    assert_eq!(said.json()["results"].as_array().unwrap().len(), 200);
    for number in 0..200 {
        let repo = format!("many/app-{number}");
        let index = registry.document(&repo, "1").unwrap();
        assert_eq!(index["annotations"]["number"], number.to_string());
    }
    assert_eq!(registry.problems(), Vec::<String>::new());
}

#[test]
fn a_descriptor_that_lies_is_refused() {
    let registry = registry();
    let home = Home::new();
    let [amd, _] = pair(&registry);
    let target = registry.reference("other/app", "1");
    let image = registry.reference("team/app", "x");
    let image = image.trim_end_matches(":x");
    let mut size = amd.descriptor();
    size["size"] = 7.into();
    let mut kind = amd.descriptor();
    kind["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json".into();
    for (lie, what) in [(size, "size 7"), (kind, "media type")] {
        home.publish(&target, &["--image", image, &lie.to_string()])
            .refused(5, &["descriptor says", what, &amd.digest]);
    }
    assert!(registry.writes().is_empty());
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let registry = registry();
    let home = Home::new();
    pair(&registry);
    let missing = registry.reference("team/app", "riscv64");
    let words = [&registry.reference("team/app", "amd64"), missing.as_str()];
    home.publish(&registry.reference("team/app", "1"), &words)
        .refused(4, &[&missing]);
    assert!(registry.writes().is_empty());
}

#[test]
fn a_layout_can_be_looked_at() {
    let registry = registry();
    let home = Home::new();
    pair(&registry);
    let host = registry.host();
    let sources = [
        format!("{host}/team/app:amd64"),
        format!("{host}/team/app:arm64"),
    ];
    let said = home.publish("oci:out:1.0", &[&sources[0], &sources[1]]);
    let digest = said.ok().digest();
    let tree = home.run(&["inspect", "--tree", "oci:out:1.0"]).ok();
    assert!(
        tree.stdout.starts_with(&format!("oci:out:1.0\n{digest} ")),
        "{}",
        tree.stdout
    );
    let verbose = home.run(&["inspect", "-v", "oci:out"]).ok().json();
    let name = verbose[1]["Ref"].as_str().unwrap();
    assert!(name.starts_with("oci:out@sha256:"), "{name}");
    home.run(&["inspect", "oci:out:2.0"]).refused(4, &["2.0"]);
    home.run(&["inspect", "oci:nowhere:1"])
        .refused(4, &["nowhere"]);
}

#[test]
fn a_digest_directory_that_is_not_there_is_told_once() {
    let home = Home::new();
    let said = home
        .publish("registry.test/team/app:1", &["--digests", "nowhere"])
        .refused(2, &["cannot read nowhere", "downloaded them"]);
    assert_eq!(
        said.stderr.matches("No such file").count(),
        1,
        "{}",
        said.stderr
    );
}
