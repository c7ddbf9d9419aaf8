//! Rows 10 and 11, and what a run leaves that fails half way: the tags that landed are told, no tag ever points at
//! something that is not whole, and the addresses in foreign layers are nobody's business.

use serde_json::json;

use super::{
    case::{ALL, Act, BOTH, Case},
    scene::{SOURCE, right_digest},
};
use crate::support::{
    Registry, digest,
    image::{Image, media},
    registry::{Class, Fault, Rule},
};

pub(super) fn partly() -> Vec<Case> {
    let mut cases = two_of_three();
    cases.extend(one_of_two_registries());
    cases.extend(half_way());
    cases.extend(read_back());
    cases
}

/// What a tag of the scenes points at before the run.
fn before(registry: &Registry) -> String {
    Image::new("windows/amd64")
        .load(registry, "scratch", None)
        .digest
}

fn two_of_three() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, fault) in [
        ("400", Fault::status(400)),
        ("401", Fault::status(401)),
        ("403", Fault::status(403)),
        ("409", Fault::status(409)),
        ("503", Fault::status(503)),
        ("reset", Fault::Reset),
    ] {
        let refuse = |tag: &str| {
            let path = format!("*/manifests/{tag}");
            Rule::on(Class::ManifestPut)
                .path(&path)
                .forever()
                .then(fault.clone())
        };
        let case = Case::new(name, Act::PublishThree, "PUT of two of three tags")
            .when("for ever")
            .rule(refuse("2"))
            .rule(refuse("3"))
            .retry_for(1)
            .mixed(7, ["these tags were pushed: ", "this failed too: "])
            .cause("which tag landed, and how the others failed")
            .look(|scene, said| {
                let landed = format!(
                    "these tags were pushed: {}\n",
                    scene.faulty.reference(SOURCE, "1")
                );
                assert!(said.stderr.contains(&landed), "{}", said.stderr);
                let tags = scene.faulty.tags(SOURCE);
                assert_eq!(tags["1"], right_digest(Act::PublishThree));
                let old = before(&scene.faulty);
                assert_eq!([&tags["2"], &tags["3"]], [&old, &old]);
            });
        cases.extend(case.over(BOTH));
        let case = Case::new(name, Act::PublishThree, "PUT of all tags")
            .when("for ever")
            .rule(Rule::on(Class::ManifestPut).forever().then(fault.clone()))
            .retry_for(1)
            .refused(code(name), ["this failed too: ", "no tag was changed"])
            .cause("how each failed; no tag was changed");
        cases.extend(case.over(BOTH));
    }
    cases
}

/// The exit code for what every request of a run comes to.
fn code(fault: &str) -> i32 {
    match fault {
        "401" | "403" => 3,
        "503" | "reset" => 6,
        "404" => 4,
        _ => 1,
    }
}

fn one_of_two_registries() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, fault) in [
        ("403", Fault::status(403)),
        ("503", Fault::status(503)),
        ("reset", Fault::Reset),
    ] {
        for (class, request) in [
            (Class::ManifestPut, "PUT manifest in one of two registries"),
            (
                Class::ManifestHead,
                "HEAD and PUT manifest in one of two registries",
            ),
        ] {
            let case = Case::new(name, Act::Publish, request)
                .when("for ever")
                .words(["-t", "GOOD/mirror/app:1"])
                .rule(Rule::on(class).forever().then(fault.clone()))
                .rule(Rule::on(Class::ManifestPut).forever().then(fault.clone()))
                .spared()
                .retry_for(1)
                .mixed(7, ["these tags were pushed: "])
                .cause("which tag landed, and how the other failed")
                .look(|scene, said| {
                    let landed = format!(
                        "these tags were pushed: {}\n",
                        scene.good.reference("mirror/app", "1")
                    );
                    assert!(said.stderr.contains(&landed), "{}", said.stderr);
                    let there = scene.good.tag("mirror/app", "1").expect("it landed");
                    assert_eq!(there, right_digest(Act::Publish));
                    let here = scene.faulty.tag(SOURCE, "1").expect("as before");
                    assert_eq!(here, before(&scene.good));
                });
            cases.extend(case.over(BOTH));
        }
    }
    cases
}

