//! Hostile and broken input: an error, no panic, no partial change.

use serde_json::json;

use crate::support::{
    Scene, digest,
    image::{Image, Index, media},
    registry::{Class, Content, Fault, Rule},
};

const OLD: &str = "create HOST/app:1 HOST/app:a";

/// Returns a scene with a registry, a valid image in it, and a list of the image.
fn scene() -> Scene {
    let scene = Scene::new();
    Image::new("linux/amd64").load(scene.registry(), "app", "a");
    scene.ok(OLD);
    scene
}

/// Runs a line and expects exit code `code` and no change of any list or of the registry.
fn changes_nothing(scene: &Scene, code: i32, line: &str) -> String {
    let (drafts, held) = (scene.ok("ls --format json"), scene.registry().snapshot());
    let error = scene.fails(code, line);
    assert_eq!(scene.ok("ls --format json"), drafts, "{line}");
    assert_eq!(scene.registry().snapshot(), held, "{line}");
    error
}

#[test]
fn invalid_references_are_refused_by_every_command() {
    let scene = scene();
    let (long_name, long_tag, hex) = (
        "a".repeat(300),
        format!("a:{}", "t".repeat(129)),
        "0".repeat(64),
    );
    let asked = scene.registry().requests().len();
    for reference in [
        "..",
        ".",
        "/",
        "//",
        "a/../b",
        "../../etc/passwd",
        "a//b",
        "/a",
        "a/",
        "a:",
        ":a",
        "@",
        "a@",
        "a@b",
        "a:b:c",
        "a b",
        "é",
        "a\u{202e}b",
        "Foo",
        "a/B",
        "a..b",
        "-a/b",
        "_a",
        "a:-b",
        "a:.b",
        "http://x/y",
        "HOST/%2e%2e/x",
        "HOST/a?b",
        "HOST/a#b",
        "a\\b",
        "a\nb",
        "a@sha256:12",
        "a@md5:d41d8cd98f00b204e9800998ecf8427e",
        "a@sha256:ZZ",
        "$(id)",
        "`id`",
        "${HOME}",
        "HOST:99999/a",
        "[::1/a",
        "",
        &long_name,
        &long_tag,
        &hex,
    ] {
        for words in [
            &["create", "--amend", "--", reference, "HOST/app:a"][..],
            &[
                "create",
                "--amend",
                "--",
                "HOST/app:1",
                "HOST/app:a",
                reference,
            ],
            &["annotate", "--", reference, "HOST/app:a"],
            &["inspect", "--", reference],
            &["push", "--", reference],
            &["rm", "--", reference],
        ] {
            let output = scene.run_words(words);
            assert!([1, 2].contains(&output.code), "{words:?}: {output}");
            assert!(output.stderr.starts_with("error: "), "{words:?}: {output}");
            assert_eq!(output.stdout, "", "{words:?}");
        }
    }
    assert_eq!(scene.registry().requests().len(), asked);
    assert_eq!(scene.drafts().len(), 1);
}

#[test]
fn invalid_manifests_are_refused() {
    let scene = scene();
    let put = |tag: &str, media_type: &str, content: Content| {
        let digest = digest::sha256(&content.bytes().unwrap_or_default());
        scene
            .registry()
            .put_manifest_as("app", Some(tag), &digest, media_type, content);
    };
    let oci = media::OCI_MANIFEST;
    put(
        "huge",
        oci,
        format!("{{\"x\": \"{}\"}}", "x".repeat(5 << 20)).into(),
    );
    put("text", oci, "hello".into());
    put("empty", oci, "".into());
    put("array", oci, "[]".into());
    put("number", oci, "1e999".into());
    put("deep", oci, "[".repeat(100_000).into());
    put("cut", oci, "{\"schemaVersion\": 2, \"config\": {".into());
    put("binary", oci, vec![0xff_u8, 0, 0x80].into());
    put("html", "text/html", "<html>".into());
    let both = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [], "layers": [], "config": {}});
    put("both", media::OCI_INDEX, both.to_string().into());
    let mislabelled = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": []});
    put("mislabelled", oci, mislabelled.to_string().into());
    let negative = json!({"schemaVersion": 2, "mediaType": oci, "config": {"mediaType": "x", "size": -1, "digest": "sha256:1"}, "layers": []});
    put("negative", oci, negative.to_string().into());
    let tags = [
        "huge",
        "text",
        "empty",
        "array",
        "number",
        "deep",
        "cut",
        "binary",
        "html",
        "both",
        "mislabelled",
        "negative",
    ];
    for tag in tags {
        let line = format!("create --amend HOST/app:1 HOST/app:a HOST/app:{tag}");
        let code = scene.run(&line).code;
        assert!([1, 5].contains(&code), "{tag}: {code}");
        let line = format!("create --amend HOST/app:1 HOST/app:{tag}");
        changes_nothing(&scene, code, &line);
    }
    let lines = tags.map(|tag| format!("inspect HOST/app:{tag}"));
    insta::assert_snapshot!(scene.transcript(lines.iter().map(String::as_str)), @r#"
    $ polyarch inspect HOST/app:huge
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:huge: HOST sent more than 4194304 bytes of a manifest
     hint: raise the limit with --max-manifest SIZE if the manifest is intended to have this size

    $ polyarch inspect HOST/app:text
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:text: not a manifest: not valid JSON: expected value at line 1 column 1

    $ polyarch inspect HOST/app:empty
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:empty: not a manifest: not valid JSON: EOF while parsing a value at line 1 column 0

    $ polyarch inspect HOST/app:array
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:array: not a manifest: not valid JSON: invalid type: sequence, expected a manifest or index at line 1 column 0

    $ polyarch inspect HOST/app:number
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:number: not a manifest: not valid JSON: number out of range at line 1 column 5

    $ polyarch inspect HOST/app:deep
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:deep: not a manifest: nested deeper than 64 levels

    $ polyarch inspect HOST/app:cut
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:cut: not a manifest: not valid JSON: EOF while parsing an object at line 1 column 32

    $ polyarch inspect HOST/app:binary
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:binary: not a manifest: not valid JSON: expected value at line 1 column 1

    $ polyarch inspect HOST/app:html
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:html: not a manifest: not valid JSON: expected value at line 1 column 1

    $ polyarch inspect HOST/app:both
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:both: refused: the document has both "manifests" and "config", so clients could read different images (CVE-2021-41190)

    $ polyarch inspect HOST/app:mislabelled
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:mislabelled: refused: the document declares the type "application/vnd.oci.image.index.v1+json", but was served as "application/vnd.oci.image.manifest.v1+json"

    $ polyarch inspect HOST/app:negative
    exit code: 5
    ----- stderr -----
    error: failed to read HOST/app:negative: not a manifest: not valid JSON: invalid value: integer `-1`, expected u64 at line 1 column 111
    "#);
}

