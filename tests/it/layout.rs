//! OCI layouts as people meet them: written, read back, damaged, packed, and made by other tools.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use polyarch::content::{FailureKind, ManifestName, Store, StoreError};
use polyarch::layout::{Layout, LayoutReference};
use polyarch::spec::{Algorithm, Descriptor, Digest, Manifest, MediaType, Tag};
use tempfile::TempDir;

use crate::liar::Liar;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn reference(kind: &str, path: &Path) -> LayoutReference {
    format!("{kind}:{}", path.display()).parse().unwrap()
}

fn directory(path: &Path) -> LayoutReference {
    reference("oci", path)
}

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    let algorithm = digest.algorithm().as_str();
    root.join("blobs").join(algorithm).join(digest.hex())
}

fn config() -> Descriptor {
    let config = br#"{"architecture":"arm64","os":"linux"}"#;
    Descriptor::of(MediaType::new(MediaType::OCI_CONFIG), config)
}

fn image_of(layers: &[Descriptor], more: &str) -> Manifest {
    let json = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":{}{more}}}"#,
        serde_json::to_string(&config()).unwrap(),
        serde_json::to_string(layers).unwrap(),
    );
    Manifest::parse(Bytes::from(json), &MediaType::default()).unwrap()
}

fn layer(content: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::new(LAYER), content)
}

/// A source that holds one blob.
fn holding(content: impl Into<Bytes>) -> Arc<Liar> {
    Arc::new(Liar::pieces(vec![Ok(content.into())]))
}

async fn put_blob(target: &Layout, media_type: &str, content: &[u8]) -> Descriptor {
    let blob = Descriptor::of(MediaType::new(media_type), content);
    let source = holding(content.to_vec());
    target.copy_blob(&blob, source, &|_| {}).await.unwrap();
    blob
}

/// A layout with one image of one layer, tagged.
async fn example(path: &Path, name: &str) -> (Layout, Manifest, Descriptor) {
    let layout = Layout::create(&directory(path)).await.unwrap();
    let layer = put_blob(&layout, LAYER, name.as_bytes()).await;
    put_blob(
        &layout,
        MediaType::OCI_CONFIG,
        br#"{"architecture":"arm64","os":"linux"}"#,
    )
    .await;
    let image = image_of(std::slice::from_ref(&layer), "");
    assert!(layout.put_tags(&image, &[tag(name)]).await[0].is_ok());
    (layout, image, layer)
}

