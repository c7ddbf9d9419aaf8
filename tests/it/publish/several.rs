//! Several images in one spec file, of which some fail.

use std::time::Duration;

use super::{Home, failures::scene, registry};
use crate::support::registry::{Class, Fault, Rule};

/// A spec file of images below `host`, each with one source.
fn spec(home: &Home, host: &str, images: &[(&str, &str)]) {
    let documents: Vec<String> = images
        .iter()
        .map(|(image, source)| format!("image: {host}/{image}\nsources: ['{source}']\n"))
        .collect();
    home.write("spec.yml", documents.join("---\n"));
}

#[test]
fn one_of_several_images_fails_and_the_others_land() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let host = registry.host();
    spec(
        &home,
        host,
        &[
            ("a/one:1", &source),
            ("a/two:1", &format!("{host}/team/app:missing")),
            ("a/three:1", &source),
        ],
    );
    let (one, two, three) = ("a/one:1", "a/two:1", "a/three:1");
    let said = home
        .run(&["publish", "-f", "spec.yml", "--output", "json"])
        .refused(
            7,
            &[
                &format!("error: publish {host}/{two}: "),
                "team/app:missing",
                &format!("these tags were pushed: {host}/{one}, {host}/{three}\n"),
            ],
        );
    assert!(registry.tag("a/one", "1").is_some());
    assert_eq!(registry.tag("a/two", "1"), None);
    assert!(registry.tag("a/three", "1").is_some());
    let result = said.json();
    super::outputs::check_schema(&result);
    let results = result["results"].as_array().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|it| {
            let tag = &it["targets"][0]["tags"][0]["reference"];
            (it["status"].as_str().unwrap(), tag.as_str().unwrap())
        })
        .collect();
    let at = |name: &str| format!("{host}/{name}");
    assert_eq!(
        told,
        [
            ("published", &at(one)[..]),
            ("failed", &at(two)),
            ("published", &at(three))
        ]
    );
    let error = results[1]["targets"][0]["error"]["message"].as_str();
    assert!(error.unwrap().contains("team/app:missing"));
}

/// What programs read has the shape of several images, however many of them came to an index.
#[test]
fn one_of_two_images_fails_and_the_shape_stays() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let host = registry.host();
    spec(
        &home,
        host,
        &[
            ("a/no:1", &format!("{host}/team/app:missing")),
            ("a/good:1", &source),
        ],
    );
    let words = ["publish", "-f", "spec.yml", "--output", "json"];
    let more = ["--metadata-file", "metadata.json"];
    let said = home.run(&[&words[..], &more].concat()).refused(7, &[]);
    let result = said.json();
    super::outputs::check_schema(&result);
    assert_eq!(result["results"][0]["status"], "failed");
    assert_eq!(result["results"][1]["status"], "published");
    let metadata: serde_json::Value = serde_json::from_str(&home.read("metadata.json")).unwrap();
    let names: Vec<&String> = metadata.as_object().unwrap().keys().collect();
    assert_eq!(names, [&format!("{host}/a/good:1")]);
}

#[test]
fn a_dry_run_of_several_images_is_never_partly_done() {
    let registry = registry();
    let (home, _, source) = scene(&registry);
    let host = registry.host();
    spec(
        &home,
        host,
        &[
            ("a/good:1", &source),
            ("a/no:1", &format!("{host}/team/app:missing")),
        ],
    );
    let said = home
        .run(&["publish", "-f", "spec.yml", "--dry-run"])
        .refused(4, &["a/no:1", "team/app:missing"]);
    assert!(!said.stderr.contains("landed"), "{}", said.stderr);
}

/// Uploads of the one that failed are cancelled when nobody sends any more, and not those of the other.
#[test]
fn an_image_that_fails_leaves_the_uploads_of_another_alone() {
    let from = registry();
    let to = registry();
    let (home, image, source) = scene(&from);
    let host = to.host();
    spec(&home, host, &[("a/one:1", &source), ("a/two:1", &source)]);
    // Not before every upload is known here: one of which the registry has not yet told cannot be cancelled.
    let refused = Rule::on(Class::UploadPut).path("/v2/a/one/*").forever();
    let later = Fault::Delay(Duration::from_millis(200));
    to.rule(refused.then(later).then(Fault::status(403)));
    // Long enough for the first to fail.
    to.rule(
        Rule::on(Class::UploadPut)
            .path("/v2/a/two/*")
            .times(image.blobs.len())
            .then(Fault::Delay(Duration::from_millis(700))),
    );
    home.run(&["publish", "-f", "spec.yml"])
        .refused(7, &["a/one"]);
    assert!(to.tag("a/two", "1").is_some());
    let of_second =
        |class: Class| to.count_where(|it| it.class == class && it.path.starts_with("/v2/a/two/"));
    assert_eq!(of_second(Class::UploadPost), image.blobs.len());
    assert_eq!(of_second(Class::UploadDelete), 0);
    let requests = to.requests();
    let tag = requests
        .iter()
        .find(|it| it.class == Class::ManifestPut && it.path.ends_with("a/two/manifests/1"))
        .expect("the tag of the second");
    let mut cancels = requests
        .iter()
        .filter(|it| it.class == Class::UploadDelete)
        .peekable();
    assert!(cancels.peek().is_some());
    assert!(cancels.all(|it| it.number > tag.number));
    assert_eq!(to.uploads(), 0, "no upload is left open");
}

#[test]
fn all_of_several_images_fail() {
    let registry = registry();
    let home = Home::new();
    let host = registry.host();
    spec(
        &home,
        host,
        &[
            ("a/one:1", &format!("{host}/a/no:1")),
            ("a/two:1", &format!("{host}/a/no:2")),
        ],
    );
    home.run(&["publish", "-f", "spec.yml"])
        .refused(4, &["a/no:1", "a/no:2"]);
    assert!(registry.writes().is_empty());
}
