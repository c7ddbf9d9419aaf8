//! What a run leaves for others: JSON by its schema, files, and what it takes from the environment.

use serde_json::{Value, json};

use super::{Home, registry};
use crate::support::{
    Registry,
    image::{Image, media},
    registry::Accounts,
};

/// Whether a result is as `docs/result.schema.json` says.
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

fn scene() -> (Registry, Home, [String; 2]) {
    let registry = registry();
    let sources = ["amd64", "arm64"].map(|name| {
        Image::new(&format!("linux/{name}")).load(&registry, "team/app", name);
        registry.reference("team/app", name)
    });
    (registry, Home::new(), sources)
}

#[test]
fn json_is_what_its_schema_says() {
    let (registry, home, sources) = scene();
    let target = registry.reference("team/app", "1");
    let words = [
        "--output",
        "json",
        "--annotation",
        "a=b",
        &sources[0],
        &sources[1],
    ];
    for (options, status) in [
        (&["--dry-run"][..], "planned"),
        (&[], "published"),
        (&[], "already"),
        (&["-t", "oci:out:1"], "published"),
    ] {
        let mut all = options.to_vec();
        all.extend(words);
        let result = home.publish(&target, &all).ok().json();
        check_schema(&result);
        assert_eq!(result["status"], status);
        assert_eq!(result["platforms"], json!(["linux/amd64", "linux/arm64"]));
        assert_eq!(result["annotations"], json!({"a": "b"}));
        assert_eq!(result["targets"][0]["tags"][0]["reference"], target);
    }
}

#[test]
fn json_of_copy_and_of_several_images() {
    let (registry, home, sources) = scene();
    let target = registry.reference("team/app", "copied");
    let said = home.run(&["copy", "--output", "json", &sources[0], &target]);
    check_schema(&said.ok().json());
    let host = registry.host();
    home.write(
        "spec.yml",
        format!(
            "image: {host}/a/b:1\nsources: ['{0}']\n---\nimage: {host}/a/c:1\nsources: ['{0}']\n",
            sources[0]
        ),
    );
    let said = home.run(&["publish", "-f", "spec.yml", "--output", "json"]);
    let result = said.ok().json();
    check_schema(&result);
    assert_eq!(result["results"].as_array().unwrap().len(), 2);
}

#[test]
fn files_for_other_tools() {
    let (registry, home, sources) = scene();
    let target = registry.reference("team/app", "1");
    let words = [
        "--metadata-file",
        "metadata.json",
        "--digest-file",
        "digest",
        "--index-file",
        "index.json",
        "--dotenv",
        "env",
        &*sources[0],
        &*sources[1],
    ];
    let digest = home.publish(&target, &words).ok().digest();
    let (_, bytes) = registry.manifest("team/app", "1").unwrap();
    assert_eq!(std::fs::read(home.path("index.json")).unwrap(), bytes);
    assert_eq!(home.read("digest"), digest);
    let metadata: Value = serde_json::from_str(&home.read("metadata.json")).unwrap();
    assert_eq!(
        metadata,
        json!({
            "containerimage.descriptor": {
                "mediaType": media::OCI_INDEX, "digest": digest, "size": bytes.len(),
            },
            "containerimage.digest": digest,
            "image.name": target,
        })
    );
    let repository = target.strip_suffix(":1").unwrap();
    assert_eq!(
        home.read("env"),
        format!(
            "POLYARCH_DIGEST={digest}\nPOLYARCH_IMAGE={repository}@{digest}\nPOLYARCH_REF={target}\n"
        )
    );
}

