//! Tests of references in Docker's familiar form.

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn familiar_names_are_expanded() {
    for (text, full) in [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("o/app", "docker.io/o/app:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("DOCKER.IO/o/app", "docker.io/o/app:latest"),
        ("GHCR.io/o/app", "ghcr.io/o/app:latest"),
        ("localhost/a", "localhost/a:latest"),
        ("localhost:5000/a/b__c:T", "localhost:5000/a/b__c:T"),
        ("Upper/a", "Upper/a:latest"),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
        ("a.b/c--d.e_f", "a.b/c--d.e_f:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
    ] {
        let reference = Reference::parse_or_latest(text).unwrap();
        assert_eq!(reference.to_string(), full);
        assert_eq!(full.parse::<Reference>().unwrap(), reference);
    }
}

#[test]
fn tag_and_digest_are_both_kept() {
    let text = format!("ghcr.io/o/app:1@{DIGEST}");
    let reference = Reference::parse_or_latest(&text).unwrap();
    assert_eq!(reference.to_string(), text);
    assert_eq!(reference.tag().unwrap().as_str(), "1");
    let bare = Reference::parse_or_latest(&format!("app@{DIGEST}")).unwrap();
    assert_eq!(bare.tag(), None);
}

#[test]
fn messages_equal_the_messages_of_docker() {
    let hex = &DIGEST[7..];
    for (text, message) in [
        ("", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a:b:c", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a/../b", "invalid reference format"),
        ("a:\u{e4}", "invalid reference format"),
        ("https://ghcr.io/o/app", "invalid reference format"),
        ("a@sha256:abc", "invalid reference format"),
        (
            "Foo",
            "invalid reference format: repository name (library/Foo) must be lowercase",
        ),
    ] {
        let error = Reference::parse_or_latest(text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
    }
    let error = Reference::parse_or_latest(hex).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("invalid repository name ({hex}), cannot specify 64-byte hexadecimal strings")
    );
    let long = "a".repeat(250);
    assert_eq!(
        Reference::parse_or_latest(&long).unwrap_err(),
        ReferenceError::TooLong
    );
}

#[test]
fn explanations_name_the_invalid_part() {
    for (text, explanation) in [
        ("", "the reference is empty"),
        ("app:-bad", "invalid tag \"-bad\": a tag has"),
        ("app:1.2:3", "invalid tag \"1.2:3\": a tag has"),
        ("ghcr.io/o/app:", "invalid tag \"\": a tag has"),
        (
            "@sha256:abc",
            "invalid checksum digest length: sha256 has 64 hex digits, not 3",
        ),
        (
            "a@1",
            "invalid digest \"1\": expected sha256:<64 hex digits>",
        ),
        (&format!("@{DIGEST}"), "the repository name is missing"),
        ("ghcr.io/", "the repository name is missing"),
        (":1", "the repository name is missing"),
        ("a//b", "invalid repository name \"a//b\": a name has"),
        ("https://ghcr.io/o/app", "\"https:\" is not a registry host"),
        (
            "1.2.3.999/app",
            "invalid reference format: 1.2.3.999 is not",
        ),
        ("o/App", "the repository name must be lowercase"),
    ] {
        let error = text.parse::<Reference>().unwrap_err().explanation();
        assert!(error.starts_with(explanation), "{text}: {error}");
    }
}
