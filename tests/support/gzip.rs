//! A gzip writer that does not compress (RFC 1951, 3.2.4; RFC 1952). Other clients can unpack its output, and the bytes
//! do not depend on the machine or on the version of a compressor.

/// Returns a gzip member with `data`, uncompressed.
pub fn store(data: &[u8]) -> Vec<u8> {
    // Magic, deflate, no flags, no time, no hint, unknown system.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = data.chunks(usize::from(u16::MAX)).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("chunks are at most 65535 bytes");
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(crc32(data).to_le_bytes());
    // The length modulo 2^32, as RFC 1952 requires.
    out.extend((data.len() as u64).to_le_bytes()[..4].iter());
    out
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
