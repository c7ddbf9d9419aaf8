//! Intended differences from Docker for the same commands. README.md and docs/migration.md have the list; everything
//! else is equal.

use serde_json::{Value, json};

use super::scene::Tools;
use crate::support::{
    image::{Image, Index, media},
    proxy::Proxy,
    registry::{Class, Fault, Registry, Rule},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_flattened_with_its_attestations() {
    let tools = Tools::new().await;
    let index = Index::oci().of(["linux/amd64", "linux/arm64"]).attested();
    let index = index.load(&tools.registry, "app", "built");
    let other = Image::new("linux/s390x").load(&tools.registry, "app", "s390x");
    let create = "create --insecure @/app:1 @/app:built @/app:s390x";
    let error = tools.docker_fails(create).await;
    assert!(error.contains("is a manifest list"), "{error}");
    tools.polyarch(create).await;
    tools.polyarch("push @/app:1").await;
    let document: Value = serde_json::from_slice(&index.bytes).expect("JSON");
    let mut expected = document["manifests"].as_array().expect("entries").clone();
    expected.push(other.descriptor());
    let digests = |entries: &[Value]| {
        let mut digests: Vec<_> = entries
            .iter()
            .map(|entry| entry["digest"].clone())
            .collect();
        digests.sort_by_key(ToString::to_string);
        digests
    };
    let pushed = tools.entries("1");
    assert_eq!(digests(&pushed), digests(&expected));
    for entry in expected {
        let found = pushed
            .iter()
            .find(|pushed| pushed["digest"] == entry["digest"]);
        assert_eq!(found, Some(&entry));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_create_leaves_nothing() {
    let tools = Tools::new().await;
    tools.image("linux/amd64", "a");
    let fails = "create --insecure @/app:1 @/app:a @/app:missing";
    tools.docker_fails(fails).await;
    let error = tools
        .docker_fails("create --insecure @/app:1 @/app:a")
        .await;
    assert!(error.contains("refusing to amend"), "{error}");
    tools.polyarch_fails(4, fails).await;
    assert_eq!(tools.polyarch("ls").await, "");
    tools.polyarch("create @/app:1 @/app:a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amend_reads_again_and_replace_starts_over() {
    let tools = Tools::new().await;
    let create = "create --insecure --amend @/app:1 @/app:a";
    let old = tools.image("linux/amd64", "a");
    tools.docker(create).await;
    tools.polyarch(create).await;
    let new = Image::new("linux/amd64").docker().seed(7);
    let new = new.load(&tools.registry, "app", "a");
    tools.docker(create).await;
    tools.docker("push --insecure @/app:1").await;
    assert_eq!(tools.entries("1"), [old.descriptor()]);
    tools.polyarch(create).await;
    tools.polyarch("push @/app:1").await;
    assert_eq!(tools.entries("1"), [new.descriptor()]);

    let arm = tools.image("linux/arm64", "b");
    tools.polyarch("create --replace @/app:1 @/app:b").await;
    tools.polyarch("push @/app:1").await;
    assert_eq!(tools.entries("1"), [arm.descriptor()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_another_registry_are_copied() {
    let tools = Tools::new().await;
    let elsewhere = Registry::plain().await;
    let image = Image::new("linux/amd64").docker().layers(&[5, 6]);
    let image = image.load(&elsewhere, "team/app", "a");
    let create = format!(
        "create --insecure @/app:1 {}",
        elsewhere.reference("team/app", "a")
    );
    tools.docker(&create).await;
    let error = tools.docker_fails("push --insecure @/app:1").await;
    assert!(error.contains("different registry"), "{error}");
    tools.polyarch(&create).await;
    let output = tools.polyarch("push @/app:1").await;
    let pushed = tools.registry.reference("app", &image.digest);
    let line = format!("Pushed ref {pushed} with digest: {}\n", image.digest);
    let digest = tools.registry.tag("app", "1").expect("a tag");
    assert_eq!(output, format!("{line}{digest}\n"));
    assert_eq!(tools.entries("1"), [image.descriptor()]);
    assert_eq!(tools.registry.problems(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_cannot_be_mounted_are_copied() {
    let tools = Tools::with(Registry::builder().without_mounts().start().await);
    let image = Image::new("linux/amd64").docker().layers(&[5, 6]);
    image.load(&tools.registry, "parts", "a");
    let create = "create --insecure @/app:1 @/parts:a";
    tools.docker(create).await;
    let error = tools.docker_fails("push --insecure @/app:1").await;
    assert!(error.contains("error mounting"), "{error}");
    tools.polyarch(create).await;
    tools.polyarch("push @/app:1").await;
    assert_eq!(tools.entries("1").len(), 1);
    assert_eq!(tools.registry.problems(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_are_kept_and_shown() {
    let tools = Tools::new().await;
    let image = Image::new("linux/amd64").load(&tools.registry, "app", "a");
    let error = tools
        .docker_fails("annotate --annotation a=b @/app:1 @/app:a")
        .await;
    assert!(error.contains("unknown flag"), "{error}");
    tools.polyarch("create @/app:1 @/app:a").await;
    tools
        .polyarch("annotate --annotation a=<b> @/app:1 @/app:a")
        .await;
    tools
        .polyarch("annotate @/app:1 --annotation on=list --annotation x=y")
        .await;
    tools.polyarch("annotate @/app:1 --annotation x=").await;
    let local = tools.polyarch("inspect @/app:1").await;
    tools.polyarch("push @/app:1").await;
    let pushed = tools.registry.document("app", "1").expect("an index");
    let mut entry = image.descriptor();
    entry["annotations"] = json!({"a": "<b>"});
    assert_eq!(pushed["manifests"], json!([entry]));
    assert_eq!(pushed["annotations"], json!({"on": "list"}));
    tools.polyarch("rm @/app:1").await;
    assert_eq!(tools.polyarch("inspect @/app:1").await, local);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_list_is_shown_completely() {
    let tools = Tools::new().await;
    let index = Index::oci().of(["linux/amd64"]).attested();
    let index = index
        .annotations(json!({"a": "b"}))
        .load(&tools.registry, "app", "1");
    let shown = tools.docker("inspect --insecure @/app:1").await;
    assert!(!shown.contains("annotations"), "{shown}");
    let shown: Value =
        serde_json::from_str(&tools.polyarch("inspect @/app:1").await).expect("JSON");
    assert_eq!(Some(shown), tools.registry.document("app", "1"));
    assert_eq!(
        tools.polyarch("inspect --raw @/app:1").await.as_bytes(),
        index.bytes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn current_names_of_platforms_are_accepted() {
    let tools = Tools::new().await;
    tools.image("linux/amd64", "a");
    for (os, arch, expected) in [("linux", "loong64", "loong64"), ("wasip1", "wasm", "wasm")] {
        tools
            .docker("create --insecure --amend @/app:1 @/app:a")
            .await;
        let annotate = format!("annotate --os {os} --arch {arch} @/app:1 @/app:a");
        let error = tools.docker_fails(&annotate).await;
        assert!(error.contains("unsupported os/arch"), "{error}");
        tools.polyarch("create --replace @/app:1 @/app:a").await;
        tools.polyarch(&annotate).await;
        tools.polyarch("push @/app:1").await;
        let platform = json!({"os": os, "architecture": expected});
        assert_eq!(tools.entries("1")[0]["platform"], platform);
    }
    for (arch, expected) in [
        ("x86_64", json!({"os": "linux", "architecture": "amd64"})),
        ("aarch64", json!({"os": "linux", "architecture": "arm64"})),
        (
            "armhf",
            json!({"os": "linux", "architecture": "arm", "variant": "v7"}),
        ),
    ] {
        let annotate = format!("annotate --os linux --arch {arch} @/app:1 @/app:a");
        tools.docker_fails(&annotate).await;
        tools.polyarch(&annotate).await;
        tools.polyarch("push @/app:1").await;
        assert_eq!(tools.entries("1")[0]["platform"], expected, "{arch}");
    }
    let error = tools
        .polyarch_fails(2, "annotate --arch amd46 @/app:1 @/app:a")
        .await;
    assert!(
        error.contains("amd64") && error.contains("--force"),
        "{error}"
    );
    tools
        .polyarch("annotate --force --arch amd46 --variant= @/app:1 @/app:a")
        .await;
    tools.polyarch("push @/app:1").await;
    assert_eq!(tools.entries("1")[0]["platform"]["architecture"], "amd46");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_can_be_cleared() {
    let tools = Tools::new().await;
    tools.image("linux/arm64/v8", "a");
    let create = "create --insecure @/app:1 @/app:a";
    let annotate = "annotate --variant= @/app:1 @/app:a";
    for line in [create, annotate, "push --insecure @/app:1"] {
        tools.docker(line).await;
    }
    assert_eq!(tools.entries("1")[0]["platform"]["variant"], "v8");
    for line in [create, annotate, "push @/app:1"] {
        tools.polyarch(line).await;
    }
    assert_eq!(tools.entries("1")[0]["platform"].get("variant"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_works_on_loopback_only() {
    let tools = Tools::new().await;
    tools.image("linux/amd64", "a");
    tools.polyarch("create @/app:1 @/app:a").await;
    tools.polyarch("push @/app:1").await;

    let proxy = Proxy::start().await;
    let registry = Registry::builder().name("registry.test").start().await;
    let mut tools = Tools::with(registry);
    tools.image("linux/amd64", "a");
    for home in [&mut tools.docker, &mut tools.polyarch] {
        home.set("HTTPS_PROXY", &proxy.url());
        home.set("HTTP_PROXY", &proxy.url());
    }
    let error = tools.docker_fails("inspect @/app:a").await;
    assert!(error.contains("no such manifest"), "{error}");
    let error = tools
        .polyarch_fails(1, "inspect --retry-for 0 @/app:a")
        .await;
    assert!(
        error.contains("plain HTTP") && error.contains("--insecure"),
        "{error}"
    );
    tools.polyarch("inspect --insecure @/app:a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_names_do_not_collide_and_can_be_listed() {
    let tools = Tools::new().await;
    tools.image("linux/amd64", "a");
    tools.image("linux/arm64", "b");
    tools.docker("create --insecure @/a/b:c @/app:a").await;
    let error = tools
        .docker_fails("create --insecure @/a_b:c @/app:a")
        .await;
    assert!(error.contains("refusing to amend"), "{error}");
    tools.polyarch("create @/a/b:c @/app:a @/app:b").await;
    tools.polyarch("create @/a_b:c @/app:a").await;
    let width = tools.line("@/a/b:c").len();
    let expected = format!(
        "{:width$}  PLATFORMS\n@/a/b:c  linux/amd64, linux/arm64\n@/a_b:c  linux/amd64\n",
        "MANIFEST LIST"
    );
    assert_eq!(tools.polyarch("ls").await, tools.line(&expected));
    let json: Value =
        serde_json::from_str(&tools.polyarch("ls --format json").await).expect("JSON");
    assert_eq!(json[1]["list"], tools.line("@/a_b:c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_images_for_one_platform_cause_a_warning() {
    let tools = Tools::new().await;
    for (tag, seed) in [("a", 1), ("b", 2)] {
        let image = Image::new("linux/amd64").docker().seed(seed);
        image.load(&tools.registry, "app", tag);
    }
    let create = tools.line("create --insecure @/app:1 @/app:a @/app:b");
    let output = tools.docker.docker_manifest(&create).await;
    assert_eq!(output.stderr, "");
    let output = tools.polyarch.run_line(&create).await;
    let named = ["linux/amd64", ":a", ":b"]
        .iter()
        .all(|word| output.stderr.contains(word));
    assert!(
        output.code == 0 && named && output.stderr.contains("warning"),
        "{}",
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_registry_is_retried() {
    let tools = Tools::new().await;
    tools.image("linux/amd64", "a");
    let stumble = || {
        let rule = Rule::on(Class::ManifestGet).times(2);
        tools.registry.rule(rule.then(Fault::status(503)));
    };
    let create = "create --insecure @/app:1 @/app:a";
    stumble();
    tools.docker_fails(create).await;
    tools.registry.clear_rules();
    stumble();
    tools.polyarch(create).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_push_sets_many_tags_anywhere() {
    let tools = Tools::new().await;
    let elsewhere = Registry::plain().await;
    tools.image("linux/amd64", "a");
    tools.polyarch("create @/app:1 @/app:a").await;
    let there = elsewhere.reference("copy/app", "1.0");
    let output = tools
        .polyarch(&format!(
            "push @/app:1 -t 1.0,latest -t @/other:x --tag {there}"
        ))
        .await;
    let digest = output.lines().last().expect("a digest");
    for tag in ["1", "1.0", "latest"] {
        assert_eq!(tools.registry.tag("app", tag).as_deref(), Some(digest));
    }
    assert_eq!(tools.registry.tag("other", "x").as_deref(), Some(digest));
    assert_eq!(elsewhere.tag("copy/app", "1.0").as_deref(), Some(digest));
    assert_eq!(elsewhere.problems(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_both_kinds_make_an_oci_index() {
    let tools = Tools::new().await;
    tools.image("linux/amd64", "a");
    Image::new("linux/arm64").load(&tools.registry, "app", "b");
    for (list, first) in [
        ("docker", media::DOCKER_LIST),
        ("polyarch", media::OCI_INDEX),
    ] {
        let create = format!("create --insecure @/app:{list} @/app:a @/app:b");
        let push = format!("push --insecure @/app:{list}");
        for line in [&create, &push] {
            if list == "docker" {
                tools.docker(line).await;
            } else {
                tools.polyarch(line).await;
            }
        }
        let (media_type, _) = tools.registry.manifest("app", list).expect("a list");
        assert_eq!(media_type, first);
    }
}