fn failed<T>(result: Result<T, StoreError>, kind: FailureKind, message: &str) {
    let error = result.err().expect("an error");
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn what_was_written_is_read_back() {
    let dir = TempDir::new().unwrap();
    let (_, image, layer) = example(dir.path(), "1").await;
    let layout = Layout::open(&directory(dir.path())).await.unwrap();
    let by_tag = ManifestName::Tag(tag("1"));
    assert_eq!(layout.manifest(&by_tag).await.unwrap(), image);
    assert_eq!(layout.describe(&by_tag).await.unwrap(), image.descriptor());
    let by_digest = ManifestName::Digest(image.digest.clone());
    assert_eq!(layout.manifest(&by_digest).await.unwrap(), image);
    assert_eq!(layout.default_manifest().await.unwrap(), image.descriptor());
    assert_eq!(layout.blob(&layer, 10).await.unwrap(), "1");
    assert!(layout.has_blob(&layer).await.unwrap());
    assert!(!layout.has_blob(&config_of_another_image()).await.unwrap());
    // Nothing but the layout is left: no lock, no temporary file.
    let files = files_below(dir.path());
    assert_eq!(files.len(), 5, "{files:?}");
    let version = fs::read_to_string(dir.path().join("oci-layout")).unwrap();
    assert_eq!(version, r#"{"imageLayoutVersion":"1.0.0"}"#);
}

fn config_of_another_image() -> Descriptor {
    Descriptor::of(MediaType::new(MediaType::OCI_CONFIG), b"another")
}

#[tokio::test]
async fn entries_of_others_stay() {
    let dir = TempDir::new().unwrap();
    let (layout, first, _) = example(dir.path(), "1").await;
    let path = dir.path().join("index.json");
    let index = fs::read_to_string(&path).unwrap();
    let marked = index.replacen('{', r#"{"unknown":{"kept":true},"#, 1);
    fs::write(&path, marked).unwrap();
    let second = image_of(&[layer(b"x")], r#","annotations":{"second":"yes"}"#);
    let tags = [tag("2"), tag("latest")];
    assert!(
        layout
            .put_tags(&second, &tags)
            .await
            .iter()
            .all(Result::is_ok)
    );
    for (name, image) in [("1", &first), ("2", &second), ("latest", &second)] {
        let found = layout
            .manifest(&ManifestName::Tag(tag(name)))
            .await
            .unwrap();
        assert_eq!(found, *image);
    }
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains(r#""kept": true"#)
    );
    failed(
        layout.default_manifest().await,
        FailureKind::Refused,
        r#"holds 2 images, and neither tag nor digest was given: it has "1", "2", "latest""#,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_lose_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("new/layout");
    let writers = (0..20).map(|number| {
        let path = path.clone();
        tokio::spawn(async move {
            let layout = Layout::create(&directory(&path)).await.unwrap();
            let image = image_of(&[], &format!(r#","annotations":{{"number":"{number}"}}"#));
            layout
                .put_tags(&image, &[tag(&format!("t{number}"))])
                .await
                .remove(0)
                .unwrap();
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let layout = Layout::open(&directory(&path)).await.unwrap();
    for number in 0..20 {
        let name = ManifestName::Tag(tag(&format!("t{number}")));
        assert!(layout.manifest(&name).await.is_ok(), "{number}");
    }
}

#[tokio::test]
async fn damage_is_found_whoever_reads() {
    let dir = TempDir::new().unwrap();
    let (layout, image, layer) = example(dir.path(), "1").await;
    fs::write(blob_path(dir.path(), &layer.digest), "2").unwrap();
    failed(
        layout.blob(&layer, 10).await,
        FailureKind::Refused,
        "damaged or altered",
    );
    assert!(!layout.has_blob(&layer).await.unwrap());
    fs::write(blob_path(dir.path(), &layer.digest), "longer").unwrap();
    failed(
        layout.blob(&layer, 10).await,
        FailureKind::Refused,
        "6 bytes where",
    );
    failed(
        layout.open_blob(&layer, 0).await,
        FailureKind::Refused,
        "6 bytes where",
    );
    // A copy puts a damaged blob right.
    put_blob(&layout, LAYER, b"1").await;
    assert!(layout.has_blob(&layer).await.unwrap());

    let by_digest = ManifestName::Digest(image.digest.clone());
    let mut bytes = image.bytes.to_vec();
    *bytes.last_mut().unwrap() = b' ';
    fs::write(blob_path(dir.path(), &image.digest), bytes).unwrap();
    for name in [by_digest, ManifestName::Tag(tag("1"))] {
        failed(
            layout.manifest(&name).await,
            FailureKind::Refused,
            "damaged or altered",
        );
    }
    fs::write(blob_path(dir.path(), &image.digest), vec![b' '; 5 << 20]).unwrap();
    let name = ManifestName::Digest(image.digest.clone());
    failed(
        layout.manifest(&name).await,
        FailureKind::Refused,
        "larger than 4194304 bytes",
    );
    fs::remove_file(blob_path(dir.path(), &image.digest)).unwrap();
    failed(
        layout.manifest(&name).await,
        FailureKind::NotFound,
        "is not in the layout",
    );
    // A pipe in the place of a blob is refused, not waited for.
    fs::remove_file(blob_path(dir.path(), &layer.digest)).unwrap();
    fs::create_dir(blob_path(dir.path(), &layer.digest)).unwrap();
    failed(
        layout.blob(&layer, 10).await,
        FailureKind::Refused,
        "is a directory",
    );
}

#[tokio::test]
async fn a_source_that_lies_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let layout = Layout::create(&directory(dir.path())).await.unwrap();
    let before = files_below(dir.path());
    let blob = layer(b"12345");
    let gone = || StoreError::new(FailureKind::Unavailable, "read", "the line went dead");
    let piece = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
    for (pieces, kind, message) in [
        (
            vec![piece("123")],
            FailureKind::Refused,
            "3 bytes where the descriptor says 5",
        ),
        (
            vec![piece("123"), piece("456")],
            FailureKind::Refused,
            "more bytes than the 5",
        ),
        (
            vec![piece("12"), piece("354")],
            FailureKind::Refused,
            "damaged or altered",
        ),
        (
            vec![piece("12"), Err(gone())],
            FailureKind::Unavailable,
            "the line went dead",
        ),
    ] {
        let source = Arc::new(Liar::pieces(pieces));
        failed(
            layout.copy_blob(&blob, source, &|_| {}).await,
            kind,
            message,
        );
        assert_eq!(files_below(dir.path()), before, "{message}");
    }
    let mut forged = image_of(&[], "");
    forged.digest = Digest::sha256(b"something else");
    failed(
        layout.put_manifest(&forged).await,
        FailureKind::Refused,
        "damaged or altered",
    );
    assert_eq!(files_below(dir.path()), before);
}

#[tokio::test]
async fn large_blobs_arrive_in_pieces_and_progress_is_told() {
    let dir = TempDir::new().unwrap();
    let (from, to) = (dir.path().join("a"), dir.path().join("b"));
    let source = Layout::create(&directory(&from)).await.unwrap();
    let content: Vec<u8> = (0..3_000_001_u32)
        .flat_map(|n| n.to_le_bytes().into_iter().take(1))
        .collect();
    let blob = put_blob(&source, LAYER, &content).await;
    let mut pieces = source.open_blob(&blob, 1).await.unwrap();
    let mut rest = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.unwrap();
        assert!(piece.len() <= 1 << 20);
        rest.extend_from_slice(&piece);
    }
    assert!(rest == content[1..]);

    let target = Layout::create(&directory(&to)).await.unwrap();
    let told = std::sync::Mutex::new(Vec::new());
    let progress = |bytes| told.lock().unwrap().push(bytes);
    target
        .copy_blob(&blob, Arc::new(source), &progress)
        .await
        .unwrap();
    assert!(target.has_blob(&blob).await.unwrap());
    let told = told.into_inner().unwrap();
    assert!(told.len() > 2 && told.is_sorted());
    assert_eq!(told.last(), Some(&blob.size));
}

#[tokio::test]
async fn an_archive_appears_when_it_is_finished_and_is_reproducible() {
    let dir = TempDir::new().unwrap();
    let mut archives = Vec::new();
    for name in ["a.tar", "b.tar"] {
        let path = dir.path().join("out").join(name);
        let layout = Layout::create(&reference("oci-archive", &path))
            .await
            .unwrap();
        let long = Algorithm::Sha512.digest(b"long");
        let long = Descriptor::new(MediaType::new(LAYER), long, 4);
        layout
            .copy_blob(&long, holding("long"), &|_| {})
            .await
            .unwrap();
        let layer = put_blob(&layout, LAYER, b"layer").await;
        let image = image_of(std::slice::from_ref(&layer), "");
        assert!(layout.put_tags(&image, &[tag("1")]).await[0].is_ok());
        assert!(!path.exists());
        layout.finish().await.unwrap();
        layout.finish().await.unwrap();

        let opened = Layout::open(&reference("oci-archive", &path))
            .await
            .unwrap();
        for layout in [&layout, &opened] {
            let name = ManifestName::Tag(tag("1"));
            assert_eq!(layout.manifest(&name).await.unwrap(), image);
            assert_eq!(layout.blob(&layer, 10).await.unwrap(), "layer");
            assert!(layout.has_blob(&long).await.unwrap());
            let written = layout.put_tags(&image, &[tag("2")]).await.remove(0);
            failed(written, FailureKind::Refused, "is only read");
        }
        archives.push(fs::read(&path).unwrap());
    }
    assert!(archives[0] == archives[1]);
    assert_eq!(files_below(&dir.path().join("out")).len(), 2);
}

#[tokio::test]
async fn an_archive_that_is_not_finished_leaves_the_old_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.tar");
    fs::write(&path, "old").unwrap();
    let layout = Layout::create(&reference("oci-archive", &path))
        .await
        .unwrap();
    put_blob(&layout, LAYER, b"layer").await;
    drop(layout);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(files_below(dir.path()).len(), 1);
}

/// As `docker save` of Docker 25 and later writes it: an entry for each name, Docker's own
/// `manifest.json` beside `index.json`, directories, links of the old format.
fn docker_save(path: &Path, image: &Manifest, layer: &[u8]) {
    let entry = |name: &str, tag: &str| {
        let mut entry = image.descriptor();
        entry
            .annotations
            .insert("io.containerd.image.name".into(), name.into());
        entry.annotations.insert(REF_NAME.into(), tag.into());
        serde_json::to_string(&entry).unwrap()
    };
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
        MediaType::OCI_INDEX,
        entry("docker.io/library/app:1", "1"),
        entry("docker.io/library/app:latest", "latest"),
    );
    let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    };
    for content in [&image.bytes[..], layer] {
        let digest = Digest::sha256(content);
        add(&format!("blobs/sha256/{}", digest.hex()), content);
    }
    add("index.json", index.as_bytes());
    add("manifest.json", b"[]");
    add("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#);
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "0123/layer.tar", "../blobs/sha256/x")
        .unwrap();
    tar.into_inner().unwrap().flush().unwrap();
}

#[tokio::test]
async fn an_archive_of_docker_save_is_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("app.tar");
    let image = image_of(&[layer(b"layer")], "");
    docker_save(&path, &image, b"layer");
    let layout = Layout::open(&reference("oci-archive", &path))
        .await
        .unwrap();
    assert_eq!(layout.default_manifest().await.unwrap(), image.descriptor());
    for name in ["1", "latest"] {
        let name = ManifestName::Tag(tag(name));
        assert_eq!(layout.manifest(&name).await.unwrap(), image);
    }
    failed(
        layout.manifest(&ManifestName::Tag(tag("2"))).await,
        FailureKind::NotFound,
        "failed to read the manifest of oci-archive:",
    );
    // The same file, cut and compressed.
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..1000]).unwrap();
    let cut = Layout::open(&reference("oci-archive", &path)).await;
    failed(cut, FailureKind::Refused, "cut off");
    fs::write(&path, b"\x1f\x8b\x08 and so on").unwrap();
    let zipped = Layout::open(&reference("oci-archive", &path))
        .await
        .err()
        .unwrap();
    assert!(zipped.cause.contains("compressed with gzip"), "{zipped}");
    assert!(zipped.hints[0].contains("gunzip "), "{zipped:?}");
}

#[tokio::test]
async fn platforms_listed_in_index_json_are_one_image() {
    let dir = TempDir::new().unwrap();
    let (layout, image, _) = example(dir.path(), "1").await;
    let other = image_of(&[], "");
    layout.put_manifest(&other).await.unwrap();
    let on = |manifest: &Manifest, platform: &str| {
        let mut entry = manifest.descriptor();
        entry.platform = Some(platform.parse().unwrap());
        serde_json::to_string(&entry).unwrap()
    };
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        on(&image, "linux/arm64"),
        on(&other, "linux/amd64"),
    );
    fs::write(dir.path().join("index.json"), &index).unwrap();
    let name = layout.select(&directory(dir.path())).await.unwrap();
    assert_eq!(name, ManifestName::Digest(Digest::sha256(index.as_bytes())));
    let whole = layout.manifest(&name).await.unwrap();
    assert_eq!(whole.bytes, index);
    assert_eq!(whole.index().unwrap().manifests.len(), 2);
}

#[tokio::test]
async fn referrers_are_found_and_are_no_images_of_their_own() {
    let dir = TempDir::new().unwrap();
    let (layout, image, _) = example(dir.path(), "1").await;
    let subject = serde_json::to_string(&image.descriptor()).unwrap();
    let more = format!(
        r#","artifactType":"application/spdx+json","subject":{subject},"annotations":{{"a":"b"}}"#
    );
    let sbom = image_of(&[], &more);
    layout.put_manifest(&sbom).await.unwrap();
    let found = layout.referrers(&image.digest).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].digest, sbom.digest);
    assert_eq!(
        found[0].artifact_type.as_deref(),
        Some("application/spdx+json")
    );
    assert_eq!(found[0].annotations["a"], "b");
    assert_eq!(layout.default_manifest().await.unwrap(), image.descriptor());
    assert_eq!(layout.referrers(&sbom.digest).await.unwrap(), []);

    // The same through a fallback list, as regctl and older ORAS write it.
    let list = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        serde_json::to_string(&found[0]).unwrap()
    );
    let list = Manifest::parse(Bytes::from(list), &MediaType::default()).unwrap();
    let fallback = tag(&format!("sha256-{}", image.digest.hex()));
    layout.put_tags(&list, &[fallback]).await.remove(0).unwrap();
    assert_eq!(layout.referrers(&image.digest).await.unwrap(), found);
    assert_eq!(layout.default_manifest().await.unwrap(), image.descriptor());
}

