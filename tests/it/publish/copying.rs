//! `copy`: byte for byte, between registries and layouts.

use serde_json::Value;

use crate::support::{
    Scene,
    image::{self, Image, Index, media},
    registry::{Class, Fault, Registry, Rule},
    scene::{entries, manifest_puts, platforms},
};

fn two() -> Scene {
    let mut scene = Scene::two();
    scene.set("POLYARCH_PROGRESS", "none");
    scene
}

#[test]
fn images_and_indexes_are_copied_byte_for_byte() {
    let scene = two();
    let from = scene.registry();
    let pair = ["linux/amd64", "linux/arm64"];
    let nested = Index::oci().of(["linux/s390x"]);
    // A copy does not object to two images for one platform.
    let twins = Index::oci()
        .image(Image::new("linux/amd64"))
        .image(Image::new("linux/amd64").seed(2));
    let all = [
        (
            "image",
            Image::new("linux/amd64").load(from, "team/app", "image"),
        ),
        (
            "index",
            Index::oci()
                .of(pair)
                .attested()
                .load(from, "team/app", "index"),
        ),
        (
            "list",
            Index::docker().of(pair).load(from, "team/app", "list"),
        ),
        (
            "nested",
            Index::oci()
                .of(["linux/386"])
                .nested(nested)
                .load(from, "team/app", "nested"),
        ),
        ("twins", twins.load(from, "team/app", "twins")),
    ];
    for (tag, loaded) in all {
        let output = scene.run(&format!("copy HOST/team/app:{tag} OTHER/other/app:{tag}"));
        assert_eq!(output.ok().digest(), loaded.digest, "{tag}");
        let copied = scene.other().manifest("other/app", tag).unwrap();
        assert_eq!(copied, (loaded.media_type, loaded.bytes), "{tag}");
    }
    assert_eq!(scene.other().problems(), Vec::<String>::new());
}

/// Puts an attested index of three platforms into `team/app:1`, and returns its entries.
fn three_platforms(scene: &Scene) -> Vec<Value> {
    let index = Index::oci()
        .of(["linux/amd64", "linux/arm64", "linux/s390x"])
        .attested();
    index.load(scene.registry(), "team/app", "1");
    entries(scene.registry(), "team/app", "1")
}

#[test]
fn one_platform_is_an_image_and_several_are_an_index() {
    let scene = two();
    let entries = three_platforms(&scene);
    let to = scene.other();
    scene.ok("copy --platform linux/arm64 HOST/team/app:1 OTHER/team/app:one");
    assert_eq!(to.tag("team/app", "one").unwrap(), entries[1]["digest"]);
    let (media_type, _) = to.manifest("team/app", "one").unwrap();
    assert_eq!(media_type, media::OCI_MANIFEST);
    scene.ok("copy --platform linux/amd64,linux/s390x HOST/team/app:1 OTHER/team/app:two");
    let mut images = platforms(to, "team/app", "two");
    images.retain(|platform| platform != "unknown/unknown");
    assert_eq!(images, ["linux/amd64", "linux/s390x"]);
    insta::assert_snapshot!(
        scene.run("copy --platform linux/riscv64 HOST/team/app:1 OTHER/team/app:none"),
        @"
    exit code: 5
    ----- stderr -----
    error: missing platform linux/riscv64; found: linux/amd64, linux/arm64, linux/s390x
     hint: add the missing source, or remove the platform from --platform
    "
    );
    assert_eq!(to.tag("team/app", "none"), None);
    assert_eq!(to.problems(), Vec::<String>::new());
}

