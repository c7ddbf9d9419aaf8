//! Other programs read an index that polyarch has pushed. The images contain Debian's static busybox for two
//! architectures. busybox must run after an image was pulled and unpacked.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    distribution::{Distribution, Served},
    program::home,
    support::{
        Scene, digest, gzip,
        image::{Flavour, media},
    },
};

const INSECURE: &str = "--tls-verify=false";

/// A registry with the list `busybox:1`, which polyarch made from two images.
struct Published {
    registry: Distribution,
    home: Scene,
    list: Served,
    amd64: Bytes,
    arm64: Bytes,
}

impl Published {
    async fn new(flavour: Flavour) -> Self {
        let registry = Distribution::start().await;
        let home = home();
        // `manifest inspect` of podman and buildah has no flag for plain HTTP.
        let trusted = format!(
            "[[registry]]\nlocation = '{}'\ninsecure = true\n",
            registry.host()
        );
        home.write("registries.conf", &trusted);
        let amd64 = put_busybox(&registry, flavour, "amd64").await;
        let arm64 = put_busybox(&registry, flavour, "arm64").await;
        let host = registry.host();
        for line in [
            format!("create {host}/busybox:1 {host}/busybox:amd64 {host}/busybox:arm64"),
            format!("annotate --variant v8 {host}/busybox:1 {host}/busybox:arm64"),
            format!("push --purge {host}/busybox:1"),
        ] {
            home.run_line(&line).await.ok();
        }
        let list = registry.manifest("busybox", "1").await.expect("the list");
        Self {
            registry,
            home,
            list,
            amd64,
            arm64,
        }
    }

    fn docker_reference(&self) -> String {
        format!("docker://{}/busybox:1", self.registry.host())
    }

    fn document(&self) -> Value {
        serde_json::from_slice(&self.list.body).expect("JSON")
    }

    async fn skopeo(&self, args: &[&str]) -> String {
        let all = [&["--insecure-policy"], args].concat();
        self.home.program("skopeo", &all).await.ok().stdout
    }

    /// Runs `manifest inspect` of podman or buildah with separate storage, and returns the JSON.
    async fn inspect_manifest(&self, program: &str) -> Value {
        let (root, run) = (self.home.arg("storage"), self.home.arg("run"));
        let reference = format!("{}/busybox:1", self.registry.host());
        let registries = self.home.arg("registries.conf");
        let args = [
            "--registries-conf",
            &registries,
            "--root",
            &root,
            "--runroot",
            &run,
            "--storage-driver",
            "vfs",
            "manifest",
            "inspect",
            &reference,
        ];
        let output = self.home.program(program, &args).await.ok().stdout;
        serde_json::from_str(&output).expect("JSON")
    }
}

/// Returns the path of the static busybox for an architecture. `scripts/install-tools` installs it on PATH.
fn busybox(architecture: &str) -> PathBuf {
    let name = format!("busybox-{architecture}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(&name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} must be on PATH for this test: scripts/install-tools"))
}

/// Pushes an image with `/bin/busybox` in its only layer as `busybox:<architecture>`. Returns its manifest.
async fn put_busybox(registry: &Distribution, flavour: Flavour, architecture: &str) -> Bytes {
    let program = std::fs::read(busybox(architecture)).expect("busybox");
    let mut header = tar::Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut header, "bin/busybox", &program[..])
        .expect("a tar");
    let archive = archive.into_inner().expect("a tar");
    let layer = Bytes::from(gzip::store(&archive));
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/bin/busybox"]},
        "rootfs": {"type": "layers", "diff_ids": [digest::sha256(&archive)]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "COPY busybox /bin/busybox"}],
    });
    let config = Bytes::from(config.to_string());
    let (manifest_type, config_type, layer_type) = match flavour {
        Flavour::Docker => (
            media::DOCKER_MANIFEST,
            media::DOCKER_CONFIG,
            media::DOCKER_LAYER,
        ),
        Flavour::Oci => (media::OCI_MANIFEST, media::OCI_CONFIG, media::OCI_LAYER),
    };
    let described = |media_type: &str, bytes: &Bytes| json!({"mediaType": media_type, "size": bytes.len(), "digest": digest::sha256(bytes)});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": described(config_type, &config),
        "layers": [described(layer_type, &layer)],
    });
    for blob in [config, layer] {
        registry
            .put_blob("busybox", &digest::sha256(&blob), blob)
            .await;
    }
    let manifest = Bytes::from(manifest.to_string());
    registry
        .put_manifest("busybox", architecture, manifest_type, manifest.clone())
        .await;
    manifest
}

