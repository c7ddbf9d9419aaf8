//! Ctrl-C and SIGTERM at every step: the run ends soon, says what landed, leaves no upload open, and its reports are
//! those of any other run that did not get to its end.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::{process::Command, time::sleep};

use super::{Home, Said, registry};
use crate::support::{
    Registry,
    image::Image,
    registry::{Class, Fault, Rule},
};

/// Two seconds for putting things in order, and some for a busy machine.
const SOON: Duration = Duration::from_secs(8);

/// An image in one registry, to be published in another.
struct Scene {
    from: Registry,
    to: Registry,
    home: Home,
    source: String,
}

impl Scene {
    fn new() -> Self {
        let (from, to) = (registry(), registry());
        let image = Image::new("linux/amd64").layers(&[10, 200_000]);
        image.load(&from, "team/app", "amd64");
        let source = from.reference("team/app", "amd64");
        Self {
            from,
            to,
            home: Home::new(),
            source,
        }
    }

    /// Publishes tags 1 and 2; as soon as `reached`, the signals are sent one after another.
    fn interrupt(&self, reached: impl Fn(&Self) -> bool, signals: &[&str]) -> (Said, Duration) {
        let tags = ["1", "2"].map(|tag| self.to.reference("team/app", tag));
        let words = [
            "publish",
            "--output",
            "json",
            "--dotenv",
            "out.env",
            "-t",
            &tags[0],
            "-t",
            &tags[1],
            &self.source,
        ];
        self.interrupt_run(&words, reached, signals)
    }

    /// The same for any command.
    fn interrupt_run(
        &self,
        words: &[&str],
        reached: impl Fn(&Self) -> bool,
        signals: &[&str],
    ) -> (Said, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let child = self.home.command(words).spawn().expect("the binary starts");
            let process = child.id().expect("it runs").to_string();
            let deadline = Instant::now() + Duration::from_secs(30);
            while !reached(self) {
                assert!(Instant::now() < deadline, "it never came so far");
                sleep(Duration::from_millis(5)).await;
            }
            let began = Instant::now();
            for (count, signal) in signals.iter().enumerate() {
                if count > 0 {
                    // The first one has arrived when the run has begun to put things in order.
                    self.wait_for(Class::UploadDelete).await;
                }
                let mut kill = Command::new("sh");
                kill.args(["-c", "kill -s \"$0\" \"$1\"", signal, &process]);
                assert!(kill.status().await.expect("a shell").success());
            }
            let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
            let output = output.await.expect("an end").expect("its output");
            (Said::of(output), began.elapsed())
        })
    }

    async fn wait_for(&self, class: Class) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.to.count(class) == 0 {
            assert!(Instant::now() < deadline, "no {class:?} came");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the result says of each tag.
    fn statuses(said: &Said) -> Vec<String> {
        let result = said.json();
        super::outputs::check_schema(&result);
        let tags = result["targets"][0]["tags"]
            .as_array()
            .expect("tags")
            .clone();
        let text = |tag: &Value| tag["status"].as_str().expect("a status").to_owned();
        tags.iter().map(text).collect()
    }
}

#[test]
fn while_sources_are_read() {
    for (signal, code, word) in [
        ("INT", 130, "error: interrupted"),
        ("TERM", 143, "error: terminated"),
    ] {
        let scene = Scene::new();
        scene
            .from
            .rule(Rule::on(Class::ManifestGet).forever().then(Fault::Stall));
        let (said, took) = scene.interrupt(|it| it.from.count(Class::ManifestGet) > 0, &[signal]);
        let said = said.refused(
            code,
            &[word, "no tag was changed", "run the same command again"],
        );
        assert_eq!(said.stdout, "");
        assert!(took < SOON, "{took:?}");
        assert!(scene.to.writes().is_empty());
    }
}

#[test]
fn while_a_blob_is_uploaded() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let scene = Scene::new();
        let stall = Rule::on(Class::UploadPut).forever().then(Fault::Stall);
        scene.to.rule(stall);
        let (said, took) = scene.interrupt(|it| it.to.count(Class::UploadPut) == 3, &[signal]);
        let said = said.refused(code, &["no tag was changed"]);
        assert_eq!(said.json()["status"], "failed");
        assert!(took < SOON, "{took:?}");
        assert_eq!(scene.to.count(Class::UploadDelete), 3);
        assert_eq!(scene.to.uploads(), 0, "no upload is left open");
        assert!(scene.to.tags("team/app").is_empty());
        assert!(!scene.home.path("out.env").exists());
    }
}

#[test]
fn while_the_second_of_two_tags_is_written() {
    let scene = Scene::new();
    let second = Rule::on(Class::ManifestPut).path("*/manifests/2");
    scene.to.rule(second.then(Fault::Stall));
    let first_there = |it: &Scene| it.to.tag("team/app", "1").is_some();
    let reached = |it: &Scene| first_there(it) && it.to.pending_rules() == 0;
    let (said, took) = scene.interrupt(reached, &["TERM"]);
    let landed = format!(
        "these tags were pushed: {}\n",
        scene.to.reference("team/app", "1")
    );
    // The registry may still carry out what it did not answer.
    let open = format!(
        "{} was not changed so far, but its write was in progress",
        scene.to.reference("team/app", "2")
    );
    let said = said.refused(143, &["error: terminated", &landed, &open]);
    assert_eq!(Scene::statuses(&said), ["published", "failed"]);
    assert!(took < SOON, "{took:?}");
    assert_eq!(scene.to.tag("team/app", "2"), None);
    assert_eq!(scene.to.problems(), Vec::<String>::new());
    let file = scene.home.read("out.env");
    assert!(file.contains("team/app"), "{file}");
}

