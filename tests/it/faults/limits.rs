//! Every limit is tested exactly at the limit, and one byte or one level over it.

use serde_json::{Value, json};

use super::{
    bodies::hold_config,
    case::{Act, BOTH, Case, End, Protocol},
    trial::{SOURCE, Trial},
};
use crate::support::{
    digest,
    image::{Image, Index, media},
    registry::{Class, Fault, Rule},
};

const MIB_4: usize = 4 << 20;

pub(super) fn limits() -> Vec<Case> {
    let mut cases = manifests();
    cases.extend(configs());
    cases.extend(tokens());
    cases.extend(errors());
    cases.extend(headers());
    cases.extend(depths());
    cases.extend(entries());
    cases
}

/// Returns two cases: content at the limit is published; content over the limit is refused.
fn at_and_over(
    name: &str,
    act: Act,
    request: &'static str,
    sizes: [usize; 2],
    arrange: fn(&mut Trial, usize),
) -> Vec<Case> {
    let [at, over] = sizes;
    let case = |size: usize| {
        Case::new(name, act, request)
            .when(&thousands(size))
            .arrange(move |trial| arrange(trial, size))
    };
    let mut cases = case(at).end(End::DoneAnew).over(BOTH);
    cases.extend(case(over).refused(5).over(BOTH));
    cases
}

/// Formats a number as `4,194,304`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Stores the image under `amd64`, and appends space to its manifest so that it has this size in bytes.
fn hold_manifest(trial: &mut Trial, size: usize) {
    let mut bytes = trial.image.bytes.to_vec();
    bytes.resize(size, b' ');
    let media_type = &trial.image.media_type;
    trial
        .faulty()
        .put_manifest(SOURCE, Some("amd64"), media_type, bytes);
}

fn manifests() -> Vec<Case> {
    let sizes = [MIB_4, MIB_4 + 1];
    let mut cases = Vec::new();
    for act in [Act::Publish, Act::Inspect, Act::Push] {
        let both = at_and_over(
            "bytes of a manifest",
            act,
            "GET manifest",
            sizes,
            hold_manifest,
        );
        cases.extend(both);
    }
    let raised = Case::new("bytes of a manifest", Act::Publish, "GET manifest")
        .when("4,194,305, with `--max-manifest 5000000`")
        .words(["--max-manifest", "5000000"])
        .arrange(|trial| hold_manifest(trial, MIB_4 + 1))
        .end(End::DoneAnew);
    cases.extend(raised.over(BOTH));
    cases
}

fn configs() -> Vec<Case> {
    let hold = |trial: &mut Trial, size: usize| {
        let mut config = br#"{"os":"linux","architecture":"amd64"}"#.to_vec();
        config.resize(size, b' ');
        hold_config(trial, config);
    };
    let mut cases = Vec::new();
    for act in [Act::Publish, Act::Push] {
        cases.extend(at_and_over(
            "bytes of a config",
            act,
            "GET config",
            [MIB_4, MIB_4 + 1],
            hold,
        ));
    }
    cases
}

fn tokens() -> Vec<Case> {
    let answer = |trial: &mut Trial, size: usize| {
        let challenge = format!(
            r#"Bearer realm="{}/token",service="s""#,
            trial.faulty().url()
        );
        let ask = Rule::when(|seen| {
            seen.class != Class::Token && !seen.headers.contains_key(http::header::AUTHORIZATION)
        });
        let fault = Fault::reply(401, &[("www-authenticate", &challenge)], "");
        trial.faulty().rule(ask.forever().then(fault));
        let mut token = br#"{"token":"abc"}"#.to_vec();
        token.resize(size, b' ');
        let fault = Fault::reply(200, &[], token);
        trial
            .faulty()
            .rule(Rule::on(Class::Token).forever().then(fault));
    };
    at_and_over(
        "bytes of a token answer",
        Act::Publish,
        "token",
        [64 << 10, (64 << 10) + 1],
        answer,
    )
}

