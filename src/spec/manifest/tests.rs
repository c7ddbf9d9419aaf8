//! Tests of accepted and refused documents.

use super::*;

const CONFIG: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

fn parse(json: &str, announced: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(
        Bytes::copy_from_slice(json.as_bytes()),
        &MediaType::new(announced),
    )
}

#[test]
fn type_comes_from_body_then_header_then_form() {
    let bare = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[]}}"#);
    assert_eq!(
        parse(&bare, "").unwrap().media_type.as_str(),
        MediaType::OCI_MANIFEST
    );
    assert_eq!(
        parse(&bare, "application/json")
            .unwrap()
            .media_type
            .as_str(),
        MediaType::OCI_MANIFEST
    );
    assert_eq!(
        parse(&bare, MediaType::DOCKER_MANIFEST)
            .unwrap()
            .media_type
            .as_str(),
        MediaType::DOCKER_MANIFEST
    );
    assert!(matches!(
        parse(&bare, MediaType::OCI_INDEX),
        Err(ManifestError::TypeMismatch { .. })
    ));
}

#[test]
fn ambiguous_documents_are_refused() {
    let both = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"manifests":[]}}"#);
    assert!(matches!(
        parse(&both, ""),
        Err(ManifestError::Ambiguous("config"))
    ));
    let layers = r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#;
    assert!(matches!(
        parse(layers, ""),
        Err(ManifestError::Ambiguous("layers"))
    ));
    let typed = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{CONFIG},"layers":[]}}"#,
        MediaType::OCI_MANIFEST
    );
    assert!(matches!(
        parse(&typed, MediaType::DOCKER_MANIFEST),
        Err(ManifestError::TypeMismatch { .. })
    ));
}

#[test]
fn fields_in_other_letter_case_are_refused() {
    for field in [
        "Config",
        "LAYERS",
        "manifestS",
        "fslayers",
        "layer\u{17f}",
        "MediaType",
    ] {
        let json = format!(r#"{{"schemaVersion":2,"manifests":[],"{field}":{{}}}}"#);
        let error = parse(&json, "").unwrap_err();
        assert!(
            matches!(&error, ManifestError::LetterCase(name) if name == field),
            "{error}"
        );
    }
    for twice in ["manifests", "layers", "mediaType"] {
        let json = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"{twice}":[],"{twice}":[]}}"#);
        assert!(
            parse(&json.replace(r#"mediaType":[]"#, r#"mediaType":"""#), "").is_err(),
            "{json}"
        );
    }
    for entry in [
        r#""Digest":"sha256:0""#,
        r#""SIZE":1"#,
        r#""platform":{"OS":"linux"}"#,
        r#""platform":{"os":"linux","Architecture":"arm"}"#,
    ] {
        let json = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            CONFIG.replace(r#""size":0"#, &format!(r#""size":0,{entry}"#))
        );
        let error = parse(&json, "").unwrap_err();
        assert!(matches!(error, ManifestError::LetterCase(_)), "{error}");
    }
    // Other unknown fields are passed on.
    assert!(
        parse(
            r#"{"schemaVersion":2,"manifests":[],"Configuration":1}"#,
            ""
        )
        .is_ok()
    );
}

#[test]
fn other_documents_are_refused() {
    for json in [
        "",
        "null",
        "[]",
        "{}",
        "<html>",
        r#"{"manifests":{}}"#,
        r#"{"schemaVersion":3,"manifests":[]}"#,
    ] {
        assert!(parse(json, "").is_err(), "{json}");
    }
    assert!(matches!(
        parse(r#"{"schemaVersion":1,"fsLayers":[]}"#, ""),
        Err(ManifestError::Schema1)
    ));
}

#[test]
fn an_index_is_unchanged_after_reading_and_writing() {
    let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":7,"annotations":{"a":"b"},"platform":{"architecture":"arm","os":"linux","os.version":"1","os.features":["x"],"variant":"v7","features":["sse4"]},"artifactType":"t","unknown":1}],"annotations":{"k":"v"},"more":{"z":1,"a":2}}"#;
    let manifest = parse(text, "").unwrap();
    let written = serde_json::to_string(manifest.index().unwrap()).unwrap();
    assert_eq!(written, text);
}

#[test]
fn entries_beyond_the_limits_are_refused() {
    let digest = Digest::sha256(b"x");
    let index = |entry: &str| {
        format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{digest}","size":1,{entry}}}]}}"#,
            MediaType::OCI_MANIFEST
        )
    };
    let platform = |field: &str, text: &str| {
        let mut fields = serde_json::json!({"os": "linux", "architecture": "arm"});
        fields[field] = text.into();
        format!(r#""platform":{fields}"#)
    };
    let features = |count: usize| {
        let list = vec!["f"; count];
        format!(
            r#""platform":{}"#,
            serde_json::json!({"os": "linux", "architecture": "arm", "os.features": list})
        )
    };
    let annotations = |size: usize| format!(r#""annotations":{{"k":"{}"}}"#, "x".repeat(size - 1));
    let both = |size: usize| {
        format!(
            r#"{},"urls":["{}"]"#,
            annotations(100),
            "x".repeat(size - 100)
        )
    };
    for fits in [
        platform("os.version", &"x".repeat(256)),
        platform("variant", "a, b"),
        features(64),
        annotations(64 << 10),
        both(64 << 10),
    ] {
        assert!(parse(&index(&fits), "").is_ok(), "{fits:.80}");
    }
    for (exceeds, message) in [
        (
            platform("os.version", &"x".repeat(257)),
            "os.version is longer than 256 bytes",
        ),
        (
            platform("variant", &"x".repeat(257)),
            "variant is longer than 256 bytes",
        ),
        (
            platform("os", "linux,x"),
            "os \"linux,x\" contains a comma or white space",
        ),
        (
            platform("architecture", "arm v7"),
            "contains a comma or white space",
        ),
        (features(65), "more than 64 items"),
        (annotations((64 << 10) + 1), "more than 65536 bytes"),
        (both((64 << 10) + 1), "exceed 65536 bytes"),
    ] {
        let error = parse(&index(&exceeds), "").unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