#[test]
fn tags_and_annotations_come_from_metadata_action_when_none_is_given() {
    let (registry, mut home, sources) = scene();
    let [first, second] = ["1.2", "1"].map(|tag| registry.reference("team/app", tag));
    home.set("DOCKER_METADATA_OUTPUT_TAGS", format!("{first}\n{second}"));
    home.set(
        "DOCKER_METADATA_OUTPUT_ANNOTATIONS",
        "index:org.a=one, two\nmanifest:org.b=2",
    );
    let said = home.run(&["publish", &sources[0]]).ok();
    assert!(!said.stderr.contains("image manifests"), "{}", said.stderr);
    assert_eq!(
        registry.tag("team/app", "1.2"),
        registry.tag("team/app", "1")
    );
    let index = registry.document("team/app", "1").unwrap();
    assert_eq!(
        index["annotations"],
        json!({"org.a": "one, two", "org.b": "2"})
    );
    // What is given wins.
    let words = ["--annotation", "own=1", &*sources[0]];
    home.publish(&registry.reference("team/app", "own"), &words)
        .ok();
    let index = registry.document("team/app", "own").unwrap();
    assert_eq!(index["annotations"], json!({"own": "1"}));
    // The annotations belong to the tags of metadata-action.
    home.publish(&registry.reference("team/app", "own"), &[&*sources[0]])
        .ok();
    let index = registry.document("team/app", "own").unwrap();
    assert_eq!(index.get("annotations"), None);
    // The JSON is asked first.
    let third = registry.reference("team/app", "json");
    home.set(
        "DOCKER_METADATA_OUTPUT_JSON",
        json!({"tags": [third], "annotations": ["c=3"]}).to_string(),
    );
    home.run(&["publish", &sources[0]]).ok();
    let index = registry.document("team/app", "json").unwrap();
    assert_eq!(index["annotations"], json!({"c": "3"}));
}

#[test]
fn every_option_can_come_from_the_environment() {
    let (registry, mut home, sources) = scene();
    let target = registry.reference("team/app", "1");
    home.set(
        "POLYARCH_TAG",
        format!("{target}\n{}", registry.reference("team/app", "2")),
    );
    home.set("POLYARCH_SOURCE", sources.join("\n"));
    home.set("POLYARCH_PLATFORM", "linux/amd64\nlinux/arm64");
    home.set("POLYARCH_ANNOTATION", "a=1\nindex:b=2");
    home.set("POLYARCH_LABELS_AS_ANNOTATIONS", "c=3");
    home.set(
        "POLYARCH_SET_PLATFORM",
        format!("{}=linux/arm64", sources[1]),
    );
    home.set("POLYARCH_MEDIA_TYPE", "oci");
    home.set("POLYARCH_ATTESTATIONS", "drop");
    home.set("POLYARCH_ON_DUPLICATE", "keep");
    home.set("POLYARCH_MANIFEST_ANNOTATIONS", "error");
    home.set("POLYARCH_OUTPUT", "json");
    home.set("POLYARCH_PROGRESS", "none");
    home.set("POLYARCH_DIGEST_FILE", "digest");
    home.set("POLYARCH_APPEND", "true");
    home.set("POLYARCH_NO_VERIFY", "false");
    home.set("POLYARCH_JOBS", "3");
    home.set("POLYARCH_RETRY_FOR", "10s");
    home.set("POLYARCH_DRY_RUN", "true");
    let planned = home.run(&["publish"]).ok().json();
    assert_eq!(planned["status"], "planned");
    assert!(registry.writes().is_empty());
    home.set("POLYARCH_DRY_RUN", "");
    let result = home.run(&["publish"]).ok().json();
    assert_eq!(result["digest"], planned["digest"]);
    assert_eq!(result["annotations"], json!({"a": "1", "b": "2", "c": "3"}));
    assert_eq!(result["digest"], home.read("digest").trim());
    assert_eq!(registry.tag("team/app", "2"), registry.tag("team/app", "1"));
}

#[test]
fn a_target_without_a_registry_is_docker_hubs_and_a_notice_says_so() {
    let (registry, home, sources) = scene();
    let said = home
        .publish(
            "app:1",
            &[
                "--dry-run",
                "--retry-for",
                "0",
                "--output",
                "json",
                &sources[0],
            ],
        )
        .ok();
    assert!(
        said.stderr
            .contains("app:1 names no registry, so it is docker.io/library/app on Docker Hub"),
        "{}",
        said.stderr
    );
    let result = said.json();
    check_schema(&result);
    assert_eq!(result["targets"][0]["name"], "docker.io/library/app");
    let told = result["notices"].as_array().unwrap();
    assert!(told[0]["text"].as_str().unwrap().contains("on Docker Hub"));
    assert!(registry.writes().is_empty());
}

