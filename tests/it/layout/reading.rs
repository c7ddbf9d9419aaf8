//! The content of a layout: images, referrers, content in descriptors, and wrong descriptors.

use super::*;

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
    let name = layout.select(&only_image(dir.path())).await.unwrap();
    assert_eq!(name, ManifestName::Digest(Digest::sha256(index.as_bytes())));
    let whole = layout.manifest(&name).await.unwrap();
    assert_eq!(whole.bytes, index);
    assert_eq!(whole.index().unwrap().manifests.len(), 2);
}

#[tokio::test]
async fn referrers_are_found_and_do_not_count_as_images() {
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

    // The referrers are in a fallback list, as regctl and older ORAS versions write it.
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
        "exceed the limit of 4",
    );
}

/// GHSA-f36w-mj3v-6jqv (oras-go): memory was allocated for the size in a descriptor, which ended the process.
#[tokio::test]
async fn hostile_sizes_allocate_no_memory() {
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
async fn invalid_layouts_are_different_errors() {
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
    failed(created, FailureKind::Refused, "it contains main.rs");
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
        "Docker version before 25",
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
