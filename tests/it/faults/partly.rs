//! Runs that fail half way: the pushed tags are reported, no tag ever points to incomplete content, and the addresses
//! in foreign layers are not requested.

use serde_json::json;

use super::{
    case::{ALL, Act, BOTH, Case},
    trial::{SOURCE, right_digest},
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

/// Returns the digest that each tag points to before the run.
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
            .when("always")
            .rule(refuse("2"))
            .rule(refuse("3"))
            .retry_for(1)
            .mixed(7)
            .look(|trial, output| {
                let pushed = format!("these tags were pushed: HOST/{SOURCE}:1\n");
                assert!(output.stderr.contains(&pushed), "{output}");
                let tags = trial.faulty().tags(SOURCE);
                assert_eq!(tags["1"], right_digest(Act::PublishThree));
                let old = before(trial.faulty());
                assert_eq!([&tags["2"], &tags["3"]], [&old, &old]);
            });
        cases.extend(case.over(BOTH));
        let case = Case::new(name, Act::PublishThree, "PUT of all tags")
            .when("always")
            .rule(Rule::on(Class::ManifestPut).forever().then(fault.clone()))
            .retry_for(1)
            .refused(code(name));
        cases.extend(case.over(BOTH));
    }
    cases
}

/// Returns the exit code of a run in which every request fails in this way.
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
                .when("always")
                .words(["-t", "OTHER/mirror/app:1"])
                .rule(Rule::on(class).forever().then(fault.clone()))
                .rule(Rule::on(Class::ManifestPut).forever().then(fault.clone()))
                .allow_unused_rules()
                .retry_for(1)
                .mixed(7)
                .look(|trial, output| {
                    let pushed = "these tags were pushed: OTHER/mirror/app:1\n";
                    assert!(output.stderr.contains(pushed), "{output}");
                    let there = trial.good().tag("mirror/app", "1").expect("the pushed tag");
                    assert_eq!(there, right_digest(Act::Publish));
                    let here = trial.faulty().tag(SOURCE, "1").expect("as before");
                    assert_eq!(here, before(trial.good()));
                });
            cases.extend(case.over(BOTH));
        }
    }
    cases
}

/// Cases of a copy that fails at its first, second, … request of a kind.
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
                // A lost upload is started again, and so is the push of a manifest with missing parts.
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
                    .refused(code(&name));
                cases.extend(case.over(BOTH));
            }
        }
    }
    cases
}

/// Cases of faults during the verification after the push.
fn read_back() -> Vec<Case> {
    let mut cases = Vec::new();
    let of_tag = || Rule::on(Class::ManifestGet).path("*/manifests/1").forever();
    for (name, fault, code) in [
        ("a wrong byte", Fault::Corrupt, 5),
        ("ends early", Fault::TruncateCleanly(100), 5),
        ("503", Fault::status(503), 6),
        ("404", Fault::status(404), 5),
        ("reset", Fault::Reset, 6),
    ] {
        for act in [Act::Publish, Act::CopyTo] {
            let case = Case::new(name, act, "GET of what was published")
                .when("always")
                .rule(of_tag().then(fault.clone()))
                .retry_for(1)
                .mixed(code)
                .look(move |trial, _| {
                    let (repo, tag) = trial.targets().remove(0);
                    let now = trial.faulty().tag(&repo, &tag).expect("it was pushed");
                    assert_eq!(now, right_digest(act));
                });
            cases.extend(case.over(BOTH));
        }
    }
    let other = digest::sha256(b"something else");
    let case = Case::new(
        "a registry that stores something else",
        Act::Publish,
        "PUT manifest",
    )
    .rule(
        Rule::on(Class::ManifestPut)
            .forever()
            .then(Fault::header("docker-content-digest", &other)),
    )
    .mixed(5);
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
                .when("which are not requested")
                .arrange(move |trial| {
                    let there = Registry::builder().start_in_background();
                    let layer = there.put_blob("foreign", "a layer");
                    let source = if act == Act::CopyTo { trial.good() } else { trial.faulty() };
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
                    trial.keep(there);
                })
                .end(super::case::End::DoneAnew)
                .look(|trial, _| assert!(trial.others()[0].requests().is_empty()));
            cases.extend(case.over(BOTH));
        }
    }
    cases
}
