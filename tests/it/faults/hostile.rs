//! Memory limits: endless bodies, and bodies within the size limits that need much more memory than their size when
//! they are parsed.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::json;

use super::{
    bodies::hold_config,
    case::{Act, BOTH, Case, End, Protocol},
    trial::{SOURCE, Trial},
};
use crate::support::{
    image::{self, Image, media},
    registry::{Class, Content, DigestHeader, Fault, Rule},
};

pub(super) fn hostile() -> Vec<Case> {
    let mut cases = without_end();
    cases.extend(dense());
    cases
}

/// Bodies without an end.
fn endless() -> [(&'static str, Fault); 3] {
    let value = Bytes::from(vec![b'a'; 64 << 10]);
    let text = Content::Repeat {
        block: value,
        len: None,
    };
    [
        ("2 GB", Fault::Body(Content::virtual_bytes(1, 2 << 30))),
        ("space without end", Fault::Body(Content::endless())),
        ("text without end", Fault::Body(text)),
    ]
}

fn without_end() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, body) in endless() {
        for (class, act, request) in [
            (Class::ManifestGet, Act::Publish, "GET manifest"),
            (Class::ManifestGet, Act::CopyFrom, "GET manifest"),
            (Class::ManifestGet, Act::Inspect, "GET manifest"),
            (Class::BlobGet, Act::Publish, "GET config"),
            (Class::BlobGet, Act::CopyFrom, "GET blob"),
            (Class::Token, Act::Publish, "token"),
        ] {
            let mut case = Case::new(name, act, request)
                .rule(Rule::on(class).forever().then(body.clone()))
                .retry_for(1)
                .refused(5);
            if class == Class::Token {
                case = case.tokens();
            }
            cases.extend(case.over(BOTH));
        }
        // The body of the answer to a write does not matter.
        for (class, act, request) in [
            (Class::ManifestPut, Act::Publish, "answer to PUT manifest"),
            (Class::UploadPost, Act::CopyTo, "answer to POST upload"),
            (Class::UploadPut, Act::CopyTo, "answer to PUT upload"),
        ] {
            let case = Case::new(name, act, request)
                .rule(Rule::on(class).forever().then(body.clone()))
                .retry_for(0);
            cases.extend(case.over(BOTH));
        }
        cases.extend(errors_without_end(name, &body));
        let case = Case::new(name, Act::CopyReferrers, "GET referrers")
            .arrange(|trial| {
                image::referrer(
                    trial.faulty(),
                    SOURCE,
                    &trial.image,
                    "application/spdx+json",
                );
            })
            .rule(Rule::on(Class::Referrers).forever().then(body.clone()))
            .mixed(7);
        cases.extend(case.over(BOTH));
        let case = Case::new(name, Act::Publish, "307 to GET manifest").rule(
            Rule::on(Class::ManifestGet)
                .then(Fault::Redirect(307, "?again".to_owned()))
                .then(body),
        );
        cases.extend(case.over(BOTH));
    }
    cases
}

fn errors_without_end(name: &str, body: &Fault) -> Vec<Case> {
    let mut cases = Vec::new();
    for (status, code) in [(400, 1), (401, 3), (403, 3), (404, 4), (503, 6)] {
        let request = match status {
            400 => "400 to GET manifest",
            401 => "401 to GET manifest",
            403 => "403 to GET manifest",
            404 => "404 to GET manifest",
            _ => "503 to GET manifest",
        };
        let case = Case::new(name, Act::Publish, request)
            .rule(
                Rule::on(Class::ManifestGet)
                    .forever()
                    .then(Fault::status(status))
                    .then(body.clone()),
            )
            .retry_for(1)
            .refused(code);
        cases.extend(case.over(BOTH));
    }
    cases
}

