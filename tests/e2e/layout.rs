//! OCI layouts of polyarch, skopeo and buildah: each program reads the layouts of the others.

use std::sync::Arc;

use polyarch::layout::Layout;
use polyarch::spec::{LayoutPath, LayoutReference, Manifest, Tag};
use polyarch::store::{ManifestName, Store};
use serde_json::Value;

use crate::{
    program::home,
    support::{
        Scene,
        image::{Index, Loaded},
        registry::Registry,
    },
};

const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"];

fn reference(text: &str) -> LayoutPath {
    let reference: LayoutReference = text.parse().expect("a layout");
    reference.layout
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

async fn skopeo(home: &Scene, args: &[&str]) -> String {
    let all = [&["--insecure-policy"], args].concat();
    home.program("skopeo", &all).await.ok().stdout
}

async fn buildah(home: &Scene, args: &[&str]) -> String {
    let (root, run) = (home.arg("storage"), home.arg("run"));
    let storage = [
        "--root",
        &root,
        "--runroot",
        &run,
        "--storage-driver",
        "vfs",
    ];
    home.program("buildah", &[&storage, args].concat())
        .await
        .ok()
        .stdout
}

/// Writes an index with attestations to the layout `target` with skopeo. Returns the index.
async fn written_by_skopeo(home: &Scene, target: &str) -> Loaded {
    let registry = Registry::builder().start().await;
    let index = Index::oci().of(PLATFORMS).attested();
    let index = index.load(&registry, "team/app", "1.0");
    let source = format!("docker://{}", registry.reference("team/app", "1.0"));
    let args = ["copy", "--all", "--src-tls-verify=false", &source, target];
    skopeo(home, &args).await;
    index
}

/// Copies the index that `name` refers to, with its children and blobs, and lists it under `tags`.
async fn copy(from: &Arc<Layout>, name: &ManifestName, to: &Layout, tags: &[Tag]) -> Manifest {
    let whole = from.manifest(name).await.expect("a manifest");
    let children = whole.index().map(|index| index.manifests.clone());
    for child in children.unwrap_or_default() {
        let child = from.manifest(&ManifestName::Digest(child.digest)).await;
        let child = child.expect("a child");
        copy_blobs(from, &child, to).await;
        to.put_manifest(&child).await.expect("a pushed child");
    }
    copy_blobs(from, &whole, to).await;
    for result in to.put_tags(&whole, tags).await {
        result.expect("a tag");
    }
    whole
}

async fn copy_blobs(from: &Arc<Layout>, manifest: &Manifest, to: &Layout) {
    for blob in manifest.image().into_iter().flat_map(|image| image.blobs()) {
        let source: Arc<dyn Store> = from.clone();
        to.copy_blob(blob, source, &|_| {}).await.expect("a blob");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layouts_are_exchanged_with_skopeo() {
    for (theirs, name) in [
        ("oci:theirs", "1.0"),
        ("oci-archive:theirs.tar", "docker.io/team/app:1.0"),
    ] {
        let home = home();
        let (scheme, path) = theirs.split_once(':').expect("a scheme");
        let place = format!("{scheme}:{}", home.arg(path));
        let index = written_by_skopeo(&home, &format!("{place}:{name}")).await;
        let from = Layout::open(&reference(&place))
            .await
            .expect("their layout");
        let from = Arc::new(from);
        let meant: LayoutReference = place.parse().expect("a layout");
        let default = from.select(&meant).await.expect("one image");

        for (kind, file) in [("oci", "ours"), ("oci-archive", "ours.tar")] {
            let ours = format!("{kind}:{}", home.arg(file));
            let to = Layout::create(&reference(&ours)).await.expect("a layout");
            let by_tag = ManifestName::Tag(tag("1.0"));
            let copied = copy(&from, &by_tag, &to, &[tag("a"), tag("b")]).await;
            assert_eq!(copied.bytes, index.bytes, "{theirs}");
            assert_eq!(ManifestName::Digest(copied.digest), default);
            to.finish().await.expect("an end");

            let raw = skopeo(&home, &["inspect", "--raw", &format!("{ours}:b")]).await;
            assert_eq!(raw.as_bytes(), index.bytes, "{ours}");
            let target = format!("dir:{}", home.arg(&format!("{file}.dir")));
            let source = format!("{ours}:a");
            skopeo(&home, &["copy", "--all", &source, &target]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_layout_is_written_by_both_in_turn() {
    let home = home();
    let place = format!("oci:{}", home.arg("layout"));
    let first = written_by_skopeo(&home, &format!("{place}:theirs")).await;
    let layout = Layout::create(&reference(&place)).await.expect("a layout");
    let theirs = ManifestName::Tag(tag("theirs"));
    let whole = layout.manifest(&theirs).await.expect("their image");
    let arm64 = whole.index().expect("an index").manifests[1].digest.clone();
    let arm64 = layout
        .manifest(&ManifestName::Digest(arm64))
        .await
        .expect("a child");
    layout
        .put_tags(&arm64, &[tag("ours")])
        .await
        .remove(0)
        .expect("a tag");

    let (source, target) = (format!("{place}:ours"), format!("{place}:again"));
    skopeo(&home, &["copy", &source, &target]).await;
    for (name, bytes) in [
        ("theirs", &first.bytes),
        ("ours", &arm64.bytes),
        ("again", &arm64.bytes),
    ] {
        let found = layout
            .manifest(&ManifestName::Tag(tag(name)))
            .await
            .expect("a tag");
        assert_eq!(found.bytes, *bytes, "{name}");
        let raw = skopeo(&home, &["inspect", "--raw", &format!("{place}:{name}")]).await;
        assert_eq!(raw.as_bytes(), *bytes, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layouts_are_exchanged_with_buildah() {
    let home = home();
    // buildah fails if there is no file in the directory DOCKER_CONFIG.
    home.write(".docker/config.json", "{}");
    let layout = format!("oci:{}", home.arg("layout"));
    written_by_skopeo(&home, &format!("{layout}:1")).await;
    let theirs = format!("oci-archive:{}", home.arg("theirs.tar"));
    buildah(&home, &["manifest", "create", "list"]).await;
    let source = format!("{layout}:1");
    let by_platform = [
        "manifest", "add", "--os", "linux", "--arch", "arm64", "list", &source,
    ];
    buildah(&home, &by_platform).await;
    let target = format!("{theirs}:9");
    buildah(&home, &["manifest", "push", "--all", "list", &target]).await;

    let from = Arc::new(
        Layout::open(&reference(&theirs))
            .await
            .expect("their archive"),
    );
    let ours = format!("oci-archive:{}", home.arg("ours.tar"));
    let to = Layout::create(&reference(&ours)).await.expect("an archive");
    let copied = copy(&from, &ManifestName::Tag(tag("9")), &to, &[tag("1")]).await;
    to.finish().await.expect("an end");

    let source = format!("{ours}:1");
    buildah(&home, &["manifest", "create", "ours"]).await;
    buildah(&home, &["manifest", "add", "--all", "ours", &source]).await;
    let shown = buildah(&home, &["manifest", "inspect", "ours"]).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let digest = copied.index().expect("an index").manifests[0]
        .digest
        .to_string();
    assert_eq!(shown["manifests"][0]["digest"], digest);
}
