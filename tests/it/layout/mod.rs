//! OCI layouts: written, read back, damaged, compressed, and made by other tools.

mod archive;
mod directory;
mod reading;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use polyarch::layout::Layout;
use polyarch::spec::{
    Algorithm, Descriptor, Digest, LayoutPath, LayoutReference, Manifest, MediaType, Tag,
};
use polyarch::store::{FailureKind, ManifestName, Store, StoreError};
use tempfile::TempDir;

use crate::broken_source::BrokenSource;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn reference(kind: &str, path: &Path) -> LayoutPath {
    let text = format!("{kind}:{}", path.display());
    text.parse::<LayoutReference>().unwrap().layout
}

fn directory(path: &Path) -> LayoutPath {
    reference("oci", path)
}

fn only_image(path: &Path) -> LayoutReference {
    format!("oci:{}", path.display()).parse().unwrap()
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

/// Returns a source with one blob.
fn holding(content: impl Into<Bytes>) -> Arc<BrokenSource> {
    Arc::new(BrokenSource::pieces(vec![Ok(content.into())]))
}

async fn put_blob(target: &Layout, media_type: &str, content: &[u8]) -> Descriptor {
    let blob = Descriptor::of(MediaType::new(media_type), content);
    let source = holding(content.to_vec());
    target.copy_blob(&blob, source, &|_| {}).await.unwrap();
    blob
}

/// Creates a layout with one tagged image of one layer.
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
