//! Tests with outputs of jobs.

use serde_json::json;

use super::*;

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn texts(value: &Value) -> Vec<String> {
    let sources = sources_in_json(value).unwrap();
    sources.into_iter().map(|source| source.text).collect()
}

fn error(value: &Value) -> String {
    sources_in_json(value).unwrap_err().to_string()
}

#[test]
fn sources_in_outputs_keep_their_order() {
    let outputs = json!({
        "digest-arm64": B,
        "version": "1.2.3",
        "result": "success",
        "image": "ghcr.io/o/app",
        "digest-amd64": A,
        "windows": format!("ghcr.io/o/app@{A}"),
        "cached": true,
        "legacy": "ghcr.io/o/app:arm",
        "layout": "oci:build:1",
        "notes": "",
        "warning": "careful:",
        "cache-hit-arm64": "",
        "reviewer": null,
    });
    let pinned = format!("ghcr.io/o/app@{A}");
    assert_eq!(
        texts(&outputs),
        [B, A, &pinned, "ghcr.io/o/app:arm", "oci:build:1"]
    );
}

#[test]
fn values_may_be_nested_or_json_strings() {
    let outputs = json!({"build": {"result": "success", "outputs": {
        "matrix": json!({"linux/amd64": {"digest": A}, "linux/arm64": {"digest": B}}).to_string(),
    }}});
    assert_eq!(texts(&outputs), [A, B]);
    assert_eq!(texts(&json!({"digests": format!("{A}\n{B}\n")})), [A, B]);
    assert_eq!(
        texts(&json!({"digests": json!([A, B]).to_string()})),
        [A, B]
    );
}

#[test]
fn outputs_of_build_push_action_are_one_source() {
    let config = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
    let outputs = json!({
        "imageid": config,
        "digest": A,
        "metadata": json!({
            "buildx.build.provenance": {"materials": [{"uri": "pkg:docker/alpine", "digest": {"sha256": B}}]},
            "buildx.build.ref": "default/default/abc",
            "containerimage.config.digest": config,
            "containerimage.descriptor": {
                "mediaType": "application/vnd.oci.image.index.v1+json", "digest": A, "size": 856,
                "annotations": {"config.digest": config},
            },
            "containerimage.digest": A,
            "image.name": "ghcr.io/o/app:1",
        }).to_string(),
    });
    assert_eq!(texts(&outputs), [A]);
}

#[test]
fn a_descriptor_replaces_its_digest() {
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let descriptor = json!({"mediaType": media_type, "digest": A, "size": 3});
    for list in [
        json!([A, descriptor, B]),
        json!([descriptor, A, B, descriptor]),
    ] {
        let sources = sources_in_json(&list).unwrap();
        assert_eq!(sources.len(), 2, "{list}");
        assert!(
            matches!(sources[0].form, SourceForm::Descriptor(_)),
            "{list}"
        );
    }
}

#[test]
fn everything_in_a_list_must_be_a_source() {
    assert_eq!(texts(&json!(["nginx", A])), ["nginx", A]);
    assert_eq!(
        error(&json!(["nginx", true])),
        "[1]: \"true\" is not a source"
    );
    assert_eq!(
        error(&json!([{"digest": A}, {"version": "1"}])),
        "[1]: \"{\\\"version\\\":\\\"1\\\"}\" is not a source"
    );
    assert_eq!(texts(&json!([{"digest": A}, {"digest": A}])), [A]);
}

#[test]
fn outputs_that_would_lose_a_platform_are_errors() {
    for (outputs, message) in [
        (
            json!({"a": A, "b": &B[..50]}),
            "b: invalid checksum digest length",
        ),
        (
            json!({"a": A, "b": "ghcr.io/o/app@sha256:12"}),
            "b: invalid source",
        ),
        (json!({"a": A, "b": "oci:"}), "b: no path"),
        (json!({"a": A, "digest-b": ""}), "digest-b: empty: the job"),
        (
            json!({"a": A, "digest_b": null}),
            "digest_b: empty: the job",
        ),
        (
            json!({"a": A, "digests": [B, ""]}),
            "digests[1]: empty: the job",
        ),
        (
            json!({"linux-amd64": A, "linux-arm64": ""}),
            "linux-arm64: empty: the job",
        ),
        (
            json!({"build": {"arm64": null, "amd64": A}}),
            "build.arm64: empty: the job",
        ),
        (
            json!({"image1": "ghcr.io/o/app:1", "image2": " "}),
            "image2: empty: the job",
        ),
        (
            json!({"a": A, "b": "ghcr.io/o/app@"}),
            "b: \"ghcr.io/o/app@\" is incomplete",
        ),
        (
            json!({"a": A, "b": "o/app@"}),
            "b: \"o/app@\" is incomplete",
        ),
        (
            json!({"a": A, "b": "localhost:5000/o/app:"}),
            "b: \"localhost:5000/o/app:\" is incomplete",
        ),
        (
            json!({"a": format!("{A},ghcr.io/o/app@")}),
            "a: \"ghcr.io/o/app@\" is incomplete",
        ),
        (
            json!({"a": A, "b": [B, {"x": format!("{{\"y\":\"{B}")}]}),
            "b[1].x: cannot parse",
        ),
        (
            json!({"a": A, "b": format!("{B}\noops")}),
            "b: \"oops\" is not a source",
        ),
        (
            json!({"a": A, "b": {"mediaType": "x", "digest": B}}),
            "b: invalid descriptor: missing field `size`",
        ),
        (
            json!({"a": A, "b": {"schemaVersion": 2}}),
            "b: a manifest was given",
        ),
    ] {
        let found = error(&outputs);
        assert!(found.starts_with(message), "{found}");
    }
}

#[test]
fn outputs_without_a_source_are_an_error() {
    assert_eq!(
        error(&json!({"version": "1.2.3", "ok": true, "imageid": A})),
        "no source in the JSON: version=\"1.2.3\", ok=\"true\", imageid"
    );
    assert_eq!(error(&json!({})), "no source in the JSON: it is empty");
    let many: Map<String, Value> = (0..20).map(|n| (format!("k{n}"), json!(n))).collect();
    assert!(error(&Value::Object(many)).ends_with("k11=\"11\", 8 more"));
}

#[test]
fn json_in_strings_is_bounded() {
    let mut value = json!([A]);
    for _ in 0..=MAX_STRINGS {
        value = json!([value.to_string()]);
    }
    assert!(error(&value).ends_with("JSON in strings is nested too deeply"));
}

#[test]
fn invalid_descriptors_of_users_are_refused() {
    let descriptor = |field: &str, value: Value| {
        let mut descriptor = json!({"mediaType": "x", "digest": A, "size": 1});
        descriptor[field] = value;
        error(&descriptor)
    };
    assert!(descriptor("data", json!("eA==")).contains("does not match its size and digest"));
    let platform = json!({"os": "linux,x", "architecture": "arm"});
    assert!(descriptor("platform", platform).contains("contains a comma or white space"));
}