/// Unpacks the only layer of an image that skopeo wrote to a `dir:`. Returns the path of its busybox.
fn unpacked(directory: &Path, manifest: &[u8], target: &Path) -> PathBuf {
    let manifest: Value = serde_json::from_slice(manifest).expect("JSON");
    let digest = manifest["layers"][0]["digest"].as_str().expect("a layer");
    let layer = directory.join(digest.trim_start_matches("sha256:"));
    std::fs::create_dir_all(target).expect("a directory");
    let status = std::process::Command::new("tar")
        .args([
            "-xzf".as_ref(),
            layer.as_os_str(),
            "-C".as_ref(),
            target.as_os_str(),
        ])
        .status();
    assert!(status.expect("tar").success());
    target.join("bin/busybox")
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_reads_the_same_bytes() {
    for flavour in [Flavour::Docker, Flavour::Oci] {
        let published = Published::new(flavour).await;
        let reference = published.docker_reference();
        let raw = published
            .skopeo(&["inspect", INSECURE, "--raw", &reference])
            .await;
        assert_eq!(raw.as_bytes(), published.list.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_the_whole_index() {
    for flavour in [Flavour::Docker, Flavour::Oci] {
        let published = Published::new(flavour).await;
        let reference = published.docker_reference();
        let target = format!("docker://{}/copy:1", published.registry.host());
        let args = [
            "copy",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            &reference,
            &target,
        ];
        published.skopeo(&args).await;
        let copy = published.registry.manifest("copy", "1").await;
        assert_eq!(copy.as_ref(), Some(&published.list));
        for image in [&published.amd64, &published.arm64] {
            let child = published
                .registry
                .manifest("copy", &digest::sha256(image))
                .await;
            assert_eq!(child.map(|child| child.body).as_ref(), Some(image));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_finds_the_image_of_a_platform() {
    for flavour in [Flavour::Docker, Flavour::Oci] {
        let published = Published::new(flavour).await;
        let reference = published.docker_reference();
        let emulator: &[&str] = &["qemu-aarch64-static"];
        for (architecture, platform, image, emulator) in [
            (
                "amd64",
                &["--override-arch", "amd64"][..],
                &published.amd64,
                &[][..],
            ),
            (
                "arm64",
                &["--override-arch", "arm64", "--override-variant", "v8"][..],
                &published.arm64,
                emulator,
            ),
        ] {
            let directory = published.home.path(architecture);
            let target = format!("dir:{}", directory.display());
            let copy = ["copy", "--src-tls-verify=false", &reference, &target];
            published.skopeo(&[platform, &copy[..]].concat()).await;
            let manifest = std::fs::read(directory.join("manifest.json")).expect("a manifest");
            assert_eq!(manifest, *image, "{architecture}");
            let program = unpacked(
                &directory,
                &manifest,
                &published.home.path("root").join(architecture),
            );
            let program = program.display().to_string();
            let words = [emulator, &[&program, "echo", architecture]].concat();
            let output = published
                .home
                .program(words[0], &words[1..])
                .await
                .ok()
                .stdout;
            assert_eq!(output, format!("{architecture}\n"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_buildah_and_docker_show_the_same_index() {
    for flavour in [Flavour::Docker, Flavour::Oci] {
        let published = Published::new(flavour).await;
        for program in ["podman", "buildah"] {
            // Older versions of these programs show an OCI index with the media type of Docker.
            let shown = published.inspect_manifest(program).await;
            assert_eq!(
                shown["manifests"],
                published.document()["manifests"],
                "{program}"
            );
        }
        let inspect = format!("inspect --insecure {}/busybox:1", published.registry.host());
        let shown = published.home.docker_manifest(&inspect).await.ok().stdout;
        assert_eq!(shown.trim_end().as_bytes(), published.list.body);
    }
}
