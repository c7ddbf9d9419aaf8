//! Row 7: answers that send their reader elsewhere. What goes there carries no credentials, and some places are
//! not gone to at all.

use super::{
    case::{ALL, Act, BOTH, Case, Protocol},
    scene::{PASSWORD, SOURCE, Scene},
};
use crate::support::{
    Registry,
    image::{Image, Index},
    registry::{Class, Fault, Role, Rule, Scheme, Site},
};

const TLS: [Protocol; 2] = [Protocol::Tls1, Protocol::Http2];

pub(super) fn redirects() -> Vec<Case> {
    let mut cases = followed();
    cases.extend(blob_hosts());
    cases.extend(not_followed());
    cases
}

/// Another registry with the same content, at this site.
fn double(scene: &mut Scene, scheme: Scheme, ip: &str) -> String {
    let other = Registry::builder()
        .scheme(scheme)
        .ip(ip)
        .start_in_background();
    let image = Image::new("linux/amd64").layers(&[10, 100_000]);
    image.load(&other, SOURCE, "amd64");
    Image::new("linux/arm64").load(&other, SOURCE, "arm64");
    Index::oci()
        .image(image)
        .of(["linux/arm64"])
        .load(&other, SOURCE, "index");
    let url = other.url().clone();
    scene.keep(other);
    url
}

/// Every request of the class is sent on to the same path there.
fn send_on(scene: &Scene, class: Class, status: u16, url: &str) {
    let tags = ["amd64", "arm64", "index"].map(|tag| format!("/v2/{SOURCE}/manifests/{tag}"));
    let blobs = scene
        .image
        .blobs
        .iter()
        .map(|blob| format!("/v2/{SOURCE}/blobs/{blob}"));
    for path in tags.into_iter().chain(blobs) {
        let fault = Fault::Redirect(status, format!("{url}{path}"));
        scene
            .faulty
            .rule(Rule::on(class).path(&path).forever().then(fault));
    }
}

/// Something was asked for there, and nothing secret went along.
fn nothing_leaked(scene: &Scene) {
    let there = &scene.others[0];
    assert!(!there.requests().is_empty(), "it did not go there");
    let tokens = scene.faulty.issued_tokens();
    let leaks = there.count_where(|it| {
        it.headers.contains_key(http::header::AUTHORIZATION)
            || it.carries(PASSWORD)
            || tokens.iter().any(|token| it.carries(token))
    });
    assert_eq!(leaks, 0);
}

fn followed() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, act, request) in [
        (Class::ManifestGet, Act::Publish, "GET manifest"),
        (Class::BlobGet, Act::Publish, "GET config"),
        (Class::BlobGet, Act::CopyFrom, "GET blob"),
    ] {
        for status in [301, 302, 303, 307, 308] {
            for (name, ip) in [
                ("to another port", "127.0.0.1"),
                ("to another host", "127.0.0.2"),
            ] {
                let case = Case::new(&status.to_string(), act, request)
                    .when(&format!("{name}, without credentials"))
                    .tokens()
                    .spared()
                    .arrange(move |scene| {
                        let scheme = scene.scheme();
                        let url = double(scene, scheme, ip);
                        send_on(scene, class, status, &url);
                    })
                    .look(|scene, _| nothing_leaked(scene));
                cases.extend(case.over(BOTH));
            }
        }
        let case = Case::new("307", act, request)
            .when("from http to https, without credentials")
            .tokens()
            .spared()
            .arrange(move |scene| {
                let url = double(scene, Scheme::TlsHttp2, "127.0.0.1");
                send_on(scene, class, 307, &url);
                scene.trust();
            })
            .look(|scene, _| nothing_leaked(scene));
        cases.extend(case.over([Protocol::Http1]));
    }
    cases
}

/// A registry whose blobs lie elsewhere, where credentials are refused (as storage services do).
fn blob_hosts() -> Vec<Case> {
    let mut cases = Vec::new();
    for protocol in ALL {
        for (act, request) in [(Act::Publish, "GET config"), (Act::CopyFrom, "GET blob")] {
            let case = Case::new("307", act, request)
                .when("to a storage service that refuses credentials")
                .tokens()
                .registry(move |builder| {
                    builder.blobs_at(Site::new(protocol.scheme()).ip("127.0.0.3"))
                })
                .look(|scene, _| {
                    let there =
                        |role| move |it: &crate::support::registry::Recorded| it.role == role;
                    assert!(scene.faulty.count_where(there(Role::Cdn)) > 0);
                    let leaks = scene.faulty.count_where(|it| {
                        it.role == Role::Cdn && it.headers.contains_key(http::header::AUTHORIZATION)
                    });
                    assert_eq!(leaks, 0);
                });
            cases.extend(case.over([protocol]));
        }
    }
    cases
}

fn not_followed() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, act, request) in [
        (Class::ManifestGet, Act::Publish, "GET manifest"),
        (Class::BlobGet, Act::Publish, "GET config"),
        (Class::BlobGet, Act::CopyFrom, "GET blob"),
        (Class::ManifestPut, Act::Publish, "PUT manifest"),
        (Class::UploadPost, Act::CopyTo, "POST upload"),
        (Class::UploadPut, Act::CopyTo, "PUT upload"),
    ] {
        for (to, says) in [
            (
                "https://169.254.169.254/latest/meta-data",
                "internal address",
            ),
            ("https://10.0.0.7/", "internal address"),
            ("https://[fe80::1]/", "internal address"),
            ("ftp://example.test/", "scheme \"ftp\""),
            ("https://user:pw@example.test/", "credentials in the URL"),
        ] {
            let case = Case::new("307", act, request)
                .when(&format!("to {to}"))
                .tokens()
                .rule(redirect(class, to.to_owned()))
                .refused(5, [says]);
            cases.extend(case.over(BOTH));
        }
        let case = Case::new("307", act, request)
            .when("from https to http")
            .tokens()
            .arrange(move |scene| {
                let url = double(scene, Scheme::Http, "127.0.0.1");
                scene.faulty.rule(redirect(class, format!("{url}/x")));
            })
            .refused(5, ["from https to plain http"])
            .look(|scene, _| assert!(scene.others[0].requests().is_empty()));
        cases.extend(case.over(TLS));
        let case = Case::new("307", act, request)
            .when("to itself")
            .tokens()
            .arrange(move |scene| {
                let rule = Rule::on(class).forever();
                // A relative location that leads back to the same class of request.
                scene
                    .faulty
                    .rule(rule.then(Fault::Redirect(307, "?again".to_owned())));
            })
            .refused(
                5,
                [if class == Class::UploadPut {
                    "upload redirect loop"
                } else {
                    "more than 10 redirects"
                }],
            );
        cases.extend(case.over(BOTH));
    }
    cases
}

fn redirect(class: Class, to: String) -> Rule {
    Rule::on(class).forever().then(Fault::Redirect(307, to))
}
