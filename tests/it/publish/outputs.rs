//! Results for other programs: JSON by its schema, files, reports, and options from variables.

use serde_json::{Value, json};

use super::scene;
use crate::support::{
    Scene,
    image::{Image, media},
    registry::{Accounts, Registry},
};

/// Checks a result against `docs/result.schema.json`.
#[track_caller]
pub(super) fn check_schema(result: &Value) {
    let text = include_str!("../../../docs/result.schema.json");
    let schema = serde_json::from_str(text).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = schema
        .iter_errors(result)
        .map(|it| it.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{result:#}");
}

fn pair() -> Scene {
    scene(&["amd64", "arm64"])
}

const SOURCES: &str = "HOST/team/app:amd64 HOST/team/app:arm64";

#[test]
fn json_matches_its_schema() {
    let scene = pair();
    for (options, status) in [
        ("--dry-run", "planned"),
        ("", "published"),
        ("", "already"),
        ("-t oci:out:1", "published"),
    ] {
        let line = format!(
            "publish -t HOST/team/app:1 {options} --output json --annotation a=b {SOURCES}"
        );
        let result = scene.run(&line).ok().json();
        check_schema(&result);
        assert_eq!(result["status"], status);
        assert_eq!(result["platforms"], json!(["linux/amd64", "linux/arm64"]));
        assert_eq!(result["annotations"], json!({"a": "b"}));
        let tag = &result["targets"][0]["tags"][0];
        assert_eq!(tag["reference"], "HOST/team/app:1");
    }
}

#[test]
fn json_of_copy_and_of_several_images_matches_its_schema() {
    let scene = pair();
    let line = "copy --output json HOST/team/app:amd64 HOST/team/app:copied";
    check_schema(&scene.run(line).ok().json());
    scene.write(
        "spec.yml",
        "image: HOST/a/b:1\nsources: ['HOST/team/app:amd64']\n---\n\
         image: HOST/a/c:1\nsources: ['HOST/team/app:amd64']\n",
    );
    let result = scene.run("publish -f spec.yml --output json").ok().json();
    check_schema(&result);
    assert_eq!(result["results"].as_array().unwrap().len(), 2);
}

#[test]
fn files_for_other_tools_are_written() {
    let scene = pair();
    let options =
        "--metadata-file metadata.json --digest-file digest --index-file index.json --dotenv env";
    let line = format!("publish -t HOST/team/app:1 {options} {SOURCES}");
    let digest = scene.run(&line).ok().digest();
    let (_, bytes) = scene.registry().manifest("team/app", "1").unwrap();
    assert_eq!(std::fs::read(scene.path("index.json")).unwrap(), bytes);
    assert_eq!(scene.read("digest"), digest);
    let metadata: Value = serde_json::from_str(&scene.read("metadata.json")).unwrap();
    let descriptor = json!({"mediaType": media::OCI_INDEX, "digest": digest, "size": bytes.len()});
    assert_eq!(
        metadata,
        json!({
            "containerimage.descriptor": descriptor,
            "containerimage.digest": digest,
            "image.name": "HOST/team/app:1",
        })
    );
    let expected = format!(
        "POLYARCH_DIGEST={digest}\nPOLYARCH_IMAGE=HOST/team/app@{digest}\nPOLYARCH_REF=HOST/team/app:1\n"
    );
    assert_eq!(scene.read("env"), expected);
}

#[test]
fn tags_and_annotations_default_to_metadata_action() {
    let mut scene = pair();
    scene.set(
        "DOCKER_METADATA_OUTPUT_TAGS",
        "HOST/team/app:1.2\nHOST/team/app:1",
    );
    scene.set(
        "DOCKER_METADATA_OUTPUT_ANNOTATIONS",
        "index:org.a=one, two\nmanifest:org.b=2",
    );
    let annotations = |scene: &Scene, tag: &str| {
        let index = scene.registry().document("team/app", tag).unwrap();
        index["annotations"].clone()
    };
    let output = scene.run("publish HOST/team/app:amd64").ok();
    assert!(!output.stderr.contains("image manifests"), "{output}");
    let tag = |tag: &str| scene.registry().tag("team/app", tag);
    assert_eq!(tag("1.2"), tag("1"));
    let both = json!({"org.a": "one, two", "org.b": "2"});
    assert_eq!(annotations(&scene, "1"), both);
    // Options have precedence.
    scene.ok("publish -t HOST/team/app:own --annotation own=1 HOST/team/app:amd64");
    assert_eq!(annotations(&scene, "own"), json!({"own": "1"}));
    // The annotations apply to the tags of metadata-action.
    scene.ok("publish -t HOST/team/app:own HOST/team/app:amd64");
    assert_eq!(annotations(&scene, "own"), json!(null));
    // The JSON has precedence over the other variables.
    let metadata = json!({"tags": ["HOST/team/app:json"], "annotations": ["c=3"]});
    scene.set("DOCKER_METADATA_OUTPUT_JSON", &metadata.to_string());
    scene.ok("publish HOST/team/app:amd64");
    assert_eq!(annotations(&scene, "json"), json!({"c": "3"}));
}

#[test]
fn every_option_can_be_set_by_a_variable() {
    let mut scene = pair();
    for (name, value) in [
        ("TAG", "HOST/team/app:1\nHOST/team/app:2"),
        ("SOURCE", "HOST/team/app:amd64\nHOST/team/app:arm64"),
        ("PLATFORM", "linux/amd64\nlinux/arm64"),
        ("ANNOTATION", "a=1\nindex:b=2"),
        ("LABELS_AS_ANNOTATIONS", "c=3"),
        ("SET_PLATFORM", "HOST/team/app:arm64=linux/arm64"),
        ("MEDIA_TYPE", "oci"),
        ("ATTESTATIONS", "drop"),
        ("ON_DUPLICATE", "keep"),
        ("MANIFEST_ANNOTATIONS", "error"),
        ("OUTPUT", "json"),
        ("PROGRESS", "none"),
        ("DIGEST_FILE", "digest"),
        ("APPEND", "true"),
        ("NO_VERIFY", "false"),
        ("JOBS", "3"),
        ("RETRY_FOR", "10s"),
        ("DRY_RUN", "true"),
    ] {
        scene.set(&format!("POLYARCH_{name}"), value);
    }
    let planned = scene.run("publish").ok().json();
    assert_eq!(planned["status"], "planned");
    assert!(scene.registry().writes().is_empty());
    scene.set("POLYARCH_DRY_RUN", "");
    let result = scene.run("publish").ok().json();
    assert_eq!(result["digest"], planned["digest"]);
    assert_eq!(result["annotations"], json!({"a": "1", "b": "2", "c": "3"}));
    assert_eq!(result["digest"], scene.read("digest").trim());
    let tag = |tag: &str| scene.registry().tag("team/app", tag);
    assert_eq!(tag("2"), tag("1"));
}

#[test]
fn target_without_a_registry_is_on_docker_hub_with_a_notice() {
    let scene = pair();
    let output =
        scene.run("publish -t app:1 --dry-run --retry-for 0 --output json HOST/team/app:amd64");
    let result = output.json();
    check_schema(&result);
    assert_eq!(result["targets"][0]["name"], "docker.io/library/app");
    // Some machines cannot reach Docker Hub, which causes a second notice.
    let notice = result["notices"][0]["text"].as_str().unwrap();
    assert!(notice.contains("on Docker Hub"), "{notice}");
    assert!(output.ok().stderr.contains(notice));
    assert!(scene.registry().writes().is_empty());
}

/// Every report contains the notices of a run once.
#[test]
fn notices_are_part_of_every_report() {
    let mut scene = scene(&[]);
    let image = Image::new("linux/amd64").docker();
    image.load(scene.registry(), "team/app", "amd64");
    scene.set("GITHUB_ACTIONS", "true");
    scene.set("GITHUB_STEP_SUMMARY", "HOME/summary");
    scene.set("DOCKER_METADATA_OUTPUT_ANNOTATIONS", "index:a=1");
    scene.set("DOCKER_METADATA_OUTPUT_TAGS", "HOST/team/app:1");
    let line = "publish --append --output json HOST/team/app:amd64";
    let output = scene.run(line).ok();
    let (result, summary) = (output.json(), scene.read("summary"));
    let notices = result["notices"].as_array().unwrap();
    assert_eq!(notices.len(), 2, "{notices:?}");
    for notice in notices {
        let text = notice["text"].as_str().unwrap();
        assert_eq!(summary.matches(text).count(), 1, "{text}: {summary}");
    }
    insta::assert_snapshot!(output.stderr, @"
    notice: HOST/team/app:1 does not exist yet: nothing to append to
    notice: the result is an OCI index, because a Docker manifest list cannot have the annotations from the environment
    ::notice title=polyarch::HOST/team/app:1 does not exist yet: nothing to append to
    ::notice title=polyarch::the result is an OCI index, because a Docker manifest list cannot have the annotations from the environment
    ");
}

/// The first credentials are refused for a push, and the next ones are used.
#[test]
fn change_of_credentials_is_part_of_the_reports() {
    let mut scene = Scene::with(Registry::builder().basic(Accounts::new("ci", "hunter2")));
    super::load(&scene, &["amd64"]);
    let config = |password: &str| {
        let account = json!({"username": "ci", "password": password});
        json!({"auths": {"HOST": account}}).to_string()
    };
    scene.set("DOCKER_AUTH_CONFIG", &config("mistaken"));
    scene.write(".docker/config.json", config("hunter2"));
    let line = "publish -t HOST/team/app:1 --output json HOST/team/app:amd64";
    insta::assert_snapshot!(scene.run(line).ok().json()["notices"], @r#"[{"severity":"notice","text":"HOST refused the credentials from DOCKER_AUTH_CONFIG (key HOST); trying those from HOME/.docker/config.json (key HOST)"}]"#);
}

#[test]
fn missing_source_or_target_is_explained() {
    let scene = pair();
    let digest = "1".repeat(64);
    insta::assert_snapshot!(scene.transcript([
        "publish HOST/team/app:amd64",
        "publish -t HOST/team/app:1",
        "publish -t HOST/team/app:1 --append",
        &format!("publish -t HOST/a:b@sha256:{digest} HOST/team/app:amd64"),
    ]), @r#"
    $ polyarch publish HOST/team/app:amd64
    exit code: 2
    ----- stderr -----
    error: missing --tag
     hint: add --tag REF; in GitHub Actions, docker/metadata-action sets the tags as variables

    $ polyarch publish -t HOST/team/app:1
    exit code: 2
    ----- stderr -----
    error: nothing to publish: name a SOURCE, --digests DIR or --file SPEC

    $ polyarch publish -t HOST/team/app:1 --append
    exit code: 2
    ----- stderr -----
    error: nothing to append: name a SOURCE, --digests DIR or --file SPEC

    $ polyarch publish -t HOST/a:b@sha256:1111111111111111111111111111111111111111111111111111111111111111 HOST/team/app:amd64
    exit code: 2
    ----- stderr -----
    error: a target cannot have a digest: "HOST/a:b@sha256:1111111111111111111111111111111111111111111111111111111111111111"
     hint: use a tag instead of the digest
    "#);
}

#[test]
fn progress_has_the_requested_form() {
    let mut scene = pair();
    scene.unset("POLYARCH_PROGRESS");
    let publish = |form: &str, source: &str| {
        let line = format!(
            "publish -t HOST/other/app:{form} --progress {form} --jobs 1 HOST/team/app:{source}"
        );
        scene.run(&line).ok().stderr
    };
    let plain = publish("plain", "amd64");
    assert!(plain.contains("Mounted from HOST/team/app"), "{plain}");
    assert!(
        plain.contains("HOST/other/app:plain: digest: sha256:"),
        "{plain}"
    );
    assert_eq!(publish("none", "amd64"), "");
    let events: Vec<Value> = publish("json", "arm64")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON on every line"))
        .collect();
    assert!(events.iter().any(|event| event["event"] == "tag-done"));
    assert!(events.iter().any(|event| event["how"] == "mounted"));
}

#[test]
fn closed_standard_output_is_an_error() {
    let scene = pair();
    let words = ["publish", "-t", "HOST/team/app:1", "HOST/team/app:amd64"];
    let output = scene.polyarch().args(words).without_reader().run().exits(1);
    for part in ["cannot write to standard output", "these tags were pushed"] {
        assert!(output.stderr.contains(part), "{output}");
    }
}