/// Only the beginning of a long error body is read.
fn errors() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [8 << 10, (8 << 10) + 1] {
        let error = r#"{"errors":[{"code":"X","message":"the message"}]}"#;
        let body = format!("{}{error}", " ".repeat(size - error.len()));
        let case = Case::new("bytes of an error", Act::Publish, "PUT manifest")
            .when(&thousands(size))
            .rule(
                Rule::on(Class::ManifestPut)
                    .forever()
                    .then(Fault::reply(400, &[], body)),
            )
            .refused(1);
        cases.extend(case.over(BOTH));
    }
    cases
}

fn headers() -> Vec<Case> {
    let flood = |trial: &mut Trial, size: usize| {
        let digest = digest::sha256(&trial.image.bytes);
        let length = trial.image.bytes.len().to_string();
        // The size of the other headers, with four additional bytes for each line.
        let own: usize = [
            ("content-type", trial.image.media_type.as_str()),
            ("content-length", &length),
            ("etag", &format!("\"{digest}\"")),
            ("docker-content-digest", &digest),
            ("docker-distribution-api-version", "registry/2.0"),
            ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("x-flood-0", ""),
        ]
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
        let fault = Fault::HeaderFlood {
            count: 1,
            size: size - own,
        };
        let rule = Rule::on(Class::ManifestGet)
            .path("*/manifests/amd64")
            .forever();
        trial.faulty().rule(rule.then(fault));
    };
    at_and_over(
        "bytes of headers",
        Act::Publish,
        "GET manifest",
        [64 << 10, (64 << 10) + 1],
        flood,
    )
}

fn depths() -> Vec<Case> {
    fn nested(levels: usize) -> String {
        "[".repeat(levels) + &"]".repeat(levels)
    }
    let mut cases = at_and_over(
        "levels of JSON in a manifest",
        Act::Publish,
        "GET manifest",
        [64, 65],
        |trial, levels| {
            let text = String::from_utf8_lossy(&trial.image.bytes).into_owned();
            // The document itself is the first level.
            let text = text.replacen('{', &format!("{{\"x\": {},", nested(levels - 1)), 1);
            let media_type = &trial.image.media_type;
            trial
                .faulty()
                .put_manifest(SOURCE, Some("amd64"), media_type, text);
        },
    );
    cases.extend(at_and_over(
        "levels of JSON in a config",
        Act::Publish,
        "GET config",
        [64, 65],
        |trial, levels| {
            let x = nested(levels - 1);
            let config = format!(r#"{{"os":"linux","architecture":"amd64","x":{x}}}"#);
            hold_config(trial, config.into_bytes());
        },
    ));
    for act in [Act::CopyFrom, Act::CopyWithin] {
        cases.extend(at_and_over(
            "levels of nested indexes",
            act,
            "GET manifest",
            [3, 4],
            |trial, levels| {
                let mut index = Index::oci().image(Image::new("linux/amd64"));
                for _ in 1..levels {
                    index = Index::oci().nested(index);
                }
                index.load(trial.faulty(), SOURCE, "index");
            },
        ));
    }
    cases
}

/// Puts an index with this many entries, each for another platform, under `amd64`.
fn hold_entries(trial: &mut Trial, count: usize) {
    let size = trial.image.bytes.len();
    let digest = &trial.image.digest;
    let entries: Vec<Value> = (0..count)
        .map(|number| {
            json!({
                "mediaType": media::OCI_MANIFEST,
                "digest": digest,
                "size": size,
                "platform": {"os": "linux", "architecture": "amd64", "variant": format!("v{number}")},
            })
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries});
    trial
        .faulty()
        .put_manifest(SOURCE, Some("amd64"), media::OCI_INDEX, index.to_string());
}

fn entries() -> Vec<Case> {
    let sizes = [10_000, 10_001];
    let mut cases = at_and_over(
        "entries of an index",
        Act::Inspect,
        "GET manifest",
        sizes,
        hold_entries,
    );
    let merged = Case::new("entries of the merged index", Act::Publish, "planning")
        .when("10,001")
        .arrange(|trial| hold_entries(trial, 10_000))
        .refused(5)
        .slow();
    cases.extend(merged.over([Protocol::Http2]));
    cases
}
