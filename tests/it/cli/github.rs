//! Workflow commands and outputs of single commands in a step of GitHub Actions.

use crate::support::{Scene, image::Image};

/// A value that would be a workflow command if it were printed unchanged.
const COMMAND: &str = "--media-type=x\n::error::injected\u{1b}[2J";

fn scene() -> Scene {
    let mut scene = Scene::new();
    Image::new("linux/amd64").load(scene.registry(), "app", "a");
    scene.set("GITHUB_ACTIONS", "true");
    scene
}

/// Returns the number of lines that are workflow commands.
fn commands(text: &str) -> usize {
    let lines = text.split(['\r', '\n']);
    lines
        .filter(|line| line.trim_start().starts_with("::"))
        .count()
}

#[test]
fn wrong_usage_is_one_workflow_command() {
    let words = ["publish", "-t", "HOST/app:1", COMMAND, "HOST/app:a"];
    let output = scene().run_words(words);
    assert_eq!(commands(&output.stderr), 1);
    insta::assert_snapshot!(output, @r#"
    exit code: 2
    ----- stderr -----
    ::error title=polyarch%3A wrong usage::invalid value "x\n::error::injected\u{1b}[2J" of --media-type%0Ahint: use one of auto, oci, docker%0Ahint: see `polyarch publish --help`
    error: invalid value "x\n::error::injected\u{1b}[2J" of --media-type
     hint: use one of auto, oci, docker
     hint: see `polyarch publish --help`
    "#);

    let elsewhere = Scene::new().run_words(words);
    let is_plain = |c: char| c == '\n' || !c.is_control();
    assert!(elsewhere.stderr.chars().all(is_plain), "{elsewhere}");
    assert_eq!(commands(&elsewhere.stderr), 0);
    insta::assert_snapshot!(elsewhere, @r#"
    exit code: 2
    ----- stderr -----
    error: invalid value "x\n::error::injected\u{1b}[2J" of --media-type
     hint: use one of auto, oci, docker
     hint: see `polyarch publish --help`
    "#);
}

#[test]
fn each_command_reports_its_failure_once() {
    let scene = scene();
    insta::assert_snapshot!(scene.transcript([
        "create HOST/app:1 HOST/app:none",
        "annotate HOST/app:1 HOST/app:a --os linux",
        "inspect HOST/app:none",
        "push HOST/app:1",
        "copy HOST/app:none HOST/app:2",
    ]), @"
    $ polyarch create HOST/app:1 HOST/app:none
    exit code: 4
    ----- stderr -----
    ::error title=polyarch%3A create failed::no such manifest: HOST/app:none: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
    error: no such manifest: HOST/app:none: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)

    $ polyarch annotate HOST/app:1 HOST/app:a --os linux
    exit code: 1
    ----- stderr -----
    ::error title=polyarch%3A annotate failed::manifest for image HOST/app:a does not exist in HOST/app:1%0Ahint: run `polyarch ls` to see the local lists
    error: manifest for image HOST/app:a does not exist in HOST/app:1
     hint: run `polyarch ls` to see the local lists

    $ polyarch inspect HOST/app:none
    exit code: 4
    ----- stderr -----
    ::error title=polyarch%3A inspect failed::no such manifest: HOST/app:none: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
    error: no such manifest: HOST/app:none: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)

    $ polyarch push HOST/app:1
    exit code: 1
    ----- stderr -----
    ::error title=polyarch%3A push failed::No such manifest: HOST/app:1%0Ahint: create it first with `polyarch create HOST/app:1 MANIFEST...`
    error: No such manifest: HOST/app:1
     hint: create it first with `polyarch create HOST/app:1 MANIFEST...`

    $ polyarch copy HOST/app:none HOST/app:2
    exit code: 4
    ----- stderr -----
    ::error title=polyarch%3A nothing was published::failed to read HOST/app:none: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
    error: failed to read HOST/app:none: HOST answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)
    ");
}

#[test]
fn push_writes_the_outputs_of_publish() {
    let mut scene = scene();
    scene.set("GITHUB_OUTPUT", "HOME/output");
    scene.ok("create HOST/app:1 HOST/app:a");
    scene.ok("push HOST/app:1");
    insta::assert_snapshot!(scene.read("output"), @r#"
    digest<<polyarch_RANDOM
    sha256:e5024a1137475b78666086e4f55a19a528b0727554e1d53efb2dec2f63c5e40c
    polyarch_RANDOM
    media-type<<polyarch_RANDOM
    application/vnd.oci.image.index.v1+json
    polyarch_RANDOM
    size<<polyarch_RANDOM
    405
    polyarch_RANDOM
    platforms<<polyarch_RANDOM
    linux/amd64
    polyarch_RANDOM
    tags<<polyarch_RANDOM
    HOST/app:1
    polyarch_RANDOM
    kept<<polyarch_RANDOM

    polyarch_RANDOM
    images<<polyarch_RANDOM
    HOST/app@sha256:e5024a1137475b78666086e4f55a19a528b0727554e1d53efb2dec2f63c5e40c
    polyarch_RANDOM
    json<<polyarch_RANDOM
    {"schemaVersion":1,"status":"published","digest":"sha256:e5024a1137475b78666086e4f55a19a528b0727554e1d53efb2dec2f63c5e40c","mediaType":"application/vnd.oci.image.index.v1+json","size":405,"exact":false,"platforms":["linux/amd64"],"entries":[{"platform":"linux/amd64","digest":"sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce","size":477,"contentSize":2370,"mediaType":"application/vnd.oci.image.manifest.v1+json","source":"HOST/app:a","attestations":[]}],"targets":[{"name":"HOST/app","status":"published","tags":[{"reference":"HOST/app:1","status":"published"}]}],"notices":[]}
    polyarch_RANDOM
    index-path<<polyarch_RANDOM

    polyarch_RANDOM
    subject-name<<polyarch_RANDOM
    HOST/app
    polyarch_RANDOM
    subject-digest<<polyarch_RANDOM
    sha256:e5024a1137475b78666086e4f55a19a528b0727554e1d53efb2dec2f63c5e40c
    polyarch_RANDOM
    subjects<<polyarch_RANDOM
    [{"subject-name":"HOST/app","subject-digest":"sha256:e5024a1137475b78666086e4f55a19a528b0727554e1d53efb2dec2f63c5e40c"}]
    polyarch_RANDOM
    "#);
}
