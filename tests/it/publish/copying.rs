//! `copy`: byte for byte, from anywhere to anywhere.

use serde_json::Value;

use super::{Home, platforms, puts, registry};
use crate::support::{
    Registry,
    image::{self, Image, Index, media},
    registry::{Class, Fault, Rule},
};

#[test]
fn an_image_stays_an_image_and_an_index_an_index() {
    let from = registry();
    let to = registry();
    let home = Home::new();
    let image = Image::new("linux/amd64").load(&from, "team/app", "image");
    let index = Index::oci()
        .of(["linux/amd64", "linux/arm64"])
        .attested()
        .load(&from, "team/app", "index");
    let list = Index::docker()
        .of(["linux/amd64", "linux/arm64"])
        .load(&from, "team/app", "list");
    let nested = Index::oci()
        .of(["linux/386"])
        .nested(Index::oci().of(["linux/s390x"]))
        .load(&from, "team/app", "nested");
    // Two images for one platform are the source's business.
    let twins = Index::oci()
        .image(Image::new("linux/amd64"))
        .image(Image::new("linux/amd64").seed(2))
        .load(&from, "team/app", "twins");
    let all = [
        ("image", image),
        ("index", index),
        ("list", list),
        ("nested", nested),
        ("twins", twins),
    ];
    for (tag, loaded) in all {
        let words = [
            "copy",
            &from.reference("team/app", tag),
            &to.reference("other/app", tag),
        ];
        let said = home.run(&words).ok();
        assert_eq!(said.digest(), loaded.digest, "{tag}");
        let (media_type, bytes) = to.manifest("other/app", tag).unwrap();
        assert_eq!(
            (media_type, bytes),
            (loaded.media_type, loaded.bytes),
            "{tag}"
        );
    }
    assert_eq!(to.problems(), Vec::<String>::new());
}

fn three_platforms(registry: &Registry) -> Vec<Value> {
    let index = Index::oci()
        .of(["linux/amd64", "linux/arm64", "linux/s390x"])
        .attested();
    index.load(registry, "team/app", "1");
    super::entries(registry, "team/app", "1")
}

#[test]
fn one_platform_is_an_image_and_several_are_an_index() {
    let from = registry();
    let to = registry();
    let home = Home::new();
    let entries = three_platforms(&from);
    let source = from.reference("team/app", "1");
    let copy = |tag: &str, platform: &str| {
        let target = to.reference("team/app", tag);
        home.run(&["copy", "--platform", platform, &source, &target])
    };
    copy("one", "linux/arm64").ok();
    assert_eq!(to.tag("team/app", "one").unwrap(), entries[1]["digest"]);
    assert_eq!(
        to.manifest("team/app", "one").unwrap().0,
        media::OCI_MANIFEST
    );
    copy("two", "linux/amd64,linux/s390x").ok();
    let images: Vec<String> = platforms(&to, "team/app", "two")
        .into_iter()
        .filter(|platform| platform != "unknown/unknown")
        .collect();
    assert_eq!(images, ["linux/amd64", "linux/s390x"]);
    copy("none", "linux/riscv64").refused(5, &["missing platform linux/riscv64", "linux/s390x"]);
    assert_eq!(to.tag("team/app", "none"), None);
    assert_eq!(to.problems(), Vec::<String>::new());
}

#[test]
fn several_destinations_in_one_run() {
    let from = registry();
    let to = registry();
    let home = Home::new();
    three_platforms(&from);
    let digest = from.tag("team/app", "1").unwrap();
    let targets = [
        from.reference("team/app", "2"),
        from.reference("other/app", "1"),
        to.reference("team/app", "1"),
        "oci:out:1".to_owned(),
        "oci-archive:out.tar:1".to_owned(),
    ];
    let source = from.reference("team/app", "1");
    let mut words = vec!["copy", &source];
    words.extend(targets.iter().map(String::as_str));
    assert_eq!(home.run(&words).ok().digest(), digest);
    assert_eq!(from.tag("team/app", "2").unwrap(), digest);
    assert_eq!(from.tag("other/app", "1").unwrap(), digest);
    assert_eq!(to.tag("team/app", "1").unwrap(), digest);
    // And back from the disk to where it never was.
    for (layout, tag) in [("oci:out:1", "a"), ("oci-archive:out.tar", "b")] {
        let back = registry();
        let target = back.reference("team/app", tag);
        assert_eq!(home.run(&["copy", layout, &target]).ok().digest(), digest);
        assert_eq!(back.tag("team/app", tag).unwrap(), digest);
        assert_eq!(back.problems(), Vec::<String>::new());
    }
}

