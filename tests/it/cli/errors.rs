//! What goes wrong every day: the exit code, the words, and that nothing has changed.

use super::bench::Bench;
use crate::support::{image::Image, registry::closed_address};

fn bench() -> Bench {
    let bench = Bench::new();
    for (tag, platform) in [("a", "linux/amd64"), ("b", "linux/arm64/v8")] {
        Image::new(platform).load(&bench.registry, "app", tag);
    }
    bench
}

#[test]
fn what_is_not_there() {
    let bench = bench();
    let error = bench.fails(4, "create HOST/app:1 HOST/app:a HOST/app:none");
    assert_eq!(
        error,
        "error: no such manifest: HOST/app:none: failed to read HOST/app:none: HOST answered 404 Not Found \
         (MANIFEST_UNKNOWN: manifest unknown)\n"
    );
    assert!(bench.drafts().is_empty());
    for (code, line, expected) in [
        (
            4,
            "inspect HOST/app:none",
            "no such manifest: HOST/app:none",
        ),
        (
            4,
            "inspect HOST/nowhere:1",
            "no such manifest: HOST/nowhere:1",
        ),
        (
            4,
            "inspect HOST/app:1 HOST/app:a",
            "No such manifest: HOST/app:a",
        ),
        (
            1,
            "push HOST/app:1",
            "No such manifest: HOST/app:1\n hint: create it first: polyarch create HOST/app:1 MANIFEST...",
        ),
        (
            1,
            "annotate HOST/app:1 HOST/app:a",
            "manifest for image HOST/app:a does not exist in HOST/app:1",
        ),
        (
            1,
            "annotate HOST/app:1 --annotation a=b",
            "No such manifest: HOST/app:1",
        ),
        (1, "rm HOST/app:1", "No such manifest: HOST/app:1"),
    ] {
        let error = bench.fails(code, line);
        assert!(
            error.starts_with(&format!("error: {expected}")),
            "{line}: {error}"
        );
    }
}

#[test]
fn rm_goes_on_after_one_that_is_missing() {
    let bench = bench();
    bench.ok("create HOST/app:1 HOST/app:a");
    let error = bench.fails(1, "rm HOST/App HOST/app:0 HOST/app:1");
    let expected = "error: invalid reference format: repository name (App) must be lowercase\nerror: No such manifest: HOST/app:0\n";
    assert_eq!(error, expected);
    assert!(bench.drafts().is_empty());
}

#[test]
fn an_entry_that_is_not_in_the_list_is_told_with_those_that_are() {
    let bench = bench();
    bench.ok("create HOST/app:1 HOST/app:a HOST/app:b");
    assert_eq!(
        bench.fails(1, "annotate HOST/app:1 HOST/app:c --arch arm"),
        "error: manifest for image HOST/app:c does not exist in HOST/app:1\n \
         hint: its entries are: HOST/app:a, HOST/app:b\n"
    );
}

#[test]
fn a_registry_that_is_down() {
    let bench = bench();
    bench.ok("create HOST/app:1 HOST/app:a");
    let down = closed_address();
    for line in [
        format!("inspect --retry-for 0 {down}/app:1"),
        format!("create --retry-for 0 HOST/app:2 HOST/app:a {down}/app:1"),
    ] {
        let error = bench.fails(6, &line);
        for words in ["cannot connect to", "running and reachable", "--retry-for"] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }
    assert_eq!(bench.drafts().len(), 1);
    // Some tags landed, some did not.
    let error = bench.fails(7, &format!("push --retry-for 0 HOST/app:1 -t {down}/app:1"));
    assert!(
        error.contains("these tags were pushed: HOST/app:1"),
        "{error}"
    );
    assert!(bench.registry.tag("app", "1").is_some());
}

#[test]
fn what_people_mistype() {
    let bench = bench();
    bench.ok("create HOST/app:1 HOST/app:a");
    for (line, expected) in [
        (
            "crate x y",
            "unrecognized subcommand 'crate'\n\n  tip: a similar subcommand exists: 'create'",
        ),
        (
            "create HOST/app:1",
            "the following required arguments were not provided:\n  <MANIFEST>...",
        ),
        (
            "push HOST/app:1 --purg",
            "unexpected argument '--purg' found\n\n  tip: a similar argument exists: '--purge'",
        ),
        (
            "push HOST/app:1 HOST/app:2",
            "unexpected argument 'HOST/app:2' found",
        ),
        (
            "push HOST/app:1 --purge=maybe",
            "--purge=maybe: --purge is to be true or false",
        ),
        (
            "push HOST/app:1 -t sha256:00",
            "--tag sha256:00: a tag is needed, not a digest",
        ),
        (
            "push HOST/app:1 -t a:b:c",
            "--tag a:b:c: invalid reference format",
        ),
        (
            "push HOST/app:1 --retry-for soon",
            "invalid value 'soon' for '--retry-for <DURATION>': \"soon\" is no duration",
        ),
        (
            "push HOST/app:1 --jobs 0",
            "invalid value '0' for '--jobs <N>': 0 is not in 1..=256",
        ),
        (
            "create HOST/app:1 HOST/app:a --amend --replace",
            "the argument '--amend' cannot be used with '--replace'",
        ),
        (
            "annotate HOST/app:1 --arch arm",
            "which entry? Name a MANIFEST after the list to change its platform",
        ),
        (
            "annotate HOST/app:1 HOST/app:a --arch amr64",
            "unknown architecture \"amr64\" (did you mean \"amd64\"?)\n hint: --force",
        ),
        (
            "annotate HOST/app:1 HOST/app:a --os linus",
            "unknown operating system \"linus\" (did you mean \"linux\"?)",
        ),
        (
            "annotate HOST/app:1 HOST/app:a --annotation x",
            "invalid annotation \"x\": expected KEY=VALUE",
        ),
        (
            "inspect --format yaml HOST/app:1",
            "invalid value 'yaml' for '--format <FORMAT>'\n  [possible values: json]",
        ),
        (
            "inspect --raw -v HOST/app:1",
            "the argument '--raw' cannot be used with '--verbose'",
        ),
        (
            "--verbose",
            "the following required arguments were not provided:\n  --version",
        ),
    ] {
        let before = bench.registry.snapshot();
        let error = bench.fails(2, line);
        assert!(
            error.starts_with(&format!("error: {expected}")),
            "{line}: {error}"
        );
        assert_eq!(bench.registry.snapshot(), before, "{line}");
    }
}

#[test]
fn an_image_without_a_platform_is_not_pushed() {
    let bench = bench();
    let config = bench.registry.put_blob("app", "{}");
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": config},
        "layers": [],
    });
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    bench
        .registry
        .put_manifest("app", Some("bare"), media_type, manifest.to_string());
    let said = bench.run("create HOST/app:1 HOST/app:bare");
    assert!(
        said.stderr.contains("HOST/app:bare has no platform"),
        "{}",
        said.stderr
    );
    let error = bench.fails(5, "push HOST/app:1");
    let expected = "error: manifest HOST/app:bare must have an OS and Architecture to be pushed to a registry\n \
                    hint: polyarch annotate --os OS --arch ARCH HOST/app:1 HOST/app:bare\n";
    assert_eq!(error, expected);
    bench.ok("annotate --os linux --arch amd64 HOST/app:1 HOST/app:bare");
    bench.ok("push HOST/app:1");
}