/// What comes up while a run is under way is in every report, and once.
#[test]
fn notices_of_a_run_are_in_its_reports() {
    let registry = registry();
    let mut home = Home::new();
    Image::new("linux/amd64")
        .docker()
        .load(&registry, "team/app", "amd64");
    home.set("GITHUB_ACTIONS", "true");
    home.set(
        "GITHUB_STEP_SUMMARY",
        home.path("summary").display().to_string(),
    );
    home.set("DOCKER_METADATA_OUTPUT_ANNOTATIONS", "index:a=1");
    home.set(
        "DOCKER_METADATA_OUTPUT_TAGS",
        registry.reference("team/app", "1"),
    );
    let source = registry.reference("team/app", "amd64");
    let words = ["publish", "--append", "--output", "json", &source];
    let said = home.run(&words).ok();
    let (result, summary) = (said.json(), home.read("summary"));
    let told: Vec<&str> = result["notices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notice| notice["text"].as_str().unwrap())
        .collect();
    for part in ["nothing to append to", "could not carry the annotations"] {
        let count = told.iter().filter(|text| text.contains(part)).count();
        assert_eq!(count, 1, "{part}: {told:?}");
        assert!(summary.contains(part), "{summary}");
        let is_annotation = |line: &&str| line.starts_with("::notice ") && line.contains(part);
        assert_eq!(said.stderr.lines().filter(is_annotation).count(), 1);
    }
}

/// Pull credentials that are refused on a push, and those that come next.
#[test]
fn a_change_of_credentials_is_in_the_reports() {
    let registry = Registry::builder()
        .basic(Accounts::new("ci", "hunter2"))
        .start_in_background();
    let mut home = Home::new();
    Image::new("linux/amd64").load(&registry, "team/app", "amd64");
    let config = |password: &str| {
        let account = json!({"username": "ci", "password": password});
        json!({"auths": {registry.host(): account}}).to_string()
    };
    home.set("DOCKER_AUTH_CONFIG", config("wrong"));
    home.write(".docker/config.json", config("hunter2"));
    let source = registry.reference("team/app", "amd64");
    let words = ["--output", "json", &source];
    let said = home
        .publish(&registry.reference("team/app", "1"), &words)
        .ok();
    let told = said.json()["notices"].to_string();
    assert!(told.contains("refused the credentials from"), "{told}");
}

#[test]
fn without_a_source_or_a_target_the_way_is_shown() {
    let (registry, home, sources) = scene();
    home.run(&["publish", &sources[0]])
        .refused(2, &["--tag", "docker/metadata-action"]);
    home.publish(&registry.reference("team/app", "1"), &[])
        .refused(2, &["nothing to publish", "--digests", "--file"]);
    home.publish(&registry.reference("team/app", "1"), &["--append"])
        .refused(2, &["nothing to append", "--digests", "--file"]);
    home.publish(
        &format!("{}@sha256:{}", registry.reference("a", "b"), "1".repeat(64)),
        &[&sources[0]],
    )
    .refused(2, &["a target cannot have a digest"]);
}

#[test]
fn progress_is_shown_as_asked() {
    let (registry, home, sources) = scene();
    let target = |tag| registry.reference("other/app", tag);
    let said = home
        .publish(&target("plain"), &["--progress", "plain", &sources[0]])
        .ok();
    assert!(said.stderr.contains("Mounted from"), "{}", said.stderr);
    assert!(
        said.stderr.contains("other/app:plain: digest: sha256:"),
        "{}",
        said.stderr
    );
    let said = home
        .publish(&target("none"), &["--progress", "none", &sources[0]])
        .ok();
    assert_eq!(said.stderr, "");
    let said = home
        .publish(&target("json"), &["--progress", "json", &sources[1]])
        .ok();
    let events: Vec<Value> = said
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON on every line"))
        .collect();
    assert!(events.iter().any(|event| event["event"] == "tag-done"));
    assert!(events.iter().any(|event| event["how"] == "mounted"));
}

#[test]
fn a_closed_standard_output_is_an_error() {
    let (registry, home, sources) = scene();
    let target = registry.reference("team/app", "1");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let output = runtime.block_on(async {
        let mut command = home.command(&["publish", "-t", &target, &sources[0]]);
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().await.unwrap()
    });
    let said = super::Said::of(output).refused(1, &["cannot write to standard output"]);
    assert!(
        said.stderr.contains("these tags were pushed"),
        "{}",
        said.stderr
    );
}
