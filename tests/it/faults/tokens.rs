//! Tokens that expire or are always refused, and token servers that cannot be used.

use std::time::Duration;

use super::{
    case::{ALL, Act, BOTH, Case},
    statuses::broken_upload,
    trial::Trial,
};
use crate::support::registry::{Accounts, Bearer, Class, Fault, Registry, Rule, closed_address};

pub(super) fn tokens() -> Vec<Case> {
    let mut cases = expired();
    cases.extend(always_refused());
    cases.extend(lifetimes());
    cases.extend(useless_answers());
    cases.extend(unreachable());
    cases
}

/// Cases where all tokens expire just before a request.
fn expired() -> Vec<Case> {
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
        let mut case = Case::new("the token expires before it", act, request).tokens();
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
        "the token expires before it",
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

fn always_refused() -> Vec<Case> {
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
        let case = Case::new("401 to a valid token", act, request)
            .when("always")
            .tokens()
            .arrange(move |trial| {
                let challenge = format!(
                    r#"Bearer realm="{}/token",service="test-registry""#,
                    trial.faulty().url()
                );
                let fault = Fault::reply(401, &[("www-authenticate", &challenge)], "");
                trial.faulty().rule(Rule::on(class).forever().then(fault));
            })
            .refused(3)
            .look(|trial, _| {
                assert!(trial.faulty().requests().len() < 150, "a loop");
            });
        cases.extend(case.over(BOTH));
    }
    cases
}

fn lifetimes() -> Vec<Case> {
    let bearer = || Bearer::new(Accounts::new("ci", super::trial::PASSWORD));
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
    let html = Fault::reply(200, &[("content-type", "text/html")], html);
    let without_token = Fault::reply(200, &[], "{\"expires_in\": 300}");
    let line_break = Fault::reply(200, &[], r#"{"token": "a\r\nx: y"}"#);
    for (name, fault, code) in [
        ("HTML", html, 5),
        ("an empty answer", Fault::reply(200, &[], ""), 5),
        ("an answer without a token", without_token, 5),
        ("a token with a line break", line_break, 5),
        ("a truncated answer", Fault::TruncateCleanly(10), 5),
        ("400", Fault::status(400), 3),
        ("401", Fault::status(401), 3),
        ("403", Fault::status(403), 3),
        ("404", Fault::status(404), 1),
    ] {
        for (act, request) in [(Act::Publish, "token"), (Act::CopyTo, "token")] {
            let case = Case::new(&format!("token server: {name}"), act, request)
                .tokens()
                .rule(Rule::on(Class::Token).forever().then(fault.clone()))
                .refused(code);
            cases.extend(case.over(BOTH));
        }
    }
    cases
}

fn unreachable() -> Vec<Case> {
    let at = |realm: String| {
        move |trial: &mut Trial| {
            let challenge = format!(r#"Bearer realm="{realm}",service="s""#);
            let fault = Fault::reply(401, &[("www-authenticate", &challenge)], "");
            trial
                .faulty()
                .rule(Rule::when(|_| true).forever().then(fault));
        }
    };
    let mut cases = Vec::new();
    let closed = format!("https://{}/token", closed_address());
    for (name, realm, code) in [
        ("closed port", closed.as_str(), 6),
        ("link-local address", "https://169.254.169.254/token", 5),
        ("private network", "https://10.1.2.3/token", 5),
        ("not a URL", "::", 5),
        ("another scheme", "ftp://example.test/token", 5),
        ("password in the URL", "https://u:p@example.test/token", 5),
    ] {
        let case = Case::new(&format!("token server: {name}"), Act::Publish, "token")
            .tokens()
            .arrange(at(realm.to_owned()))
            .retry_for(1)
            .refused(code);
        cases.extend(case.over(ALL));
    }
    let plain = Case::new(
        "token server: plain HTTP, for a registry with TLS",
        Act::Publish,
        "token",
    )
    .tokens()
    .arrange(move |trial| {
        let other = Registry::builder().start_in_background();
        at(format!("{}/token", other.url()))(trial);
        trial.keep(other);
    })
    .refused(5)
    .look(|trial, _| assert!(trial.others()[0].requests().is_empty()));
    cases.extend(plain.over([super::case::Protocol::Tls1, super::case::Protocol::Http2]));
    cases
}