#[tokio::test]
async fn content_in_a_descriptor_needs_no_file() {
    let dir = TempDir::new().unwrap();
    let layout = Layout::create(&directory(dir.path())).await.unwrap();
    let mut blob = layer(b"hello");
    failed(
        layout.blob(&blob, 10).await,
        FailureKind::NotFound,
        "is not in the layout",
    );
    blob.data = Some("aGVsbG8=".to_owned());
    assert_eq!(layout.blob(&blob, 10).await.unwrap(), "hello");
    let pieces: Vec<_> = layout.open_blob(&blob, 2).await.unwrap().collect().await;
    assert_eq!(pieces[0].as_ref().unwrap(), "llo");
    failed(
        layout.blob(&blob, 4).await,
        FailureKind::Refused,
        "at most 4 are read",
    );
}

/// GHSA-f36w-mj3v-6jqv (oras-go): what a descriptor says was allocated, and the process ended.
#[tokio::test]
async fn hostile_sizes_are_no_allocations() {
    let dir = TempDir::new().unwrap();
    let (layout, image, blob) = example(dir.path(), "1").await;
    let index = dir.path().join("index.json");
    let text = fs::read_to_string(&index).unwrap();
    let size = format!("\"size\": {}", image.bytes.len());
    assert!(text.contains(&size), "{text}");
    for hostile in [u64::MAX, i64::MAX as u64, 1 << 40, 0] {
        fs::write(&index, text.replace(&size, &format!("\"size\": {hostile}"))).unwrap();
        let layout = Layout::open(&directory(dir.path())).await.unwrap();
        let name = ManifestName::Tag(tag("1"));
        failed(layout.manifest(&name).await, FailureKind::Refused, "bytes");
    }
    for hostile in [u64::MAX, i64::MAX as u64, 1 << 40] {
        let blob = Descriptor {
            size: hostile,
            ..blob.clone()
        };
        failed(
            layout.blob(&blob, u64::MAX).await,
            FailureKind::Refused,
            "bytes",
        );
        let opened = layout.open_blob(&blob, 0).await;
        failed(opened.map(drop), FailureKind::Refused, "bytes");
    }
}

