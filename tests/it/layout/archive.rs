//! Archives: written at the end of a run, and read from any tool.

use super::*;

#[tokio::test]
async fn finished_archive_appears_and_is_reproducible() {
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
            failed(
                written,
                FailureKind::Refused,
                "existing archives are read-only",
            );
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

/// Writes an archive like `docker save` of Docker 25 and later: an entry for each name, Docker's own `manifest.json`
/// beside `index.json`, directories, and links of the old format.
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
        "failed to read oci-archive:",
    );
    // The same file is truncated and compressed.
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..1000]).unwrap();
    let cut = Layout::open(&reference("oci-archive", &path)).await;
    failed(cut, FailureKind::Refused, "truncated");
    fs::write(&path, b"\x1f\x8b\x08 and so on").unwrap();
    let zipped = Layout::open(&reference("oci-archive", &path))
        .await
        .err()
        .unwrap();
    assert!(
        zipped
            .cause()
            .contains("compressed archives are not supported (gzip)"),
        "{zipped}"
    );
    assert!(
        matches!(&zipped.hints[0], polyarch::hint::Hint::Text(text) if text.contains("gunzip ")),
        "{zipped:?}"
    );
}
