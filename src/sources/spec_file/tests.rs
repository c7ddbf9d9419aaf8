//! Tests with spec files of manifest-tool's repository and documentation, and of polyarch.

use super::*;
use crate::hint::Hint;

fn one(text: &str) -> ImageSpec {
    let mut images = parse_spec(text).unwrap();
    assert_eq!(images.len(), 1);
    images.remove(0)
}

fn shown(image: &ImageSpec) -> Vec<String> {
    let platform = |source: &SourceSpec| match &source.set_platform {
        Some(platform) => platform.to_string(),
        None => "?".to_owned(),
    };
    let sources = image.sources.iter();
    sources
        .map(|source| format!("{} {}", source.text, platform(source)))
        .collect()
}

fn error(text: &str) -> String {
    parse_spec(text).unwrap_err().to_string()
}

#[test]
fn files_of_manifest_tool_are_accepted() {
    let image = one("\
image: registry.example:5000/team/app:1.0
tags: [ \"latest\", 1.10, 2 ]
manifests:
  -
    image: registry.example:5000/team/app:linux_386
    platform:
      architecture: 386
      os: linux
  - 
    image: registry.example:5000/team/app:linux_arm64
    platform: 
      architecture: arm64
      os: linux
      variant: v8
  -
    image: registry.example:5000/team/app:linux_arm
    platform:
      architecture: arm
      os: linux
  - image: registry.example:5000/team/app:win
    platform: {architecture: amd64, os: windows, osversion: 10.0.17763.1, osfeatures: [win32k]}
");
    assert_eq!(
        image.image.to_string(),
        "registry.example:5000/team/app:1.0"
    );
    let tags: Vec<_> = image.tags.iter().map(Tag::as_str).collect();
    assert_eq!(tags, ["latest", "1.10", "2"]);
    assert_eq!(
        shown(&image),
        [
            "registry.example:5000/team/app:linux_386 linux/386",
            "registry.example:5000/team/app:linux_arm64 linux/arm64/v8",
            "registry.example:5000/team/app:linux_arm linux/arm",
            "registry.example:5000/team/app:win windows(10.0.17763.1+win32k)/amd64",
        ]
    );
    assert_eq!(image.annotations, []);
}

#[test]
fn annotations_go_to_the_index_and_to_the_entries() {
    let image = one("\
image: ghcr.io/o/app
annotations:
  org.opencontainers.image.source: https://example.com/o/app
  version: 1.0
  empty: ''
manifests:
  - image: ghcr.io/o/app:amd64
    platform: linux/amd64
    annotations: {note: yes}
  - image: ghcr.io/o/app:win
    platform: {architecture: amd64, os: windows, os.version: '10.0', os.features: [win32k], features: [sse4]}
");
    assert_eq!(image.image.to_string(), "ghcr.io/o/app:latest");
    let rules: Vec<_> = image
        .annotations
        .iter()
        .map(|rule| (rule.levels.clone(), rule.key.as_str(), rule.value.as_str()))
        .collect();
    let index = || vec![AnnotationLevel::Index];
    let amd64 = AnnotationLevel::ManifestDescriptor(Some("linux/amd64".parse().unwrap()));
    let key = "org.opencontainers.image.source";
    assert_eq!(
        rules,
        [
            (index(), key, "https://example.com/o/app"),
            (index(), "version", "1.0"),
            (index(), "empty", ""),
            (vec![amd64], "note", "yes"),
        ]
    );
    let windows = image.sources[1].set_platform.as_ref().unwrap();
    assert_eq!(windows.to_string(), "windows(10.0+win32k)/amd64");
    assert_eq!(windows.extra["features"], serde_json::json!(["sse4"]));
}

#[test]
fn sources_may_have_any_form() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let image = one(&format!(
        "image: a/b:1\nsources:\n- nginx:1\n- {digest}\n- oci:./a,b:1\n- '[\"x/y:1\", \"z/a:2\"]'\n"
    ));
    let texts: Vec<_> = image.sources.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(texts, ["nginx:1", &digest, "oci:./a,b:1", "x/y:1", "z/a:2"]);
}

#[test]
fn an_empty_platform_is_none() {
    for platform in [
        "",
        "platform:",
        "platform: {}",
        "platform: {os: '', architecture: ''}",
    ] {
        let image = one(&format!(
            "image: a:1\nmanifests:\n- image: b:1\n  {platform}\n"
        ));
        assert_eq!(shown(&image), ["b:1 ?"], "{platform}");
    }
}

#[test]
fn documents_and_anchors_are_read() {
    let images = parse_spec(
        "\
---
image: ghcr.io/o/a:1
tags: [x]
annotations: &common {a: b}
sources: [nginx]
---
---
# the second
image: ghcr.io/o/a:2
annotations: {c: d}
sources: [alpine]
...
",
    )
    .unwrap();
    assert_eq!(images.len(), 2);
    let targets: Vec<_> = images[0]
        .targets()
        .iter()
        .map(Reference::to_string)
        .collect();
    assert_eq!(targets, ["ghcr.io/o/a:1", "ghcr.io/o/a:x"]);
    let merged = one("\
image: a:1
manifests:
- image: b:1
  platform: &linux {os: linux, architecture: amd64}
- image: c:1
  platform: {<<: *linux, architecture: arm64}
");
    assert_eq!(shown(&merged), ["b:1 linux/amd64", "c:1 linux/arm64"]);
    // JSON is YAML.
    assert_eq!(one(r#"{"image":"a:1","sources":["b:1"]}"#).sources.len(), 1);
}

#[test]
fn unknown_keys_are_errors_with_their_line() {
    for (text, message) in [
        (
            "image: a:1\nmanifest:\n- image: b:1\n",
            "unknown key \"manifest\" in line 2 (did you mean \"manifests\"?)",
        ),
        (
            "image: a:1\nmanifests:\n- image: b:1\n  platfrom: linux/amd64\n",
            "unknown key \"platfrom\" in line 4 (did you mean \"platform\"?)",
        ),
        (
            "image: a:1\nmanifests:\n- image: b:1\n  platform:\n    arch: arm64\n    os: linux\n",
            "unknown key \"arch\" in line 5 (did you mean \"architecture\"?)",
        ),
        (
            "image: a:1\nsomething_else: 1\n",
            "unknown key \"something_else\" in line 2 (known keys: image, tags, manifests, sources, annotations)",
        ),
    ] {
        assert_eq!(error(text), message);
    }
}

#[test]
fn errors_have_a_position() {
    let digest = format!("a:1@sha256:{}", "a".repeat(64));
    let by_digest = format!("image: {digest}\nsources: [b]");
    for (text, message) in [
        ("", "no document"),
        ("# nothing\n---\n", "no document"),
        ("sources: [a]", "document 1: no image"),
        ("image: a:1", "a:1: neither manifests nor sources"),
        ("image: a:1\nsources: []", "a:1: neither"),
        (
            "image: a:1\nsources: [b]\nmanifests: [{image: c}]",
            "a:1: both",
        ),
        (
            "image: a:1\nsources: [b, 'c:d:e']",
            "a:1: sources[1]: invalid source \"c:d:e\"",
        ),
        (
            "image: a:1\nmanifests: [{image: b}, {platform: linux/arm}]",
            "a:1: manifests[1]: no image",
        ),
        (
            "image: a:1\nmanifests: [{image: b, platform: {os: linux}}]",
            "a:1: manifests[0]: platform: no architecture",
        ),
        (
            "image: a:1\nmanifests: [{image: b, platform: {variant: v7}}]",
            "a:1: manifests[0]: platform: no os",
        ),
        (
            "image: a:1\nmanifests: [{image: b, platform: {os: linux, architecture: amd46}}]",
            "a:1: manifests[0]: platform: unknown architecture \"amd46\" (did you mean \"amd64\"?)",
        ),
        (
            "image: a:1\nmanifests: [{image: b, annotations: {k: v}}]",
            "a:1: manifests[0]: annotations need a platform",
        ),
        (
            "image: a:1\ntags: ['-x']\nsources: [b]",
            "a:1: tags: invalid tag \"-x\"",
        ),
        (
            &by_digest,
            &format!("{digest}: image: a target cannot have a digest"),
        ),
        (
            "image: a:1\nsources: [b]\n---\nimage: docker.io/library/a:2\ntags: ['1']\nsources: [c]",
            "docker.io/library/a:2: an earlier document has the target docker.io/library/a:1 too",
        ),
        ("image: a:1\nimage: a:2\nsources: [b]", "duplicate"),
        ("image: [a]\n", "line 1"),
        ("image: 'a\n", "line"),
        ("- image: a\n", "line 1"),
    ] {
        let found = error(text);
        assert!(found.contains(message), "{found}");
        assert!(!found.contains('\n'), "{found}");
    }
}

#[test]
fn yaml_bombs_are_refused() {
    use std::fmt::Write as _;
    let mut laughs = "image: a:1\nmanifests:\n- {annotations: &a0 {k: v, l: w}}\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 9].join(",");
        writeln!(laughs, "- {{annotations: &a{level} {{<<: [{below}]}}}}").unwrap();
    }
    let nested = format!("image: {}", "[".repeat(100_000));
    let blob = "x".repeat(3 << 20);
    let aliases = "*big, ".repeat(2_000);
    let copied = format!("image: a:1\ntags: [&big {blob}, {aliases}]\nsources: [b]");
    let documents = "---\nimage: a\n".repeat(5_000);
    for (bomb, message) in [
        (laughs, "total_replayed_events"),
        (nested, "line 1"),
        (copied, "ScalarBytes"),
        (documents, "Documents"),
    ] {
        let found = error(&bomb);
        assert!(found.contains(message), "{found}");
    }
}

#[test]
fn errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spec.yml");
    std::fs::write(&path, "\u{feff}image: a:1\r\nsources:\r\n- b:1\r\n").unwrap();
    assert_eq!(read_spec(&path).unwrap().len(), 1);
    std::fs::write(&path, b"image: \xff").unwrap();
    let error = read_spec(&path).unwrap_err().to_string();
    assert!(error.ends_with("spec.yml: not UTF-8"), "{error}");
    std::fs::write(&path, " ".repeat(MAX_TEXT + 1)).unwrap();
    let error = read_spec(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("spec.yml is larger than 4194304 bytes"),
        "{error}"
    );
    std::fs::write(&path, r#"{"mediaType":"a/b","digest":"sha256:0","size":1}"#).unwrap();
    let error = read_spec(&path).unwrap_err();
    assert!(
        error.to_string().ends_with("a descriptor, not a spec file"),
        "{error}"
    );
    assert!(format!("{:?}", error.hints()).contains("as a source"));
    let device = read_spec(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(device.ends_with("not a regular file"), "{device}");
    let missing = read_spec(&directory.path().join("missing")).unwrap_err();
    assert!(missing.to_string().contains("missing"), "{missing}");
    std::fs::write(&path, "image: ghcr.io/o/app:${TAG}\nsources: [b]").unwrap();
    let hints = read_spec(&path).unwrap_err().hints();
    assert_eq!(
        hints,
        [Hint::Note("a variable was not replaced".to_owned())]
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_parsed_without_panic(text in "(\\PC|\n){0,200}") {
        let _ = parse_spec(&text);
    }

    #[test]
    fn texts_of_tokens_are_parsed_without_panic(pieces in proptest::collection::vec(
        proptest::sample::select(vec![
            "image: ", "tags: ", "manifests:\n", "sources:\n", "annotations: ", "platform: ", "- ", "  ",
            "\n", "a:1", "[", "]", "{", "}", "&a ", "*a", "<<: ", "---\n", "...\n", "'", "\"", "|\n", "? ",
            "!!binary ", "!x ", "#", "null", "1.0", "\t", "os: linux\n", "architecture: arm\n", "\u{e4}", "\0",
        ]), 0..40))
    {
        let _ = parse_spec(&pieces.concat());
    }
}
