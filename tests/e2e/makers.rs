//! The same jobs at registries of several makers, each of which follows the specification in its own way.

use serde_json::Value;

use crate::{
    distribution::{Distribution, Software},
    program::Home,
    support::{
        digest,
        image::{Image, Index},
        registry::Registry,
    },
};

const MAKERS: [Software; 3] = [Software::Debian, Software::Distribution3, Software::Crane];

/// One registry, with an attested index of two platforms and two images in `team/app`.
struct Scene {
    registry: Distribution,
    home: Home,
}

impl Scene {
    async fn of(software: Software) -> Self {
        let scene = Self {
            registry: Distribution::start_of(software).await,
            home: Home::new(),
        };
        let images = Registry::plain().await;
        for platform in ["amd64", "arm64"] {
            let image = Image::new(&format!("linux/{platform}")).layers(&[10, 300_000]);
            image.load(&images, "team/app", platform);
        }
        let pair = Index::oci().of(["linux/386", "linux/riscv64"]).attested();
        pair.load(&images, "team/app", "pair");
        for tag in ["amd64", "arm64", "pair"] {
            let (from, to) = (images.reference("team/app", tag), scene.at("team/app", tag));
            scene.run(&format!("copy {from} {to}")).await;
        }
        scene
    }

    fn at(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.registry.host())
    }

    async fn run(&self, line: &str) -> String {
        self.home.polyarch(line).await.expect()
    }

    /// Publishes everything there is under two tags of a repository; gives the digest.
    async fn publish(&self, repository: &str) -> String {
        let sources = ["amd64", "arm64", "pair"].map(|tag| self.at("team/app", tag));
        let line = format!(
            "publish -t {} -t {} {}",
            self.at(repository, "1"),
            self.at(repository, "latest"),
            sources.join(" ")
        );
        let said = self.run(&line).await;
        said.lines().last().expect("a digest").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_published_within_a_repository_and_to_another() {
    for maker in MAKERS {
        let scene = Scene::of(maker).await;
        for repository in ["team/app", "mirror/deep/app"] {
            let digest = scene.publish(repository).await;
            for tag in ["1", "latest", &digest] {
                let there = scene.registry.manifest(repository, tag).await;
                let there = there.unwrap_or_else(|| panic!("{maker:?} {repository} {tag}"));
                assert_eq!(digest::sha256(&there.body), digest, "{maker:?}");
            }
            // Every blob of it is there: skopeo reads them all.
            let name = format!("docker://{}", scene.at(repository, "1"));
            let to = format!("oci:{}", repository.replace('/', "-"));
            let read = [
                "--insecure-policy",
                "copy",
                "--all",
                "--src-tls-verify=false",
            ];
            let words = [&read[..], &[&name, &to]].concat();
            scene.home.run("skopeo", &words).await.expect();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_changes_nothing() {
    for maker in MAKERS {
        let scene = Scene::of(maker).await;
        scene.publish("mirror/app").await;
        let tag = scene.at("mirror/app", "1");
        let source = scene.at("mirror/app", "latest");
        let line = format!("publish --output json -t {tag} {source}");
        let result: Value = serde_json::from_str(&scene.run(&line).await).expect("JSON");
        assert_eq!(result["status"], "already", "{maker:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_made_the_way_of_docker() {
    for maker in MAKERS {
        let scene = Scene::of(maker).await;
        let list = scene.at("team/app", "list");
        let images = ["amd64", "arm64"].map(|tag| scene.at("team/app", tag));
        scene
            .run(&format!("create {list} {}", images.join(" ")))
            .await;
        scene
            .run(&format!("annotate --variant v8 {list} {}", images[1]))
            .await;
        let digest = scene.run(&format!("push --purge {list}")).await;
        let there = scene.registry.manifest("team/app", "list").await;
        let there = there.expect("the list");
        assert_eq!(digest::sha256(&there.body), digest.trim(), "{maker:?}");
        let shown = scene.run(&format!("inspect {list}")).await;
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(shown["manifests"][1]["platform"]["variant"], "v8");
        let tree = scene.run(&format!("inspect --tree {list}")).await;
        assert!(tree.contains("linux/arm64/v8"), "{maker:?} {tree}");
    }
}

/// Distribution has no referrers API: there they are found by a tag. Crane's has one.
#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_an_image_comes_along() {
    for maker in MAKERS {
        let scene = Scene::of(maker).await;
        let (from, to) = (
            scene.at("team/app", "amd64"),
            scene.at("mirror/app", "amd64"),
        );
        scene.home.write("note.txt", "a note");
        let attach = [
            "attach",
            "--plain-http",
            "--artifact-type",
            "text/note",
            &from,
            "note.txt:text/plain",
        ];
        scene.home.run("oras", &attach).await.expect();
        scene.run(&format!("copy --referrers {from} {to}")).await;
        let discover = ["discover", "--plain-http", "--format", "json", &to];
        let found = scene.home.run("oras", &discover).await.expect();
        assert!(found.contains("text/note"), "{maker:?} {found}");
    }
}
