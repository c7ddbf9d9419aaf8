//! Wrong and incomplete bodies. They are never published, and neither is an entry without a platform.

use bytes::Bytes;

use super::case::{Act, BOTH, Case, Protocol};
use crate::support::registry::{Class, Content, DigestHeader, Fault, Rule};

pub(super) fn bodies() -> Vec<Case> {
    let mut cases = wrong_bodies();
    cases.extend(cut_short());
    cases.extend(stored());
    cases
}

/// A fault of a body, and the exit code if it happens to every manifest, config or blob.
struct BodyFault {
    name: &'static str,
    fault: Fault,
    manifest: i32,
    config: i32,
    blob: Option<i32>,
}

fn body_faults() -> Vec<BodyFault> {
    let of = |name, fault, manifest, config, blob| BodyFault {
        name,
        fault,
        manifest,
        config,
        blob,
    };
    let html = Content::from(Bytes::from_static(
        b"<html><body>Log in to the network</body></html>",
    ));
    vec![
        of("ends early", Fault::Truncate(60), 6, 6, Some(6)),
        of(
            "ends early, with a length that agrees",
            Fault::TruncateCleanly(60),
            5,
            5,
            Some(6),
        ),
        of("empty", Fault::TruncateCleanly(0), 5, 5, Some(6)),
        of("a byte too long", Fault::Overlong(1), 5, 5, Some(5)),
        of("a wrong byte", Fault::Corrupt, 5, 5, Some(5)),
        of("another document", Fault::Body(html), 5, 5, Some(6)),
        of("compressed with gzip", Fault::Gzip, 5, 5, None),
        of(
            "a `Content-Length` too large",
            Fault::ContentLength(9000),
            6,
            6,
            None,
        ),
        of(
            "a `Content-Length` too small",
            Fault::ContentLength(50),
            5,
            5,
            None,
        ),
    ]
}

fn wrong_bodies() -> Vec<Case> {
    let mut cases = Vec::new();
    for body_fault in body_faults() {
        let BodyFault {
            name,
            fault,
            manifest,
            config,
            blob,
        } = body_fault;
        let mut places = vec![
            (Class::ManifestGet, Act::Publish, "GET manifest", manifest),
            (Class::ManifestGet, Act::CopyFrom, "GET manifest", manifest),
            (Class::ManifestGet, Act::Push, "GET manifest", manifest),
            (Class::BlobGet, Act::Publish, "GET config", config),
        ];
        places.extend(blob.map(|blob| (Class::BlobGet, Act::CopyFrom, "GET blob", blob)));
        for (class, act, request, code) in places {
            let case = Case::new(name, act, request);
            let once = Rule::on(class).then(fault.clone());
            cases.extend(case.clone().when("once").rule(once).over(BOTH));
            let rule = Rule::on(class).forever().then(fault.clone());
            let lasting = case.when("always").rule(rule).retry_for(1);
            for protocol in BOTH {
                // HTTP/2 compares the total length of the frames with `Content-Length`.
                let breaks = name.ends_with("too small") && protocol == Protocol::Http2;
                let code = if breaks { 6 } else { code };
                let case = lasting.clone().refused(code);
                cases.extend(case.over([protocol]));
            }
        }
    }
    cases
}

/// Cases without a digest from the registry, where a truncated manifest can only be recognised as invalid JSON.
fn cut_short() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0, 1, 2, 100, 300, 500] {
        for act in [Act::Publish, Act::Push] {
            let case = Case::new("a truncated manifest without a digest", act, "GET manifest")
                .when(&format!("after {length} bytes"))
                .registry(|builder| builder.digest_header(DigestHeader::Never))
                .rule(
                    Rule::on(Class::ManifestGet)
                        .forever()
                        .then(Fault::TruncateCleanly(length)),
                )
                .refused(5);
            cases.extend(case.over(BOTH));
        }
    }
    for length in [0, 1, 30, 100] {
        let case = Case::new("a truncated config", Act::Publish, "GET config")
            .when(&format!("after {length} bytes"))
            .rule(
                Rule::on(Class::BlobGet)
                    .forever()
                    .then(Fault::TruncateCleanly(length)),
            )
            .refused(5);
        cases.extend(case.over(BOTH));
    }
    cases
}

/// Cases of stored content that has the right digest but cannot be used.
fn stored() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, config) in [
        ("a config without a platform", "{}"),
        ("a config without an architecture", r#"{"os":"linux"}"#),
        ("a config that is not JSON", "{\"os\":\"linux\","),
        ("an empty config", ""),
    ] {
        let case = Case::new(name, Act::Publish, "GET config")
            .arrange(move |trial| hold_config(trial, config.as_bytes().to_vec()))
            .refused(5);
        cases.extend(case.over(BOTH));
    }
    cases
}

/// Puts an image with this config under `amd64`.
pub(super) fn hold_config(trial: &super::trial::Trial, config: Vec<u8>) {
    use crate::support::image::media;
    let size = config.len();
    let digest = trial.faulty().put_blob("team/app", config);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "size": size, "digest": digest},
        "layers": [],
    });
    trial.faulty().put_manifest(
        "team/app",
        Some("amd64"),
        media::OCI_MANIFEST,
        manifest.to_string(),
    );
}
