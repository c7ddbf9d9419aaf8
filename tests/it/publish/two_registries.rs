//! Two registries in one run, one of them with a password: sources in one, tags in both.

use http::Method;

use super::{Home, platforms, registry};
use crate::support::{
    Registry,
    image::{Image, Loaded},
    registry::{Accounts, Class},
};

struct Scene {
    open: Registry,
    closed: Registry,
    home: Home,
    images: Vec<Loaded>,
}

impl Scene {
    fn new() -> Self {
        let open = registry();
        let closed = Registry::builder()
            .basic(Accounts::new("ci", "hunter2"))
            .start_in_background();
        let images = ["amd64", "arm64"]
            .map(|name| {
                let image = Image::new(&format!("linux/{name}")).layers(&[10, 300_000]);
                image.load(&open, "team/app", name)
            })
            .to_vec();
        let mut home = Home::new();
        home.set("POLYARCH_REGISTRY", closed.host());
        home.set("POLYARCH_USERNAME", "ci");
        home.set("POLYARCH_PASSWORD", "hunter2");
        Self {
            open,
            closed,
            home,
            images,
        }
    }

    fn words(&self) -> Vec<String> {
        let targets = [
            self.open.reference("team/app", "1"),
            self.closed.reference("mirror/app", "1"),
            self.closed.reference("mirror/app", "latest"),
            self.closed.reference("second/app", "1"),
        ];
        let mut words = vec!["publish".to_owned()];
        for target in targets {
            words.extend(["-t".to_owned(), target]);
        }
        words.extend(["amd64", "arm64"].map(|tag| self.open.reference("team/app", tag)));
        words
    }

    fn run(&self) -> super::Said {
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.home.run(&words)
    }
}

#[test]
fn one_run_fills_both() {
    let scene = Scene::new();
    let digest = scene.run().ok().digest();
    assert_eq!(scene.open.tag("team/app", "1").unwrap(), digest);
    for (repo, tag) in [
        ("mirror/app", "1"),
        ("mirror/app", "latest"),
        ("second/app", "1"),
    ] {
        assert_eq!(scene.closed.tag(repo, tag).unwrap(), digest);
    }
    assert_eq!(
        platforms(&scene.closed, "second/app", "1"),
        ["linux/amd64", "linux/arm64"]
    );
    assert_eq!(scene.open.problems(), Vec::<String>::new());
    assert_eq!(scene.closed.problems(), Vec::<String>::new());
    // No password goes to the registry that it is not for.
    assert_eq!(scene.open.count_where(|it| it.carries("hunter2")), 0);
}

#[test]
fn each_digest_is_moved_once_and_mounted_from_there() {
    let scene = Scene::new();
    scene.run().ok();
    let mut blobs: Vec<&String> = scene.images.iter().flat_map(|image| &image.blobs).collect();
    blobs.sort();
    blobs.dedup();
    for blob in &blobs {
        let of_blob = |path: &str| path.ends_with(blob.as_str());
        // A config is read once more for its platform.
        let reads = scene
            .open
            .count_where(|it| it.method == Method::GET && of_blob(&it.path));
        assert!((1..=2).contains(&reads), "{blob} was read {reads} times");
        let uploads = scene.closed.count_where(|it| {
            matches!(it.class, Class::UploadPut | Class::UploadPost)
                && it.query.contains(&blob.replace(':', "%3A"))
                || it.class == Class::UploadPut && it.query.contains(blob.as_str())
        });
        assert!(uploads >= 1, "{blob} did not arrive");
    }
    let received: u64 = scene.closed.requests().iter().map(|it| it.body).sum();
    let held: u64 = blobs
        .iter()
        .map(|blob| scene.open.blob("team/app", blob).unwrap().len() as u64)
        .sum();
    assert!(received < held + 20_000, "{received} bytes for {held}");
}

#[test]
fn a_second_run_moves_nothing() {
    let scene = Scene::new();
    let digest = scene.run().ok().digest();
    let before = (scene.open.snapshot(), scene.closed.snapshot());
    scene.open.clear();
    scene.closed.clear();
    let said = scene.run().ok();
    assert_eq!(said.digest(), digest);
    assert!(scene.open.writes().is_empty());
    assert!(scene.closed.writes().is_empty());
    // The configs alone are read again.
    assert_eq!(scene.open.count(Class::BlobGet), scene.images.len());
    assert_eq!((scene.open.snapshot(), scene.closed.snapshot()), before);
}

#[test]
fn rejected_credentials_end_the_run_before_any_tag_moves() {
    let mut scene = Scene::new();
    scene.home.set("POLYARCH_PASSWORD", "wrong");
    let said = scene.run();
    let said = said.refused(3, &[scene.closed.host(), "no tag was changed"]);
    assert!(!said.stderr.contains("hunter2"));
    assert_eq!(scene.open.tag("team/app", "1"), None);
    assert!(scene.closed.tags("mirror/app").is_empty());
}

#[test]
fn bare_digests_are_found_in_the_target_that_has_them() {
    let scene = Scene::new();
    let targets = [
        scene.closed.reference("mirror/app", "1"),
        scene.open.reference("team/app", "1"),
    ];
    let digests = [&scene.images[0].digest, &scene.images[1].digest];
    let list = targets.join("\n");
    let said = scene.home.publish(&list, &[digests[0], digests[1]]).ok();
    assert_eq!(scene.closed.tag("mirror/app", "1").unwrap(), said.digest());
    assert_eq!(scene.closed.problems(), Vec::<String>::new());
}
