//! Redirects: requests to other hosts carry no credentials, and some redirects are refused.

use super::{
    case::{ALL, Act, BOTH, Case, Protocol},
    trial::{PASSWORD, SOURCE, Trial},
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

/// Starts another registry with the same content, and returns its URL.
fn double(trial: &mut Trial, scheme: Scheme, ip: &str) -> String {
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
    trial.keep(other);
    url
}

/// Redirects every request of the class to the same path at `url`.
fn redirect_all(trial: &Trial, class: Class, status: u16, url: &str) {
    let tags = ["amd64", "arm64", "index"].map(|tag| format!("/v2/{SOURCE}/manifests/{tag}"));
    let blobs = trial
        .image
        .blobs
        .iter()
        .map(|blob| format!("/v2/{SOURCE}/blobs/{blob}"));
    for path in tags.into_iter().chain(blobs) {
        let fault = Fault::Redirect(status, format!("{url}{path}"));
        trial
            .faulty()
            .rule(Rule::on(class).path(&path).forever().then(fault));
    }
}

/// Checks that the other registry received requests, but no secrets.
fn nothing_leaked(trial: &Trial) {
    let there = &trial.others()[0];
    assert!(!there.requests().is_empty(), "no redirect was followed");
    let tokens = trial.faulty().issued_tokens();
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
                    .allow_unused_rules()
                    .arrange(move |trial| {
                        let scheme = trial.scheme();
                        let url = double(trial, scheme, ip);
                        redirect_all(trial, class, status, &url);
                    })
                    .look(|trial, _| nothing_leaked(trial));
                cases.extend(case.over(BOTH));
            }
        }
        let case = Case::new("307", act, request)
            .when("from http to https, without credentials")
            .tokens()
            .allow_unused_rules()
            .arrange(move |trial| {
                let url = double(trial, Scheme::TlsHttp2, "127.0.0.1");
                redirect_all(trial, class, 307, &url);
                trial.trust();
            })
            .look(|trial, _| nothing_leaked(trial));
        cases.extend(case.over([Protocol::Http1]));
    }
    cases
}

/// Cases of a registry that stores its blobs on another host, which refuses credentials, like storage services.
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
                .look(|trial, _| {
                    let there =
                        |role| move |it: &crate::support::registry::Recorded| it.role == role;
                    assert!(trial.faulty().count_where(there(Role::Cdn)) > 0);
                    let leaks = trial.faulty().count_where(|it| {
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
        for to in [
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.7/",
            "https://[fe80::1]/",
            "ftp://example.test/",
            "https://user:pw@example.test/",
        ] {
            let case = Case::new("307", act, request)
                .when(&format!("to {to}"))
                .tokens()
                .rule(redirect(class, to.to_owned()))
                .refused(5);
            cases.extend(case.over(BOTH));
        }
        let case = Case::new("307", act, request)
            .when("from https to http")
            .tokens()
            .arrange(move |trial| {
                let url = double(trial, Scheme::Http, "127.0.0.1");
                trial.faulty().rule(redirect(class, format!("{url}/x")));
            })
            .refused(5)
            .look(|trial, _| assert!(trial.others()[0].requests().is_empty()));
        cases.extend(case.over(TLS));
        let case = Case::new("307", act, request)
            .when("to itself")
            .tokens()
            .arrange(move |trial| {
                let rule = Rule::on(class).forever();
                // The relative location leads to the same request.
                trial
                    .faulty()
                    .rule(rule.then(Fault::Redirect(307, "?again".to_owned())));
            })
            .refused(5);
        cases.extend(case.over(BOTH));
    }
    cases
}

fn redirect(class: Class, to: String) -> Rule {
    Rule::on(class).forever().then(Fault::Redirect(307, to))
}
