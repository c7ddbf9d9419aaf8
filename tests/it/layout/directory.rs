//! Directories: written, read back, shared with other writers, damaged.

use super::*;

#[tokio::test]
async fn written_layout_is_read_back() {
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
    // The directory contains only the layout: no lock, no temporary file.
    let files = files_below(dir.path());
    assert_eq!(files.len(), 5, "{files:?}");
    let version = fs::read_to_string(dir.path().join("oci-layout")).unwrap();
    assert_eq!(version, r#"{"imageLayoutVersion":"1.0.0"}"#);
}

fn config_of_another_image() -> Descriptor {
    Descriptor::of(MediaType::new(MediaType::OCI_CONFIG), b"another")
}

#[tokio::test]
async fn entries_of_other_tools_are_kept() {
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
        r#"2 images, and neither tag nor digest was given; names: "1", "2", "latest""#,
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
async fn damage_is_found_by_every_read() {
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
        "6 bytes instead of",
    );
    failed(
        layout.open_blob(&layer, 0).await,
        FailureKind::Refused,
        "6 bytes instead of",
    );
    // A copy repairs a damaged blob.
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
    // A pipe in place of a blob is refused at once.
    fs::remove_file(blob_path(dir.path(), &layer.digest)).unwrap();
    fs::create_dir(blob_path(dir.path(), &layer.digest)).unwrap();
    failed(
        layout.blob(&layer, 10).await,
        FailureKind::Refused,
        "is a directory",
    );
}

#[tokio::test]
async fn wrong_source_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let layout = Layout::create(&directory(dir.path())).await.unwrap();
    let before = files_below(dir.path());
    let blob = layer(b"12345");
    let gone = || StoreError::new(FailureKind::Unavailable, "read", "the connection broke");
    let piece = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
    for (pieces, kind, message) in [
        (
            vec![piece("123")],
            FailureKind::Refused,
            "3 bytes instead of 5",
        ),
        (
            vec![piece("123"), piece("456")],
            FailureKind::Refused,
            "more than the expected 5 bytes",
        ),
        (
            vec![piece("12"), piece("354")],
            FailureKind::Refused,
            "damaged or altered",
        ),
        (
            vec![piece("12"), Err(gone())],
            FailureKind::Unavailable,
            "the connection broke",
        ),
    ] {
        let source = Arc::new(BrokenSource::pieces(pieces));
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
async fn large_blobs_are_streamed_with_progress() {
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
    let progress = std::sync::Mutex::new(Vec::new());
    let record = |bytes| progress.lock().unwrap().push(bytes);
    target
        .copy_blob(&blob, Arc::new(source), &record)
        .await
        .unwrap();
    assert!(target.has_blob(&blob).await.unwrap());
    let progress = progress.into_inner().unwrap();
    assert!(progress.len() > 2 && progress.is_sorted());
    assert_eq!(progress.last(), Some(&blob.size));
}
