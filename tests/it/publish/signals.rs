//! SIGINT and SIGTERM at every step. The run ends soon, reports what was pushed, and leaves no upload open. Its reports
//! have the same form as for any other failed run.

use std::fmt::Write as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::outputs::check_schema;
use crate::support::{
    Scene,
    image::Image,
    polyarch::Output,
    registry::{Class, Fault, Recorded, Registry, Rule},
};

/// Two seconds for cancelling uploads and looking up tags, plus a margin for a busy machine.
const SOON: Duration = Duration::from_secs(8);

const PUBLISH: &str = "publish --output json --dotenv out.env -t OTHER/team/app:1 -t OTHER/team/app:2 \
                       HOST/team/app:amd64";

/// Returns a scene with an image in the first registry, which is published in the second one. The order of concurrent
/// requests varies, so no snapshot contains messages about blobs.
fn scene() -> Scene {
    let mut scene = Scene::two();
    scene.set("POLYARCH_PROGRESS", "none");
    let image = Image::new("linux/amd64").layers(&[10, 200_000]);
    image.load(scene.registry(), "team/app", "amd64");
    scene
}

/// Starts the job, sends a signal when `reached`, and returns the output and how long the run took to end.
fn interrupt(
    scene: &Scene,
    reached: impl Fn(&Scene) -> bool,
    signal: Signal,
) -> (Output, Duration) {
    interrupt_line(scene, PUBLISH, reached, &[signal])
}

/// Runs a line and sends the first signal when `reached`. Each further signal is sent when the run has begun to cancel
/// uploads.
fn interrupt_line(
    scene: &Scene,
    line: &str,
    reached: impl Fn(&Scene) -> bool,
    signals: &[Signal],
) -> (Output, Duration) {
    let running = scene.start(line);
    scene.registry().wait_until(|_| reached(scene));
    let began = std::time::Instant::now();
    for (count, signal) in signals.iter().enumerate() {
        if count > 0 {
            let is_cancelling = |to: &Registry| to.count(Class::UploadDelete) > 0;
            scene.other().wait_until(is_cancelling);
        }
        running.signal(*signal);
    }
    (running.wait(), began.elapsed())
}

/// Returns the status of each tag in the result.
fn statuses(output: &Output) -> Vec<String> {
    let result = output.json();
    check_schema(&result);
    let tags = result["targets"][0]["tags"].as_array().expect("tags");
    let text = |tag: &Value| tag["status"].as_str().expect("a status").to_owned();
    tags.iter().map(text).collect()
}

/// Returns a rule for PUT requests of manifests under tags.
fn put_of_tags() -> Rule {
    Rule::on(Class::ManifestPut).and(|seen| !seen.path.contains("sha256"))
}

fn is_put_of_tag(request: &Recorded) -> bool {
    request.class == Class::ManifestPut && !request.path.contains("sha256")
}

#[test]
fn signal_while_sources_are_read() {
    let mut outputs = String::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scene = scene();
        let stall = Rule::on(Class::ManifestGet).forever().then(Fault::Stall);
        scene.registry().rule(stall);
        let reached = |it: &Scene| it.registry().count(Class::ManifestGet) > 0;
        let (output, took) = interrupt(&scene, reached, signal);
        outputs += &output.to_string();
        assert!(took < SOON, "{took:?}");
        assert!(scene.other().writes().is_empty());
    }
    insta::assert_snapshot!(outputs, @"
    exit code: 130
    ----- stderr -----
    error: interrupted
     hint: run the same command again to complete it
     note: no tag was changed
    exit code: 143
    ----- stderr -----
    error: terminated
     hint: run the same command again to complete it
     note: no tag was changed
    ");
}

