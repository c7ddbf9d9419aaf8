//! Layers of images: archives, their compression, and the programs in them.

use bytes::Bytes;
use polyarch::binaries::search_layers;

use super::{assert_printable, parts};

const BLOCK: usize = 512;

/// Searches layers, the top one first. The first document of the input is the config. Checks that the parts in which a
/// layer arrives do not change the findings, and that every message is one line. A damaged layer may be an error in one
/// case only: its programs can be found before the damage arrives.
pub fn layers(data: &[u8]) {
    let documents = parts(data);
    let (config, layers) = documents.split_first().expect("one document at least");
    let layers: Vec<_> = layers.iter().map(|layer| with_checksums(layer)).collect();
    let search = |size: usize| {
        let split = |layer: &Vec<u8>| layer.chunks(size).map(Bytes::copy_from_slice).collect();
        search_layers(config, &layers.iter().map(split).collect::<Vec<_>>())
    };
    let found = search(usize::MAX);
    if let (Ok(found), Ok(in_parts)) = (&found, &search(7)) {
        assert_eq!(found, in_parts);
    }
    match found {
        Ok(findings) => {
            for executable in &findings.verified {
                assert!(!executable.path.is_empty());
            }
            for text in findings.wrong.iter().chain(&findings.notices) {
                assert_printable(text);
            }
        }
        Err(error) => assert_printable(&error),
    }
}

/// Corrects the checksums of headers, which changed bytes would make invalid. Compressed layers have none.
fn with_checksums(layer: &[u8]) -> Vec<u8> {
    const SIZE: std::ops::Range<usize> = 124..136;
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let mut layer = layer.to_vec();
    if layer.starts_with(&[0x1f, 0x8b]) || layer.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return layer;
    }
    let mut at = 0;
    while let Some(header) = layer.get_mut(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        header[CHECKSUM].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[SIZE]).unwrap_or_default();
        let size = size.trim_matches(['\0', ' ']);
        let size = usize::from_str_radix(size, 8).unwrap_or_default();
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    layer
}