/// The registry has taken both tags, its answers have not come.
#[test]
fn while_the_answer_to_a_write_is_awaited() {
    let scene = Scene::new();
    let tags = Rule::on(Class::ManifestPut)
        .and(|seen| !seen.path.contains("sha256"))
        .times(2)
        .applied();
    scene.to.rule(tags.then(Fault::Stall));
    let (said, _) = scene.interrupt(|it| it.to.tags("team/app").len() == 2, &["INT"]);
    let said = said.refused(130, &["these tags were pushed: "]);
    assert_eq!(Scene::statuses(&said), ["published", "published"]);
    assert!(
        !said.stderr.contains("no tag was changed"),
        "{}",
        said.stderr
    );
}

/// Nobody can tell any more whether the tags were taken.
#[test]
fn while_the_registry_says_nothing_at_all() {
    let scene = Scene::new();
    scene.to.rule(
        Rule::on(Class::ManifestPut)
            .and(|seen| !seen.path.contains("sha256"))
            .forever()
            .then(Fault::Stall),
    );
    let stalled = |it: &Scene| {
        let puts = it
            .to
            .count_where(|put| put.class == Class::ManifestPut && !put.path.contains("sha256"));
        if puts == 2 {
            let silence = Rule::on(Class::ManifestHead).forever().then(Fault::Stall);
            it.to.rule(silence);
        }
        puts == 2
    };
    let (said, took) = scene.interrupt(stalled, &["INT"]);
    let said = said.refused(130, &["team/app:1 was changed", "team/app:2 was changed"]);
    for more_than_is_known in ["no tag was changed", "pushed, but not verified"] {
        assert!(!said.stderr.contains(more_than_is_known), "{}", said.stderr);
    }
    assert!(took < SOON, "{took:?}");
}

#[test]
fn while_tags_are_read_back() {
    let scene = Scene::new();
    scene
        .to
        .rule(Rule::on(Class::ManifestGet).forever().then(Fault::Stall));
    let (said, took) = scene.interrupt(|it| it.to.count(Class::ManifestGet) == 2, &["INT"]);
    let said = said.refused(130, &["these tags were pushed: "]);
    assert_eq!(Scene::statuses(&said), ["published", "published"]);
    assert!(took < SOON, "{took:?}");
}

/// The registry took the tags, but they cannot be read back, not even when the run ends.
#[test]
fn while_tags_are_read_back_in_vain() {
    let scene = Scene::new();
    for class in [Class::ManifestGet, Class::ManifestHead] {
        let of_tags = Rule::on(class).and(|seen| !seen.path.contains("sha256"));
        // Before anything is written, each tag is asked for once by HEAD.
        let first = if class == Class::ManifestHead { 3 } else { 1 };
        scene
            .to
            .rule(of_tags.nth(first).forever().then(Fault::Stall));
    }
    let (said, took) = scene.interrupt(|it| it.to.count(Class::ManifestGet) == 2, &["INT"]);
    let said = said.refused(130, &["pushed, but not verified: "]);
    for more_than_is_known in ["no tag was changed", "these tags were pushed"] {
        assert!(!said.stderr.contains(more_than_is_known), "{}", said.stderr);
    }
    assert!(took < SOON, "{took:?}");
}

#[test]
fn while_a_pause_between_two_tries_lasts() {
    let scene = Scene::new();
    let later = Fault::reply(429, &[("retry-after", "50")], "");
    scene
        .to
        .rule(Rule::on(Class::UploadPost).forever().then(later));
    let (said, took) = scene.interrupt(|it| it.to.count(Class::UploadPost) > 0, &["TERM"]);
    said.refused(143, &["no tag was changed"]);
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_second_signal_does_not_wait_for_anything() {
    let silent = || {
        let scene = Scene::new();
        for class in [Class::UploadPut, Class::UploadDelete] {
            scene.to.rule(Rule::on(class).forever().then(Fault::Stall));
        }
        scene
    };
    let uploading = |it: &Scene| it.to.count(Class::UploadPut) == 3;
    let (said, alone) = silent().interrupt(uploading, &["INT"]);
    said.refused(130, &["error: interrupted"]);
    assert!(alone >= Duration::from_secs(2) && alone < SOON, "{alone:?}");
    let (said, twice) = silent().interrupt(uploading, &["INT", "INT"]);
    said.refused(130, &["error: interrupted"]);
    assert!(twice < Duration::from_secs(2), "{twice:?}");
}

/// Another process holds the list: the wait for it blocks the whole program, and ends all the same.
#[test]
fn while_another_process_holds_a_list() {
    let scene = Scene::new();
    let list = scene.from.reference("team/app", "list");
    scene.home.run(&["create", &list, &scene.source]).ok();
    let drafts = scene.home.path(".local/share/polyarch/drafts");
    let entry = std::fs::read_dir(drafts).expect("it").next();
    let draft = entry.expect("a draft").expect("an entry").path();
    let lock = std::fs::File::create(draft.with_extension("lock")).expect("a file");
    lock.lock().expect("nobody else has it");
    let before = std::fs::read(&draft).expect("the draft");
    scene.from.clear();
    let words = ["create", "--amend", &list, &scene.source];
    let reached = |it: &Scene| !it.from.requests().is_empty();
    let (said, took) = scene.interrupt_run(&words, reached, &["INT"]);
    said.refused(130, &["error: interrupted"]);
    assert!(took < SOON, "{took:?}");
    assert_eq!(std::fs::read(&draft).expect("the draft"), before);
}