#[test]
fn a_new_tag_in_the_same_repository_moves_nothing_else() {
    let registry = registry();
    let home = Home::new();
    three_platforms(&registry);
    let words = [
        "copy",
        &registry.reference("team/app", "1"),
        &registry.reference("team/app", "2"),
    ];
    home.run(&words).ok();
    let puts = puts(&registry);
    assert_eq!(registry.writes().len(), 1);
    assert!(puts[0].path.ends_with("/manifests/2"));
}

#[test]
fn copying_within_one_registry_mounts() {
    let registry = registry();
    let home = Home::new();
    three_platforms(&registry);
    let words = [
        "copy",
        &registry.reference("team/app", "1"),
        &registry.reference("new/app", "1"),
    ];
    let said = home.run(&words).ok();
    let host = registry.host();
    assert!(
        said.stderr
            .contains(&format!("Mounted from {host}/team/app")),
        "{}",
        said.stderr
    );
    let received: u64 = registry.requests().iter().map(|it| it.body).sum();
    assert!(
        received < 20_000,
        "only manifests are sent, not {received} bytes"
    );
    assert_eq!(registry.problems(), Vec::<String>::new());
}

#[test]
fn a_dry_run_copies_nothing() {
    let registry = registry();
    let home = Home::new();
    three_platforms(&registry);
    let source = registry.reference("team/app", "1");
    let words = [
        "copy",
        "--dry-run",
        &source,
        &registry.reference("new/app", "1"),
        "oci:out:1",
    ];
    let said = home.run(&words).ok();
    assert_eq!(said.digest(), registry.tag("team/app", "1").unwrap());
    assert!(registry.writes().is_empty());
    assert!(!home.path("out").exists());
}

#[test]
fn copy_takes_one_source() {
    let registry = registry();
    let home = Home::new();
    let sources = [registry.reference("a", "1"), registry.reference("a", "2")].join(",");
    home.run(&["copy", &sources, &registry.reference("b", "1")])
        .refused(2, &["one source", "publish"]);
}

/// The tags are there, and what refers to the image is not.
#[test]
fn referrers_that_cannot_be_copied_are_half_of_the_work() {
    let (from, to) = (registry(), registry());
    let home = Home::new();
    let image = Image::new("linux/amd64").load(&from, "team/app", "1");
    let referrer = image::referrer(&from, "team/app", &image, "application/spdx+json");
    let path = format!("/v2/other/app/manifests/{}", referrer.digest);
    let put = Rule::on(Class::ManifestPut).path(&path).forever();
    to.rule(put.then(Fault::status(500)));
    let source = from.reference("team/app", "1");
    let target = to.reference("other/app", "1");
    let words = ["--referrers", "--retry-for", "0", "--output", "json"];
    let said = home
        .run(&[&["copy"][..], &words, &[&source, &target]].concat())
        .refused(7, &[&format!("these tags were pushed: {target}")]);
    let notice = &said.json()["notices"][0];
    assert_eq!(notice["severity"], "warning");
    assert!(to.tag("other/app", "1").is_some());
}

/// What refers to the index, to an image in it, and to what refers to that: a signed SBOM.
#[test]
fn everything_that_refers_to_an_index_and_its_images_comes_along() {
    let from = registry();
    let home = Home::new();
    let child = Image::new("linux/amd64").load(&from, "team/app", None);
    let index = Index::oci()
        .image(Image::new("linux/amd64"))
        .load(&from, "team/app", "1");
    let (signature, _) = image::sign(&from, "team/app", &index.digest);
    let of_index = image::referrer(&from, "team/app", &index, "application/spdx+json");
    let of_child = image::referrer(&from, "team/app", &child, "application/spdx+json");
    let of_referrer = image::referrer(&from, "team/app", &of_child, "application/vnd.signature");
    let source = from.reference("team/app", "1");
    for to in [
        registry(),
        Registry::builder()
            .without_referrers()
            .start_in_background(),
    ] {
        let target = to.reference("other/app", "1");
        home.run(&["copy", "--referrers", &source, &target]).ok();
        assert!(to.tag("other/app", &signature).is_some());
        for referrer in [&of_index, &of_child, &of_referrer] {
            assert!(to.manifest("other/app", &referrer.digest).is_some());
        }
        assert_eq!(to.problems(), Vec::<String>::new());
        // And on from there, whether it knows referrers or keeps tags for them.
        let third = registry();
        let last = third.reference("last/app", "1");
        home.run(&["copy", "--referrers", &target, &last]).ok();
        for referrer in [&of_index, &of_child, &of_referrer] {
            assert!(third.manifest("last/app", &referrer.digest).is_some());
        }
        to.clear();
        home.run(&["copy", "--referrers", &source, &target]).ok();
        let moved = to.count_where(|it| it.writes() && it.body > 0);
        assert_eq!(moved, 0, "a second run moves nothing");
    }
}
