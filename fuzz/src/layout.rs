//! OCI image layouts.

use std::io::Cursor;

use polyarch::layout::catalog::{
    are_one_image, find, insert_named, insert_unnamed, list_names, roots,
};
use polyarch::layout::format::{check_version, parse_index};
use polyarch::layout::tar_index;
use polyarch::spec::{LayoutReference, Tag};

use super::text;

/// Checks `index.json`, `oci-layout` and layout references: an entry that is added under a name is found by this name.
pub fn layout(data: &[u8]) {
    let _ = check_version(data);
    if let Some(text) = text(data)
        && let Ok(reference) = text.parse::<LayoutReference>()
    {
        // A path that ends like a tag or digest is displayed in a longer form with the same meaning.
        let again = reference.to_string().parse::<LayoutReference>();
        if reference.tag.is_some() || reference.digest.is_some() {
            assert_eq!(again.as_ref(), Ok(&reference));
        }
        assert!(!reference.layout.path.as_os_str().is_empty());
    }
    let Ok(manifest) = parse_index(data.to_vec()) else {
        return;
    };
    let mut index = manifest.index().expect("an index was parsed").clone();
    let tag: Tag = "fuzzed".parse().expect("a tag");
    let _ = (list_names(&index), find(&index, &tag));
    let _ = are_one_image(&roots(&index));
    let before = index.manifests.len();
    insert_unnamed(&mut index, &manifest);
    insert_named(&mut index, &manifest, &tag);
    assert!(index.manifests.len() <= before + 2);
    let found = find(&index, &tag).expect("the entry that was added");
    assert_eq!(found.digest, manifest.digest);
}

/// Checks that every indexed member of a tar archive is inside the archive.
pub fn tar(data: &[u8]) {
    let length = data.len() as u64;
    let Ok(members) = tar_index::index(Cursor::new(data), length) else {
        return;
    };
    let named = [members.oci_layout, members.index_json];
    for span in members.blobs.values().chain(named.iter().flatten()) {
        assert!(
            span.start
                .checked_add(span.length)
                .is_some_and(|end| end <= length)
        );
    }
}
