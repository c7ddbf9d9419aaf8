//! The entries of `index.json`: names, lookups, additions. No I/O.

use std::collections::BTreeSet;

use super::error::LayoutError;
use crate::spec::{Descriptor, Index, Manifest, Reference, Tag, attestation};

/// The name of an entry. The specification allows any text; in practice it is a tag, or a whole reference (skopeo,
/// podman). <https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md#pre-defined-annotation-keys>.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The full reference that containerd, BuildKit and Docker add.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The maximum number of names in an error.
const MAX_NAMES: usize = 10;

/// Finds the entry of a tag. An entry whose `ref.name` is exactly the tag takes precedence over one whose full
/// reference has this tag.
///
/// Several entries with one digest count as one, since Docker writes an entry for each name of an image. Different
/// digests are refused: skopeo takes the first one, but `docker save a:1 b:1` writes such a layout, and either image
/// may be meant.
pub fn find<'a>(index: &'a Index, tag: &Tag) -> Result<&'a Descriptor, LayoutError> {
    let named_by = |matches: fn(&Descriptor, &str) -> bool| {
        let entries = index.manifests.iter();
        entries
            .filter(|entry| matches(entry, tag.as_str()))
            .collect::<Vec<_>>()
    };
    let mut found = named_by(is_named);
    if found.is_empty() {
        found = named_by(is_tagged_in_full);
    }
    let Some(first) = found.first() else {
        return Err(LayoutError::UnknownTag {
            tag: tag.to_string(),
            names: list_names(index),
        });
    };
    match found.iter().find(|other| other.digest != first.digest) {
        None => Ok(first),
        Some(other) => Err(LayoutError::AmbiguousTag {
            tag: tag.to_string(),
            first: full_name(first),
            second: full_name(other),
        }),
    }
}

fn is_named(entry: &Descriptor, tag: &str) -> bool {
    entry
        .annotations
        .get(REF_NAME)
        .is_some_and(|name| name == tag)
}

fn is_tagged_in_full(entry: &Descriptor, tag: &str) -> bool {
    [REF_NAME, CONTAINERD_NAME].iter().any(|key| {
        let name = entry.annotations.get(*key).map(String::as_str);
        let reference: Option<Reference> = name.and_then(|name| name.parse().ok());
        reference.is_some_and(|reference| reference.tag().is_some_and(|t| t.as_str() == tag))
    })
}

fn full_name(entry: &Descriptor) -> String {
    match entry.annotations.get(CONTAINERD_NAME) {
        Some(name) => format!("{} ({})", shown(name), entry.digest),
        None => entry.digest.to_string(),
    }
}

/// Quotes and shortens a name for printing.
fn shown(name: &str) -> String {
    format!("{:?}", name.chars().take(150).collect::<String>())
}

/// Returns whether entries are the platforms of one image, so that `index.json` is its index: each has a platform, and
/// all have one name or none.
pub fn are_one_image(entries: &[&Descriptor]) -> bool {
    let names: BTreeSet<_> = entries.iter().map(|entry| name(entry)).collect();
    let has_platform =
        |entry: &&Descriptor| entry.platform.is_some() || attestation::is_attestation(entry);
    names.len() == 1 && entries.iter().all(has_platform)
}

/// Returns the name of an entry, preferably the full name of containerd.
fn name(entry: &Descriptor) -> Option<&str> {
    let annotations = &entry.annotations;
    let name = annotations
        .get(CONTAINERD_NAME)
        .or_else(|| annotations.get(REF_NAME));
    name.map(String::as_str)
}

/// Lists the names of all entries for an error.
pub fn list_names(index: &Index) -> String {
    let entries = index.manifests.iter();
    let names: BTreeSet<_> = entries
        .filter_map(name)
        .filter(|name| !is_fallback(name))
        .collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut listed: Vec<_> = names
        .iter()
        .take(MAX_NAMES)
        .map(|name| shown(name))
        .collect();
    if names.len() > MAX_NAMES {
        listed.push(format!("{} more", names.len() - MAX_NAMES));
    }
    listed.join(", ")
}

/// Returns the candidates if no name is given: each digest once, without the fallback lists of referrers.
pub fn roots(index: &Index) -> Vec<&Descriptor> {
    let mut seen = BTreeSet::new();
    let entries = index.manifests.iter();
    entries
        .filter(|entry| !name(entry).is_some_and(is_fallback))
        .filter(|entry| seen.insert(&entry.digest))
        .collect()
}

