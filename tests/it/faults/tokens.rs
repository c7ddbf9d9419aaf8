//! Row 5: tokens that end, that are refused for ever, and token servers that are of no use.

use std::time::Duration;

use super::{
    case::{ALL, Act, BOTH, Case},
    scene::Scene,
    statuses::broken_upload,
};
use crate::support::registry::{Accounts, Bearer, Class, Fault, Registry, Rule, closed_address};

pub(super) fn tokens() -> Vec<Case> {
    let mut cases = ended();
    cases.extend(refused_for_ever());
    cases.extend(lifetimes());
    cases.extend(useless_answers());
    cases.extend(unreachable());
    cases
}

/// All tokens end just before a request.
fn ended() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, act, request) in [
        (Class::ManifestGet, Act::Publish, "GET manifest"),
        (Class::ManifestHead, Act::PublishKnown, "HEAD manifest"),
        (Class::BlobGet, Act::Publish, "GET config"),
        (Class::ManifestPut, Act::Publish, "PUT manifest"),
        (Class::ManifestPut, Act::Push, "PUT manifest"),
        (Class::BlobGet, Act::CopyFrom, "GET blob"),
        (Class::BlobHead, Act::CopyTo, "HEAD blob"),
        (Class::UploadPost, Act::CopyTo, "POST upload"),
        (Class::UploadPut, Act::CopyTo, "PUT upload"),
        (Class::UploadPatch, Act::CopyTo, "PATCH upload"),
    ] {
        let mut case = Case::new("the token ends before it", act, request).tokens();
        if class == Class::UploadPatch {
            case = case.rule(broken_upload());
        }
        let rule = Rule::on(class).authorised().then(Fault::ExpireTokens);
        cases.extend(case.rule(rule).over(BOTH));
    }
    let rule = Rule::on(Class::ManifestGet)
        .path("*/manifests/1")
        .authorised();
    let case = Case::new(
        "the token ends before it",
        Act::Publish,
        "GET of what was published",
    );
    cases.extend(
        case.tokens()
            .rule(rule.then(Fault::ExpireTokens))
            .over(BOTH),
    );
    cases
}

fn refused_for_ever() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, act, request) in [
        (Class::ManifestGet, Act::Publish, "GET manifest"),
        (Class::ManifestGet, Act::Inspect, "GET manifest"),
        (Class::BlobGet, Act::Publish, "GET config"),
        (Class::ManifestPut, Act::Publish, "PUT manifest"),
        (Class::ManifestPut, Act::Push, "PUT manifest"),
        (Class::BlobGet, Act::CopyFrom, "GET blob"),
        (Class::BlobHead, Act::CopyTo, "HEAD blob"),
        (Class::UploadPost, Act::CopyTo, "POST upload"),
        (Class::UploadPut, Act::CopyTo, "PUT upload"),
    ] {
        let case = Case::new("401 to a good token", act, request)
            .when("for ever")
            .tokens()
            .arrange(move |scene| {
                let challenge = format!(
                    r#"Bearer realm="{}/token",service="test-registry""#,
                    scene.faulty.url()
                );
                let fault = Fault::reply(401, &[("www-authenticate", &challenge)], "");
                scene.faulty.rule(Rule::on(class).forever().then(fault));
            })
            .refused(3, ["not allowed", "401"])
            .look(|scene, _| {
                assert!(
                    scene.faulty.requests().len() < 150,
                    "it goes round in circles"
                );
            });
        cases.extend(case.over(BOTH));
    }
    cases
}