#[test]
fn several_destinations_are_filled_in_one_run() {
    let mut scene = two();
    three_platforms(&scene);
    let digest = scene.registry().tag("team/app", "1").unwrap();
    let line = "copy HOST/team/app:1 HOST/team/app:2 HOST/other/app:1 OTHER/team/app:1 oci:out:1 \
                oci-archive:out.tar:1";
    assert_eq!(scene.run(line).ok().digest(), digest);
    let there = |registry: &Registry, repository, tag| registry.tag(repository, tag).unwrap();
    assert_eq!(there(scene.registry(), "team/app", "2"), digest);
    assert_eq!(there(scene.registry(), "other/app", "1"), digest);
    assert_eq!(there(scene.other(), "team/app", "1"), digest);
    // The images are copied from the layouts to an empty registry.
    for (layout, name) in [("oci:out:1", "THIRD"), ("oci-archive:out.tar", "FOURTH")] {
        scene.add(Registry::builder());
        let output = scene.run(&format!("copy {layout} {name}/team/app:1"));
        assert_eq!(output.ok().digest(), digest);
        let registry = scene.registries.last().unwrap();
        assert_eq!(there(registry, "team/app", "1"), digest);
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[test]
fn new_tag_in_the_same_repository_is_one_write() {
    let scene = Scene::new();
    three_platforms(&scene);
    scene.ok("copy HOST/team/app:1 HOST/team/app:2");
    assert_eq!(scene.registry().writes().len(), 1);
    let puts = manifest_puts(scene.registry());
    assert!(puts[0].path.ends_with("/manifests/2"));
}

#[test]
fn blobs_are_mounted_within_one_registry() {
    let scene = Scene::new();
    three_platforms(&scene);
    let output = scene.run("copy HOST/team/app:1 HOST/new/app:1").ok();
    let mounted = output.stderr.matches("Mounted from HOST/team/app").count();
    assert!(mounted > 0, "{output}");
    let received: u64 = scene.registry().requests().iter().map(|it| it.body).sum();
    assert!(received < 20_000, "not only manifests: {received} bytes");
    assert_eq!(scene.registry().problems(), Vec::<String>::new());
}

#[test]
fn dry_run_copies_nothing() {
    let scene = Scene::new();
    three_platforms(&scene);
    let output = scene
        .run("copy --dry-run HOST/team/app:1 HOST/new/app:1 oci:out:1")
        .ok();
    assert_eq!(
        output.digest(),
        scene.registry().tag("team/app", "1").unwrap()
    );
    assert!(scene.registry().writes().is_empty());
    assert!(!scene.path("out").exists());
}

#[test]
fn second_source_is_refused() {
    insta::assert_snapshot!(Scene::new().run("copy HOST/a:1,HOST/a:2 HOST/b:1"), @"
    exit code: 2
    ----- stderr -----
    error: copy takes one source; `publish` merges several
    ");
}

/// The tag was pushed, but the referrers of the image were not.
#[test]
fn failure_to_copy_referrers_is_a_partial_success() {
    let scene = two();
    let (from, to) = (scene.registry(), scene.other());
    let image = Image::new("linux/amd64").load(from, "team/app", "1");
    let referrer = image::referrer(from, "team/app", &image, "application/spdx+json");
    let path = format!("/v2/other/app/manifests/{}", referrer.digest);
    let put = Rule::on(Class::ManifestPut).path(&path).forever();
    to.rule(put.then(Fault::status(500)));
    insta::assert_snapshot!(
        scene.run("copy --referrers --retry-for 0 HOST/team/app:1 OTHER/other/app:1"),
        @"
    exit code: 7
    ----- stdout -----
    application/vnd.oci.image.manifest.v1+json  d744833917e1  477 B
    └── linux/amd64       d744833917e1  2.3 kB
        └── from HOST/team/app:1

    OTHER/other/app:1  pushed (new)

    sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce
    ----- stderr -----
    warning: failed to copy all referrers: failed to push OTHER/other/app@sha256:1a33765f872cc36b544bf5b98b211ba57b899d43a399d1af55e206a8db58e36e: OTHER answered 500 Internal Server Error (gave up after waiting 0 s for retries)
    error: failed to push OTHER/other/app@sha256:1a33765f872cc36b544bf5b98b211ba57b899d43a399d1af55e206a8db58e36e: OTHER answered 500 Internal Server Error (gave up after waiting 0 s for retries)
     hint: allow more time for retries with --retry-for DURATION
     note: these tags were pushed: OTHER/other/app:1
    "
    );
    assert!(to.tag("other/app", "1").is_some());
    to.remove("other/app", "1");
    let line = "copy --referrers --retry-for 0 --output json HOST/team/app:1 OTHER/other/app:1";
    let result = scene.run(line).exits(7).json();
    assert_eq!(result["notices"][0]["severity"], "warning");
}

/// Referrers of the index, of an image in it, and of a referrer: a signed SBOM.
#[test]
fn referrers_at_every_level_are_copied() {
    for builder in [Registry::builder(), Registry::builder().without_referrers()] {
        let scene = Scene::of([Registry::builder(), builder, Registry::builder()]);
        let (from, to, third) = (scene.registry(), scene.other(), &scene.registries[2]);
        let child = Image::new("linux/amd64").load(from, "team/app", None);
        let index = Index::oci().image(Image::new("linux/amd64"));
        let index = index.load(from, "team/app", "1");
        let (signature, _) = image::sign(from, "team/app", &index.digest);
        let refer = |subject, kind| image::referrer(from, "team/app", subject, kind);
        let of_index = refer(&index, "application/spdx+json");
        let of_child = refer(&child, "application/spdx+json");
        let of_referrer = refer(&of_child, "application/vnd.signature");
        scene.ok("copy --referrers HOST/team/app:1 OTHER/other/app:1");
        assert!(to.tag("other/app", &signature).is_some());
        for referrer in [&of_index, &of_child, &of_referrer] {
            assert!(to.manifest("other/app", &referrer.digest).is_some());
        }
        assert_eq!(to.problems(), Vec::<String>::new());
        // The second registry, with or without the referrers API, is the source of a copy to a third one.
        scene.ok("copy --referrers OTHER/other/app:1 THIRD/last/app:1");
        for referrer in [&of_index, &of_child, &of_referrer] {
            assert!(third.manifest("last/app", &referrer.digest).is_some());
        }
        to.clear();
        scene.ok("copy --referrers HOST/team/app:1 OTHER/other/app:1");
        let moved = to.count_where(|it| it.writes() && it.body > 0);
        assert_eq!(moved, 0, "a second run moves nothing");
    }
}
