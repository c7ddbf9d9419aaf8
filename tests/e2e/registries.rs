//! The same jobs with several registry programs.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    distribution::{Distribution, Software},
    program::home,
    support::{
        Scene, digest,
        image::{Image, Index, media},
        registry::Registry,
    },
};

const SOFTWARE: [Software; 8] = [
    Software::Debian,
    Software::Distribution3,
    Software::Crane,
    Software::Olareg,
    Software::OlaregWithoutReferrers,
    Software::OlaregLimited,
    Software::OlaregWarning,
    Software::Cue,
];

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
const CONFIG: &str =
    r#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;

/// A registry with two images, and an index of two platforms with attestations, in `team/app`.
struct Setting {
    registry: Distribution,
    home: Scene,
}

impl Setting {
    async fn of(software: Software) -> Self {
        let setting = Self {
            registry: Distribution::start_of(software).await,
            home: home(),
        };
        let images = Registry::plain().await;
        for platform in ["amd64", "arm64"] {
            let image = Image::new(&format!("linux/{platform}")).layers(&[10, 300_000]);
            image.load(&images, "team/app", platform);
        }
        let pair = Index::oci().of(["linux/386", "linux/riscv64"]).attested();
        pair.load(&images, "team/app", "pair");
        for tag in ["amd64", "arm64", "pair"] {
            let (from, to) = (
                images.reference("team/app", tag),
                setting.at("team/app", tag),
            );
            setting.run(&format!("copy {from} {to}")).await;
        }
        setting
    }