#[tokio::test]
async fn what_is_no_layout_is_told_apart() {
    let dir = TempDir::new().unwrap();
    let open = async |kind: &str, path: &Path| Layout::open(&reference(kind, path)).await;
    let missing = dir.path().join("missing");
    failed(
        open("oci", &missing).await,
        FailureKind::NotFound,
        "cannot read",
    );
    failed(
        open("oci-archive", &missing).await,
        FailureKind::NotFound,
        "cannot read",
    );
    failed(
        open("oci", dir.path()).await,
        FailureKind::Refused,
        "no file oci-layout",
    );
    failed(
        open("oci-archive", dir.path()).await,
        FailureKind::Refused,
        "is a directory",
    );

    fs::write(dir.path().join("main.rs"), "").unwrap();
    let created = Layout::create(&directory(dir.path())).await;
    failed(created, FailureKind::Refused, "it holds main.rs");
    assert_eq!(files_below(dir.path()).len(), 1);

    let old = dir.path().join("old.tar");
    let mut tar = tar::Builder::new(fs::File::create(&old).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    tar.append_data(&mut header, "manifest.json", &b""[..])
        .unwrap();
    tar.into_inner().unwrap().flush().unwrap();
    failed(
        open("oci-archive", &old).await,
        FailureKind::Refused,
        "Docker older than 25",
    );

    let layout = dir.path().join("layout");
    example(&layout, "1").await;
    fs::write(layout.join("index.json"), "{").unwrap();
    let layout = open("oci", &layout).await.unwrap();
    let broken = layout.default_manifest().await;
    failed(broken, FailureKind::Refused, "index.json: not a manifest");

    let file = dir.path().join("main.rs");
    let below = Layout::create(&directory(&file.join("layout"))).await;
    failed(below, FailureKind::Other, "cannot create");
}
