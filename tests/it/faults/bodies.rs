//! Row 4: bodies that are not what was asked for. Nothing of them is published, and an entry without a platform
//! never is.

use bytes::Bytes;

use super::case::{Act, BOTH, Case, Protocol};
use crate::support::registry::{Class, Content, DigestHeader, Fault, Rule};

const TWICE: &str = "twice, not";

pub(super) fn bodies() -> Vec<Case> {
    let mut cases = spoilt();
    cases.extend(cut_short());
    cases.extend(stored());
    cases
}

/// What happens to a body, and what becomes of it if it happens every time to a manifest, a config, a blob.
struct Spoiling {
    name: &'static str,
    fault: Fault,
    manifest: (i32, &'static str),
    config: (i32, &'static str),
    blob: Option<(i32, &'static str)>,
}

fn spoilings() -> Vec<Spoiling> {
    let of = |name, fault, manifest, config, blob| Spoiling {
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
        of(
            "ends early",
            Fault::Truncate(60),
            (6, "gave up"),
            (6, "gave up"),
            Some((6, "gave up")),
        ),
        of(
            "ends early, with a length that agrees",
            Fault::TruncateCleanly(60),
            (5, TWICE),
            (5, TWICE),
            Some((6, "gave up")),
        ),
        of(
            "empty",
            Fault::TruncateCleanly(0),
            (5, TWICE),
            (5, TWICE),
            Some((6, "gave up")),
        ),
        of(
            "a byte too long",
            Fault::Overlong(1),
            (5, TWICE),
            (5, TWICE),
            Some((5, "more than the")),
        ),
        of(
            "a wrong byte",
            Fault::Corrupt,
            (5, TWICE),
            (5, TWICE),
            Some((5, "digest")),
        ),
        of(
            "another document",
            Fault::Body(html),
            (5, TWICE),
            (5, TWICE),
            Some((6, "gave up")),
        ),
        of(
            "packed with gzip",
            Fault::Gzip,
            (5, TWICE),
            (5, TWICE),
            None,
        ),
        of(
            "a `Content-Length` too large",
            Fault::ContentLength(9000),
            (6, "gave up"),
            (6, "gave up"),
            None,
        ),
        of(
            "a `Content-Length` too small",
            Fault::ContentLength(50),
            (5, TWICE),
            (5, TWICE),
            None,
        ),
    ]
}

fn spoilt() -> Vec<Case> {
    let mut cases = Vec::new();
    for spoiling in spoilings() {
        let Spoiling {
            name,
            fault,
            manifest,
            config,
            blob,
        } = spoiling;
        let mut places = vec![
            (Class::ManifestGet, Act::Publish, "GET manifest", manifest),
            (Class::ManifestGet, Act::CopyFrom, "GET manifest", manifest),
            (Class::ManifestGet, Act::Push, "GET manifest", manifest),
            (Class::BlobGet, Act::Publish, "GET config", config),
        ];
        places.extend(blob.map(|blob| (Class::BlobGet, Act::CopyFrom, "GET blob", blob)));
        for (class, act, request, (code, says)) in places {
            let case = Case::new(name, act, request);
            let once = Rule::on(class).then(fault.clone());
            cases.extend(case.clone().when("once").rule(once).over(BOTH));
            let rule = Rule::on(class).forever().then(fault.clone());
            let lasting = case.when("every time").rule(rule).retry_for(1);
            for protocol in BOTH {
                // HTTP/2 knows frames and sees that they are more than was announced.
                let breaks = name.ends_with("too small") && protocol == Protocol::Http2;
                let (code, says) = if breaks { (6, "gave up") } else { (code, says) };
                let why = match says {
                    TWICE => "wrong content, twice",
                    "digest" => "a wrong digest, twice",
                    "more than the" => "more than its descriptor says, twice",
                    _ => "the body broke off, gave up",
                };
                let case = lasting.clone().refused(code, [says]).cause(why);
                cases.extend(case.over([protocol]));
            }
        }
    }
    cases
}

/// A registry that tells no digest, and a manifest that ends somewhere: there is nothing to compare it with but
/// JSON itself.
fn cut_short() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0, 1, 2, 100, 300, 500] {
        for act in [Act::Publish, Act::Push] {
            let case = Case::new(
                "a manifest cut short, and no digest told",
                act,
                "GET manifest",
            )
            .when(&format!("after {length} bytes"))
            .registry(|builder| builder.digest_header(DigestHeader::Never))
            .rule(
                Rule::on(Class::ManifestGet)
                    .forever()
                    .then(Fault::TruncateCleanly(length)),
            )
            .refused(5, ["not a manifest"]);
            cases.extend(case.over(BOTH));
        }
    }
    for length in [0, 1, 30, 100] {
        let case = Case::new("a config cut short", Act::Publish, "GET config")
            .when(&format!("after {length} bytes"))
            .rule(
                Rule::on(Class::BlobGet)
                    .forever()
                    .then(Fault::TruncateCleanly(length)),
            )
            .refused(5, [TWICE])
            .cause("wrong content, twice");
        cases.extend(case.over(BOTH));
    }
    cases
}

/// What the registry really holds: it agrees with its digest, and is of no use all the same.
fn stored() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, config, says) in [
        ("a config without a platform", "{}", "platform"),
        (
            "a config without an architecture",
            r#"{"os":"linux"}"#,
            "platform",
        ),
        (
            "a config that is no JSON",
            "{\"os\":\"linux\",",
            "invalid config",
        ),
        ("an empty config", "", "invalid config"),
    ] {
        let case = Case::new(name, Act::Publish, "GET config")
            .arrange(move |scene| hold_config(scene, config.as_bytes().to_vec()))
            .refused(5, [says])
            .cause(if says == "platform" {
                "no platform"
            } else {
                says
            });
        cases.extend(case.over(BOTH));
    }
    cases
}

/// Puts an image with this config under `amd64`.
pub(super) fn hold_config(scene: &super::scene::Scene, config: Vec<u8>) {
    use crate::support::image::media;
    let size = config.len();
    let digest = scene.faulty.put_blob("team/app", config);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "size": size, "digest": digest},
        "layers": [],
    });
    scene.faulty.put_manifest(
        "team/app",
        Some("amd64"),
        media::OCI_MANIFEST,
        manifest.to_string(),
    );
}
