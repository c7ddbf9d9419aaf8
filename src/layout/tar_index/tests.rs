use std::io::Cursor;

use super::*;

fn member(kind: EntryType, name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    member(EntryType::Regular, name, content)
}

fn walk(parts: &[Vec<u8>]) -> Result<Members, TarError> {
    let bytes = parts.concat();
    let length = bytes.len() as u64;
    index(Cursor::new(bytes), length)
}

fn pax(record: &str) -> Vec<u8> {
    let length = record.len() + 4;
    assert!((10..100).contains(&length));
    let record = format!("{length} {record}\n");
    member(EntryType::XHeader, "pax", record.as_bytes())
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

#[test]
fn members_of_a_layout_are_found_and_others_skipped() {
    let digest = Digest::sha256(b"x");
    let members = walk(&[
        member(EntryType::Directory, "./blobs/", b""),
        file("./oci-layout", b"abc"),
        file("../index.json", b"evil"),
        file("/index.json", b"evil"),
        file("blobs/sha256/../../index.json", b"evil"),
        file("blobs/sha256/short", b"evil"),
        member(EntryType::Symlink, "index.json", b""),
        file(&blob_name(&digest), b"x"),
        file("index.json", b"{}"),
        file("manifest.json", b"[]"),
        vec![0; 1024],
        file("index.json", b"after the end"),
    ])
    .unwrap();
    assert_eq!(
        members.oci_layout,
        Some(Span {
            start: 1024,
            length: 3
        })
    );
    assert_eq!(members.index_json.map(|span| span.length), Some(2));
    assert_eq!(members.blobs.len(), 1);
    assert_eq!(members.blobs[&digest].length, 1);
    assert!(members.has_docker_manifest);
}

#[test]
fn long_names_of_both_formats_are_read() {
    let digests = [b"a", b"b"].map(|bytes| crate::spec::Algorithm::Sha512.digest(bytes));
    let record = format!("path={}", blob_name(&digests[0]));
    let record = format!("{} {record}\n", record.len() + 5);
    let gnu = format!("{}\0", blob_name(&digests[1]));
    let members = walk(&[
        member(EntryType::XHeader, "pax", record.as_bytes()),
        file("cut", b"a"),
        member(EntryType::GNULongName, "././@LongLink", gnu.as_bytes()),
        file("cut", b"bb"),
        file("index.json", b"the long name applies to one member only"),
    ])
    .unwrap();
    assert_eq!(members.blobs[&digests[0]].length, 1);
    assert_eq!(members.blobs[&digests[1]].length, 2);
    assert!(members.index_json.is_some());
}

#[test]
fn sparse_members_are_skipped() {
    let mut old = member(EntryType::GNUSparse, "index.json", b"");
    old[257..265].copy_from_slice(b"ustar  \0");
    old[482] = 1;
    let mut header = Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&old);
    header.set_cksum();
    let mut map = vec![0; 512];
    map[504] = 1;
    let members = walk(&[
        header.as_bytes().to_vec(),
        map,
        vec![0; 512],
        pax("GNU.sparse.major=1"),
        file("index.json", b"sparse"),
        file("oci-layout", b"{}"),
    ])
    .unwrap();
    assert_eq!(members.index_json, None);
    assert!(members.oci_layout.is_some());
}

#[test]
fn hostile_archives_are_refused() {
    let mut huge = Header::new_ustar();
    huge.set_size(u64::MAX / 2);
    huge.set_cksum();
    let mut extension = Header::new_ustar();
    extension.set_entry_type(EntryType::GNULongName);
    extension.set_size(MAX_TAR_EXTENSION + 1);
    extension.set_cksum();
    let too_many = vec![file("x", b""); MAX_HEADERS as usize + 1];
    let two = [file("index.json", b"1"), file("./index.json", b"2")];
    for (parts, message) in [
        (vec![huge.as_bytes().to_vec()], "truncated"),
        (vec![extension.as_bytes().to_vec()], "extension header"),
        (vec![pax("size=-1xx"), file("x", b"")], "invalid size"),
        (vec![b"PK\x03\x04 is a zip".repeat(50)], "not a tar archive"),
        (vec![b"short".to_vec()], "truncated"),
        (vec![file("x", b"1")[..512].to_vec()], "truncated"),
        (two.to_vec(), "two members named index.json"),
        (too_many, "more than 100000 members"),
    ] {
        let error = walk(&parts).unwrap_err().to_string();
        assert!(error.contains(message), "{error} / {message}");
    }
}
