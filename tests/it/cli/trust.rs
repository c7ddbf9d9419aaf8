//! Whom a call believes: `--insecure` is for the registries that its words name.

use super::bench::Bench;
use crate::support::{
    image::Image,
    registry::{Class, Registry},
};

/// A list at HOST whose image lies at another registry; both show certificates that nobody here trusts.
fn list_of_an_image_elsewhere() -> (Bench, Registry) {
    let bench = Bench::with(Registry::builder().tls());
    let elsewhere = Registry::builder().tls().start_in_background();
    Image::new("linux/amd64").load(&elsewhere, "app", "a");
    let image = elsewhere.reference("app", "a");
    bench.ok(&format!("create --insecure HOST/list:1 {image}"));
    elsewhere.clear();
    (bench, elsewhere)
}

#[test]
fn insecure_does_not_reach_a_registry_that_only_the_draft_names() {
    let (bench, elsewhere) = list_of_an_image_elsewhere();
    let said = bench.run("push --insecure HOST/list:1");
    assert_ne!(said.code, 0, "{said:?}");
    assert!(
        said.stderr
            .contains("signed by an authority that is not trusted"),
        "{said:?}"
    );
    let hint = format!(
        "--insecure applies only to the registries that the command names; {} is not one",
        elsewhere.host()
    );
    assert!(said.stderr.contains(&hint), "{said:?}");
    assert!(elsewhere.requests().is_empty());
    assert_eq!(bench.registry.tag("list", "1"), None);

    bench.ok("push --insecure --ca-cert HOME/ca.pem HOST/list:1");
    assert!(bench.registry.tag("list", "1").is_some());
    assert!(elsewhere.count(Class::BlobGet) > 0);
}

#[test]
fn insecure_reaches_every_registry_that_a_push_names() {
    let (bench, elsewhere) = list_of_an_image_elsewhere();
    let there = elsewhere.reference("list", "1");
    bench.ok(&format!("push --insecure HOST/list:1 -t {there}"));
    assert!(bench.registry.tag("list", "1").is_some());
    assert!(elsewhere.tag("list", "1").is_some());
}

/// k3d and other local clusters name their registries below `localhost`.
#[test]
fn a_name_below_localhost_is_reached_over_plain_http() {
    let bench = Bench::with(Registry::builder().name("k3d-registry.localhost"));
    Image::new("linux/amd64").load(&bench.registry, "app", "a");
    assert!(bench.registry.host().starts_with("k3d-registry.localhost:"));
    bench.ok("publish -t HOST/list:1 HOST/app:a");
    let capitals = bench.registry.host().replace("k3d", "K3D");
    bench.ok(&format!("publish -t {capitals}/list:2 HOST/app:a"));
    assert_eq!(
        bench.registry.tag("list", "1"),
        bench.registry.tag("list", "2")
    );
}