fn is_fallback(name: &str) -> bool {
    name.split_once('-').is_some_and(|(algorithm, hex)| {
        matches!(algorithm, "sha256" | "sha512")
            && hex.len() == 64
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Returns the entry with exactly this name.
pub fn find_named<'a>(index: &'a Index, name: &str) -> Option<&'a Descriptor> {
    index.manifests.iter().find(|entry| is_named(entry, name))
}

/// Adds `manifest` under a name and removes the previous entry of that name. An unnamed entry with the same digest gets
/// the name, as with skopeo.
pub fn insert_named(index: &mut Index, manifest: &Manifest, tag: &Tag) {
    let mut entry = entry_of(manifest);
    let value = tag.as_str().to_owned();
    entry.annotations.insert(REF_NAME.to_owned(), value);
    let is_replaced = |old: &Descriptor| {
        is_named(old, tag.as_str()) || (name(old).is_none() && old.digest == entry.digest)
    };
    let position = index.manifests.iter().position(is_replaced);
    index.manifests.retain(|old| !is_replaced(old));
    let position = position.unwrap_or(index.manifests.len());
    index.manifests.insert(position, entry);
}

/// Adds `manifest` without a name unless it is listed already.
pub fn insert_unnamed(index: &mut Index, manifest: &Manifest) {
    let is_listed = |entry: &Descriptor| entry.digest == manifest.digest;
    if !index.manifests.iter().any(is_listed) {
        index.manifests.push(entry_of(manifest));
    }
}

fn entry_of(manifest: &Manifest) -> Descriptor {
    Descriptor {
        artifact_type: manifest.artifact_type().cloned(),
        ..manifest.descriptor()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::hint::Hint;
    use crate::spec::{Digest, MediaType};

    fn entry(content: &str, annotations: &[(&str, &str)]) -> Descriptor {
        let media_type = MediaType::new(MediaType::OCI_MANIFEST);
        let mut entry = Descriptor::of(media_type, content.as_bytes());
        let pairs = annotations.iter();
        entry.annotations = pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect();
        entry
    }

    fn index(entries: &[Descriptor]) -> Index {
        Index::new(MediaType::OCI_INDEX, entries.to_vec())
    }

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    fn manifest(name: &str) -> Manifest {
        let json =
            format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"name":{name:?}}}}}"#);
        Manifest::parse(Bytes::from(json), &MediaType::default()).unwrap()
    }

    #[test]
    fn tags_are_found_in_the_names_of_each_tool() {
        let index = index(&[
            entry("skopeo", &[(REF_NAME, "1")]),
            entry("podman", &[(REF_NAME, "docker.io/o/app:2")]),
            entry("docker", &[(CONTAINERD_NAME, "docker.io/o/app:3")]),
            entry("exact", &[(REF_NAME, "4")]),
            entry("other", &[(CONTAINERD_NAME, "docker.io/o/app:4")]),
        ]);
        for (name, content) in [
            ("1", "skopeo"),
            ("2", "podman"),
            ("3", "docker"),
            ("4", "exact"),
        ] {
            let found = find(&index, &tag(name)).unwrap();
            assert_eq!(found.digest, Digest::sha256(content.as_bytes()), "{name}");
        }
        let error = find(&index, &tag("5")).unwrap_err().during("x");
        assert_eq!(error.cause(), r#"no entry of index.json is named "5""#);
        assert!(
            matches!(&error.hints[0], Hint::Text(text) if text.contains(r#""docker.io/o/app:3""#))
        );
    }

    #[test]
    fn a_name_of_two_images_is_refused() {
        let same = [(REF_NAME, "1"), (CONTAINERD_NAME, "docker.io/o/a:1")];
        let index = index(&[
            entry("a", &same),
            entry(
                "b",
                &[(REF_NAME, "1"), (CONTAINERD_NAME, "docker.io/o/b:1")],
            ),
        ]);
        let error = find(&index, &tag("1")).unwrap_err().during("x");
        assert!(error.cause().contains("docker.io/o/b:1"), "{error}");
        assert!(!are_one_image(&roots(&index)));
    }

    #[test]
    fn a_tag_moves_to_the_new_manifest() {
        let (old, new, other) = (manifest("old"), manifest("new"), manifest("other"));
        let mut index = index(&[]);
        insert_named(&mut index, &old, &tag("1"));
        insert_named(&mut index, &other, &tag("2"));
        insert_named(&mut index, &new, &tag("1"));
        assert_eq!(find(&index, &tag("1")).unwrap().digest, new.digest);
        assert_eq!(find(&index, &tag("2")).unwrap().digest, other.digest);
        assert_eq!(index.manifests.len(), 2);
    }

    #[test]
    fn an_unnamed_entry_gets_the_name() {
        let manifest = manifest("m");
        let mut index = index(&[]);
        insert_unnamed(&mut index, &manifest);
        insert_unnamed(&mut index, &manifest);
        insert_named(&mut index, &manifest, &tag("1"));
        insert_unnamed(&mut index, &manifest);
        assert_eq!(index.manifests.len(), 1);
        insert_named(&mut index, &manifest, &tag("2"));
        assert_eq!(index.manifests.len(), 2);
    }

    #[test]
    fn platforms_of_one_image_are_no_separate_images() {
        let on = |content: &str, platform: &str, name: &[(&str, &str)]| {
            let mut entry = entry(content, name);
            entry.platform = Some(platform.parse().unwrap());
            entry
        };
        let (amd64, arm64) = ("linux/amd64", "linux/arm64");
        let attestation = entry(
            "c",
            &[(attestation::TYPE, attestation::ATTESTATION_MANIFEST)],
        );
        let one = index(&[on("a", amd64, &[]), on("b", arm64, &[]), attestation]);
        assert!(are_one_image(&roots(&one)));
        let no_platform = index(&[entry("a", &[]), entry("b", &[])]);
        assert!(!are_one_image(&roots(&no_platform)));
        let half_named = index(&[on("a", amd64, &[(REF_NAME, "1")]), on("b", arm64, &[])]);
        assert!(!are_one_image(&roots(&half_named)));
    }
}
