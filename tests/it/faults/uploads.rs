//! Upload locations, mounts, and uploads in parts.

use super::{
    case::{ALL, Act, BOTH, Case, End, Protocol},
    statuses::broken_upload,
    trial::SOURCE,
};
use crate::support::{
    image::Image,
    registry::{Builder, Chunks, Class, Fault, Role, Rule, Site},
};

pub(super) fn uploads() -> Vec<Case> {
    let mut cases = locations();
    cases.extend(differences());
    cases.extend(mounts());
    cases.extend(parts());
    cases
}

fn locations() -> Vec<Case> {
    let mut cases = Vec::new();
    for protocol in ALL {
        for (name, ip) in [("another port", "127.0.0.1"), ("another host", "127.0.0.4")] {
            let case = Case::new("`Location`", Act::CopyTo, "POST upload")
                .when(&format!("at {name}, without credentials"))
                .tokens()
                .registry(move |builder| builder.uploads_at(Site::new(protocol.scheme()).ip(ip)))
                .look(|trial, _| {
                    let there = |it: &crate::support::registry::Recorded| it.role == Role::Upload;
                    assert!(trial.faulty().count_where(there) > 0);
                    let leaks = trial.faulty().count_where(|it| {
                        there(it) && it.headers.contains_key(http::header::AUTHORIZATION)
                    });
                    assert_eq!(leaks, 0);
                });
            cases.extend(case.over([protocol]));
        }
    }
    for location in [
        "https://169.254.169.254/upload",
        "https://192.168.1.1/upload",
        "https://[::ffff:10.0.0.1]/upload",
        "ftp://example.test/upload",
        "https://user:pw@example.test/upload",
    ] {
        let case = Case::new("`Location`", Act::CopyTo, "POST upload")
            .when(&format!("at {location}"))
            .tokens()
            .rule(
                Rule::on(Class::UploadPost)
                    .authorised()
                    .forever()
                    .then(Fault::header("location", location)),
            )
            .refused(5);
        cases.extend(case.over(BOTH));
    }
    let downgrade = Case::new("`Location`", Act::CopyTo, "POST upload")
        .when("from https to http")
        .rule(
            Rule::on(Class::UploadPost)
                .forever()
                .then(Fault::header("location", "http://127.0.0.1:9/upload")),
        )
        .refused(5);
    cases.extend(downgrade.over([Protocol::Tls1, Protocol::Http2]));
    let none = Case::new("`Location`", Act::CopyTo, "POST upload")
        .when("missing")
        .rule(
            Rule::on(Class::UploadPost)
                .forever()
                .then(Fault::RemoveHeader("location".into())),
        )
        .refused(5);
    cases.extend(none.over(BOTH));
    cases
}

type Difference = (&'static str, fn(Builder) -> Builder);

/// Cases of differences between registries, each with an upload that succeeds and one that breaks.
fn differences() -> Vec<Case> {
    let mut cases = Vec::new();
    let differences: [Difference; 9] = [
        (
            "`Location` with scheme and host",
            Builder::absolute_locations,
        ),
        ("`Location` with a query", Builder::location_query),
        ("201 to a PATCH", |it| it.patch_status(201)),
        (
            "no `Location` after a manifest",
            Builder::without_manifest_location,
        ),
        ("a chunk minimum of 10,000 bytes", |it| {
            it.chunk_minimum(10_000)
        }),
        ("a chunk minimum of 1 MiB", |it| it.chunk_minimum(1 << 20)),
        ("no chunks, 416", |it| it.chunks(Chunks::WholeOnly)),
        ("no PATCH, 405", |it| it.chunks(Chunks::Refused)),
        ("no ranges for blobs", Builder::without_ranges),
    ];
    for (name, difference) in differences {
        let whole = Case::new(name, Act::CopyTo, "upload").registry(difference);
        cases.extend(whole.clone().over(BOTH));
        cases.extend(whole.when("after a break").rule(broken_upload()).over(BOTH));
    }
    cases
}

fn mounts() -> Vec<Case> {
    let mut cases = Vec::new();
    let mount = || Rule::when(|seen| seen.query.contains("mount=")).forever();
    let case = Case::new("mounts, 201", Act::CopyWithin, "POST upload")
        .look(|trial, _| assert_eq!(trial.faulty().count(Class::UploadPut), 0));
    cases.extend(case.over(ALL));
    let case = Case::new("mount, 202", Act::CopyWithin, "POST upload")
        .registry(Builder::without_mounts)
        .look(|trial, _| assert!(trial.faulty().count(Class::UploadPut) > 0));
    cases.extend(case.over(ALL));
    for status in [400, 401, 403, 404, 405, 416] {
        let case = Case::new(&status.to_string(), Act::CopyWithin, "POST mount")
            .when("always")
            .rule(mount().then(Fault::status(status)));
        cases.extend(case.over(BOTH));
    }
    let case = Case::new("503", Act::CopyWithin, "POST mount")
        .when("always")
        .rule(mount().then(Fault::status(503)))
        .retry_for(1)
        .refused(6);
    cases.extend(case.over(BOTH));
    cases
}

fn parts() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, status) in [
        ("416, with another offset", 416),
        ("404, for a lost upload", 404),
        ("400", 400),
        ("405", 405),
    ] {
        for (when, times) in [("once", 1), ("five times", 5)] {
            let case = Case::new(name, Act::CopyTo, "PATCH upload")
                .when(when)
                .rule(broken_upload())
                .rule(
                    Rule::on(Class::UploadPatch)
                        .times(times)
                        .then(Fault::status(status)),
                )
                .allow_unused_rules();
            cases.extend(case.over(BOTH));
        }
    }
    let case = Case::new("404", Act::CopyTo, "GET upload")
        .when("after a break")
        .rule(broken_upload())
        .rule(Rule::on(Class::UploadGet).then(Fault::status(404)));
    cases.extend(case.over(BOTH));
    for range in [
        "0-0",
        "0-99999999999",
        "garbage",
        "5-4",
        "0-18446744073709551615",
    ] {
        let case = Case::new("an invalid `Range`", Act::CopyTo, "GET upload")
            .when("after a break")
            .rule(broken_upload())
            .rule(Rule::on(Class::UploadGet).then(Fault::header("range", range)));
        cases.extend(case.over(BOTH));
    }
    let case = Case::new("413 for more than 2 MiB at once", Act::CopyTo, "PUT upload")
        .arrange(|trial| {
            let image = Image::new("linux/amd64").layers(&[3 << 20]);
            image.load(trial.good(), SOURCE, "index");
            let rule = Rule::on(Class::UploadPut).forever().and(|seen| {
                let length = seen.headers.get(http::header::CONTENT_LENGTH);
                let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                length.is_none_or(|length| length > 2 << 20)
            });
            trial.faulty().rule(rule.then(Fault::status(413)));
        })
        .end(End::DoneAnew);
    cases.extend(case.over(BOTH));
    cases
}
