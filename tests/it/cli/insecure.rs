//! `--insecure` applies to the registries that the command names.

use crate::support::{
    Scene,
    image::Image,
    registry::{Class, Registry},
};

/// Creates a list at HOST whose image is stored at OTHER. Neither certificate is trusted.
fn list_of_an_image_elsewhere() -> Scene {
    let scene = Scene::of([Registry::builder().tls(), Registry::builder().tls()]);
    Image::new("linux/amd64").load(scene.other(), "app", "a");
    scene.ok("create --insecure HOST/list:1 OTHER/app:a");
    scene.other().clear();
    scene
}

#[test]
fn insecure_excludes_registries_that_only_the_draft_names() {
    let scene = list_of_an_image_elsewhere();
    let output = scene.run("push --insecure HOST/list:1").to_string();
    // Which blob fails first differs between runs.
    let blob = output
        .split_once("blob ")
        .and_then(|(_, rest)| rest.split_once(' '))
        .map_or("", |(blob, _)| blob);
    insta::assert_snapshot!(output.replace(blob, "BLOB"), @"
    exit code: 1
    ----- stderr -----
    error: failed to read blob BLOB of OTHER/app: TLS error with OTHER: the certificate is signed by an unknown authority
     hint: trust its certificate with --ca-cert FILE, SSL_CERT_FILE, or /etc/docker/certs.d/OTHER/ca.crt
     note: --insecure applies only to registries that the command names, and it does not name OTHER
     note: no tag was changed
    ");
    assert!(scene.other().requests().is_empty());
    assert_eq!(scene.registry().tag("list", "1"), None);

    scene.ok("push --insecure --ca-cert CA_FILE HOST/list:1");
    assert!(scene.registry().tag("list", "1").is_some());
    assert!(scene.other().count(Class::BlobGet) > 0);
}

#[test]
fn insecure_includes_every_registry_that_a_push_names() {
    let scene = list_of_an_image_elsewhere();
    scene.ok("push --insecure HOST/list:1 -t OTHER/list:1");
    assert!(scene.registry().tag("list", "1").is_some());
    assert!(scene.other().tag("list", "1").is_some());
}

/// k3d and other local clusters name their registries below `localhost`.
#[test]
fn names_below_localhost_use_plain_http() {
    let scene = Scene::with(Registry::builder().name("k3d-registry.localhost"));
    Image::new("linux/amd64").load(scene.registry(), "app", "a");
    let host = scene.registry().host();
    assert!(host.starts_with("k3d-registry.localhost:"));
    scene.ok("publish -t HOST/list:1 HOST/app:a");
    let capitals = host.replace("k3d", "K3D");
    scene.ok(&format!("publish -t {capitals}/list:2 HOST/app:a"));
    let tag = |tag: &str| scene.registry().tag("list", tag);
    assert_eq!(tag("1"), tag("2"));
}
