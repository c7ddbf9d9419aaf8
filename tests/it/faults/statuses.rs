//! Temporary and lasting error statuses, and `Retry-After`.

use std::time::{Duration, SystemTime};

use super::{
    case::{ALL, Act, BOTH, Case},
    judge::longest_wait,
};
use crate::support::registry::{Class, Fault, Rule};

/// Every request that a run can make, with the command that makes it.
pub(super) const REQUESTS: [(Class, Act, &str); 13] = [
    (Class::ManifestGet, Act::Publish, "GET manifest"),
    (Class::ManifestGet, Act::CopyFrom, "GET manifest"),
    (Class::ManifestGet, Act::Inspect, "GET manifest"),
    (Class::ManifestHead, Act::PublishKnown, "HEAD manifest"),
    (Class::ManifestPut, Act::Publish, "PUT manifest"),
    (Class::ManifestPut, Act::Push, "PUT manifest"),
    (Class::BlobGet, Act::Publish, "GET config"),
    (Class::BlobGet, Act::CopyFrom, "GET blob"),
    (Class::BlobHead, Act::CopyTo, "HEAD blob"),
    (Class::UploadPost, Act::CopyTo, "POST upload"),
    (Class::UploadPatch, Act::CopyTo, "PATCH upload"),
    (Class::UploadPut, Act::CopyTo, "PUT upload"),
    (Class::Token, Act::Publish, "token"),
];

/// Creates a case with this fault for a request of the class. Also adds the conditions under which the run sends such a
/// request.
pub(super) fn at(class: Class, act: Act, request: &'static str, fault: &str) -> Case {
    let case = Case::new(fault, act, request);
    match class {
        // Parts are sent only after the upload of the whole blob failed.
        Class::UploadPatch => case.rule(broken_upload()),
        Class::Token => case.tokens(),
        _ => case,
    }
}

/// Resets the connection in the middle of the large layer.
pub(super) fn broken_upload() -> Rule {
    Rule::on(Class::UploadPut)
        .and(|seen| {
            let length = seen.headers.get(http::header::CONTENT_LENGTH);
            let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            length.is_some_and(|length| length > 50_000)
        })
        .then(Fault::ResetUpload(40_000))
}

pub(super) fn statuses() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, act, request) in REQUESTS {
        for status in [500, 502, 503, 504, 408, 429] {
            let case = at(class, act, request, &status.to_string());
            for (when, times) in [("once", 1), ("three times", 3)] {
                let rule = Rule::on(class).times(times).then(Fault::status(status));
                cases.extend(case.clone().when(when).rule(rule).over(BOTH));
            }
            let rule = Rule::on(class).forever().then(Fault::status(status));
            let stays = case.when("always").rule(rule).retry_for(1).refused(6);
            cases.extend(stays.over(BOTH));
        }
    }
    // Tags are looked up to save work; a failure does not end the run.
    let rule = Rule::on(Class::ManifestHead)
        .forever()
        .then(Fault::status(503));
    let survey = Case::new("503", Act::Publish, "HEAD of the tag");
    cases.extend(survey.when("always").rule(rule).retry_for(1).over(BOTH));
    cases
}

pub(super) fn retry_after() -> Vec<Case> {
    let mut cases = Vec::new();
    let requests = [
        (Class::ManifestGet, Act::Publish, "GET manifest"),
        (Class::ManifestPut, Act::Publish, "PUT manifest"),
        (Class::UploadPut, Act::CopyTo, "PUT upload"),
        (Class::Token, Act::Publish, "token"),
    ];
    for (class, act, request) in requests {
        for status in [429, 503] {
            for (value, least) in [
                ("1", 1000),
                ("an HTTP date", 900),
                ("a date in the past", 0),
                ("0", 0),
                ("-5", 0),
                ("soon", 0),
            ] {
                let case = at(class, act, request, &status.to_string())
                    .when(&format!("`Retry-After`: {value}"))
                    .arrange(move |trial| trial.faulty().rule(busy(class, status, value)))
                    .look(move |_, output| {
                        let least = Duration::from_millis(least);
                        assert!(output.wall >= least);
                        if value == "1" {
                            assert!(longest_wait(output) >= least);
                        }
                    });
                cases.extend(case.over(BOTH));
            }
            for value in ["61", "1000000000", "99999999999999999999999"] {
                let case = at(class, act, request, &status.to_string())
                    .when(&format!("`Retry-After`: {value}"))
                    .arrange(move |trial| trial.faulty().rule(busy(class, status, value).forever()))
                    .refused(6)
                    .retry_for(600)
                    .look(|_, output| assert_eq!(longest_wait(output), Duration::ZERO));
                cases.extend(case.over(BOTH));
            }
        }
        let case = at(class, act, request, "503")
            .when("`Retry-After`: 30, with a budget of 5 s")
            .arrange(move |trial| trial.faulty().rule(busy(class, 503, "30").forever()))
            .refused(6)
            .retry_for(5);
        cases.extend(case.over(ALL));
    }
    cases
}

/// Returns a rule for one request, with a `Retry-After` that is computed when the case runs.
fn busy(class: Class, status: u16, value: &str) -> Rule {
    let ahead = |seconds: i64| {
        let now = SystemTime::now();
        let step = Duration::from_secs(seconds.unsigned_abs());
        httpdate::fmt_http_date(if seconds < 0 { now - step } else { now + step })
    };
    let value = match value {
        "an HTTP date" => ahead(2),
        "a date in the past" => ahead(-60),
        other => other.to_owned(),
    };
    let fault = Fault::reply(status, &[("retry-after", &value)], "");
    Rule::on(class).then(fault)
}
