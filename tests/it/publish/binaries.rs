//! `--check binaries`: the programs of an image must match its platform before any tag moves.

use serde_json::json;

use crate::support::{
    Scene,
    gzip::store,
    image::{Image, Index, LayerBuilder, elf, media},
    registry::{Class, Content, Fault, Recorded, Rule},
};

const PUBLISH: &str =
    "publish --check binaries -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64";

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.set("POLYARCH_PROGRESS", "none");
    scene
}

/// Returns an image for `linux/architecture` whose entrypoint is a program for `machine`.
fn image(architecture: &str, machine: &str) -> Image {
    let layer = store(&LayerBuilder::new().program("app", &elf(machine)).build());
    Image::new(&format!("linux/{architecture}"))
        .given_layers([(media::OCI_LAYER, layer.into())])
        .execution(json!({ "Entrypoint": ["/app"] }))
}

/// Stores images for amd64 and arm64 in `team/app`, with programs for these machines.
fn load(scene: &mut Scene, amd64: &str, arm64: &str) {
    for (architecture, machine) in [("amd64", amd64), ("arm64", arm64)] {
        let loaded = image(architecture, machine).load(scene.registry(), "team/app", architecture);
        scene.name(&architecture.to_uppercase(), &loaded.digest);
    }
}

/// Returns an image with one layer and the entrypoint `/app`.
fn image_of(layer: (&'static str, Content)) -> Image {
    Image::new("linux/amd64")
        .given_layers([layer])
        .execution(json!({ "Entrypoint": ["/app"] }))
}

#[test]
fn matching_programs_are_reported() {
    let mut scene = scene();
    load(&mut scene, "amd64", "arm64");
    let output = scene.run(PUBLISH).ok();
    let index = output.digest();
    scene.name("INDEX", &index);
    insta::assert_snapshot!(output, @"
    exit code: 0
    ----- stdout -----
    OCI image index  090da2287929  645 B
    ├── linux/amd64       72b00cf72854  2.3 kB
    │   ├── from HOST/team/app:amd64
    │   └── verified: /app is x86-64
    └── linux/arm64       88edb0532ff0  2.3 kB
        ├── from HOST/team/app:arm64
        └── verified: /app is aarch64

    HOST/team/app:1  pushed (new)

    sha256:090da22879299c2c68a953ab1189aa362f1e1ba30a3bf0e88f59888b9acbf4db
    ");
    insta::assert_snapshot!(scene.run("check --level binaries HOST/team/app:1"), @"
    exit code: 0
    ----- stdout -----
    HOST/team/app:1 INDEX
      linux/amd64      72b00cf72854  ok, 2 blobs, /app is x86-64
      linux/arm64      88edb0532ff0  ok, 2 blobs, /app is aarch64
    ");
    let json = scene.run(&format!("{PUBLISH} --output json")).ok().json();
    assert_eq!(
        json["entries"][1]["executables"],
        json!([{ "path": "/app", "machine": "aarch64" }])
    );
    let json = scene
        .run("check --level binaries --format json HOST/team/app:1")
        .ok()
        .json();
    let entry = &json["references"][0]["entries"][0];
    assert_eq!(
        entry["executables"],
        json!([{ "path": "/app", "machine": "x86-64" }])
    );
}

#[test]
fn wrong_program_is_refused() {
    let mut scene = scene();
    load(&mut scene, "amd64", "amd64");
    scene.registry().clear();
    insta::assert_snapshot!(scene.transcript([
        PUBLISH,
        &format!("{PUBLISH} --dry-run"),
        "copy --check binaries HOST/team/app:arm64 HOST/team/app:copy",
        "check --level binaries HOST/team/app:arm64",
    ]), @"
    $ polyarch publish --check binaries -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64
    exit code: 5
    ----- stderr -----
    error: failed to check linux/arm64 (ARM64) of HOST/team/app:arm64: /app is x86-64, not arm64
     hint: build the image for linux/arm64, or correct the platform that it declares
     note: no tag was changed

    $ polyarch publish --check binaries -t HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64 --dry-run
    exit code: 5
    ----- stderr -----
    error: failed to check linux/arm64 (ARM64) of HOST/team/app:arm64: /app is x86-64, not arm64
     hint: build the image for linux/arm64, or correct the platform that it declares
     note: no tag was changed

    $ polyarch copy --check binaries HOST/team/app:arm64 HOST/team/app:copy
    exit code: 5
    ----- stderr -----
    error: failed to check linux/arm64 (ARM64) of HOST/team/app:arm64: /app is x86-64, not arm64
     hint: build the image for linux/arm64, or correct the platform that it declares
     note: no tag was changed

    $ polyarch check --level binaries HOST/team/app:arm64
    exit code: 5
    ----- stdout -----
    HOST/team/app:arm64 ARM64
      linux/arm64      f71dee369994  /app is x86-64, not arm64
    ----- stderr -----
    error: failed to check linux/arm64 (ARM64) of HOST/team/app:arm64: /app is x86-64, not arm64
     hint: build the image for linux/arm64, or correct the platform that it declares
    ");
    assert!(scene.registry().writes().is_empty());
    // Only the declaration is wrong.
    scene.ok(&format!(
        "{PUBLISH} --set-platform HOST/team/app:arm64=linux/amd64 --on-duplicate keep"
    ));
}

#[test]
fn nothing_is_read_without_the_option() {
    let mut scene = scene();
    load(&mut scene, "amd64", "amd64");
    scene.ok(&PUBLISH.replace("--check binaries", "--check blobs"));
    // The two configs.
    assert_eq!(scene.registry().count(Class::BlobGet), 2);
}

#[test]
fn attestations_and_artifacts_are_skipped() {
    let scene = scene();
    let index = Index::oci().image(image("amd64", "amd64")).attested();
    index.load(scene.registry(), "team/app", "app");
    insta::assert_snapshot!(scene.run("check --level binaries HOST/team/app:app"), @"
    exit code: 0
    ----- stdout -----
    HOST/team/app:app sha256:8dd8ddaa4125d878966fd9903e0d9c63a5b20e81933a6c79fe182fe2e9919092
      linux/amd64      72b00cf72854  ok, 2 blobs, /app is x86-64
      attestation      68c87c8ea0a1  ok, 2 blobs
    ");
}

#[test]
fn images_that_cannot_be_verified_are_notices() {
    let scene = scene();
    let empty = || (media::OCI_LAYER, store(&LayerBuilder::new().build()).into());
    let narrow = store(&LayerBuilder::new().program("app", &elf("386")).build());
    let images = [
        ("empty", image_of(empty())),
        ("no-command", image_of(empty()).execution(json!({}))),
        ("no-layers", image_of(empty()).given_layers([])),
        ("narrow", image_of((media::OCI_LAYER, narrow.into()))),
        (
            "encrypted",
            image_of((
                "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
                empty().1,
            )),
        ),
    ];
    for (tag, image) in &images {
        image.load(scene.registry(), "team/app", *tag);
    }
    let lines = images
        .each_ref()
        .map(|(tag, _)| format!("check --level binaries HOST/team/app:{tag}"));
    let output = scene.transcript(lines.each_ref().map(String::as_str));
    let lines = output
        .lines()
        .filter(|line| line.contains("notice") || line.contains("exit"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    exit code: 0
    notice: linux/amd64 (from HOST/team/app:empty): not verified: /app is not in its layers
    exit code: 0
    notice: linux/amd64 (from HOST/team/app:no-command): not verified: it has no entrypoint and no command
    exit code: 0
    notice: linux/amd64 (from HOST/team/app:no-layers): not verified: /app is not in its layers
    exit code: 0
    notice: linux/amd64 (from HOST/team/app:narrow): /app is i386, which amd64 can run
    exit code: 0
    notice: linux/amd64 (from HOST/team/app:encrypted): not verified: its layer b08193cf43a9 is encrypted
    ");
}

#[test]
fn damaged_layers_are_refused() {
    let scene = scene();
    let archive = LayerBuilder::new().file("data", 0o644, &[7; 9000]).build();
    let truncated = store(&archive[..4000]);
    let images = [
        ("truncated", (media::OCI_LAYER, Content::from(truncated))),
        (
            "text",
            (media::OCI_LAYER_TAR, Content::from(vec![b'x'; 2000])),
        ),
        (
            "corrupt",
            (
                media::OCI_LAYER,
                Content::from([&store(&archive)[..12], &[0xff; 900]].concat()),
            ),
        ),
    ];
    for (tag, layer) in images {
        image_of(layer).load(scene.registry(), "team/app", tag);
    }
    let check = |tag: &str| {
        scene
            .run(&format!("check --level binaries HOST/team/app:{tag}"))
            .exits(5)
            .to_string()
    };
    let errors: String = ["truncated", "text", "corrupt"].map(check).concat();
    let lines = errors.lines().filter(|line| line.starts_with("error"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    error: failed to check linux/amd64 (sha256:836f295e5ab63c5f93479dea1dbcad666b4cb92edc3e55248ea00d49201efb0d) of HOST/team/app:truncated: its layer 79b03bb25289: it is truncated
    error: failed to check linux/amd64 (sha256:4cff1efbfee8590c3d7d5b6dba3b645655b798e5e1269c71604334206eaa7a62) of HOST/team/app:text: its layer 5c0e0ea42157: it is not a tar archive (uncompressed, or compressed with gzip or zstd)
    error: failed to check linux/amd64 (sha256:0ac200ab6fea626a3eac73837bf1a8f73e31e663958ffa29f66de9b8a7c517b8) of HOST/team/app:corrupt: its layer 85a4bd4c9dd9: it is damaged: corrupt deflate stream
    ");
}

#[test]
fn content_of_another_digest_is_refused() {
    let scene = scene();
    let other = store(&LayerBuilder::new().file("data", 0o644, b"other").build());
    let layer = store(&LayerBuilder::new().file("data", 0o644, b"right").build());
    assert_eq!(other.len(), layer.len());
    let loaded =
        image_of((media::OCI_LAYER, layer.into())).load(scene.registry(), "team/app", "app");
    scene
        .registry()
        .put_blob_as("team/app", &loaded.blobs[1], other);
    let output = scene
        .run("check --level binaries HOST/team/app:app")
        .exits(5);
    assert!(
        output.to_string().contains("has the digest sha256:"),
        "{output}"
    );
}

#[test]
fn layers_below_the_entrypoint_are_not_read() {
    let scene = scene();
    let top = store(&LayerBuilder::new().program("app", &elf("amd64")).build());
    let image = Image::new("linux/amd64").given_layers([
        (media::OCI_LAYER_TAR, Content::virtual_bytes(1, 1 << 30)),
        (media::OCI_LAYER, Content::from(top)),
    ]);
    let image = image.execution(json!({ "Entrypoint": ["/app"] }));
    let loaded = image.load(scene.registry(), "team/app", "app");
    scene.ok("check --level binaries HOST/team/app:app");
    let reads = |blob: &str| {
        let is_read =
            |request: &Recorded| request.class == Class::BlobGet && request.path.ends_with(blob);
        scene.registry().count_where(is_read)
    };
    assert_eq!(
        [&loaded.blobs[1], &loaded.blobs[2]].map(|layer| reads(layer)),
        [0, 1]
    );
}

#[test]
fn download_ends_where_the_entrypoint_is() {
    let scene = scene();
    let tar = LayerBuilder::new().program("app", &elf("amd64")).build();
    // The rest of the layer never arrives.
    let endless = [&tar[..1024], &vec![0; 1 << 20]].concat();
    image_of((media::OCI_LAYER_TAR, endless.into())).load(scene.registry(), "team/app", "app");
    let layer = Rule::on(Class::BlobGet).nth(2);
    scene.registry().rule(layer.then(Fault::StallBody(100_000)));
    scene.ok("check --level binaries HOST/team/app:app");
    assert_eq!(scene.registry().pending_rules(), 0);
}

#[test]
fn broken_download_is_resumed() {
    let scene = scene();
    let layer = LayerBuilder::new()
        .file("data", 0o644, &vec![7; 500_000])
        .program("app", &elf("arm64"))
        .build();
    image_of((media::OCI_LAYER_TAR, layer.into())).load(scene.registry(), "team/app", "app");
    let layer = Rule::on(Class::BlobGet).nth(2);
    scene.registry().rule(layer.then(Fault::ResetBody(100_000)));
    let output = scene
        .run("check --level binaries HOST/team/app:app")
        .exits(5);
    assert!(
        output.to_string().contains("/app is aarch64, not amd64"),
        "{output}"
    );
    assert_eq!(scene.registry().pending_rules(), 0);
}

#[test]
fn summary_shows_what_was_verified() {
    let mut scene = scene();
    load(&mut scene, "amd64", "arm64");
    for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
        scene.set(name, &format!("HOME/{name}"));
    }
    scene.set("GITHUB_ACTIONS", "true");
    scene.ok(PUBLISH);
    let summary = std::fs::read_to_string(scene.path("GITHUB_STEP_SUMMARY")).expect("a summary");
    assert!(summary.contains("| ✓ `/app` x86-64 |"), "{summary}");
    assert!(summary.contains("| ✓ `/app` aarch64 |"), "{summary}");
}

#[test]
fn push_checks_binaries() {
    let mut scene = scene();
    load(&mut scene, "amd64", "amd64");
    scene.ok("create HOST/team/app:1 HOST/team/app:amd64 HOST/team/app:arm64");
    insta::assert_snapshot!(scene.run("push --check binaries HOST/team/app:1"), @"
    exit code: 5
    ----- stderr -----
    error: failed to check linux/arm64 (ARM64) of HOST/team/app:arm64: /app is x86-64, not arm64
     hint: build the image for linux/arm64, or correct the platform that it declares
     note: no tag was changed
    ");
    assert_eq!(scene.registry().tag("team/app", "1"), None);
}

/// All of many images are read, but only a few at once.
#[test]
fn many_images_are_read() {
    let scene = scene();
    let architectures = ["amd64", "arm64", "386", "s390x", "arm"];
    let mut index = Index::oci();
    for architecture in architectures {
        index = index.image(image(architecture, architecture));
    }
    index.load(scene.registry(), "team/app", "app");
    let output = scene
        .run("check --level binaries HOST/team/app:app")
        .ok()
        .to_string();
    assert_eq!(
        output.matches("/app is ").count(),
        architectures.len(),
        "{output}"
    );
}

/// Returns a frame of zstd with a window of 64 MiB, whose content is a file of 60 MiB that is stored as one repeated byte.
fn wide_window() -> Vec<u8> {
    const SIZE: usize = 60 << 20;
    const BLOCK: usize = 128 << 10;
    let block = |kind: usize, size: usize| ((size << 3) | (kind << 1)).to_le_bytes();
    let mut header = tar::Header::new_gnu();
    header.set_path("data").expect("a short name");
    header.set_size(SIZE as u64);
    header.set_cksum();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (26 - 10) << 3];
    frame.extend(&block(0, 512)[..3]);
    frame.extend(header.as_bytes());
    for _ in 0..SIZE / BLOCK {
        frame.extend(&block(1, BLOCK)[..3]);
        frame.push(b'x');
    }
    // The end of the archive is the last block.
    let mut last = block(1, 1024);
    last[0] |= 1;
    frame.extend(&last[..3]);
    frame.push(0);
    frame
}

/// The tree of as many files as an image may have, and a window of zstd below it.
#[test]
fn hostile_layers_take_less_than_64_mib() {
    let scene = scene();
    let mut files = Vec::new();
    let member = LayerBuilder::new().file("0000000", 0o644, b"").build();
    for number in 0..400_000 {
        let mut header = tar::Header::from_byte_slice(&member[..512]).clone();
        header.as_mut_bytes()[..7].copy_from_slice(format!("{number:07}").as_bytes());
        header.set_cksum();
        files.extend(header.as_bytes());
    }
    let layers = [
        (media::OCI_LAYER_ZSTD, Content::from(wide_window())),
        (media::OCI_LAYER_TAR, Content::from(files)),
    ];
    let image = Image::new("linux/amd64").given_layers(layers);
    let image = image.execution(json!({ "Entrypoint": ["/app"] }));
    image.load(scene.registry(), "team/app", "app");
    let words = scene.line("check --level binaries HOST/team/app:app");
    let run = scene.polyarch().args(words).unwatched().measured().run();
    let output = run.ok();
    assert!(
        output.stderr.contains("/app is not in its layers"),
        "{output}"
    );
    assert!(
        output.memory > 32 << 10,
        "the window is kept: {} KiB",
        output.memory
    );
    assert!(output.memory < 64 << 10, "{} KiB", output.memory);
}
