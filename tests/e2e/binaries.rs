//! Real programs in images: Debian's static busybox, and programs that Go and Rust build.

use std::{path::PathBuf, process::Command};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    distribution::{Distribution, Software},
    program::home,
    support::{
        Scene,
        image::{Image, Index, LayerBuilder, media},
        registry::{Content, Registry},
    },
};

/// The platform, Debian's name of the architecture, and the name that `check` prints. No program matches the platform
/// of the previous row.
const PLATFORMS: [(&str, &str, &str); 13] = [
    ("linux/amd64", "amd64", "x86-64"),
    ("linux/arm64", "arm64", "aarch64"),
    ("linux/386", "i386", "i386"),
    ("linux/arm/v5", "armel", "arm"),
    ("linux/mips64le", "mips64el", "mips64le"),
    ("linux/arm/v7", "armhf", "arm"),
    ("linux/ppc64le", "ppc64el", "ppc64le"),
    ("linux/mipsle", "mipsel", "mipsle"),
    ("linux/s390x", "s390x", "s390x"),
    ("linux/riscv64", "riscv64", "riscv64"),
    ("linux/loong64", "loong64", "loongarch64"),
    ("windows/amd64", "", "x86-64"),
    ("windows/arm64", "", "aarch64"),
];

/// Returns the static busybox of an architecture, or a program that Go builds if busybox is not installed for it.
fn program(platform: &str, debian: &str) -> Vec<u8> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let name = format!("busybox-{debian}");
    let mut files = std::env::split_paths(&path).map(|directory| directory.join(&name));
    match files.find(|file| file.is_file()) {
        Some(file) => std::fs::read(file).expect("busybox"),
        None => build_go(platform),
    }
}

fn build_go(platform: &str) -> Vec<u8> {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("go");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = directory.path();
    let source = directory.join("main.go");
    let output = directory.join("program");
    std::fs::write(&source, "package main\n\nfunc main() {}\n").expect("a file");
    let mut parts = platform.split('/');
    let mut next = || parts.next().unwrap_or_default();
    let status = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .args([&output, &source])
        .env("GOOS", next())
        .env("GOARCH", next())
        .env("GOARM", next().trim_start_matches('v'))
        .env("GOCACHE", cache)
        .envs([
            ("CGO_ENABLED", "0"),
            ("GO111MODULE", "off"),
            ("GOTOOLCHAIN", "local"),
        ])
        .status();
    assert!(status.expect("go must be on PATH for this test").success());
    std::fs::read(output).expect("a program")
}

fn gzip(tar: &[u8]) -> Content {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tar).expect("writing to memory");
    Bytes::from(encoder.finish().expect("writing to memory")).into()
}

fn zstd(tar: &[u8]) -> Content {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    Bytes::from(ruzstd::encoding::compress_to_vec(tar, level)).into()
}