#[test]
fn signal_while_blobs_are_uploaded() {
    let mut outputs = String::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scene = scene();
        let to = scene.other();
        to.rule(Rule::on(Class::UploadPut).forever().then(Fault::Stall));
        let reached = |it: &Scene| it.other().count(Class::UploadPut) == 3;
        let (output, took) = interrupt(&scene, reached, signal);
        assert_eq!(output.json()["status"], "failed");
        writeln!(outputs, "exit code: {}", output.code).unwrap();
        outputs.push_str(&output.stderr);
        assert!(took < SOON, "{took:?}");
        assert_eq!(to.count(Class::UploadDelete), 3);
        assert_eq!(to.uploads(), 0, "no upload is left open");
        assert!(to.tags("team/app").is_empty());
        assert!(!scene.path("out.env").exists());
    }
    insta::assert_snapshot!(outputs, @"
    exit code: 130
    error: interrupted
     hint: run the same command again to complete it
     note: no tag was changed
    exit code: 143
    error: terminated
     hint: run the same command again to complete it
     note: no tag was changed
    ");
}

#[test]
fn signal_while_the_second_of_two_tags_is_written() {
    let scene = scene();
    let to = scene.other();
    let second = Rule::on(Class::ManifestPut).path("*/manifests/2");
    to.rule(second.then(Fault::Stall));
    let reached =
        |it: &Scene| it.other().tag("team/app", "1").is_some() && it.other().pending_rules() == 0;
    let (output, took) = interrupt(&scene, reached, Signal::SIGTERM);
    let output = output.exits(143);
    // The registry may still apply the request that it did not answer.
    insta::assert_snapshot!(output.stderr, @"
    error: terminated
     hint: run the same command again to complete it
     hint: check OTHER/team/app:2 again: it was not changed so far, but its write was in progress
     note: these tags were pushed: OTHER/team/app:1
    ");
    assert_eq!(statuses(&output), ["published", "failed"]);
    assert!(took < SOON, "{took:?}");
    assert_eq!(to.tag("team/app", "2"), None);
    assert_eq!(to.problems(), Vec::<String>::new());
    assert!(scene.read("out.env").contains("team/app"));
}

/// The registry has written both tags but has not answered.
#[test]
fn signal_while_the_answer_to_a_write_is_awaited() {
    let scene = scene();
    scene
        .other()
        .rule(put_of_tags().times(2).applied().then(Fault::Stall));
    let reached = |it: &Scene| it.other().tags("team/app").len() == 2;
    let (output, _) = interrupt(&scene, reached, Signal::SIGINT);
    let output = output.exits(130);
    insta::assert_snapshot!(output.stderr, @"
    error: interrupted
     hint: run the same command again to complete it
     note: these tags were pushed: OTHER/team/app:1, OTHER/team/app:2
    ");
    assert_eq!(statuses(&output), ["published", "published"]);
}

/// The run cannot find out whether the tags were written.
#[test]
fn signal_while_the_registry_does_not_answer_at_all() {
    let scene = scene();
    scene
        .other()
        .rule(put_of_tags().forever().then(Fault::Stall));
    let is_stalled = |it: &Scene| {
        let is_stalled = it.other().count_where(is_put_of_tag) == 2;
        if is_stalled {
            let silence = Rule::on(Class::ManifestHead).forever().then(Fault::Stall);
            it.other().rule(silence);
        }
        is_stalled
    };
    let (output, took) = interrupt(&scene, is_stalled, Signal::SIGINT);
    insta::assert_snapshot!(output.exits(130).stderr, @"
    error: interrupted
     hint: run the same command again to complete it
     note: it is unknown whether OTHER/team/app:1 was changed
     note: it is unknown whether OTHER/team/app:2 was changed
    ");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn signal_while_tags_are_verified() {
    let scene = scene();
    let stall = Rule::on(Class::ManifestGet).forever().then(Fault::Stall);
    scene.other().rule(stall);
    let reached = |it: &Scene| it.other().count(Class::ManifestGet) == 2;
    let (output, took) = interrupt(&scene, reached, Signal::SIGINT);
    let output = output.exits(130);
    insta::assert_snapshot!(output.stderr, @"
    error: interrupted
     hint: run the same command again to complete it
     note: these tags were pushed: OTHER/team/app:1, OTHER/team/app:2
    ");
    assert_eq!(statuses(&output), ["published", "published"]);
    assert!(took < SOON, "{took:?}");
}

/// The registry wrote the tags, but they cannot be read, not even at the end of the run.
#[test]
fn signal_while_tags_cannot_be_verified() {
    let scene = scene();
    for class in [Class::ManifestGet, Class::ManifestHead] {
        let of_tags = Rule::on(class).and(|seen| !seen.path.contains("sha256"));
        // Before anything is written, each tag is looked up once by HEAD.
        let first = if class == Class::ManifestHead { 3 } else { 1 };
        let stall = of_tags.nth(first).forever().then(Fault::Stall);
        scene.other().rule(stall);
    }
    let reached = |it: &Scene| it.other().count(Class::ManifestGet) == 2;
    let (output, took) = interrupt(&scene, reached, Signal::SIGINT);
    insta::assert_snapshot!(output.exits(130).stderr, @"
    error: interrupted
     hint: run the same command again to complete it
     note: these tags were pushed but not verified: OTHER/team/app:1, OTHER/team/app:2
    ");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn signal_during_the_wait_between_two_attempts() {
    let scene = scene();
    let later = Fault::reply(429, &[("retry-after", "50")], "");
    let busy = Rule::on(Class::UploadPost).forever().then(later);
    scene.other().rule(busy);
    let reached = |it: &Scene| it.other().count(Class::UploadPost) > 0;
    let (output, took) = interrupt(&scene, reached, Signal::SIGTERM);
    let output = output.exits(143);
    assert!(output.stderr.contains("no tag was changed"), "{output}");
    assert!(took < SOON, "{took:?}");
}

/// After the first signal, the run waits for the cancellation of uploads, which is never answered. After the second
/// signal, it does not wait.
#[test]
fn second_signal_ends_the_run_at_once() {
    let silent = || {
        let scene = scene();
        for class in [Class::UploadPut, Class::UploadDelete] {
            let stall = Rule::on(class).forever().then(Fault::Stall);
            scene.other().rule(stall);
        }
        scene
    };
    let uploading = |it: &Scene| it.other().count(Class::UploadPut) == 3;
    let interrupt = |signals| interrupt_line(&silent(), PUBLISH, uploading, signals);
    let (output, alone) = interrupt(&[Signal::SIGINT]);
    output.exits(130);
    assert!(alone >= Duration::from_secs(2) && alone < SOON, "{alone:?}");
    let (output, twice) = interrupt(&[Signal::SIGINT, Signal::SIGINT]);
    insta::assert_snapshot!(output, @"
    exit code: 130
    ----- stderr -----
    error: interrupted
     hint: run the same command again to complete it
    ");
    assert!(twice < Duration::from_secs(2), "{twice:?}");
}

/// Waiting for a list that another process has locked blocks the whole program. The signal must end it nevertheless.
#[test]
fn signal_while_another_process_locks_the_list() {
    let scene = scene();
    scene.ok("create HOST/team/app:list HOST/team/app:amd64");
    let draft = scene.drafts().pop().expect("a draft");
    let lock = std::fs::File::create(draft.with_extension("lock")).expect("a file");
    lock.lock().expect("no other lock");
    let before = std::fs::read(&draft).expect("the draft");
    scene.registry().clear();
    let line = "create --amend HOST/team/app:list HOST/team/app:amd64";
    let reached = |it: &Scene| !it.registry().requests().is_empty();
    let (output, took) = interrupt_line(&scene, line, reached, &[Signal::SIGINT]);
    output.exits(130);
    assert!(took < SOON, "{took:?}");
    assert_eq!(std::fs::read(&draft).expect("the draft"), before);
}
