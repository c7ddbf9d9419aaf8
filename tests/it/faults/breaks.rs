//! Connections that break at any moment of a request, and connections without an answer.

use std::time::Duration;

use bytes::Bytes;

use super::{
    case::{ALL, Act, BOTH, Case, Protocol},
    statuses::{REQUESTS, at},
};
use crate::support::registry::{Class, Fault, Greeting, Rule};

pub(super) fn resets() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, act, request) in REQUESTS {
        for (name, fault, protocols) in before_the_answer() {
            let case = at(class, act, request, name);
            let once = Rule::on(class).then(fault.clone());
            for protocol in protocols {
                cases.extend(
                    case.clone()
                        .when("once")
                        .rule(once.clone())
                        .over([*protocol]),
                );
            }
        }
        let stays = at(class, act, request, "reset before the answer")
            .when("always")
            .rule(Rule::on(class).forever().then(Fault::Reset))
            .retry_for(1)
            .refused(6);
        cases.extend(stays.over(BOTH));
    }
    cases.extend(in_the_middle());
    cases.extend(after_it_was_applied());
    cases
}

type Named = (&'static str, Fault, &'static [Protocol]);

fn before_the_answer() -> [Named; 6] {
    let garbage = Fault::Raw(Bytes::from_static(b"SSH-2.0-OpenSSH_9.2\r\n"));
    let (all, http1, http2): (&[Protocol], &[Protocol], &[Protocol]) =
        (&ALL, &[Protocol::Http1], &[Protocol::Http2]);
    [
        ("reset before the answer", Fault::Reset, all),
        (
            "reset of the whole connection",
            Fault::ResetConnection,
            http2,
        ),
        ("`REFUSED_STREAM`", Fault::RefuseStream, http2),
        ("`GOAWAY` for all streams", Fault::GoAway, http2),
        (
            "last answer on its connection",
            Fault::LastOnConnection,
            &BOTH,
        ),
        ("an answer that is not HTTP", garbage, http1),
    ]
}

fn in_the_middle() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, act, request) in REQUESTS {
        let fault = match class {
            Class::ManifestGet | Class::BlobGet | Class::Token => Fault::ResetBody(50),
            Class::UploadPut | Class::UploadPatch | Class::ManifestPut => Fault::ResetUpload(100),
            _ => continue,
        };
        let case = at(class, act, request, "reset in the middle of the body");
        let once = Rule::on(class).then(fault.clone());
        cases.extend(case.clone().when("once").rule(once).over(BOTH));
        let stays = Rule::on(class).forever().then(fault);
        let case = case.when("always").rule(stays).retry_for(1);
        // The registry keeps the first part of a blob, and the rest is sent by PATCH.
        let case = match class {
            Class::UploadPut => case,
            _ => case.refused(6),
        };
        cases.extend(case.over(BOTH));
    }
    cases
}

/// Cases where a request was applied and its answer was lost. The result is looked up before the request is repeated.
fn after_it_was_applied() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, act, request) in [
        (Class::ManifestPut, Act::Publish, "PUT manifest"),
        (Class::ManifestPut, Act::Push, "PUT manifest"),
        (Class::ManifestPut, Act::CopyTo, "PUT manifest"),
        (Class::UploadPut, Act::CopyTo, "PUT upload"),
        (Class::UploadPost, Act::CopyTo, "POST upload"),
        (Class::UploadPatch, Act::CopyTo, "PATCH upload"),
    ] {
        for (name, fault) in [
            ("reset after it was applied", Fault::Reset),
            ("502 after it was applied", Fault::status(502)),
        ] {
            let rule = Rule::on(class).applied().then(fault);
            cases.extend(at(class, act, request, name).rule(rule).over(ALL));
        }
    }
    let rule = Rule::on(Class::ManifestPut).path("*/manifests/1").applied();
    let case = Case::new("reset after it was applied", Act::Publish, "PUT manifest")
        .when("which is not sent again")
        .rule(rule.then(Fault::Reset))
        .look(|trial, _| assert_eq!(trial.faulty().count(Class::ManifestPut), 1));
    cases.extend(case.over(BOTH));
    cases
}

pub(super) fn silences() -> Vec<Case> {
    let mut cases = Vec::new();
    let idle = |case: Case| case.words(["--idle-timeout", "1"]);
    for (class, act, request) in REQUESTS {
        let case = idle(at(class, act, request, "no answer at all"));
        let once = Rule::on(class).then(Fault::Stall);
        cases.extend(case.clone().when("once").rule(once).over(BOTH));
        let stays = Rule::on(class).forever().then(Fault::Stall);
        let stays = case.when("always").rule(stays).retry_for(1);
        let stays = stays.refused(6);
        cases.extend(stays.over(BOTH));
        if matches!(class, Class::ManifestGet | Class::BlobGet | Class::Token) {
            let case = idle(at(class, act, request, "silence in the middle of the body"));
            let once = Rule::on(class).then(Fault::StallBody(50));
            cases.extend(case.clone().when("once").rule(once).over(BOTH));
        }
    }
    for (name, greeting) in [
        ("connections that are reset", Greeting::Reset),
        ("connections that are closed at once", Greeting::Close),
        ("connections without an answer", Greeting::Silence),
    ] {
        for (act, request) in [
            (Act::Publish, "the first connections"),
            (Act::CopyTo, "the first connections"),
        ] {
            let case = idle(Case::new(name, act, request))
                .arrange(move |trial| trial.faulty().greet(2, greeting));
            cases.extend(case.over(ALL));
        }
    }
    let slow = idle(Case::new("an answer after 3 s", Act::CopyTo, "HEAD blob"))
        .when("with `--idle-timeout 5`")
        .words(["--idle-timeout", "5"])
        .rule(Rule::on(Class::BlobHead).then(Fault::Delay(Duration::from_secs(3))))
        .retry_for(0);
    cases.extend(slow.over(BOTH));
    let both = at(
        Class::UploadPatch,
        Act::CopyTo,
        "PUT, then PATCH upload",
        "reset in each",
    );
    let both = both.rule(Rule::on(Class::UploadPatch).then(Fault::ResetUpload(20_000)));
    cases.extend(both.over(ALL));
    cases
}
