//! Input that means harm, or is broken: an error, no panic, nothing half done.

use serde_json::json;

use super::bench::Bench;
use crate::support::{
    digest,
    image::{Image, Index, media},
    registry::{Class, Content, Fault, Rule},
};

const OLD: &str = "create HOST/app:1 HOST/app:a";

/// A registry with a good image, and a draft of it.
fn bench() -> Bench {
    let bench = Bench::new();
    Image::new("linux/amd64").load(&bench.registry, "app", "a");
    bench.ok(OLD);
    bench
}

/// Runs what must fail with `code`, and shows that draft and registry are as before.
fn changes_nothing(bench: &Bench, code: i32, line: &str) -> String {
    let (drafts, held) = (bench.ok("ls --format json"), bench.registry.snapshot());
    let error = bench.fails(code, line);
    assert_eq!(bench.ok("ls --format json"), drafts, "{line}");
    assert_eq!(bench.registry.snapshot(), held, "{line}");
    error
}

#[test]
fn references() {
    let bench = bench();
    let (long_name, long_tag, hex) = (
        "a".repeat(300),
        format!("a:{}", "t".repeat(129)),
        "0".repeat(64),
    );
    let asked = bench.registry.requests().len();
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
            let said = bench.run_words(words);
            assert!(
                [1, 2].contains(&said.code),
                "{words:?}: {} {}",
                said.code,
                said.stderr
            );
            assert!(
                said.stderr.starts_with("error: "),
                "{words:?}: {}",
                said.stderr
            );
            assert_eq!(said.stdout, "", "{words:?}");
        }
    }
    assert_eq!(bench.registry.requests().len(), asked);
    assert_eq!(bench.drafts().len(), 1);
}

#[test]
fn manifests() {
    let bench = bench();
    let put = |tag: &str, media_type: &str, content: Content| {
        let digest = digest::sha256(&content.bytes().unwrap_or_default());
        bench
            .registry
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
    let lie = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": []});
    put("lie", oci, lie.to_string().into());
    let negative = json!({"schemaVersion": 2, "mediaType": oci, "config": {"mediaType": "x", "size": -1, "digest": "sha256:1"}, "layers": []});
    put("negative", oci, negative.to_string().into());
    for tag in [
        "huge", "text", "empty", "array", "number", "deep", "cut", "binary", "html", "both", "lie",
        "negative",
    ] {
        let said = bench.run(&format!(
            "create --amend HOST/app:1 HOST/app:a HOST/app:{tag}"
        ));
        assert!(
            [1, 5].contains(&said.code),
            "{tag}: {} {}",
            said.code,
            said.stderr
        );
        let error = changes_nothing(
            &bench,
            said.code,
            &format!("create --amend HOST/app:1 HOST/app:{tag}"),
        );
        assert!(error.contains(&format!("HOST/app:{tag}")), "{error}");
        let said = bench.run(&format!("inspect HOST/app:{tag}"));
        assert!(
            said.code != 0 && said.stdout.is_empty(),
            "{tag}: {}",
            said.stdout
        );
    }
    let error = bench.run("inspect HOST/app:huge").stderr;
    assert!(
        error.contains("4 MiB") || error.contains("4194304"),
        "{error}"
    );
}

#[test]
fn an_index_that_contains_itself() {
    let bench = bench();
    let own = digest::sha256(b"the digest that it claims");
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "manifests": [{"mediaType": media::OCI_INDEX, "size": 300, "digest": own}],
    });
    let mut text = index.to_string();
    text.extend(std::iter::repeat_n(' ', 300 - text.len()));
    bench
        .registry
        .put_manifest_as("app", Some("self"), &own, media::OCI_INDEX, text);
    changes_nothing(&bench, 5, "create --amend HOST/app:1 HOST/app:self");
}

#[test]
fn indexes_in_indexes_without_end() {
    let bench = bench();
    let mut index = Index::oci().of(["linux/amd64"]);
    for _ in 0..8 {
        index = Index::oci().nested(index);
    }
    index.load(&bench.registry, "app", "deep");
    let error = changes_nothing(&bench, 5, "create --amend HOST/app:1 HOST/app:deep");
    assert!(error.contains("nested more than 3 deep"), "{error}");
}

#[test]
fn a_draft_that_was_cut_off() {
    let bench = bench();
    let [draft] = &bench.drafts()[..] else {
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
        ] {
            let error = bench.fails(1, line);
            assert!(
                error.contains("damaged") && error.contains("polyarch rm HOST/app:1"),
                "{error}"
            );
        }
        let said = bench.run("ls");
        assert_eq!(said.code, 1);
        assert!(said.stderr.contains("damaged"), "{}", said.stderr);
        assert_eq!(std::fs::read(draft).expect("a draft"), whole[..length]);
    }
    bench.ok("create --replace HOST/app:1 HOST/app:a");
    assert_eq!(std::fs::read(draft).expect("a draft"), whole);
    std::fs::write(draft, "{").expect("a draft");
    bench.ok("rm HOST/app:1");
    bench.ok(OLD);
}

#[test]
fn a_create_that_fails_midway_leaves_the_old_list() {
    let bench = bench();
    Image::new("linux/arm64").load(&bench.registry, "app", "b");
    let (drafts, held) = (bench.ok("ls --format json"), bench.registry.snapshot());
    for fault in [Fault::status(400), Fault::Corrupt, Fault::Truncate(10)] {
        for class in [Class::ManifestGet, Class::BlobGet] {
            for flag in ["--amend", "--replace"] {
                let rule = Rule::on(class).nth(2).forever().then(fault.clone());
                bench.registry.rule(rule);
                let line = format!("create --retry-for 0 {flag} HOST/app:1 HOST/app:b HOST/app:a");
                let said = bench.run(&line);
                assert!(
                    said.code > 0 && said.stderr.starts_with("error: "),
                    "{line}"
                );
                assert_eq!(bench.ok("ls --format json"), drafts, "{line}");
                assert_eq!(bench.registry.snapshot(), held, "{line}");
                bench.registry.clear_rules();
            }
        }
    }
}