fn lifetimes() -> Vec<Case> {
    let bearer = || Bearer::new(Accounts::new("ci", super::scene::PASSWORD));
    let mut cases = Vec::new();
    for (name, seconds) in [
        ("`expires_in` 0", Some(0)),
        ("`expires_in` missing", None),
        ("`expires_in` 1", Some(1)),
    ] {
        for act in [Act::Publish, Act::CopyFrom, Act::CopyTo, Act::Push] {
            let case = Case::new(name, act, "token")
                .tokens()
                .registry(move |builder| builder.bearer(bearer().expires_in(seconds)));
            cases.extend(case.over(BOTH));
        }
    }
    let case = Case::new("`expires_in` 1, and a slow registry", Act::CopyTo, "token")
        .tokens()
        .registry(move |builder| builder.bearer(bearer().expires_in(Some(1))))
        .rule(Rule::on(Class::UploadPost).then(Fault::Delay(Duration::from_millis(1500))));
    cases.extend(case.over(BOTH));
    cases
}

fn useless_answers() -> Vec<Case> {
    let html = "<!DOCTYPE html><html><body>Sign in</body></html>";
    let mut cases = Vec::new();
    for (name, fault, code, says) in [
        (
            "HTML",
            Fault::reply(200, &[("content-type", "text/html")], html),
            5,
            "not the JSON of a token",
        ),
        (
            "nothing",
            Fault::reply(200, &[], ""),
            5,
            "not the JSON of a token",
        ),
        (
            "no token in it",
            Fault::reply(200, &[], "{\"expires_in\": 300}"),
            5,
            "contains no token",
        ),
        (
            "a token with a line break",
            Fault::reply(200, &[], r#"{"token": "a\r\nx: y"}"#),
            5,
            "not allowed in a header",
        ),
        (
            "cut short",
            Fault::TruncateCleanly(10),
            5,
            "not the JSON of a token",
        ),
        ("400", Fault::status(400), 3, "wrong credentials"),
        ("401", Fault::status(401), 3, "wrong credentials"),
        ("403", Fault::status(403), 3, "the token server refuses"),
        ("404", Fault::status(404), 1, "answered 404"),
    ] {
        for (act, request) in [(Act::Publish, "token"), (Act::CopyTo, "token")] {
            let case = Case::new(&format!("token server: {name}"), act, request)
                .tokens()
                .rule(Rule::on(Class::Token).forever().then(fault.clone()))
                .refused(code, [says]);
            cases.extend(case.over(BOTH));
        }
    }
    cases
}

fn unreachable() -> Vec<Case> {
    let at = |realm: String| {
        move |scene: &mut Scene| {
            let challenge = format!(r#"Bearer realm="{realm}",service="s""#);
            let fault = Fault::reply(401, &[("www-authenticate", &challenge)], "");
            scene
                .faulty
                .rule(Rule::when(|_| true).forever().then(fault));
        }
    };
    let mut cases = Vec::new();
    for (name, realm, code, says) in [
        (
            "token server: nobody listens",
            format!("https://{}/token", closed_address()),
            6,
            "Connection refused",
        ),
        (
            "token server: link-local",
            "https://169.254.169.254/token".to_owned(),
            5,
            "is an internal address",
        ),
        (
            "token server: private network",
            "https://10.1.2.3/token".to_owned(),
            5,
            "is an internal address",
        ),
        ("token server: no URL", "::".to_owned(), 5, "not a URL"),
        (
            "token server: another scheme",
            "ftp://example.test/token".to_owned(),
            5,
            "unsupported URL scheme",
        ),
        (
            "token server: a password in the URL",
            "https://u:p@example.test/token".to_owned(),
            5,
            "contains a user name or password",
        ),
    ] {
        let case = Case::new(name, Act::Publish, "token")
            .tokens()
            .arrange(at(realm))
            .retry_for(1)
            .refused(code, [says]);
        cases.extend(case.over(ALL));
    }
    let plain = Case::new(
        "token server: plain HTTP, for a registry with TLS",
        Act::Publish,
        "token",
    )
    .tokens()
    .arrange(move |scene| {
        let other = Registry::builder().start_in_background();
        at(format!("{}/token", other.url()))(scene);
        scene.keep(other);
    })
    .refused(5, ["credentials are not sent to it"])
    .look(|scene, _| assert!(scene.others[0].requests().is_empty()));
    cases.extend(plain.over([super::case::Protocol::Tls1, super::case::Protocol::Http2]));
    cases
}