/// A copy that fails at its first, second, … request of a kind: whatever has arrived, no tag names it.
fn half_way() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, request, most) in [
        (Class::BlobHead, "HEAD blob", 5),
        (Class::UploadPost, "POST upload", 5),
        (Class::UploadPut, "PUT upload", 5),
        (Class::ManifestPut, "PUT manifest", 3),
    ] {
        for nth in 1..=most {
            for status in [400, 403, 404, 503] {
                // An upload that is gone is begun again, and a manifest whose parts are not known yet is sent again.
                if status == 404 && class != Class::ManifestPut {
                    continue;
                }
                let name = status.to_string();
                let case = Case::new(&name, Act::CopyTo, request)
                    .when("from the first, second, … on")
                    .rule(
                        Rule::on(class)
                            .nth(nth)
                            .forever()
                            .then(Fault::status(status)),
                    )
                    .retry_for(0)
                    .refused(
                        code(&name),
                        [&format!("answered {status}"), "no tag was changed"],
                    )
                    .cause("the status; no tag was changed");
                cases.extend(case.over(BOTH));
            }
        }
    }
    cases
}

/// What was published is read back, and what is read is compared.
fn read_back() -> Vec<Case> {
    let mut cases = Vec::new();
    let of_tag = || Rule::on(Class::ManifestGet).path("*/manifests/1").forever();
    for (name, fault, code, says) in [
        ("a wrong byte", Fault::Corrupt, 5, "twice, not with"),
        (
            "ends early",
            Fault::TruncateCleanly(100),
            5,
            "twice, not with",
        ),
        ("503", Fault::status(503), 6, "answered 503"),
        ("404", Fault::status(404), 5, "answered 404"),
        ("reset", Fault::Reset, 6, "broke"),
    ] {
        for act in [Act::Publish, Act::CopyTo] {
            let case = Case::new(name, act, "GET of what was published")
                .when("every time")
                .rule(of_tag().then(fault.clone()))
                .retry_for(1)
                .mixed(code, [says, "pushed, but not verified: "])
                .cause("what was read; pushed, but not verified")
                .look(move |scene, _| {
                    let (repo, tag) = scene.targets().remove(0);
                    let now = scene.faulty.tag(&repo, &tag).expect("it was pushed");
                    assert_eq!(now, right_digest(act));
                });
            cases.extend(case.over(BOTH));
        }
    }
    let lie = digest::sha256(b"something else");
    let case = Case::new(
        "a registry that stores something else",
        Act::Publish,
        "PUT manifest",
    )
    .rule(
        Rule::on(Class::ManifestPut)
            .forever()
            .then(Fault::header("docker-content-digest", &lie)),
    )
    .mixed(5, ["stored it as", "changes manifests"]);
    cases.extend(case.over(ALL));
    cases
}

pub(super) fn foreign_layers() -> Vec<Case> {
    let mut cases = Vec::new();
    for media_type in [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    ] {
        for act in [Act::CopyFrom, Act::CopyTo, Act::CopyWithin] {
            let case = Case::new("a foreign layer with `urls`", act, "GET blob")
                .when("which are not fetched")
                .arrange(move |scene| {
                    let there = Registry::builder().start_in_background();
                    let layer = there.put_blob("foreign", "a layer");
                    let source = if act == Act::CopyTo { &scene.good } else { &scene.faulty };
                    let urls = [
                        format!("{}/v2/foreign/blobs/{layer}", there.url()),
                        "http://169.254.169.254/latest/meta-data".to_owned(),
                        "file:///etc/passwd".to_owned(),
                    ];
                    let config = r#"{"os":"windows","architecture":"amd64"}"#;
                    let manifest = json!({
                        "schemaVersion": 2,
                        "mediaType": media::OCI_MANIFEST,
                        "config": {
                            "mediaType": media::OCI_CONFIG,
                            "digest": source.put_blob(SOURCE, config),
                            "size": config.len(),
                        },
                        "layers": [{"mediaType": media_type, "digest": layer, "size": 7, "urls": urls}],
                    });
                    source.put_manifest(SOURCE, Some("index"), media::OCI_MANIFEST, manifest.to_string());
                    scene.keep(there);
                })
                .end(super::case::End::DoneAnew)
                .look(|scene, _| assert!(scene.others[0].requests().is_empty()));
            cases.extend(case.over(BOTH));
        }
    }
    cases
}