/// Returns an image for `platform` with a program, which may be for another platform. On Linux, the entrypoint is a
/// link to the program.
fn image(platform: &str, program: &[u8]) -> Image {
    let (layer, entrypoint) = if platform.starts_with("windows") {
        (
            LayerBuilder::new().program("Files/app/app.exe", program),
            "C:\\app\\app.exe",
        )
    } else {
        let layer = LayerBuilder::new().symlink("bin/sh", "busybox");
        (layer.program("bin/busybox", program), "/bin/sh")
    };
    let tar = layer.build();
    let layer = if platform.len().is_multiple_of(2) {
        (media::OCI_LAYER_ZSTD, zstd(&tar))
    } else {
        (media::OCI_LAYER, gzip(&tar))
    };
    Image::new(platform)
        .given_layers([layer])
        .execution(json!({ "Entrypoint": [entrypoint] }))
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_all_architectures_are_recognised() {
    let images = Registry::plain().await;
    let programs = PLATFORMS.map(|(platform, debian, _)| program(platform, debian));
    let mut index = Index::oci();
    for ((platform, ..), program) in PLATFORMS.iter().zip(&programs) {
        index = index.image(image(platform, program));
    }
    index.load(&images, "team/app", "app");
    let home = home();
    for software in [
        Software::Debian,
        Software::Distribution3,
        Software::Crane,
        Software::Olareg,
    ] {
        let registry = Distribution::start_of(software).await;
        let target = format!("{}/team/app:1", registry.host());
        let source = images.reference("team/app", "app");
        home.run_line(&format!("copy --check binaries {source} {target}"))
            .await
            .ok();
        let output = home
            .run_line(&format!("check --level binaries {target}"))
            .await
            .ok();
        let lines = output.stdout.lines().skip(1).zip(PLATFORMS);
        assert_eq!(lines.clone().count(), PLATFORMS.len(), "{output}");
        for (line, (platform, _, machine)) in lines {
            assert!(line.trim().starts_with(platform), "{software:?} {output}");
            assert!(
                line.ends_with(&format!(" is {machine}")),
                "{software:?} {output}"
            );
        }
    }
    let next = programs.iter().cycle().skip(1);
    for ((platform, ..), program) in PLATFORMS.iter().zip(next) {
        image(platform, program).load(&images, "team/wrong", "app");
        let source = images.reference("team/wrong", "app");
        let output = home
            .run_line(&format!("check --level binaries {source}"))
            .await
            .exits(5);
        assert!(output.stderr.contains(", not "), "{platform} {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_go_rust_and_macos_are_distinguished() {
    let images = Registry::plain().await;
    let home = home();
    let check = async |platform: &str, program: &[u8]| {
        image(platform, program).load(&images, "team/app", "app");
        let source = images.reference("team/app", "app");
        home.run_line(&format!("check --level binaries {source}"))
            .await
    };
    let rust = std::fs::read(env!("CARGO_BIN_EXE_polyarch")).expect("a program");
    // Only the header is checked. The rest would only make the layer larger.
    let rust = &rust[..1 << 20];
    let (own, other) = match std::env::consts::ARCH {
        "x86_64" => ("linux/amd64", "linux/arm64"),
        _ => ("linux/arm64", "linux/amd64"),
    };
    check(own, rust).await.ok();
    check(other, rust).await.exits(5);
    let go = build_go("linux/amd64");
    check("linux/amd64", &go).await.ok();
    check("linux/s390x", &go).await.exits(5);
    let mac = build_go("darwin/arm64");
    let output = check("linux/arm64", &mac).await.exits(5);
    assert!(
        output
            .stderr
            .contains("/bin/busybox is Mach-O, not linux/arm64"),
        "{output}"
    );
}

/// Stores an image of three layers: the interpreter and a program `below`, a whiteout of the program, and a script.
/// Returns the reference of the image.
fn script(
    home: &Scene,
    images: &Registry,
    platform: &str,
    interpreter: &[u8],
    below: &[u8],
) -> String {
    let base = LayerBuilder::new()
        .symlink("bin", "usr/bin")
        .program("usr/bin/busybox", interpreter)
        .symlink("usr/bin/sh", "busybox")
        .program("usr/local/bin/app", below);
    let middle = LayerBuilder::new().file("usr/local/bin/.wh.app", 0o644, b"");
    let top = LayerBuilder::new().program("entry.sh", b"#!/bin/sh\nexec \"$@\"\n");
    let layers = [base, middle, top].map(|layer| (media::OCI_LAYER, gzip(&layer.build())));
    let execution: Value = json!({ "Entrypoint": ["/entry.sh"], "Cmd": ["app"] });
    let image = Image::new(platform)
        .given_layers(layers)
        .execution(execution);
    image.load(images, "team/app", "script");
    home.expand(&images.reference("team/app", "script"))
}

#[tokio::test(flavor = "multi_thread")]
async fn interpreter_of_a_script_is_checked() {
    let images = Registry::plain().await;
    let home = home();
    let [amd64, arm64] = ["amd64", "arm64"].map(|debian| program("", debian));
    let source = script(&home, &images, "linux/arm64", &arm64, &amd64);
    let output = home
        .run_line(&format!("check --level binaries {source}"))
        .await
        .ok();
    let found = "/entry.sh is a script, /usr/bin/busybox is aarch64";
    assert!(output.stdout.contains(found), "{output}");
    let source = script(&home, &images, "linux/arm64", &amd64, &arm64);
    let output = home
        .run_line(&format!("check --level binaries {source}"))
        .await
        .exits(5);
    let wrong = "/usr/bin/busybox is x86-64, not arm64";
    assert!(output.stderr.contains(wrong), "{output}");
}