type Dense = (&'static str, fn() -> String);

/// Cases with documents of 4 MiB that contain as many values as possible.
fn dense() -> Vec<Case> {
    let mut cases = Vec::new();
    let manifests: [Dense; 7] = [
        ("an index of numbers", || {
            fill(
                "{\"schemaVersion\":2,\"manifests\":[],\"x\":[0".to_owned(),
                ",0",
                "]}",
            )
        }),
        ("a manifest of numbers", || filled("\"x\":[0", ",0", "]")),
        ("a manifest of empty texts", || {
            filled("\"x\":[\"\"", ",\"\"", "]")
        }),
        ("a manifest of empty objects", || {
            filled("\"x\":[{}", ",{}", "]")
        }),
        ("a manifest of small objects", || {
            filled("\"x\":[{}", ",{\"\":0}", "]")
        }),
        ("a manifest of keys", || keyed("\"x\":{")),
        ("a manifest of annotations", || keyed("\"annotations\":{")),
    ];
    for (name, document) in manifests {
        for (act, protocol) in [
            (Act::Publish, Protocol::Http2),
            (Act::Inspect, Protocol::Http1),
        ] {
            let case = serve(Case::new(name, act, "GET manifest"), document());
            cases.extend(case.over([protocol]));
        }
    }
    let entry = r#","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;
    let entry = format!(r#"{{"mediaType":""{entry}"#);
    let start = format!(r#"{{"schemaVersion":2,"manifests":[{entry}"#);
    let case = Case::new("an index of small entries", Act::Inspect, "GET manifest");
    let case = serve(case, fill(start, &format!(",{entry}"), "]}"));
    cases.extend(case.over(BOTH));
    let configs: [Dense; 3] = [
        ("a config of numbers", || {
            fill("{\"x\":[0".to_owned(), ",0", "]}")
        }),
        ("a config of `os.features`", || {
            fill("{\"os.features\":[\"\"".to_owned(), ",\"\"", "]}")
        }),
        ("a config of keys", || {
            let mut text = "{\"os\":\"linux\"".to_owned();
            keys(&mut text);
            text.push('}');
            text
        }),
    ];
    for (name, document) in configs {
        let case = Case::new(name, Act::Publish, "GET config")
            .arrange(move |trial| hold_config(trial, document().into_bytes()))
            .refused(5);
        cases.extend(case.over(BOTH));
    }
    for act in [Act::CopyFrom, Act::Publish] {
        let many = Case::new("an index of 40 manifests of 4 MiB", act, "GET manifest")
            .arrange(|trial| hold_large_manifests(trial))
            .refused(5)
            .slow();
        cases.extend(many.over(BOTH));
    }
    let large = Case::new("a layer of 48 MiB", Act::CopyFrom, "GET blob")
        .when("which is only streamed")
        .arrange(|trial| {
            let image = Image::new("linux/amd64").virtual_layers(&[48 << 20]);
            image.load(trial.faulty(), SOURCE, "index");
        })
        .end(End::DoneAnew);
    cases.extend(large.over(BOTH));
    cases
}

/// Stores an index that contains the same manifest many times, without a platform.
fn hold_large_manifests(trial: &Trial) {
    let mut bytes = trial.image.bytes.to_vec();
    bytes.resize(SIZE, b' ');
    let media_type = &trial.image.media_type;
    let digest = trial.faulty().put_manifest(SOURCE, None, media_type, bytes);
    let entry = json!({"mediaType": media_type, "digest": digest, "size": SIZE});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "manifests": vec![entry; 40],
    });
    for tag in ["index", "amd64"] {
        let index = index.to_string();
        trial
            .faulty()
            .put_manifest(SOURCE, Some(tag), media::OCI_INDEX, index);
    }
}

const SIZE: usize = 4 << 20;

/// Returns a document of 4 MiB that begins with `text`, ends with `end`, and repeats `again` between them.
fn fill(mut text: String, again: &str, end: &str) -> String {
    let count = (SIZE - text.len() - end.len()) / again.len();
    text.push_str(&again.repeat(count));
    text.push_str(end);
    text
}

/// Returns such a document that is otherwise a valid manifest.
fn filled(start: &str, again: &str, end: &str) -> String {
    fill(format!("{}{start}", manifest()), again, &format!("{end}}}"))
}

fn keyed(start: &str) -> String {
    let mut text = format!("{}{start}\"\":\"\"", manifest());
    keys(&mut text);
    text.push_str("}}");
    text
}

/// Appends as many different keys as possible.
fn keys(text: &mut String) {
    let mut number = 0_u32;
    while text.len() < SIZE - 20 {
        let _ = write!(text, ",\"{number:x}\":\"\"");
        number += 1;
    }
}

fn manifest() -> String {
    let media_type = media::OCI_MANIFEST;
    let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"x","digest":"{empty}","size":2}},"layers":[],"#
    )
}

/// Makes the registry send this document instead of the manifest, without a digest.
fn serve(case: Case, document: String) -> Case {
    case.registry(|builder| builder.digest_header(DigestHeader::Never))
        .rule(
            Rule::on(Class::ManifestGet)
                .path("*/manifests/amd64")
                .forever()
                .then(Fault::Body(document.into())),
        )
        .refused(5)
}