    fn at(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.registry.host())
    }

    async fn run(&self, line: &str) -> String {
        self.home.run_line(line).await.ok().stdout
    }

    /// Publishes all images under two tags of a repository. Returns the digest of the index.
    async fn publish(&self, repository: &str) -> String {
        let sources = ["amd64", "arm64", "pair"].map(|tag| self.at("team/app", tag));
        let line = format!(
            "publish -t {} -t {} {}",
            self.at(repository, "1"),
            self.at(repository, "latest"),
            sources.join(" ")
        );
        let output = self.run(&line).await;
        output.lines().last().expect("a digest").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_published_within_a_repository_and_to_another() {
    for software in SOFTWARE {
        let setting = Setting::of(software).await;
        for repository in ["team/app", "mirror/deep/app"] {
            let digest = setting.publish(repository).await;
            for tag in ["1", "latest", &digest] {
                let there = setting.registry.manifest(repository, tag).await;
                let there = there.unwrap_or_else(|| panic!("{software:?} {repository} {tag}"));
                assert_eq!(digest::sha256(&there.body), digest, "{software:?}");
            }
            // skopeo reads every blob, so all of them were copied.
            let name = format!("docker://{}", setting.at(repository, "1"));
            let to = format!("oci:{}", repository.replace('/', "-"));
            let read = [
                "--insecure-policy",
                "copy",
                "--all",
                "--src-tls-verify=false",
            ];
            let words = [&read[..], &[&name, &to]].concat();
            setting.home.program("skopeo", &words).await.ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_changes_nothing() {
    for software in SOFTWARE {
        let setting = Setting::of(software).await;
        setting.publish("mirror/app").await;
        let tag = setting.at("mirror/app", "1");
        let source = setting.at("mirror/app", "latest");
        let line = format!("publish --output json -t {tag} {source}");
        let result: Value = serde_json::from_str(&setting.run(&line).await).expect("JSON");
        assert_eq!(result["status"], "already", "{software:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_made_with_the_commands_of_docker() {
    for software in SOFTWARE {
        let setting = Setting::of(software).await;
        let list = setting.at("team/app", "list");
        let images = ["amd64", "arm64"].map(|tag| setting.at("team/app", tag));
        setting
            .run(&format!("create {list} {}", images.join(" ")))
            .await;
        setting
            .run(&format!("annotate --variant v8 {list} {}", images[1]))
            .await;
        let digest = setting.run(&format!("push --purge {list}")).await;
        let there = setting.registry.manifest("team/app", "list").await;
        let there = there.expect("the list");
        assert_eq!(digest::sha256(&there.body), digest.trim(), "{software:?}");
        let shown = setting.run(&format!("inspect {list}")).await;
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(shown["manifests"][1]["platform"]["variant"], "v8");
        let tree = setting.run(&format!("inspect --tree {list}")).await;
        assert!(tree.contains("linux/arm64/v8"), "{software:?} {tree}");
    }
}

/// distribution and one mode of olareg have no referrers API: the fallback tag lists the referrers there.
#[tokio::test(flavor = "multi_thread")]
async fn referrers_of_an_image_are_copied() {
    for software in SOFTWARE {
        let setting = Setting::of(software).await;
        let (from, to) = (
            setting.at("team/app", "amd64"),
            setting.at("mirror/app", "amd64"),
        );
        setting.home.write("note.txt", "a note");
        let attach = [
            "attach",
            "--plain-http",
            "--artifact-type",
            "text/note",
            &from,
            "note.txt:text/plain",
        ];
        setting.home.program("oras", &attach).await.ok();
        setting.run(&format!("copy --referrers {from} {to}")).await;
        let mut discover = vec!["discover", "--plain-http", "--format", "json", &to];
        if software == Software::OlaregWithoutReferrers {
            // Here olareg answers 405, but oras looks for the fallback tag only after 404.
            discover.extend(["--distribution-spec", "v1.1-referrers-tag"]);
        }
        let found = setting.home.program("oras", &discover).await.ok().stdout;
        assert!(found.contains("text/note"), "{software:?} {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_pushes_is_reported() {
    let images = Registry::plain().await;
    Image::new("linux/amd64").load(&images, "team/app", "amd64");
    let registry = Distribution::start_of(Software::OlaregReadOnly).await;
    let mut home = home();
    home.name("REGISTRY", registry.host());
    home.name("IMAGES", images.host());
    let output = home
        .run_line("copy IMAGES/team/app:amd64 REGISTRY/team/app:1")
        .await
        .exits(1);
    insta::assert_snapshot!(output.error(), @"
    error: failed to push blob 58eeb94c299a to REGISTRY/team/app: REGISTRY answered 405 Method Not Allowed (UNSUPPORTED: the operation is unsupported; method not allowed)
     note: no tag was changed
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_of_a_registry_are_shown_once() {
    let setting = Setting::of(Software::OlaregWarning).await;
    let line = format!("inspect --tree {}", setting.at("team/app", "pair"));
    let output = setting.home.run_line(&line).await.exits(0);
    let warnings = output
        .stderr
        .lines()
        .filter(|it| it.contains("end of life"));
    assert_eq!(warnings.count(), 1, "{output}");
}

/// distribution accepts the mount of a blob by a sha512 digest, and does not find it afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_layer_with_a_sha512_digest_is_copied() {
    for software in [Software::Distribution3, Software::Olareg] {
        let setting = Setting::of(software).await;
        let registry = &setting.registry;
        let layer = Bytes::from_static(b"a layer");
        let digests = [digest::sha256(CONFIG.as_bytes()), digest::sha512(&layer)];
        let config = Bytes::from_static(CONFIG.as_bytes());
        for (digest, content) in digests.iter().zip([config, layer]) {
            registry.put_blob("team/app", digest, content).await;
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": {"mediaType": media::OCI_CONFIG, "digest": digests[0], "size": CONFIG.len()},
            "layers": [{"mediaType": LAYER, "digest": digests[1], "size": 7}],
        });
        let bytes = manifest.to_string().into();
        registry
            .put_manifest("team/app", "sha512", media::OCI_MANIFEST, bytes)
            .await;
        let (from, to) = (
            setting.at("team/app", "sha512"),
            setting.at("mirror/app", "1"),
        );
        setting.run(&format!("copy {from} {to}")).await;
        let there = registry.blob("mirror/app", &digests[1]).await;
        assert_eq!(there.as_deref(), Some(&b"a layer"[..]), "{software:?}");
    }
}

/// distribution 3 refuses an index whose entries are blobs, unless it is configured otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_of_buildkit_is_copied() {
    for software in [Software::Crane, Software::Olareg] {
        let setting = Setting::of(software).await;
        let registry = &setting.registry;
        let contents = [(LAYER, "a layer"), (CACHE_CONFIG, "{}")];
        let mut entries = Vec::new();
        for (media_type, content) in contents {
            let digest = digest::sha256(content.as_bytes());
            let bytes = Bytes::from_static(content.as_bytes());
            registry.put_blob("team/cache", &digest, bytes).await;
            let size = content.len();
            entries.push(json!({"mediaType": media_type, "digest": digest, "size": size}));
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_INDEX,
            "manifests": entries,
        });
        let bytes = index.to_string().into();
        registry
            .put_manifest("team/cache", "main", media::OCI_INDEX, bytes)
            .await;
        let (from, to) = (
            setting.at("team/cache", "main"),
            setting.at("mirror/cache", "main"),
        );
        setting.run(&format!("copy {from} {to}")).await;
        let layer = registry
            .blob("mirror/cache", &digest::sha256(b"a layer"))
            .await;
        assert_eq!(layer.as_deref(), Some(&b"a layer"[..]), "{software:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_sources_are_waited_for() {
    for software in SOFTWARE {
        let setting = Setting::of(software).await;
        let (late, target) = (setting.at("team/app", "late"), setting.at("team/app", "1"));
        let publish = |wait: &str| format!("publish --wait {wait} -t {target} {late}");
        let output = setting.home.run_line(&publish("1s")).await.exits(4);
        assert!(output.stderr.contains("waiting "), "{software:?} {output}");
        let source = setting.at("team/app", "amd64");
        let (publish, copy) = (publish("1m"), format!("copy {source} {late}"));
        tokio::join!(setting.run(&publish), setting.run(&copy));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_exist_are_kept_or_refused() {
    for software in SOFTWARE {
        let setting = Setting::of(software).await;
        let [source, other] = ["amd64", "arm64"].map(|tag| setting.at("team/app", tag));
        let target = setting.at("mirror/app", "1");
        let publish = |words: &str| format!("publish --output json -t {target} {words}");
        let parse = |output: &str| serde_json::from_str::<Value>(output).expect("JSON");
        let first = parse(&setting.run(&publish(&source)).await);
        assert_eq!(first["targets"][0]["tags"][0]["previous"], Value::Null);
        let kept = parse(
            &setting
                .run(&publish(&format!("--if-exists keep {other}")))
                .await,
        );
        assert_eq!(kept["status"], "kept", "{software:?}");
        let refused = publish(&format!("--if-exists refuse {other}"));
        setting.home.run_line(&refused).await.exits(5);
        let there = setting.registry.manifest("mirror/app", "1").await;
        assert_eq!(
            first["digest"],
            there.expect("the tag").digest,
            "{software:?}"
        );
        let moved = parse(&setting.run(&publish(&format!("{source} {other}"))).await);
        assert_eq!(moved["targets"][0]["tags"][0]["previous"], first["digest"]);
        let platforms = moved["changes"][0]["platforms"]
            .as_array()
            .expect("changes");
        let kinds: Vec<_> = platforms
            .iter()
            .map(|platform| &platform["change"])
            .collect();
        assert_eq!(kinds, ["unchanged", "added"], "{software:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_level_of_check_passes() {
    for software in SOFTWARE {
        let setting = Setting::of(software).await;
        setting.publish("mirror/app").await;
        let target = setting.at("mirror/app", "1");
        for level in ["none", "manifests", "blobs", "binaries"] {
            setting
                .run(&format!("check --level {level} {target}"))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_append_at_the_same_time_keep_all_images() {
    for software in SOFTWARE {
        let setting = Setting::of(software).await;
        let target = setting.at("team/app", "all");
        let jobs = ["amd64", "arm64", "pair"].map(|tag| {
            let source = setting.at("team/app", tag);
            format!("publish --append -t {target} {source}")
        });
        futures_util::future::join_all(jobs.iter().map(|job| setting.run(job))).await;
        let there = setting.registry.manifest("team/app", "all").await;
        let there: Value = serde_json::from_slice(&there.expect("the tag").body).expect("JSON");
        let entries = there["manifests"].as_array().expect("entries").iter();
        let mut architectures: Vec<&str> = entries
            .filter_map(|entry| entry["platform"]["architecture"].as_str())
            .filter(|architecture| *architecture != "unknown")
            .collect();
        architectures.sort_unstable();
        assert_eq!(
            architectures,
            ["386", "amd64", "arm64", "riscv64"],
            "{software:?}"
        );
    }
}