#[test]
fn index_that_contains_itself_is_refused() {
    let scene = scene();
    let own = digest::sha256(b"the digest that it contains");
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "manifests": [{"mediaType": media::OCI_INDEX, "size": 300, "digest": own}],
    });
    let mut text = index.to_string();
    text.extend(std::iter::repeat_n(' ', 300 - text.len()));
    scene
        .registry()
        .put_manifest_as("app", Some("self"), &own, media::OCI_INDEX, text);
    changes_nothing(&scene, 5, "create --amend HOST/app:1 HOST/app:self");
}

#[test]
fn deeply_nested_index_is_refused() {
    let scene = scene();
    let mut index = Index::oci().of(["linux/amd64"]);
    for _ in 0..8 {
        index = Index::oci().nested(index);
    }
    index.load(scene.registry(), "app", "deep");
    let error = changes_nothing(&scene, 5, "create --amend HOST/app:1 HOST/app:deep");
    insta::assert_snapshot!(error, @"error: failed to read HOST/app@sha256:dbfa5aaa0bc7bfec29d184c61e4fde40564697d3ac1eef3b9f1babd0f489b833: indexes are nested deeper than 3 levels");
}

#[test]
fn truncated_draft_is_reported_and_can_be_replaced() {
    let scene = scene();
    let [draft] = &scene.drafts()[..] else {
        panic!("one draft");
    };
    let whole = std::fs::read(draft).expect("a draft");
    for length in [0, 1, whole.len() / 2, whole.len() - 2] {
        std::fs::write(draft, &whole[..length]).expect("a draft");
        for line in [
            "push HOST/app:1",
            "inspect HOST/app:1",
            "annotate HOST/app:1 HOST/app:a --arch arm",
            "create -a HOST/app:1 HOST/app:a",
            OLD,
            "ls",
        ] {
            let output = scene.run(line).exits(1);
            assert!(output.stderr.contains("damaged"), "{output}");
        }
        assert_eq!(std::fs::read(draft).expect("a draft"), whole[..length]);
    }
    std::fs::write(draft, "{").expect("a draft");
    insta::assert_snapshot!(scene.transcript(["push HOST/app:1", "ls"]), @"
    $ polyarch push HOST/app:1
    exit code: 1
    ----- stderr -----
    error: the draft in HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is damaged: not valid JSON: EOF while parsing an object at line 1 column 1
     hint: remove it with `polyarch rm HOST/app:1`, or start over with `polyarch create --replace HOST/app:1 …`

    $ polyarch ls
    exit code: 1
    ----- stderr -----
    warning: the draft in HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json is damaged: not valid JSON: EOF while parsing an object at line 1 column 1
     hint: remove the file with `rm HOME/.local/share/polyarch/drafts/HOST_app_1-HASH.json`
    ");
    scene.ok("create --replace HOST/app:1 HOST/app:a");
    assert_eq!(std::fs::read(draft).expect("a draft"), whole);
    std::fs::write(draft, "{").expect("a draft");
    scene.ok("rm HOST/app:1");
    scene.ok(OLD);
}

#[test]
fn failing_create_keeps_the_old_list() {
    let scene = scene();
    Image::new("linux/arm64").load(scene.registry(), "app", "b");
    let (drafts, held) = (scene.ok("ls --format json"), scene.registry().snapshot());
    for fault in [Fault::status(400), Fault::Corrupt, Fault::Truncate(10)] {
        for class in [Class::ManifestGet, Class::BlobGet] {
            for flag in ["--amend", "--replace"] {
                let rule = Rule::on(class).nth(2).forever().then(fault.clone());
                scene.registry().rule(rule);
                let line = format!("create --retry-for 0 {flag} HOST/app:1 HOST/app:b HOST/app:a");
                let output = scene.run(&line);
                assert_ne!(output.code, 0, "{line}");
                assert!(output.stderr.starts_with("error: "), "{line}: {output}");
                assert_eq!(scene.ok("ls --format json"), drafts, "{line}");
                assert_eq!(scene.registry().snapshot(), held, "{line}");
                scene.registry().clear_rules();
            }
        }
    }
}
